#!/bin/bash
# restarts_test.sh 9P 9PSERVE: a mount is worked in while its server comes and goes.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a
mkdir "$dir/export/tree"
for i in $(seq 150); do head -c $((i * 1999)) /dev/urandom >"$dir/export/tree/f$i"; done
head -c 200000000 /dev/urandom >"$dir/export/tree/large"
serve
mounted a
# The mount's files, read and copied for as long as the server comes and goes.
(
    rounds=0
    while [ ! -e "$dir/over" ]; do
        diff -r "$dir/export/tree" "$m/tree" >>"$dir/different" 2>&1
        rounds=$((rounds + 1))
    done
    echo "$rounds times compared"
    [ $rounds -gt 0 ]
) &
copying=$!
(
    rounds=0
    while [ ! -e "$dir/over" ]; do
        rm -f "$dir/copy"
        cp "$m/tree/large" "$dir/copy" >>"$dir/different" 2>&1
        cmp "$dir/copy" "$dir/export/tree/large" >>"$dir/different" 2>&1
        cp "$dir/copy" "$m/written" >>"$dir/different" 2>&1
        cmp "$dir/copy" "$dir/export/written" >>"$dir/different" 2>&1
        rounds=$((rounds + 1))
    done
    echo "$rounds times copied there and back"
    [ $rounds -gt 0 ]
) &
writing=$!
"$helper" reread "$m/tree/large" "$dir/over" >>"$dir/different" 2>&1 &
rereading=$!
for i in $(seq 20); do
    until_so eval '[ "$(descriptors)" -gt 20 ]'
    sleep "0.$((RANDOM % 8 + 1))"
    kill_server
    sleep "0.$((RANDOM % 4))"
    serve
done
# A new file's first write, on the next connection.
started made "$helper" write_late "$m/late"
rest_server
echo >&8
until_so waits "$started_pid"
sleep 0.3
kill_server
serve
finish 'a file that was just made'
is 'a file that was just made' "$(cat "$dir/export/late")" written
touch "$dir/over"
wait "$copying" || not_so 'comparing'
wait "$writing" || not_so 'copying'
wait "$rereading" || not_so 'reading again'
is 'differences' "$(head -5 "$dir/different")" ''
unmount a

verdict
