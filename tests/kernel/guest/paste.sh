#!/bin/sh
# Runs the mount line that 9pserve printed, with whatever folder it mounts on.
. /guest/lib.sh
target=${LINE##* }
mkdir -p "$target"
if ! $LINE; then
    fail "$LINE"
    exit 1
fi
if [ "$(cat "$target/file")" = 'from the host' ] && echo 'from the guest' >"$target/file2"; then
    pass "$LINE"
else
    fail "$LINE: mounted, but cannot be read and written"
fi
umount "$target"
