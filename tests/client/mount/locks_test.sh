#!/bin/bash
# locks_test.sh 9P 9PSERVE: locks of several mounts, and of processes that wait or are killed.
. "$(dirname "$0")/lib.sh"

serve
mounted a
first=$mount_pid
mounted b
for kind in fcntl flock; do
    started locked "$helper" lock "$dir/at/a/$kind" $kind try
    is "$kind, of another mount" "$("$helper" lock "$dir/at/b/$kind" $kind try </dev/null)" busy
    is "$kind, of another process" "$("$helper" lock "$dir/at/a/$kind" $kind try </dev/null)" busy
    for mode in a b; do
        "$helper" lock "$dir/at/$mode/$kind" $kind wait </dev/null >"$dir/waiting" 8>&- &
        until_so waits $! "l\(oc\)\?k"
        kill -USR1 $!
        wait $!
        is "$kind, a wait on $mode that is interrupted" "$(cat "$dir/waiting")" interrupted
        env --default-signal=INT "$helper" lock "$dir/at/$mode/$kind" $kind wait </dev/null >"$dir/waiting" 8>&- &
        until_so waits $! "l\(oc\)\?k"
        kill -INT $!
        wait $!
        is "$kind, a wait on $mode that is given up" $? 130
    done
    is "$kind, none of those has it" "$("$helper" lock "$dir/at/b/$kind" $kind try </dev/null)" busy
    "$helper" lock "$dir/at/b/$kind" $kind wait </dev/null >"$dir/waiting" 8>&- &
    until_so waits $! "l\(oc\)\?k"
    finish "$kind, the first one"
    wait $!
    is "$kind, the next one has it" "$(cat "$dir/waiting")" locked
    # On one mount whoever comes next has it at once.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        is "$kind, of those one after the other" "$("$helper" lock "$dir/at/a/$kind-next" $kind try </dev/null)" locked
    done
    # Whoever is killed has none.
    started locked "$helper" lock "$dir/at/a/$kind" $kind try
    kill -9 "$started_pid"
    wait "$started_pid" 2>/dev/null
    exec 8>&-
    until_so eval '"$helper" lock "$dir/at/b/$kind" $kind try </dev/null | grep -qx locked'
done
check 'a file that is closed while a thread waits for its lock' "$helper" close_meanwhile "$dir/at/a/threads"
# Whoever has a lock can be killed, though the server is gone: with its connection it is gone too.
started locked "$helper" lock "$dir/at/a/kill" fcntl try
kill_server
kill -9 "$started_pid"
wait "$started_pid" 2>/dev/null
exec 8>&-
serve
# Locks are there as soon as the server is, though nobody uses the mount.
for kind in fcntl flock; do
    started locked "$helper" lock "$dir/at/a/idle" $kind try
    kill_server
    serve
    until_so fails eval '"$p" lock "unix:$dir/s:/idle" | grep -q free'
    is "$kind, of a file that nobody used meanwhile" "$("$helper" lock "$dir/at/b/idle" $kind try </dev/null)" busy
    # Nor does whoever waits for it on the same mount get it before.
    "$helper" lock "$dir/at/a/idle" $kind wait </dev/null >"$dir/waiting" 8>&- &
    rival=$!
    until_so waits $rival "l\(oc\)\?k"
    kill_server
    serve
    until_so fails eval '"$p" lock "unix:$dir/s:/idle" | grep -q free'
    is "$kind, whoever waited for it at a restart" "$(cat "$dir/waiting")" ''
    is "$kind, of another mount after that" "$("$helper" lock "$dir/at/b/idle" $kind try </dev/null)" busy
    finish "$kind, of a file that nobody used meanwhile"
    wait $rival
    is "$kind, whoever waited for it" "$(cat "$dir/waiting")" locked
done
unmount b
mount_pid=$first
unmount a
# What somebody else has written is seen by whoever has the lock then.
mounted a -o timeout=3600
first=$mount_pid
mounted b -o timeout=3600
check 'what is written under locks' "$helper" exchange "$dir/at/a/exchange" "$dir/at/b/exchange"
unmount b
mount_pid=$first
unmount a

verdict
