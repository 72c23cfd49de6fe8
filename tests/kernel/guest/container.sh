#!/bin/sh
# The first process of a container: looks around, and changes files in turn with the host.
. /guest/lib.sh

# ask QUESTION: the host does what it says, or compares; see ../containers.sh.
ask() {
    echo >"/asked/$1"
    i=0
    until [ -e "/asked/$1.answer" ]; do
        i=$((i + 1))
        [ $i -lt 300 ] || { echo "no answer to $1"; return 1; }
        sleep 0.1
    done
    is "$(cat "/asked/$1.answer")" yes
}
own_root() {
    is "$(ls -x -w 200 / | tr -s ' ')" 'asked bin cache etc guest home old proc tmp'
    [ -z "$(ls /old)" ]
    grep ' / 9p rw,' /proc/mounts
    is "$(grep -c ' /etc/[a-z.]* 9p ' /proc/mounts)" 3
}
mounted_files() {
    is "$(cat /etc/resolv.conf)" 'nameserver 192.0.2.1'
    is "$(cat /etc/hosts)" '127.0.0.1 localhost'
    is "$(wc -c </etc/hostname)" 65
}
changed_in_place() {
    ask append_hosts
    is "$(tail -n 1 /etc/hosts)" '192.0.2.2 appended'
    is "$(wc -l </etc/hosts)" 2
    ask write_hosts
    is "$(cat /etc/hosts)" '192.0.2.3 written in place, and longer than before'
    case $KERNEL in
        6.12) ;;    # client limit: a read would never end (docs/mount.md)
        *)
            ask shorten_hosts
            is "$(cat /etc/hosts)" 192.0.2.4
            ;;
    esac
}
# As on any file system: what is mounted is the file, not its name.
replaced() {
    before=$(cat /etc/hosts)
    ask replace_hosts
    is "$(cat /etc/hosts)" "$before"
}
written_here() {
    echo written >/etc/hostname
    ask hostname_written
}
new_files() {
    not ls /new
    ask new_files
    is "$(cat /new/file)" text
    is "$(stat -c %u /new)" 1000
    exec 9</new/file
    ask change_mode
    not su container -c 'cat /new/file'
    ask remove_file
    is "$(cat <&9)" text
    exec 9<&-       # while it is open, Linux believes in its name
    not ls /new/file
}
permissions() {
    su container -c 'cat /home/own && echo more >/home/own'
    is "$(cat /home/own)" more
    not su container -c 'cat /home/roots'
    not su container -c 'echo >/home/new'
    not su container -c 'chmod 666 /home/roots'
}
files_made() {
    mkdir /made
    cd /made || exit
    echo text >file
    ln file 'the same'
    chown 1000:2345 file
    chmod 4711 file
    mkdir -m 1777 sticky
    su container -c 'umask 027; echo mine >sticky/mine; mkdir sticky/own'
    ln -s file link
    mkfifo fifo
    mknod null c 1 3
    mkdir a b
    echo text >a/file
    mv a b/c
    cd /
    find made -exec stat -c '%F %a %u:%g %h %s %t:%T %N' {} + | sort >/said
    ask files_made
}
executed() {
    cp /bin/busybox /home/echo
    is "$(/home/echo text)" text
}
does own_root
does mounted_files
# Client limit: nobody looks up the name of a file that something is mounted on (docs/mount.md).
case $KERNEL,$CACHE in
    6.12,mmap) skip "cache=$CACHE changed_in_place (Linux 6.12 keeps what it has read)" ;;
    *) does changed_in_place ;;
esac
for check in replaced written_here new_files permissions files_made executed; do
    does $check
done
