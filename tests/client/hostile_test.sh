#!/bin/bash
# hostile_test.sh 9P HOSTILE_SERVER: the tool with servers that mean ill (hostile_server.cc). It crashes
# nowhere, ends, has bounded memory, writes nothing but where it is told to, and what it prints a
# terminal can take.
set -u
p=$1 hostile=$2
dir=$(mktemp -d) || exit 1
pid=
trap 'kill -9 $pid 2>/dev/null; umount -l "$dir/mnt" 2>/dev/null; rm -rf --one-file-system "$dir"' EXIT
. "$(dirname "$0")/lib.sh"
# A sanitizer's complaint is no error that was told; and memory is measured.
export ASAN_OPTIONS=exitcode=99:quarantine_size_mb=1 UBSAN_OPTIONS=exitcode=99
memory_max=1200000    # KiB, where AddressSanitizer may be in it
at=unix:$dir/s

# meet WHAT [NUMBER]: the server from now on.
meet() {
    met="$*"
    if [ -n "$pid" ]; then
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    fi
    rm -f "$dir/s"
    "$hostile" "$dir/s" "$@" &
    pid=$!
    until [ -S "$dir/s" ]; do
        kill -0 "$pid" || exit 1
        sleep 0.02
    done
}
outside() { (cd "$dir/outside" && find . -printf '%p %M %s %T@ %C@ %l\n' | sort; cat file); }
# clean: what was said has no bytes that a terminal takes for orders.
clean() {
    if LC_ALL=C grep -qP '[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$dir/said" ||
        ! iconv -f UTF-8 -t UTF-8 "$dir/said" >/dev/null 2>&1; then
        not_so "$met: a terminal gets more than text: $ran"
        head -c 400 "$dir/said" | od -c | head
    fi
    local size
    size=$(stat -c %s "$dir/said")
    [ "$size" -le $((1 << 20)) ] || not_so "$met: $size bytes are said: $ran"
}
# ends STATUSES COMMAND...: with one of these.
ends() {
    local wanted=$1
    shift
    ran=$*
    kill -0 "$pid" || not_so "$met: the server is gone"
    "$hostile" --measure "$dir/memory" "$@" >"$dir/said" 2>&1 </dev/null
    local is=$?
    case " $wanted " in
    *" $is "*) ;;
    *)
        not_so "$met: status $is, not $wanted: $*"
        said | cut -c 1-300
        ;;
    esac
    local memory
    memory=$(cat "$dir/memory")
    [ "$memory" -le $memory_max ] || not_so "$met: $memory KiB of memory: $*"
    [ -z "${VERBOSE:-}" ] || echo "$met: status $is, $memory KiB, $SECONDS s: ${*##*/}"
    if [ "$(outside)" != "$outside_was" ]; then
        not_so "$met: something outside was changed: $*"
        diff <(echo "$outside_was") <(outside)
        outside_was=$(outside)
    fi
}
# What it says is of the server that it met.
met_it() { ! grep -q '^9p: connect to' "$dir/said" || { not_so "$met: it didn't meet it: $ran"; said; }; }
has() { grep -qF -- "$1" "$dir/said" || { not_so "$met: \"$1\" isn't said"; said | cut -c 1-300; }; }
# fresh: an empty target.
fresh() {
    rm -rf "$dir/target"
    mkdir "$dir/target"
}
target_is() {    # target_is NAME...: what is in it, by name
    local is
    is=$(cd "$dir/target" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | tr '\n' ' ')
    [ "$is" = "${*:+$* }" ] || not_so "$met: the target has \"$is\", not \"$*\""
}

mkdir "$dir/outside"
echo safe >"$dir/outside/file"
outside_was=$(outside)

# ---------------------------------------------------------------- names
meet names
fresh
ends "1" "$p" get -r "$at" "$dir/target"    # the longest name doesn't fit
clean
[ -f "$dir/target/good" ] || not_so "the good file wasn't copied"
[ ! -e /etc/x ] || not_so "a name has become a path"
[ "$(find "$dir/target" -mindepth 2 | wc -l)" = 0 ] || not_so "a name has become a path"
for what in "ls" "ls -l" "tree"; do
    ends "0 1" "$p" $what "$at"
    clean
    has good
done
ends "0 1" "$p" --json ls "$at"
ends "1" "$p" cp -r "$at" "$dir/target"
ends "1" "$p" sync --delete "$at" "$dir/target"
clean

