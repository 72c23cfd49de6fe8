#!/bin/sh
# 32 requests at a time: $HOW is `free`, where each process reads on as it can, `held`, where the
# server is stopped until all of them wait, or `killed`, where they get SIGKILL while it is.
. /guest/lib.sh
attach "/mnt/$TAG" cache=none

exec 9<"/mnt/$TAG/file"

# at_once COMMAND...: 32 processes that do it when /tmp/go is there.
at_once() {
    rm -f /tmp/go
    for _ in $(seq 32); do
        (until [ -e /tmp/go ]; do usleep 50000; done; "$@") &
    done
    sleep 1
}
under_way() { cat /proc/[0-9]*/wchan | grep -o p9_ | wc -l; }
case $HOW in
    free)
        at_once dd if="/mnt/$TAG/file" of=/dev/null bs=500000 count=50 2>/dev/null
        : >/tmp/go
        wait ;;
    held)
        for i in 1 2 3 4 5 6 7 8; do
            at_once [ -s /proc/self/fd/9 ]      # one Tgetattr
            echo "hold-$i"
            sleep 1
            : >/tmp/go
            for _ in $(seq 100); do [ "$(under_way)" -lt 32 ] || break; usleep 100000; done
            [ "$(under_way)" = 32 ] || fail "$TAG: $(under_way) under way in round $i"
            echo "release-$i"
            wait
        done ;;
    killed)
        head -c 4096 "/mnt/$TAG/file" >/tmp/known
        for i in 1 2 3 4 5 6 7 8; do
            at_once dd if="/mnt/$TAG/file" of=/dev/null bs=500000 count=1 2>/dev/null
            echo "hold-$i"
            sleep 1
            : >/tmp/go
            for _ in $(seq 100); do [ "$(under_way)" -lt 32 ] || break; usleep 100000; done
            [ "$(under_way)" = 32 ] || fail "$TAG: $(under_way) under way in round $i"
            killall -9 dd
            sleep 1
            echo "release-$i"
            wait
            head -c 4096 "/mnt/$TAG/file" | cmp - /tmp/known || fail "$TAG: read after round $i"
        done ;;
esac
exec 9<&-
umount "/mnt/$TAG"
pass "$TAG: $HOW"
