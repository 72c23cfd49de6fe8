#!/bin/bash
# examples_test.sh 9PSERVE CAT UPLOAD USAGE: the programs of client/examples, as their users would use
# them, against a server.
set -u
server=$1 cat=$2 upload=$3 usage=$4
dir=$(mktemp -d) || exit 1
pid=
trap 'kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null; rm -rf "$dir"' EXIT
failed=0

# expect STATUS COMMAND...: its standard input is $dir/in
expect() {
    local wanted=$1
    shift
    "$@" <"$dir/in" >"$dir/out" 2>"$dir/err"
    local status=$?
    [ $status = "$wanted" ] && return
    echo "FAILED: status $status, not $wanted: $*"
    head -c 2000 "$dir/err"
    failed=1
}
# shows FILE TEXT: the last command's out or err is TEXT
shows() {
    [ "$(cat "$dir/$1")" = "$2" ] && return
    echo "FAILED: standard $1 is '$(head -c 2000 "$dir/$1")', not '$2'"
    failed=1
}
same() {
    cmp "$1" "$2" && return
    failed=1
}

mkdir -p "$dir/export/d/e/empty"
head -c 5000001 /dev/urandom >"$dir/export/d/large"
: >"$dir/export/d/none"
for i in $(seq 300); do printf '%s' "$i" >"$dir/export/d/e/$i"; done
ln -s /nowhere "$dir/export/d/e/link"
printf hello >"$dir/in"

at=unix:$dir/socket
expect 1 "$cat" "$at" f
shows err "connect to $at: No such file or directory"
expect 1 "$upload" "$at" f
shows err "connect to $at: No such file or directory"
expect 1 "$usage" "$at" f
shows err "connect to $at: No such file or directory"
expect 1 "$cat" nowhere: f
expect 2 "$cat"
expect 2 "$upload" "$at"
expect 2 "$usage" "$at" d e

# It is ready when it says so.
mkfifo "$dir/said"
"$server" --listen "$at" "$dir/export" >"$dir/said" 2>&1 &
pid=$!
exec 3<"$dir/said"
while IFS= read -r line <&3; do
    echo "$line"
    [[ $line == *'listening on'* ]] && break
done
cat <&3 >"$dir/log" &

expect 0 "$cat" "$at" d/large
same "$dir/out" "$dir/export/d/large"
expect 0 "$cat" "$at" /d/e/../none
same "$dir/out" "$dir/export/d/none"
expect 1 "$cat" "$at" d/other
shows err 'find d/other: No such file or directory'
expect 1 "$cat" "$at" d
shows err 'read d: Is a directory'

cp "$dir/export/d/large" "$dir/in"
expect 0 "$upload" "$at" d/e/empty/up
expect 0 "$cat" "$at" d/e/empty/up
same "$dir/out" "$dir/in"
same "$dir/export/d/e/empty/up" "$dir/in"
printf hello >"$dir/in"
expect 0 "$upload" "$at" hello
same "$dir/export/hello" "$dir/in"
expect 1 "$upload" "$at" hello
shows err 'create hello: File exists'
expect 1 "$upload" "$at" none/hello
shows err 'find none/: No such file or directory'

files=$(find "$dir/export" -not -type d | wc -l)
bytes=$(find "$dir/export" -not -type d -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
expect 0 "$usage" "$at" /
shows out "$files files, $bytes bytes"
expect 0 "$usage" "$at" d/e/empty
shows out '1 files, 5000001 bytes'
expect 1 "$usage" "$at" none
shows err 'find none: No such file or directory'
expect 1 "$usage" "$at" hello
shows err 'open hello: Not a directory'

[ $failed = 0 ] && echo 'all passed'
exit $failed