# Types that are those of qids: what is a directory is known all the same.
for remove in "rm -r $at:/d" "sync --delete $dir/target $at"; do
    meet qid-types
    fresh
    echo 1 >"$dir/target/f"
    [[ $remove != rm* ]] || ends "0" "$p" get -r "$at:/d" "$dir/target"
    [[ $remove != rm* ]] || target_is d d/e d/e/e d/e/e/f d/f d/l f
    rm -rf "$dir/target/d"
    # shellcheck disable=SC2086 # several words; it takes no new file
    ends "0 1" "$p" $remove
    ends "0" "$p" ls "$at"
    [ "$(cat "$dir/said")" = f ] || not_so "$met: $remove leaves $(xargs <"$dir/said")"
done
# Numbers that aren't one file's: those are links that can be.
meet numbers
for again in 1 2; do
    [ $again = 2 ] || fresh
    ends "0" "$p" sync "$at" "$dir/target"
    is=$(cd "$dir/target" && cat a b c d e e2 | xargs)
    [ "$is" = 'axxxbxxcxxxdxxxexxxexxx' ] || not_so "$met, $again: the files are $is"
    is=$(cd "$dir/target" && stat -c %h a b c d e e2 | xargs)
    [ "$is" = '1 1 1 1 2 2' ] || not_so "$met, $again: the files have $is links"
done
# What has gone for what comes, and that can't have its name: it stays under another one.
meet no-rename
fresh
ln -s nowhere "$dir/target/x"
ends "1" "$p" sync --delete "$dir/target" "$at"
ends "0" "$p" ls "$at"
grep -q '^\.x\..*\.9p-part$' "$dir/said" || not_so "$met: both are gone: $(said)"

# Links that are there already, below the target.
meet swap
for links in "sub" "sub d-link link"; do
    fresh
    for link in $links; do ln -s ../outside "$dir/target/$link"; done
    ends "1" "$p" get -r "$at" "$dir/target"
    [ ! -e "$dir/outside/evil" ] || not_so "a file was written behind a link"
done
fresh
mkdir "$dir/target/link"
ends "1" "$p" get -r "$at" "$dir/target"
fresh
ends "0 1" "$p" sync --delete "$at" "$dir/target"
meet plain
fresh
ln -s ../outside/file "$dir/target/f"
ends "0" "$p" get -r "$at" "$dir/target"
[ ! -L "$dir/target/f" ] || not_so "the link was written to, or kept"
ln -sf ../outside/file "$dir/target/f"
ends "1" "$p" get "$at:/f" "$dir/target/f"    # a link that is named is neither followed nor replaced
has "which stays"
[ -L "$dir/target/f" ] || not_so "a link that was named as the target is gone"
ends "0" "$p" sync --delete "$at" "$dir/target"
[ ! -L "$dir/target/f" ] || not_so "the link was written to, or kept"

# ---------------------------------------------------------------- what root would get
meet devices
fresh
ends "1" "$p" get -r "$at" "$dir/target"
has "devices are copied with --owner"
has "it is of no type"
target_is d-sticky fifo socket suid
[ "$(stat -c %a "$dir/target/suid")" = 755 ] || not_so "a file got set-id bits"
attributes=$(getfattr --absolute-names -d -m - "$dir/target/suid")
[[ $attributes = *user.ok* ]] || not_so "a file didn't get its attributes: $attributes"
[[ ! $attributes =~ security.capability|trusted|system.evil ]] || not_so "a file got what is the system's"

# ---------------------------------------------------------------- sizes
meet huge
fresh
ends "1" "$p" get "$at:/most" "$dir/target"
ends "1" "$p" get "$at:/max" "$dir/target"
ends "0" "$p" ls -l "$at"
has 18446744073709551615
target_is
for what in shrinks reads-long unreadable; do    # the first of many blocks fails, of the last
    meet $what
    fresh
    ends "1" "$p" get -r "$at" "$dir/target"
    [ ! -e "$dir/target/f" ] || not_so "$what: a file that isn't whole has its name"
