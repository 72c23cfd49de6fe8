#!/bin/sh
# Mounts as people type them: what mount(8) and the kernel say to each, and whether it works.
# docs/mount.md has the table.
. /guest/lib.sh
mkdir -p /mnt/x

# mounts NAME OPTIONS: has to work, reading and writing. The rest of `try` tells what was agreed on.
# refused NAME ERROR OPTIONS: has to fail with that error.
try() {
    dmesg -c >/dev/null
    echo "  mount -t 9p -o $1 $HOST /mnt/x"
    # busybox's mount has the error's plain name, util-linux's the words that people see.
    busybox mount -t 9p -o "$1" "$HOST" /mnt/x 2>/tmp/error && return 0
    /guest/bin/mount -t 9p -o "$1" "$HOST" /mnt/x 2>&1 | sed 's/^/    /'
    dmesg | sed 's/^\[[^]]*\] */    kernel: /'
    return 1
}
mounts() {
    if ! try "$2"; then
        fail "$1: $(cat /tmp/error)"
        return
    fi
    grep ' /mnt/x ' /proc/mounts | cut -d' ' -f4 | sed 's/^/    works: /'
    cp /tmp/known /mnt/x/known
    umount /mnt/x               # a second mount has cached nothing of it
    mount -t 9p -o "$2" "$HOST" /mnt/x
    if cmp /tmp/known /mnt/x/known && rm /mnt/x/known; then
        pass "$1"
    else
        fail "$1: what was written is not what is read"
    fi
    umount /mnt/x
}
refused() {
    if try "$3"; then
        umount /mnt/x
        fail "$1: mounted"
    elif grep -q ": $2\$" /tmp/error; then
        pass "$1: $2"
    else
        fail "$1: $(cat /tmp/error), expected $2"
    fi
}

head -c 3000000 /dev/urandom >/tmp/known
tcp=trans=tcp,port=$PORT
mounts plain "$tcp"
mounts version "$tcp,version=9p2000.L"
mounts msize "$tcp,msize=1000000000"
mounts small-msize "$tcp,msize=4096"
mounts root-aname "$tcp,aname=/"
mounts path-aname "$tcp,aname=$EXPORT"
mounts folder-below "$tcp,aname=$EXPORT/folder"
mounts uname-root "$tcp,uname=root,access=any"
mounts uname-user "$tcp,uname=user"
mounts access-uid "$tcp,uname=root,access=0"
refused small-letters 'Invalid argument' "$tcp,version=9p2000.l"
refused other-port 'Connection refused' "trans=tcp,port=$UNUSED_PORT"
refused wrong-aname 'No such file or directory' "$tcp,aname=/no/such/folder"
refused aname-outside 'No such file or directory' "$tcp,aname=/etc"
refused wrong-uname 'Permission denied' "$tcp,uname=nosuchuser,access=any"
refused tiny-msize 'Invalid argument' "$tcp,msize=100"
