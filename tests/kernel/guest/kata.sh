#!/bin/sh
# A VM of Kata's: the share holds a container's root and the files that are mounted over it; the
# container is in a mount namespace of its own, and sees nothing else.
. /guest/lib.sh

# enter ROOT FILES: the container, whose root is ROOT; FILES-hosts and so on are mounted over it.
enter() {
    mount --bind "$1" "$1" && cd "$1" || exit
    for file in resolv.conf hosts hostname; do mount --bind "$2-$file" "etc/$file" || exit; done
    mount -t proc proc proc && pivot_root . old || exit
    exec bin/busybox chroot . /bin/sh -c '/bin/busybox --install -s /bin && umount -l /old && exec /guest/container.sh'
}
if [ "${1:-}" = enter ]; then "$@"; exit; fi

# No root can be put in place of an initramfs: the machine's own is a tmpfs.
mkdir /machine
mount -t tmpfs tmpfs /machine
cp -a /bin /lib /lib64 /guest /machine/
mkdir /machine/share
for CACHE in $CACHES; do
    export CACHE
    attach /machine/share "cache=$CACHE,msize=512000"
    for root in /machine/share/*/rootfs; do
        id=${root%/rootfs} id=${id##*/}
        [ "$CACHE" = "$(cat "$root/cache")" ] || continue
        unshare -m chroot /machine /guest/script enter "/share/$id/rootfs" "/share/$id"
        if [ "$(cat "/machine/share/$id-hosts")" = '192.0.2.5 replaced' ]; then
            pass "cache=$CACHE the machine sees the file that was put in place of hosts"
        else
            fail "cache=$CACHE hosts: $(cat "/machine/share/$id-hosts")"
        fi
    done
    umount /machine/share || fail "cache=$CACHE umount"
done