done
# The first block doesn't come, and the others do: what is there is no more than goes on behind it.
meet holds-first
fresh
ends "1" "$p" --wait 0 --timeout 1 get -r "$at" "$dir/target"
part=$(find "$dir/target" -name '.f.*.9p-part' -size +0)
[ -n "$part" ] || not_so "$met: there is no part"
[ -z "$(find "$dir/target" -size +65536k)" ] || not_so "$met: a part that goes on behind a hole"
meet reads-long
ends "1" "$p" cat "$at:/f"
has "the server sent"
meet grows
fresh
ends "0" "$p" get -r "$at" "$dir/target"
[ "$(cat "$dir/target/f")" = xx ] || not_so "a file isn't what it was said to be"
meet xattr-size
fresh
ends "0 1" "$p" get -r "$at" "$dir/target"
ends "1" "$p" xattr "$at:/f" user.a
has "1152921504606846976 bytes"
meet xattrs-invalid
fresh
ends "0" "$p" get -r "$at" "$dir/target"
meet xattrs-long
ends "0 1" "$p" get -r "$at" "$dir/target"
meet readlink
fresh
ends "1" "$p" get -r "$at" "$dir/target"    # longer than a path may be
for what in "ls -l" "stat" "ls" "cat"; do
    ends "0 1" "$p" $what "$at:/link"
    clean
done
ends "0 1" "$p" tree "$at"
clean

# ---------------------------------------------------------------- without end
meet endless
for what in "ls -l" "tree"; do
    ends "1" "$p" $what "$at"
    has "more than there is memory for"
done
meet endless 10000
ends "1" "$p" --wait 0 get -r -n "$at" "$dir/target"
meet endless 5000
ends "1" "$p" --wait 0 rm -r "$at:/d"
meet links 10000
fresh
ends "1" "$p" --wait 0 get -r -n "$at" "$dir/target"
# Words to go on with: no shell waits for all of them.
meet endless
ends "0" timeout 60 "$p" complete "$at:/"
words=$(wc -l <"$dir/said")
[ "$words" -ge 1000 ] && [ "$words" -le 10000 ] || not_so "$met: complete says $words words"
ends "0" timeout 60 "$p" complete "$at:/none"
[ ! -s "$dir/said" ] || not_so "$met: complete says what doesn't begin like that"
meet again
for what in "ls" "tree" "get -rn"; do
    fresh
    cd "$dir/target" || exit 1
    ends "1" "$p" $what "$at"
    cd / || exit 1
    has "it doesn't go on"
done
meet immortal
ends "1" "$p" rm -r "$at:/d"
has "the server lists what it has removed"
meet deep
fresh
ends "1" "$p" get -r "$at" "$dir/target"
clean
rm -rf "$dir/target"
meet wide
ends "1" "$p" tree "$at"
ends "1" "$p" rm -r "$at:/d"
clean
meet deep-liar    # each has a place for a file, of which there are fewer than levels
fresh
ends "1" "$p" --jobs 4 get -r "$at" "$dir/target"
clean
rm -rf "$dir/target"
# The source's list broke off: what it hasn't named may be there all the same.
meet entries-cut
fresh
echo kept >"$dir/target/mine"
ends "1" "$p" sync --delete "$at" "$dir/target"
[ -f "$dir/target/mine" ] || not_so "what a broken list doesn't name was removed"

# ---------------------------------------------------------------- the protocol
for what in walks-far types tags sizes cut entries-cut twice; do
    meet $what
    ends "1" "$p" --wait 0 ls "$at"
    clean
    met_it
    fresh
    ends "1" "$p" --wait 1 get -r "$at" "$dir/target"
    met_it
done
for what in msize-0 msize-small msize-max version-none version-odd version-long; do
    meet $what
    ends "1" "$p" --wait 1 ls "$at"
    clean
done
meet msize-least
fresh
ends "0" "$p" --wait 1 get -r "$at" "$dir/target"
target_is f
for seed in 1 2 3; do
    meet noise $seed
    ends "1" "$p" --wait 1 --timeout 1 ls "$at"
    clean
done
meet text
for what in ls cat stat rm "get -r"; do
    cd "$dir/outside" || exit 1
    ends "1" "$p" $what "$at:/f"
    cd / || exit 1
    clean
done

# ---------------------------------------------------------------- a copy that goes on
# The times are those that it had, in whole seconds: the number of its state tells.
fresh
for state in 1 2; do
    meet rewritten $state
    ends "$((2 - state))" "$p" get "$at:/f" "$dir/target"
done
[ "$(head -c 1 "$dir/target/f")" = 2 ] || not_so "$met: some of what it was is in what it is"

