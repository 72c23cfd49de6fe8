#!/bin/sh
# A guest that is reset twice, by itself and by its VMM, each time with a mount at work and a lock held;
# the share tells which boot this is. After each, the session before is gone, and with it its lock.
. /guest/lib.sh
attach /mnt/a cache=none,msize=512000
cd /mnt/a || exit 1
boot=$(($(cat boot 2>/dev/null || echo 0) + 1))
echo "$boot" >boot
exec 9>lock
if flock -n 9; then pass "boot $boot: no lock of the one before"; else fail "boot $boot: a lock of the one before"; fi
ok "boot $boot: what was written before" [ "$(cat boot)" = "$boot" ]
[ "$boot" -lt 3 ] || exit 0
(while :; do dd if=/dev/zero of=data bs=1M count=16 2>/dev/null && cat data >/dev/null; done) &
(while :; do mkdir -p x/y; touch x/y/z; rm -r x; done) 2>/dev/null &
sleep 1
case $boot in
    1) echo b >/proc/sysrq-trigger ;;
    2) echo reset ;;
esac
sleep 60
fail "boot $boot: no reset"
