#!/bin/bash
# 9p_test.sh 9P 9PSERVE: the command-line tool against a server, as its user would use it.
set -u
p=$1 server=$2
dir=$(mktemp -d) || exit 1
pid=
trap 'kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT
. "$(dirname "$0")/lib.sh"
start() {
    "$server" --listen "unix:$dir/s" "$dir/export" >>"$dir/log" 2>&1 &
    pid=$!
    for _ in $(seq 200); do
        "$p" --wait 0 ls "unix:$dir/s" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "FAILED: the server did not start"
    cat "$dir/log"
    exit 1
}
stop() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
}
make_tree "$dir/export/tree"
at=unix:$dir/s
start

# ---------------------------------------------------------------- listing
check ls "$p" ls "$at:/tree"
grep -qx d "$dir/said" || not_so "ls: $(said)"
says 'link -> f' "$p" ls -l "$at:/tree"
says '1 directories, 304 files' "$p" tree "$at:/tree/d/e/.."
says hello "$p" cat "$at:/tree/link"
says "which is a path of the server's host" "$p" cat "$at:/tree/absolute"
says '"size":6' "$p" --json ls "$at:/tree/f"
says 'find none: No such file or directory' "$p" stat "$at:/none"
says 9P2000.L "$p" ping -c 2 -i 0.01 "$at"
check df "$p" df "$at"

# ---------------------------------------------------------------- copies
check "get" "$p" get -r "$at:/tree" "$dir/got"
same "get" "$dir/export/tree" "$dir/got"
[ "$(du -k "$dir/got/d/sparse" | cut -f1)" -lt 1000 ] || not_so "holes were filled"
check "put" "$p" put -r "$dir/got" "$at:/put"
same "put" "$dir/got" "$dir/export/put"
check "cp" "$p" cp -r "$at:/put" "$at:/copy"
same "cp" "$dir/export/put" "$dir/export/copy"
echo more >"$dir/export/tree/new"
echo extra >"$dir/got/extra"
says 'unchanged' "$p" sync "$at:/tree" "$dir/got"
[ -e "$dir/got/extra" ] || not_so "sync without --delete removed a file"
check "sync" "$p" sync --delete "$at:/tree" "$dir/got"
same "sync" "$dir/export/tree" "$dir/got"
check "one file" "$p" get "$at:/tree/f" "$dir/one"
check "one file's content" cmp "$dir/one" "$dir/export/tree/f"
says 'say -r to copy it all' "$p" get "$at:/tree" "$dir/x"
status 1 "$p" get "$at:/none" "$dir/x"
status 2 "$p" get
status 2 "$p" ls /etc
status 1 "$p" --wait 0 ls unix:/nowhere

# ---------------------------------------------------------------- changes
check mkdir "$p" mkdir -p "$at:/x/y/z"
check mv "$p" mv "$at:/put" "$at:/x/y"
check 'mv, renamed' "$p" mv "$at:/x/y/put" "$at:/x/moved"
[ -d "$dir/export/x/moved/d" ] && [ ! -e "$dir/export/put" ] && [ ! -e "$dir/export/x/y/put" ] || not_so mv
check ln "$p" ln "$at:/tree/f" "$at:/x/f"
check 'ln -s' "$p" ln -s 'any where' "$at:/x/s"
check 'chmod' "$p" chmod u+x,go-rwx "$at:/x/f"
[ "$(stat -c %a "$dir/export/tree/f")" = 700 ] || not_so "chmod"
[ "$(readlink "$dir/export/x/s")" = 'any where' ] || not_so "ln -s"
check touch "$p" touch -t 1000000000.25 "$at:/x/new"
[ "$(stat -c %.2Y "$dir/export/x/new")" = 1000000000.25 ] || not_so "touch -t"
says 'say -r' "$p" rm "$at:/x"
check rm "$p" rm -r "$at:/x" "$at:/copy"
[ ! -e "$dir/export/x" ] && [ ! -e "$dir/export/copy" ] || not_so "rm -r"
check 'rm -f' "$p" rm -f "$at:/x"
says 'locked by process' "$p" lock "$at:/tree/f" -- "$p" lock "$at:/tree/f"
says 'somebody else has it' "$p" lock "$at:/tree/f" -- "$p" lock -n "$at:/tree/f" true
status 7 "$p" lock "$at:/tree/f" -- sh -c 'exit 7'

# ---------------------------------------------------------------- servers that come and go
# through WHAT COMMAND...: it has to work; one that met no server to begin with begins again.
through() {
    local what=$1
    shift
    until "$@" >"$dir/said-through" 2>&1; do
        grep -q "^9p: connect to .*Connection refused" "$dir/said-through" && continue
        not_so "$what: $*"
        head -20 "$dir/said-through" | sed "s/^/    /"
        return
    done
}
head -c 300000000 /dev/urandom >"$dir/export/tree/d/large"
(
    copies=0
    while [ ! -e "$dir/over" ] && [ $failed = 0 ]; do
        rm -rf "$dir/again"
        through 'get through restarts' "$p" get -r "$at:/tree" "$dir/again"
        same 'get through restarts' "$dir/export/tree" "$dir/again"
        through 'put through restarts' "$p" put -r "$dir/again" "$at:/again"
        same 'put through restarts' "$dir/again" "$dir/export/again"
        through 'rm through restarts' "$p" rm -r "$at:/again"
        copies=$((copies + 1))
    done
    echo "20 restarts during $copies copies there and back"
    exit $failed
) &
copying=$!
for _ in $(seq 20); do
    sleep 0.2
    stop
    start
done
touch "$dir/over"
wait $copying || failed=1

# ---------------------------------------------------------------- copies that break off
"$p" get "$at:/tree/d/large" "$dir/large" 2>/dev/null &
copy=$!
while kill -0 $copy 2>/dev/null; do
    part=$(ls "$dir"/.large.*.9p-part 2>/dev/null)
    [ -n "$part" ] && [ "$(stat -c %s "$part")" -gt 100000000 ] && break
done
kill -9 $copy 2>/dev/null
wait $copy 2>/dev/null
[ -n "${part:-}" ] && [ -e "$part" ] || not_so "the copy was over before it was killed"
"$p" --json get "$at:/tree/d/large" "$dir/large" >"$dir/said"
sent=$(sed 's/.*"sent":\([0-9]*\).*/\1/' "$dir/said")
[ "$sent" -lt 290000000 ] || not_so "it began anew: $(cat "$dir/said")"
check 'a copy that went on' "$p" get "$at:/tree/d/large" "$dir/large"
check 'its content' cmp "$dir/large" "$dir/export/tree/d/large"

[ $failed = 0 ] && echo "all passed"
exit $failed
