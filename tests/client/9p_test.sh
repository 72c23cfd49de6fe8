#!/bin/bash
# 9p_test.sh 9P 9PSERVE: the command-line tool against a server, as its user would use it.
set -u
p=$1 server=$2
dir=$(mktemp -d) || exit 1
pid=
tcp=
copy=
trap 'kill -9 $pid $tcp $copy 2>/dev/null; rm -rf "$dir"' EXIT
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
for one in put copy; do
    [ "$(du -k "$dir/export/$one/d/sparse" | cut -f1)" -lt 1000 ] || not_so "$one: holes were filled"
done
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
says 'is a local path' "$p" put "$dir/one" "$dir/no-server"
status 2 "$p" put "$dir/one" "$dir/no-server"
status 2 "$p" get "$dir/one" "$dir/no-server"
status 2 "$p" get "$at:/tree/f" "$dir/one" "$dir"
[ ! -e "$dir/no-server" ] || not_so 'an address that was forgotten became a local file'
check 'cp on this host' "$p" cp "$dir/one" "$dir/two"

# ---------------------------------------------------------------- all that the server says
touch -d @1000000000.25 "$dir/export/times"
mknod "$dir/export/null" c 1 3
check 'stat' "$p" --json stat "$at:/times"
for word in $(stat -c '"mtime":%.2Y "atime":%.2X "ctime":%Z. "blocks":%b, "rdev":0,' "$dir/export/times") '"blksize":'; do
    grep -qF "$word" "$dir/said" || not_so "--json stat doesn't say $word: $(said)"
done
says '"rdev":259' "$p" --json stat "$at:/null"
says 'device 1:3' "$p" stat "$at:/null"
says "$(date -d @1000000000.25 '+%Y-%m-%d %H:%M:%S.%N %z')" "$p" stat "$at:/times"
says ' blocks of 512 bytes' "$p" stat "$at:/times"
says 'link -> f' "$p" stat "$at:/tree/link"
rm "$dir/export/times" "$dir/export/null"

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
for mode in 77777 10000 '' u+q u; do
    status 2 "$p" chmod "$mode" "$at:/x/f"
    [ "$(stat -c %a "$dir/export/x/f")" = 700 ] || not_so "chmod '$mode' makes $(stat -c %a "$dir/export/x/f")"
done
for mode in +w +x =rw =rwx u+w,+r a+w o=w =t 7777; do
    chmod 640 "$dir/one" "$dir/export/x/f"
    (umask 027 && chmod -- "$mode" "$dir/one" && "$p" chmod "$mode" "$at:/x/f") || not_so "chmod $mode"
    [ "$(stat -c %a "$dir/export/x/f")" = "$(stat -c %a "$dir/one")" ] ||
        not_so "chmod $mode makes $(stat -c %a "$dir/export/x/f"), not $(stat -c %a "$dir/one")"
done
for option in --length --start; do
    status 2 "$p" lock $option -1 "$at:/x/f"
    status 2 "$p" lock $option=-1 "$at:/x/f"
done
status 2 "$p" bench --seed -1 "$at:/none"
# A command line that is wrong at its end does nothing at its beginning.
chmod 640 "$dir/export/x/f"
for command in rm 'chmod 600' 'touch -t 5' cat ls stat df; do
    # shellcheck disable=SC2086 # several words
    status 2 "$p" $command "$at:/x/f" local
    [ "$(wc -l <"$dir/said")" = 1 ] || not_so "$command has begun: $(said)"
done
[ "$(stat -c %a "$dir/export/x/f")" = 640 ] || not_so 'chmod has begun'
[ "$(stat -c %Y "$dir/export/x/f")" != 5 ] || not_so 'touch has begun'
status 2 "$p" mkdir "$at:/x/begun" local
status 2 "$p" cp "$at:/x/f" tcp::::x "$at:/x/y"
[ ! -e "$dir/export/x/begun" ] && [ ! -e "$dir/export/x/y/f" ] || not_so 'mkdir or cp has begun'
says 'say -r' "$p" rm "$at:/x"
check rm "$p" rm -r "$at:/x" "$at:/copy"
[ ! -e "$dir/export/x" ] && [ ! -e "$dir/export/copy" ] || not_so "rm -r"
check 'rm -f' "$p" rm -f "$at:/x"
says 'locked by process' "$p" lock "$at:/tree/f" -- "$p" lock "$at:/tree/f"
says 'somebody else has it' "$p" lock "$at:/tree/f" -- "$p" lock -n "$at:/tree/f" true
status 7 "$p" lock "$at:/tree/f" -- sh -c 'exit 7'
# What is told to end has the lock until it has ended, in its own way.
for signal in TERM INT HUP QUIT; do
    env --default-signal setsid "$p" lock "$at:/tree/f" -- bash -c "trap 'sleep 1; exit 9' $signal; echo there; sleep 60 & wait" >"$dir/lock" &
    until grep -q there "$dir/lock"; do sleep 0.05; done
    kill -$signal $!
    says 'locked by process' "$p" lock "$at:/tree/f"
    wait $!
    is=$?
    [ $is = 9 ] || not_so "$signal: status $is"
    says free "$p" lock "$at:/tree/f"
