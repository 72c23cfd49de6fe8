#!/bin/sh
# One start of a machine that has one folder by two devices, with the tags a and b. It works until
# its power button is pressed. The host finds it in another stage of its life each time, and leaves
# that stage's name in the folder.
. /guest/lib.sh
bad() { fail "$stage: $*"; }

# work FROM TO: writes by one mount, and reads by both.
work() {
    stage=$(cat "/mnt/$1/stage") round=0
    until [ -e /tmp/stop ]; do
        cp /tmp/known "/mnt/$1/work-$1" || bad "$1 cannot write"
        cmp /tmp/known "/mnt/$1/work-$1" || bad "$1 reads something else"
        cmp /tmp/known "/mnt/$2/work-$1" || bad "$2 reads something else than $1 wrote"
        round=$((round + 1))
        echo "$round" >"/mnt/$1/round-$1"
    done
}
if [ "${1:-}" = work ]; then "$@"; exit; fi

attach /mnt/b access=user,msize=512000
stage=$(cat /mnt/b/stage)
# What the machine held before it was reset or destroyed, by either device, is free: a's too, though
# it isn't mounted again.
for file in held-by-a held-by-b; do
    if flock -n "/mnt/b/$file" true; then pass "$stage: $file is free"; else bad "$file is locked"; fi
done
attach /mnt/a access=user,msize=512000
for mount in a b; do
    [ "$(cat /mnt/$mount/stage)" = "$stage" ] || bad "$mount shows another file"
    echo "$stage" >"/mnt/$mount/written-by-$mount" || bad "$mount cannot write"
done
# refused HOLDER OTHER
refused() { flock -n "/mnt/$1/lock" sh -c "! flock -n /mnt/$2/lock true"; }
if refused a b && refused b a; then pass "$stage: locks"; else bad 'locks'; fi

head -c 500000 /dev/urandom >/tmp/known
flock -n /mnt/a/held-by-a "$0" work a b &
flock -n /mnt/b/held-by-b "$0" work b a &
echo "at work: $stage"

for event in /sys/class/input/event*; do
    if grep -qx 'Power Button' "$event/device/name"; then button=/dev/input/${event##*/}; fi
done
dd if="$button" bs=24 count=1 of=/dev/null 2>/dev/null
touch /tmp/stop
wait
umount /mnt/a || bad 'a cannot be unmounted'
umount /mnt/b || bad 'b cannot be unmounted'
echo "ended: $stage"
