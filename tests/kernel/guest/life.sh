#!/bin/sh
# What a device goes through in a guest's life: $PLUG is not empty where the host plugs memory, and
# plugs and unplugs another device (tag b), when this script asks it to.
. /guest/lib.sh

# wait_for COMMAND...
wait_for() {
    i=0
    until "$@"; do
        i=$((i + 1))
        [ $i -lt 300 ] || return 1
        usleep 100000
    done
}
try() { mount -t 9p -o trans=virtio,"$2" "$1" "/mnt/$1"; }
# used TAG OPTIONS: mounts it, reads and writes, and unmounts it.
used() {
    try "$1" "$2" && grep -qx 'from the host' "/mnt/$1/file" && cp /tmp/known "/mnt/$1/known" &&
        cmp /tmp/known "/mnt/$1/known" && rm "/mnt/$1/known" && umount "/mnt/$1"
}
mkdir -p /mnt/a /mnt/b
head -c 3000000 /dev/urandom >/tmp/known

shown
ok "the kernel's own version and msize" used a access=user
ok 'version=9p2000.L, msize=512000' used a version=9p2000.L,msize=512000
for msize in 4096 8192 65536; do ok "msize=$msize" used a version=9p2000.L,msize=$msize; done
fstab() {
    echo "$FSTAB" | sed 's/^share /a /; s|/mnt|/mnt/a|' >/etc/fstab
    mount /mnt/a && grep -qx 'from the host' /mnt/a/file && umount /mnt/a
}
ok "the guide's line of fstab: $FSTAB" fstab
again() { for i in 1 2 3 4 5 6 7 8 9 10; do used a version=9p2000.L,msize=512000 || return; done; }
ok 'unmounted and mounted, ten times' again
one_only() { try a version=9p2000.L && ! mount -t 9p -o trans=virtio a /mnt/b && umount /mnt/a; }
ok 'a second mount of a device is refused' one_only

# rebind FOLDER NAME: the driver lets go of the device, and takes it again.
rebind() { echo "$2" >"$1/unbind" && ! try a version=9p2000.L && echo "$2" >"$1/bind" && used a version=9p2000.L,msize=512000; }
for i in 1 2 3; do ok "driver unbound and bound, $i" rebind /sys/bus/virtio/drivers/9pnet_virtio "$device"; done
if [ -n "$pci" ]; then ok 'PCI driver unbound and bound' rebind /sys/bus/pci/drivers/virtio-pci "$slot"; fi
reload() { rmmod 9pnet_virtio && ! try a version=9p2000.L && insmod /guest/modules/9pnet_virtio.ko && used a version=9p2000.L,msize=512000; }
ok 'module unloaded and loaded' reload
[ -n "$PLUG" ] || exit 0

# While a mount is at work.
try a version=9p2000.L,msize=512000,cache=mmap
(until [ -e /tmp/stop ]; do cp /tmp/known /mnt/a/work && cmp /tmp/known /mnt/a/work || echo 'FAIL at work'; done) &
memory() { awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo; }
before=$(memory)
more_memory() {
    # A kernel that leaves this to others.
    for block in /sys/devices/system/memory/memory*/state; do echo online >"$block"; done 2>/dev/null
    [ "$(memory)" -gt $((before + 200000)) ]
}
echo plug-memory
ok 'memory is plugged' wait_for more_memory
# Pages of files in it, as little else is free.
filled=$((before * 6 / 10))
much() {
    head -c ${filled}k /dev/zero >/tmp/filled || return
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cp /tmp/known /mnt/a/much-$i || return; done
    sync
    echo 3 >/proc/sys/vm/drop_caches
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cmp /tmp/known /mnt/a/much-$i || return; done
    rm /tmp/filled
}
ok 'files in the memory that was plugged' much
there() { [ "$(cat /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag | tr '\0' '\n' | grep -c "^$1$")" = "$2" ]; }
for n in 1 2 3; do
    echo "plug-device-$n"
    ok "a device is plugged, $n" wait_for there b 1
    ok "it is used, $n" used b version=9p2000.L,msize=512000
    echo "unplug-device-$n"
    ok "it is unplugged, $n" wait_for there b 0
done
touch /tmp/stop
wait
ok 'the first one, after all that' cmp /tmp/known /mnt/a/work
umount /mnt/a
