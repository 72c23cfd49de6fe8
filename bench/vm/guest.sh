#!/bin/sh
# What bench/vm/run boots: lines `@ REPEAT DEVICE MSIZE WHAT ORDER BLOCK RATE`. Each figure is taken of
# all $DEVICES in turn, another one first each time.
ip addr add "$GUEST/24" dev eth1 && ip link set eth1 up

# nine SOURCE OPTIONS: the folder by 9P, with messages of $msize, the default by saying none.
nine() {
    options=$2,version=9p2000.L,cache=none
    [ "$msize" = default ] || options=$options,msize=$msize
    mount -t 9p -o "$options" "$1" "/m/$device"
}
attach() {
    mkdir -p "/m/$device"
    case $device in
        vhost-user|vfio-user|qemu) nine "$device" trans=virtio ;;
        tcp) nine "$SERVER" "trans=tcp,port=$PORT" ;;
        virtiofsd) mount -t virtiofs fs "/m/$device" ;;
        virtio-blk) mount -t ext4 /dev/vda "/m/$device" ;;
        ide) mount -t ext4 /dev/sda "/m/$device" ;;
    esac || echo "FAIL mount of $device"
}
# of_all WHAT ORDER BLOCK
of_all() {
    for device in $devices; do
        if [ "$2" = - ]; then
            rate=$(io "/m/$device/files" "$1" "$FILES")
        else
            rate=$(io "/m/$device/file" "$1" "$2" "$3" "$SECONDS_EACH" direct)
        fi
        case $device in vhost-user|vfio-user|tcp|qemu) size=$msize ;; *) size=- ;; esac
        echo "@ $repeat $device $size $1 $2 $3 $rate"
    done
    case $devices in *' '*) devices="${devices#* } ${devices%% *}" ;; esac
}
repeat=1
while [ $repeat -le "$REPEATS" ]; do
    for msize in 512000 default 8192; do
        devices=''
        for device in $DEVICES; do
            # The others have no messages of a size that could be chosen.
            [ $msize = 512000 ] || case $device in virtio*|ide) continue ;; esac
            attach
            devices="$devices $device"
        done
        devices=${devices# }
        for order in sequential random; do
            for block in 4096 65536 1048576; do
                of_all read $order $block
                of_all write $order $block
            done
        done
        if [ $msize = 512000 ] && [ "$FILES" -gt 0 ]; then
            # One device after the other: most of them have the same folder.
            mounted=$devices
            for devices in $mounted; do
                for what in create stat unlink; do of_all $what - -; done
            done
            devices=$mounted
        fi
        for device in $devices; do umount "/m/$device"; done
    done
    repeat=$((repeat + 1))
done
