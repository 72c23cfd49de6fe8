#!/bin/sh
# What bench/vm/run boots: lines `@ REPEAT DEVICE MSIZE WHAT ORDER BLOCK RATE`, for each of $DEVICES
# in turn, another one first each time.
mkdir -p /m
ip addr add "$GUEST/24" dev eth1 2>/dev/null && ip link set eth1 up

# measure DEVICE MSIZE COUNT MOUNT_ARGUMENTS...
measure() {
    device=$1 msize=$2 count=$3
    shift 3
    mount "$@" /m || { echo "FAIL mount $* /m"; return; }
    # shellcheck disable=SC2086
    io /m/file /m/files "$IO_SIZE" "$SECONDS_EACH" "$count" $DIRECT |
        while read -r line; do echo "@ $repeat $device $msize $line"; done
    umount /m
}
# nine DEVICE SOURCE OPTIONS: at each message size, the default one by saying none.
nine() {
    for msize in $MSIZES; do
        options=$3,version=9p2000.L,cache=none
        [ "$msize" = default ] || options=$options,msize=$msize
        count=0
        [ "$msize" != 512000 ] || count=$FILES
        measure "$1" "$msize" "$count" -t 9p -o "$options" "$2"
    done
}
one() {
    case $1 in
        vhost-user|vfio-user|qemu) nine "$1" "$1" trans=virtio ;;
        tcp) nine tcp "$SERVER" "trans=tcp,port=$PORT" ;;
        virtiofsd) measure "$1" - "$FILES" -t virtiofs fs ;;
        virtio-blk) measure "$1" - "$FILES" -t ext4 /dev/vda ;;
        ide) measure "$1" - "$FILES" -t ext4 /dev/sda ;;
    esac
}
repeat=1
while [ $repeat -le "$REPEATS" ]; do
    for device in $DEVICES; do one "$device"; done
    # shellcheck disable=SC2086
    set -- $DEVICES
    first=$1
    shift
    DEVICES="$* $first"
    repeat=$((repeat + 1))
done
