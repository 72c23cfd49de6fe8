#!/bin/sh
# 9pserve in the guest, on a tmpfs, reached by each transport that needs no network: by the kernel and,
# where none else does it, by 9p.
. /guest/lib.sh
mkdir -p /tmp/export /mnt/x
options=version=9p2000.L,uname=root,access=any

# used NAME COMMAND...: COMMAND has to mount the export at /mnt/x; then it has to work.
used() {
    name=$1
    shift
    "$@" || { fail "$name: cannot mount"; return; }
    head -c 3000000 /dev/urandom >/tmp/known
    if cp /tmp/known /mnt/x/file && cmp /tmp/known /tmp/export/file && cmp /tmp/known /mnt/x/file &&
        mkdir /mnt/x/folder && ls -l /mnt/x >/dev/null && rm -r /mnt/x/file /mnt/x/folder; then
        pass "$name"
    else
        fail "$name"
    fi
    umount /mnt/x
}
# gone PID NAME: by SIGTERM it ends, with status 0.
gone() {
    kill "$1"
    if wait "$1"; then pass "$2 drained"; else fail "$2: status $? at its end"; fi
}

9pserve --listen unix:/tmp/socket /tmp/export &
server=$!
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S /tmp/socket ] || sleep 0.5; done
used unix mount -t 9p -o "trans=unix,$options" /tmp/socket /mnt/x
kill -KILL $server
wait $server
9pserve --listen unix:/tmp/socket /tmp/export &
server=$!
sleep 2
used 'unix, over a stale socket file' mount -t 9p -o "trans=unix,$options" /tmp/socket /mnt/x
gone $server unix

used 'fd, a socket pair' wire pair 9pserve --listen fd:3 /tmp/export :: \
    mount -t 9p -o "trans=fd,rfdno=3,wfdno=3,$options" none /mnt/x
used 'fd, two pipes' wire pipes 9pserve --listen fd:3,4 /tmp/export :: \
    mount -t 9p -o "trans=fd,rfdno=3,wfdno=4,$options" none /mnt/x
sleep 1
if pidof 9pserve; then fail 'fd: 9pserve stays when its only client is gone'; else pass 'fd ends with its client'; fi

9pserve --listen vsock:1:5640 /tmp/export &
server=$!
sleep 2
used vsock wire vsock 1 5640 mount -t 9p -o "trans=fd,rfdno=3,wfdno=3,$options" none /mnt/x
# 9p is root here, whom 9pserve knows by number.
printf known >/tmp/export/known
if 9p cat vsock:1:5640:/known | grep -qx known && head -c 3000000 /dev/urandom >/tmp/put &&
    9p put /tmp/put vsock:1:5640 && cmp /tmp/put /tmp/export/put && 9p get vsock:1:5640:/put /tmp/got &&
    cmp /tmp/put /tmp/got; then
    pass '9p, vsock'
else
    fail '9p, vsock'
fi
if 9p --wait 0 ls vsock:1:5641 2>/tmp/said; then fail '9p, vsock: nobody listens'
elif grep -q '^9p: connect to vsock:1:5641: ' /tmp/said; then pass '9p, vsock: nobody listens'
else fail "9p, vsock: nobody listens: $(cat /tmp/said)"; fi
used '9p mount, vsock' 9p mount vsock:1:5640 /mnt/x
gone $server vsock