done
(trap '' HUP; exec setsid "$p" lock "$at:/tree/f" -- sh -c 'echo nohup; sleep 1; exit 8') >"$dir/lock" &
until grep -q nohup "$dir/lock"; do sleep 0.05; done
kill -HUP $!
wait $!
is=$?
[ $is = 8 ] || not_so "nohup: status $is"
# A command that has ended meanwhile is nobody's to tell.
setsid env --default-signal "$p" lock "$at:/tree/f" -- sh -c 'echo suspended; exec sleep 60' >"$dir/lock" &
until grep -q suspended "$dir/lock"; do sleep 0.05; done
command=$(pgrep -P $! -x sleep)
kill -STOP $!
kill -TERM $!
kill -KILL "$command"
sleep 0.1
kill -CONT $!
wait $!
is=$?
[ $is = 137 ] || not_so "a command that has ended meanwhile: status $is"
status 6 env --ignore-signal=CHLD "$p" lock "$at:/tree/f" -- sh -c 'exit 6'
# Descriptors that are closed aren't what comes next.
"$p" ls "$at:/tree" >&- 2>"$dir/said" && not_so 'written to a closed standard output'
grep -q 'Bad file descriptor' "$dir/said" || { not_so 'a closed standard output'; said; }
check 'without standard output or error' "$p" get -r "$at:/tree" "$dir/closed" 0<&- 1>&- 2>&-
check 'what came without' cmp "$dir/export/tree/f" "$dir/closed/f"
rm -r "$dir/closed"
said=$( (ulimit -n 10; "$p" mount "$at:/" "$dir/closed") 2>&1)
is=$?
[ $is = 1 ] && [[ $said = 9p:* ]] || not_so "with few descriptors: status $is, \"$said\""

# ---------------------------------------------------------------- servers that come and go
# through WHAT COMMAND...: it has to work; one that met no server to begin with begins again.
through() {
    local what=$1
    shift
    until "$@" >"$dir/said-through" 2>&1; do
        grep -qE "^9p: (connect to .*Connection refused|T(version|attach): Connection reset)" "$dir/said-through" &&
            continue
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
cut=0
for _ in $(seq 20); do
    sleep 0.2
    stop
    [ -z "$(find "$dir/again" "$dir/export/again" -name '*.9p-part' 2>/dev/null)" ] || cut=$((cut + 1))
    start
done
[ $cut -gt 3 ] || not_so "of 20 restarts $cut were in the middle of a file"
touch "$dir/over"
wait $copying || failed=1

# ---------------------------------------------------------------- copies that break off
cp "$dir/export/tree/d/large" "$dir/local"
for how in get put cp; do
    case $how in
        get) from=$at:/tree/d/large to=$dir/large is=$dir ;;
        put) from=$dir/local to=$at:/large is=$dir/export ;;
        cp) from=$at:/tree/d/large to=unix:$dir/s:/large is=$dir/export ;;
    esac
    rm -f "$is/large"
    "$p" $how "$from" "$to" 2>/dev/null &
    copy=$!
    while kill -0 $copy 2>/dev/null; do
        part=$(ls "$is"/.large.*.9p-part 2>/dev/null)
        [ -n "$part" ] && [ "$(stat -c %s "$part")" -gt 100000000 ] && break
    done
    kill -9 $copy 2>/dev/null
    wait $copy 2>/dev/null
    [ -n "${part:-}" ] && [ -e "$part" ] || not_so "$how: the copy was over before it was killed"
    "$p" --json $how "$from" "$to" >"$dir/said"
    sent=$(sed 's/.*"sent":\([0-9]*\).*/\1/' "$dir/said")
    [ "$sent" -lt 290000000 ] || not_so "$how: it began anew: $(cat "$dir/said")"
    check "$how: its content" cmp "$is/large" "$dir/local"
done

# ---------------------------------------------------------------- what is told meanwhile
rm -f "$dir/large"
script -qec "'$p' --window 1 --msize 8192 get '$at:/tree/d/large' '$dir/large'" /dev/null </dev/null >"$dir/said" 2>&1
tr '\r' '\n' <"$dir/said" | grep -qE '^0/1 files, [0-9.]+ MB of 300 MB, [0-9.]+ [kMG]B/s, [0-9.:]+( s)? left' ||
    not_so "on a terminal it says $(said)"