# ---------------------------------------------------------------- no answer, or no connection
meet late    # what was given up comes after all, and is taken
ends "0" "$p" --timeout 1 ls "$at"
has f
for what in mute closes closes-attached closes-walked; do
    meet $what
    ends "1" "$p" --wait 1 --timeout 1 ls "$at"
    clean
    fresh
    ends "1" "$p" --wait 1 --timeout 1 get -r "$at" "$dir/target"
done
meet late-flushed    # and where it comes with Rflush, it may be
ends "0 1" "$p" --wait 1 --timeout 1 ls "$at"
clean
meet silent
ends "1" "$p" --wait 1 --timeout 1 ls "$at"

# ---------------------------------------------------------------- a mount
# mounted WHAT COMMANDS: they run in it, however they end; the mount ends when it is told to. Where the
# server doesn't let it begin, it says so.
mounted() {
    meet "$1"
    : >"$dir/out"
    "$p" --timeout 1 --wait 1 mount -f "$at" "$dir/mnt" >"$dir/said" 2>&1 &
    local mount=$! is='' memory=''
    while kill -0 $mount 2>/dev/null && ! mountpoint -q "$dir/mnt"; do sleep 0.02; done
    if mountpoint -q "$dir/mnt"; then
        (cd "$dir/mnt" && eval "$2") >"$dir/out" 2>&1
        memory=$(sed -n 's/VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$mount/status)
        [ "${memory:-0}" -le $memory_max ] || not_so "$met: mounted, $memory KiB of memory"
        kill -TERM $mount 2>/dev/null
    elif [ ! -s "$dir/said" ]; then
        not_so "$met: it isn't mounted, and nothing is said"
    fi
    wait $mount
    is=$?
    [ $is -le 1 ] || not_so "$met: mounted, status $is"
    ! mountpoint -q "$dir/mnt" || not_so "$met: the mount stays"
    clean
    [ "$(outside)" = "$outside_was" ] || not_so "$met: mounted, something outside was changed"
    [ -z "${VERBOSE:-}" ] || echo "$met: mounted, status $is, $memory KiB, $SECONDS s"
}
out_has() { grep -qF -- "$1" "$dir/out" || { not_so "$met: mounted, \"$1\" isn't there"; head -c 300 "$dir/out"; }; }
if [ -c /dev/fuse ]; then
    mkdir "$dir/mnt"
    # libfuse's, of 12 bytes.
    echo leak:fuse_session_mount >"$dir/leaks"
    export LSAN_OPTIONS=suppressions=$dir/leaks:print_suppressions=0
    mounted names 'ls -la; cat good; echo; cat ../outside/evil 2>/dev/null'
    grep -qx evil "$dir/out" || not_so "mounted, a file's content isn't there"
    [ "$(grep -c evil "$dir/out")" = 1 ] || not_so "mounted, a name leads out of it"
    mounted endless 'ls -U | head -n 3000 | wc -l'
    out_has 3000
    mounted devices 'grep "$PWD" /proc/mounts; ls -l; head -c 1 zero; ./suid; getfattr -d -m - suid'
    out_has nodev
    out_has nosuid
    mounted huge 'ls -l; head -c 100 sign | wc -c; cat most max'
    out_has 100
    mounted readlink 'ls -l; readlink link; cat link'
    mounted deep 'cd d/d/d/d/d && ls && find . | head -n 100 | wc -l'
    out_has 100
    for what in again reads-long xattr-size xattrs-long shrinks grows immortal deep-liar swap; do
        mounted $what 'pwd; ls -lR | head -n 100; cat *; getfattr -d -m - *; '
        out_has "$dir/mnt"
    done
    for what in walks-far types tags sizes cut twice silent closes closes-walked; do
        mounted $what 'ls -l; cat f; echo x >new'
    done
    mounted late 'ls'    # each answer a second late
    out_has f
else
    echo "SKIP mounts (there is no /dev/fuse)"
fi

# ---------------------------------------------------------------- local trees
meet plain
mkdir -p "$dir/loop/a"
ln -s .. "$dir/loop/a/up"
ln -s loop "$dir/loop/loop"
ends "1" "$p" --wait 0 put -r "$dir/loop" "$at:/"    # this server makes nothing
ends "1" "$p" --wait 0 sync "$dir/loop" "$at:/"

exit $failed
