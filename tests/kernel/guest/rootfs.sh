#!/bin/sh
# A service of a machine whose root is a share: the machine is up and works on itself, then it is
# powered off.
. /guest/lib.sh
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

up() {
    systemctl is-system-running --wait
    is "$(stat -f -c %T /)" v9fs
    grep ' / 9p rw,' /proc/mounts
}
manifest() { /guest/manifest / usr/bin srv | mount_can; }
# Access control lists are there with the option posixacl only.
mount_can() { if grep -q ' / 9p .*posixacl' /proc/mounts; then cat; else grep -v posix_acl; fi; }
same_files() {
    manifest >/run/files
    mount_can </guest/before | diff - /run/files
}
users() {
    # The owner by a setuid bit, and what an ordinary user may not do.
    chmod 4755 /srv/made/whoami
    is "$(setpriv --reuid=1000 --regid=1000 --clear-groups /srv/made/whoami)" root
    setpriv --reuid=1000 --regid=1000 --clear-groups sh -c '! echo >/etc/new && ! cat /etc/shadow && ! rm /srv/made/whoami &&
        echo mine >/tmp/mine && chmod 600 /tmp/mine && cat /tmp/mine'
    not setpriv --reuid=1001 --regid=1001 --clear-groups rm -f /tmp/mine
    rm /tmp/mine
}
made() {
    mkdir /srv/made
    cp /usr/bin/whoami /srv/made/whoami
    cd /srv/made || exit
    echo text >file
    chown 1234:2345 file
    chmod 4711 file
    ln file 'the same'
    ln -s file link
    mkfifo fifo
    mknod null c 1 3
    setfattr -n user.key -v value file
    setfattr -n trusted.key -v value file
    install -d -m 2775 -g 2345 team
    touch team/file
    is "$(stat -c %g team/file)" 2345
    mkdir a b
    touch a/file
    mv a b
    mv -T b c
    [ -e c/a/file ]
    # An open file without a name.
    exec 9>gone
    rm gone
    echo text >&9
}
installed_by_dpkg() {
    dpkg -i /root/hello.deb
    hello
}
removed() {
    dpkg -r hello
    not hello
}
installed_by_apt() {
    apt-get -y -q install /root/hello.deb
    hello
}
# What packages brought is what they hold, apart from configuration (c): $VERIFY, or all of them.
verified() {
    # shellcheck disable=SC2086
    dpkg --verify $VERIFY >/run/verified
    not grep -v ' c /' /run/verified
}
journal() {
    logger -t guest marker
    journalctl --sync
    is "$(journalctl -t guest -o cat)" marker
}
locks() { flock -n /srv/made/lock sh -c '! flock -n /srv/made/lock true'; }

for check in up same_files made users installed_by_dpkg removed installed_by_apt verified journal locks; do
    does $check
done
sync
manifest >/guest/after
systemctl poweroff