rm -f "$dir/large"
"$p" --window 1 --msize 8192 get "$at:/tree/d/large" "$dir/large" >"$dir/said" 2>&1 &
copy=$!
until [ -n "$(find "$dir" -maxdepth 1 -name '.large.*' -size +1M)" ]; do kill -0 $copy || break; done
kill -STOP $pid
sleep 1.5
kill -CONT $pid
wait $copy || not_so 'a copy from a server that paused'
grep -qE '^0/1 files, [0-9.]+ MB of 300 MB, .* left$' "$dir/said" || not_so "in a file it says $(said)"
grep -q $'\r' "$dir/said" && not_so 'a file is told what only a terminal understands'

# ---------------------------------------------------------------- bench, and what is for programs
rm -f "$dir"/large "$dir/local" "$dir/export/large" "$dir/export/tree/d/large"
mkdir "$dir/export/bench"
"$p" --json bench "$at:/bench" --seconds 0.05 --file-size 1 --depth 2 getattr stat statfs flush xattr mkdir connect \
    smallread randread randwrite seqread seqwrite create >"$dir/said" 2>&1 || not_so "bench: $(said)"
[ "$(grep -c '"rate":' "$dir/said")" = 13 ] || not_so "bench: $(said)"
[ -z "$(ls -A "$dir/export/bench")" ] || not_so "bench has left $(ls -A "$dir/export/bench")"
check xattr "$p" xattr "$at:/tree/f" user.b 'a "value"'
for command in "ls -l $at:/tree" "tree $at:/tree" "stat $at:/tree/f" "df $at" "ping -c 1 $at" "xattr $at:/tree/f" \
    "put $dir/got/f $at:/" "get $at:/tree/f $dir/f2" "cp $at:/tree/f $at:/f3" "sync $dir/got $at:/got" "lock $at:/tree/f"; do
    # shellcheck disable=SC2086 # several words
    "$p" --json $command >"$dir/said" 2>&1 || not_so "--json $command: $(said)"
    [ -s "$dir/said" ] || not_so "--json $command says nothing"
    perl -MJSON::PP -ne 'eval { decode_json($_); 1 } or die "$_: $@"' "$dir/said" || not_so "--json $command is no JSON"
done

# ---------------------------------------------------------------- by other ways
# by_tcp ADDRESS: a server there. Sets tcp, and port to where it listens.
by_tcp() {
    rm -f "$dir/tcp.log"
    "$server" --listen "tcp:$1" "$dir/export" >"$dir/tcp.log" 2>&1 &
    tcp=$!
    until port=$(sed -n 's/.*listening on tcp:.*:\([0-9]*\)$/\1/p' "$dir/tcp.log" 2>/dev/null) && [ -n "$port" ]; do
        kill -0 $tcp 2>/dev/null || return 1
        sleep 0.02
    done
}
tcp_ends() {
    kill -9 $tcp
    wait $tcp 2>/dev/null
    tcp=
}
for host in 127.0.0.1 '[::1]'; do
    if ! by_tcp "$host:0"; then
        grep -q 'Cannot assign\|not supported' "$dir/tcp.log" && echo "SKIP tcp:$host (this host has no such address)" ||
            not_so "tcp:$host: $(cat "$dir/tcp.log")"
        continue
    fi
    says hello "$p" cat "tcp:$host:$port:/tree/f"
    [ "$host" != 127.0.0.1 ] || says hello "$p" cat "tcp:localhost:$port:/tree/f"
    [ "$host" != 127.0.0.1 ] || tcp_port=$port
    if [ "$host" = 127.0.0.1 ]; then
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        says hello "$p" cat fd:3:/tree/f
        exec 3<&-
    fi
    tcp_ends
done
# It comes back.
head -c 50000000 /dev/urandom >"$dir/export/tree/d/large"
by_tcp "127.0.0.1:$tcp_port" || not_so "tcp, once more: $(cat "$dir/tcp.log")"
"$p" --window 1 --msize 8192 get -r "tcp:127.0.0.1:$tcp_port:/tree" "$dir/by-tcp" >"$dir/said" 2>&1 &
copy=$!
until [ -n "$(find "$dir/by-tcp" -name '.large.*' -size +1M 2>/dev/null)" ]; do kill -0 $copy || break; done
tcp_ends
kill -0 $copy || not_so 'tcp: the copy was over before the server went'
by_tcp "127.0.0.1:$tcp_port" || not_so "tcp, once more: $(cat "$dir/tcp.log")"
wait $copy || not_so "tcp, a server that comes back: $(said)"
same 'tcp, a server that comes back' "$dir/export/tree" "$dir/by-tcp"
tcp_ends

[ $failed = 0 ] && echo "all passed"
exit $failed
