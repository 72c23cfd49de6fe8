# lib.sh: what the tests of `9p mount` have in common. To be sourced first; the test is called with 9P and
# 9PSERVE. Ends with 77, and says why, where there is no FUSE.
# shellcheck shell=bash disable=SC2034,SC2154
set -u
p=$(realpath "$1") server=$(realpath "$2") source=$(realpath "$(dirname "$0")/../../..")
guest=$source/tests/kernel/guest
skip() {
    echo "skipped: $1"
    exit 77
}
[ "$(id -u)" = 0 ] || skip 'needs root: it serves as root, and mounts for several users'
[ -c /dev/fuse ] || skip 'no /dev/fuse'
command -v fusermount3 >/dev/null || skip 'no fusermount3'
unshare -m true 2>/dev/null || skip 'no mount namespaces'
# What is mounted goes with the test, whatever becomes of it.
[ -n "${NINEP_OWN_MOUNTS:-}" ] || NINEP_OWN_MOUNTS=yes exec unshare -m --propagation private "$0" "$@"

dir=$(mktemp -d) || exit 1
chmod 755 "$dir"
server_pid='' log=$dir/log
# All mounts are in the folder `at`, and processes that are left have something open there.
end() {
    local m
    exec 2>/dev/null
    kill -9 "$server_pid"
    for m in "$dir"/at/* "$dir"/root/mnt/*; do umount -l "$m"; done
    pgrep -f "mount .*unix:$dir/s:/" | xargs -r kill -9    # those in the background too
    jobs -p | xargs -r kill -9
    wait
    umount -R -l "$dir/root"
    rm -rf --one-file-system "$dir"
}
trap end EXIT
. "$(dirname "$0")/../lib.sh"
# is WHAT GOT WANTED
is() { [ "$2" = "$3" ] || not_so "$1: \"$2\", not \"$3\""; }
# until_so COMMAND...: until it succeeds. Who can't wait for ever has ctest's limit.
until_so() { until "$@" >/dev/null 2>&1; do sleep 0.05; done; }
fails() { ! "$@"; }

serve() {
    "$server" --log-level "${level:-warn}" --listen "unix:$dir/s" "$@" "$dir/export" >>"$log" 2>&1 6<&- 7<&- 8>&- &
    server_pid=$!
    while ! "$p" --wait 0 ls "unix:$dir/s:/" >/dev/null 2>&1; do
        kill -0 "$server_pid" || { cat "$log"; exit 1; }
        sleep 0.05
    done
}
kill_server() {
    kill -9 "$server_pid"
    wait "$server_pid" 2>/dev/null
}
# mounted NAME [OPTION...]: mounts the export at $dir/at/NAME, by a process that stays below this shell;
# its number becomes `mount_pid`. `general`: 9p's options that come before the command; `as`: what runs it.
general=() as=()
mounted() {
    local name=$1
    shift
    mkdir -p "$dir/at/$name"
    "${as[@]}" "$p" "${general[@]}" mount -f "unix:$dir/s:/" "$dir/at/$name" "$@" >>"$dir/said-$name" 2>&1 6<&- 7<&- 8>&- &
    mount_pid=$!
    while ! is_mounted "$name"; do
        kill -0 "$mount_pid" || { cat "$dir/said-$name"; exit 1; }
        sleep 0.05
    done
}
# ended NAME: the mount's process ends, well, without a word, and nothing is mounted.
ended() {
    local status=0
    wait "$mount_pid" || status=$?
    is "$1: exit status" "$status" 0
    is "$1: what it says" "$(cat "$dir/said-$1")" ''
    ! is_mounted "$1" || not_so "$1: it is mounted still"
}
is_mounted() { grep -q " $dir/at/$1 " /proc/self/mountinfo; }
unmount() {
    check "unmount $1" umount "$dir/at/$1"
    ended "$1"
}
compile() {
    cc -std=gnu11 -D_GNU_SOURCE -O1 -o "$dir/bin/$1" "${@:2}" || exit 1
}
helper=$dir/bin/helper
# waits PID [WHAT]: whether a process waits for the mount, as the kernel says: in a function of that name.
waits() { grep -q "fuse.*${2:-}" "/proc/$1/stack" 2>/dev/null; }
# started WORD COMMAND...: runs it in the background with its standard input from $dir/go, until it has
# said WORD first. `started_pid`.
started() {
    local word=$1 said=$dir/said-$RANDOM
    shift
    rm -f "$dir/go"
    mkfifo "$dir/go"
    "$@" <"$dir/go" >"$said" 2>"$dir/said-err" &
    started_pid=$! started_said=$said
    exec 8>"$dir/go"
    until_so grep -q . "$said"
    is "$*" "$(head -1 "$said")" "$word"
}
finish() {    # what `started` started goes on, and ends well
    exec 8>&-
    wait "$started_pid" || not_so "$1: $(cat "$started_said")"
}
# All its threads.
rest_server() {
    kill -STOP "$server_pid"
    until_so fails grep -qs '^State:.[^T]' "/proc/$server_pid"/task/*/status
}
descriptors() { ls "/proc/$server_pid/fd" | wc -l; }

# verdict: how it went. The last line of a test.
verdict() {
    [ $failed = 0 ] || { echo "what is left of the server's log:"; tail -5 "$log"; }
    exit $failed
}

mkdir -p "$dir/export" "$dir/at" "$dir/bin"
# As udev has it; without udev it may be root's alone.
mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" /dev/fuse
compile helper "$source/tests/client/mount/helper.c"
