#!/bin/sh
# Works on a device without end, and says `busy` somewhere in the middle: for boot --kill-at.
. /guest/lib.sh
attach "/mnt/$TAG" cache=none,msize=512000
cd "/mnt/$TAG" || exit 1
exec 9>lock
flock -w 10 9 || { fail 'a lock of a guest that is gone'; exit 1; }
writes() { while :; do dd if=/dev/zero of=data bs=1M count=16 2>/dev/null; done; }
reads() { while :; do cat data; done >/dev/null 2>&1; }
names() { while :; do mkdir -p a/b/c; touch a/b/c/d; mv a z; ls -lR .; rm -r z; done >/dev/null 2>&1; }
writes &
reads &
names &
usleep $((200000 + $(od -A n -t u2 -N 2 /dev/urandom) * 4))
echo busy
wait
