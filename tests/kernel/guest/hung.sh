#!/bin/sh
# An export with a network's file system below it, whose server stops answering: what has to do with
# it waits, nothing else does, and all ends well when it answers again.
. /guest/lib.sh
options=version=9p2000.L,uname=root,access=any,cache=none
mkdir -p /tmp/far /tmp/export/net /mnt/x /mnt/y /mnt/z
echo far >/tmp/far/file
mkdir /tmp/far/folder

listening() { until [ -S "$1" ]; do sleep 0.2; done; }
9pserve --listen unix:/tmp/far.socket /tmp/far &
far=$!
listening /tmp/far.socket
mount -t 9p -o "trans=unix,$options" /tmp/far.socket /tmp/export/net || { fail 'mount of the inner one'; exit; }
echo own >/tmp/export/file

for io in io_uring portable; do
    9pserve --io "$io" --threads 1 --listen "unix:/tmp/$io.socket" /tmp/export &
    server=$!
    listening "/tmp/$io.socket"
    for dir in /mnt/x /mnt/y /mnt/z; do
        mount -t 9p -o "trans=unix,$options" "/tmp/$io.socket" $dir || { fail "$io: mount"; exit; }
    done
    [ "$(cat /mnt/x/net/file)" = far ] || fail "$io: the inner one is not seen"

    exec 5</mnt/x/net/file 6>/mnt/x/net/written 7</mnt/x/net/file
    waiting=''
    # The client's kernel keeps a folder locked while it looks a name up: /mnt/z is for that.
    kill -STOP $far
    cat <&5 >/tmp/read &
    waiting="$waiting $!"
    echo text >&6 &
    waiting="$waiting $!"
    ls /mnt/x/net/folder >/tmp/listed &
    waiting="$waiting $!"
    # More than 9pserve would have threads for, if these were all that it has.
    i=0
    while [ $i -lt 40 ]; do
        df /mnt/x/net >/dev/null &
        waiting="$waiting $!"
        dd bs=1 count=1 <&7 >/dev/null 2>&1 &
        waiting="$waiting $!"
        i=$((i + 1))
    done
    stat /mnt/z/net >/tmp/stat &
    waiting="$waiting $!"
    mkdir /mnt/z/net/made &
    waiting="$waiting $!"
    df /mnt/z/net >/tmp/df &
    waiting="$waiting $!"
    sleep 2
    # In a process of its own: if it waits too, that is the failure, not the end of the test. A
    # listing by names alone, for ls asks for the status of all.
    (
        for dir in /mnt/x /mnt/y; do
            [ "$(cat $dir/file)" = own ] && echo more >$dir/new && [ "$(cat $dir/new)" = more ] &&
                echo $dir/* && stat $dir/new && rm $dir/new || exit
        done >/dev/null 2>&1
        mkdir -p /mnt/new
        mount -t 9p -o "trans=unix,$options" "/tmp/$io.socket" /mnt/new && umount /mnt/new || exit
        echo done >/tmp/others
    ) &
    others=$!
    i=0
    while [ ! -e /tmp/others ] && [ $i -lt 60 ]; do sleep 0.5; i=$((i + 1)); done
    if [ -e /tmp/others ]; then pass "$io: others go on"; else fail "$io: others wait"; fi
    if [ -s /tmp/read ]; then fail "$io: nothing hangs here"; fi
    kill -CONT $far
    wait $others
    rm -f /tmp/others
    # shellcheck disable=SC2086
    wait $waiting
    if [ "$(cat /tmp/read)" = far ] && [ "$(cat /tmp/far/written)" = text ] && [ -d /tmp/far/made ] &&
        [ -s /tmp/df ] && [ -s /tmp/stat ]; then
        pass "$io: what waited is done"
    else
        fail "$io: what waited was lost"
    fi
    exec 5<&- 6>&- 7<&-
    rm -r /tmp/far/made /tmp/far/written
    umount /mnt/x
    umount /mnt/y
    umount /mnt/z
    kill $server
    wait $server || fail "$io: status $? at its end"
done
umount /tmp/export/net
kill $far
wait $far || fail "the inner one: status $?"
