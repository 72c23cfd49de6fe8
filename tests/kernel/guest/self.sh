#!/bin/sh
# The session program against the guest's own file system, so that a failure elsewhere means something.
. /guest/lib.sh
mkdir -p /tmp/a/team-folder /tmp/a/others-folder
touch /tmp/a/team-file /tmp/a/others-file
chown 0:2000 /tmp/a/team-*
chown 0:3000 /tmp/a/others-*
chmod 2770 /tmp/a/*-folder
chmod 660 /tmp/a/*-file
try() {
    if session "$@" /tmp/a /tmp/a; then pass "session $*"; else fail "session $*"; fi
}
try -o cache=none,access=user
try -o cache=none,access=user -u 1000:1000:2000
