#!/bin/sh
# One of three guests that have the same folder at the same time, each by another way: $ROLE of $ROLES.
. /guest/lib.sh
attach "/mnt/$TAG" cache=none,access=user
cd "/mnt/$TAG" || exit 1

steps=0
# meet: until all are here.
meet() {
    steps=$((steps + 1))
    : >"at-$steps-$ROLE"
    i=0
    for role in $ROLES; do
        until [ -e "at-$steps-$role" ]; do
            i=$((i + 1))
            if [ $i = 1200 ]; then fail "$ROLE: nobody there at step $steps: $role"; exit 1; fi
            usleep 100000
        done
    done
}
bad=0
range_refused() { range lock "$@" true; [ $? = 3 ]; }
# ok WHAT COMMAND...
ok() {
    what=$1
    shift
    "$@" || { fail "$ROLE: $what: $*"; bad=1; }
}
done_with() { [ $bad = 0 ] && pass "$ROLE: $1"; bad=0; }

echo "by $ROLE" >"by-$ROLE"
mkdir "folder-$ROLE"
meet
for role in $ROLES; do
    ok 'reads' grep -qx "by $role" "by-$role"
    ok 'looks' [ -d "folder-$role" ]
done
meet
for turn in $ROLES; do
    if [ "$turn" = "$ROLE" ]; then
        for role in $ROLES; do echo "$turn" >>"by-$role"; done
        mv "folder-$ROLE" "moved-$ROLE"
        chmod 700 "moved-$ROLE"
    fi
    meet
    for role in $ROLES; do ok 'what another has added' [ "$(tail -n 1 "by-$role")" = "$turn" ]; done
    ok 'what another has moved' [ "$(stat -c %a "moved-$turn")" = 700 ]
    meet
done
done_with 'what the others write'

# Byte ranges: what one holds, the others don't get; what it doesn't, they do.
for turn in $ROLES; do
    if [ "$turn" = "$ROLE" ]; then
        range lock write 100 100 sh -c "$(echo ': >held; until [ -e seen ]; do usleep 50000; done')" &
        until [ -e held ]; do usleep 50000; done
    fi
    meet
    if [ "$turn" != "$ROLE" ]; then
        ok 'refused' range_refused write 150 10
        ok 'refused to read' range_refused read 100 1
        ok 'beside it' range lock write "$((200 + $(echo "$ROLE" | wc -c) * 10))" 1 true
        ok 'before it' range lock read 0 100 true
    fi
    meet
    if [ "$turn" = "$ROLE" ]; then
        : >seen
        wait
    fi
    meet
    ok 'free again' range lock read 100 100 true
    meet
    if [ "$turn" = "$ROLE" ]; then rm held seen; fi
    meet
done
done_with 'locks of the others'

# A counter that none of them may lose count of.
count=0
[ -e counter ] || echo 0 >>counter
meet
if [ "$ROLE" = "${ROLES%% *}" ]; then echo 0 >counter; fi
meet
while [ $count -lt 50 ]; do
    if range lock write 0 1 sh -c 'n=$(cat counter); echo $((n + 1)) >counter'; then
        count=$((count + 1))
    else
        usleep $((1000 + $(od -A n -t u1 -N 1 /dev/urandom) * 100))
    fi
done
meet
ok 'counter' [ "$(cat counter)" = $((50 * $(echo $ROLES | wc -w))) ]
meet
done_with 'a counter under a lock'
cd /
umount "/mnt/$TAG"
