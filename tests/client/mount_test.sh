#!/bin/bash
# mount_test.sh 9P 9PSERVE SOURCE PART: what users do with `9p mount`. Each PART is a function below.
# Exits 77 where there is no FUSE, and says so.
set -u
p=$(realpath "$1") server=$(realpath "$2") source=$(realpath "$3") part=$4
here=$source/tests/client guest=$source/tests/kernel/guest
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
server_pid='' failed=0 log=$dir/log
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
fail() { echo "FAILED: $*"; failed=1; }
# check WHAT COMMAND...: it has to work.
check() {
    local what=$1
    shift
    "$@" >"$dir/said" 2>&1 && return
    fail "$what: $*"
    head -20 "$dir/said" | sed 's/^/    /'
    return 1
}
# is WHAT GOT WANTED
is() { [ "$2" = "$3" ] || fail "$1: \"$2\", not \"$3\""; }
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
# ended NAME [STATUS]: the mount's process ends, well, without a word, and nothing is mounted.
ended() {
    local status=0
    wait "$mount_pid" || status=$?
    is "$1: exit status" "$status" 0
    is "$1: what it says" "$(cat "$dir/said-$1")" ''
    ! is_mounted "$1" || fail "$1: it is mounted still"
}
is_mounted() { grep -q " $dir/at/$1 " /proc/self/mountinfo; }
unmount() {
    check "unmount $1" umount "$dir/at/$1"
    ended "$1"
}
compile() {
    cc -std=gnu11 -D_GNU_SOURCE -O1 -o "$dir/bin/$1" "${@:2}" || exit 1
}
helper=$dir/bin/mount_helper
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
    wait "$started_pid" || fail "$1: $(cat "$started_said")"
}
descriptors() { ls "/proc/$server_pid/fd" | wc -l; }

mkdir -p "$dir/export" "$dir/at" "$dir/bin"
# As udev has it; without udev it may be root's alone.
mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" /dev/fuse
compile mount_helper "$here/mount_helper.c"

# The kernel's mounts' own session script: `mount -t 9p` is a program that mounts by FUSE.
part_session() {
    local checks mounts=(open:user:65536 none:user:262144 open:user:8192 open:user:1048576) count=${NINEP_COUNT:-1}
    echo "$count mounts of ${#mounts[@]}"
    compile session "$guest"/session/*.c
    mkdir -p "$dir/export"/{team,others}-folder "$dir/root"/{guest,mnt}
    touch "$dir/export"/{team,others}-file
    chown 0:2000 "$dir/export"/team-*
    chown 0:3000 "$dir/export"/others-*
    chmod 2770 "$dir/export"/*-folder
    chmod 660 "$dir/export"/*-file
    cat >"$dir/bin/mount" <<EOF
#!/bin/bash
# mount -t 9p -o OPTIONS DEVICE DIR
for option in \${4//,/ }; do
    case \$option in
        msize=*) msize=\${option#*=} ;;
        cache=none) cache=none ;;
        cache=*) cache=open ;;
    esac
done
exec "$p" --msize "\$msize" mount "unix:$dir/s:/" "\$6" -o "allow_other,dev,suid,cache=\$cache"
EOF
    chmod 755 "$dir/bin/mount"
    serve
    echo 'SKIP access=client,posixacl (FUSE here has no lists of its own)'
    echo 'SKIP access=any (a mount attaches as one user in any case)'
    echo 'SKIP whole_file_locks, lock_release (FUSE tells of the last close when the process has gone on: the part locks has what holds)'
    checks=$(sed -n '/define CHECKS/,/^\/\//p' "$guest/session/session.h" | grep -o 'X([a-z_]*)' | sed 's/X(\(.*\))/\1/' |
        grep -vx -e X -e whole_file_locks -e lock_release | tr '\n' ' ')
    # shellcheck disable=SC2016
    env -i PATH="$dir/bin:$PATH" dir="$dir" guest="$guest" \
        KERNEL=fuse VIRTIO= CHECKS="${NINEP_CHECKS:-$checks}" MOUNT=version=9p2000.L DEVICE=server \
        MATRIX="${mounts[*]:0:count}" \
        unshare -m bash -c '
            mount() { /bin/mount "$@"; }
            mount --make-rprivate /
            for d in /*; do
                case $d in /guest|/mnt) continue ;; esac
                if [ -L "$d" ]; then cp -P "$d" "$dir/root"
                elif [ -d "$d" ]; then mkdir "$dir/root$d" && mount --rbind "$d" "$dir/root$d"; fi
            done
            mount --bind "$guest" "$dir/root/guest"
            exec chroot "$dir/root" sh /guest/session.sh' | tee "$dir/session"
    is 'mounts that passed' "$(grep -c '^PASS' "$dir/session")" "$count"
    ! grep '^FAIL' "$dir/session" || fail 'a check of the session'
    until_so fails pgrep -f "mount unix:$dir/s:/"
}

# The kernel's mounts' own work: untar, git, make, dbench, sqlite, random operations.
part_work() {
    local tool tree program
    for tool in tar git make tcc dbench sqlite3; do command -v $tool >/dev/null || skip "no $tool"; done
    tree=$("$source/tests/kernel/get-source" busybox) || exit 1
    program=$("$source/tests/kernel/get-source" lua5.4) || exit 1
    compile churn "$guest/churn.c"
    mkdir -p "$dir/root"/{guest,mnt} "$dir/guest"
    # Copies, as they are: its /tmp is its own, and what is in another isn't seen there.
    cp "$guest"/{lib,work}.sh "$dir/guest"
    cp "$p" "$dir/bin/9p"
    cp "$tree" "$dir/guest/source.tar"
    cp "$program" "$dir/guest/program.tar"
    cat >"$dir/bin/mount" <<EOF
#!/bin/bash
exec "$dir/bin/9p" mount "unix:$dir/s:/" "\$6" -o "cache=\$CACHE"
EOF
    chmod 755 "$dir/bin/mount"
    serve
    # shellcheck disable=SC2016
    env -i PATH="$dir/bin:$PATH" HOME="$dir" dir="$dir" MOUNT=version=9p2000.L DEVICE=server CACHE=open \
        GIT="${NINEP_GIT:-testsuite}" CHURN="${NINEP_CHURN:-5000}" \
        unshare -m bash -c '
            mount() { /bin/mount "$@"; }
            mount --make-rprivate /
            for d in /*; do
                case $d in /guest|/mnt|/tmp) continue ;; esac
                if [ -L "$d" ]; then cp -P "$d" "$dir/root"
                elif [ -d "$d" ]; then mkdir "$dir/root$d" && mount --rbind "$d" "$dir/root$d"; fi
            done
            mkdir -p "$dir/root/tmp" "$dir/root$dir"
            mount --bind "$dir" "$dir/root$dir"
            mount --bind "$dir/guest" "$dir/root/guest"
            exec chroot "$dir/root" sh /guest/work.sh' | tee "$dir/session"
    is 'kinds of work that were done' "$(grep -c '^PASS' "$dir/session")" 8
    ! grep '^FAIL' "$dir/session" || fail 'some work'
    mkdir "$dir/tree"
    tar -xf "$tree" -C "$dir/tree"
    check 'the tree, on the server' diff -r --no-dereference "$dir/tree" "$dir/export/open/tree"
}

part_data() {
    local i m pids=()
    serve
    mounted a
    m=$dir/at/a
    head -c 50000001 /dev/urandom >"$dir/data"
    for i in 1 2 3 4; do dd if="$dir/data" of="$m/d$i" bs="$((i * 77777))" status=none & pids+=($!); done
    wait "${pids[@]}"
    pids=()
    for i in 1 2 3 4; do
        check 'written by large pieces' cmp "$dir/data" "$dir/export/d$i"
        cmp "$dir/data" "$m/d$i" || echo different >>"$dir/different" &
        pids+=($!)
        dd if="$m/d$i" bs=1M iflag=direct status=none | cmp - "$dir/data" || echo different >>"$dir/different" &
        pids+=($!)
    done
    wait "${pids[@]}"
    pids=()
    [ ! -e "$dir/different" ] || fail 'read by several at once'
    check 'written directly' dd if="$dir/data" of="$m/direct" bs=1M oflag=direct iflag=fullblock status=none
    check 'read back' cmp "$dir/data" "$m/direct"
    check 'what the server has of it' cmp "$dir/data" "$dir/export/direct"
    check 'mapped by several' "$helper" map "$m/mapped"
    check 'mapped by several: the server has it' cmp "$m/mapped" "$dir/export/mapped"
    check 'signals that are handled' "$helper" signals_handled "$m/signals"
    started unlinked "$helper" unlinked "$m/unlinked"
    finish 'a file without a name'

    # Several mounts and descriptors append to one file: each line is there, whole, in its order.
    mounted b
    for i in 1 2 3 4; do
        case $i in 1|2) m=$dir/at/a ;; *) m=$dir/at/b ;; esac
        "$helper" append "$m/lines" "line of $i, which is a bit longer
" 500 &
        pids+=($!)
    done
    "$helper" append "$dir/export/lines" "line of 5, which is a bit longer
" 500
    wait "${pids[@]}"
    for i in 1 2 3 4 5; do is "lines of $i" "$(grep -cx "line of $i, which is a bit longer" "$dir/at/a/lines")" 500; done
    is 'bytes that were appended' "$(stat -c %s "$dir/export/lines")" $((2500 * 33))
    check 'descriptors that are told to append' "$helper" append_later "$dir/at/a/later" "$dir/at/b/later"

    # git, with a clone from one mount to the other.
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    mkdir "$dir/at/a/tree"
    tar -C "$source" -cf - proto client tests/client | tar -C "$dir/at/a/tree" -xf -
    check 'untar' diff -r "$source/client" "$dir/export/tree/client"
    check 'git init' git -c init.defaultBranch=main init -q "$dir/at/a/tree"
    check 'git add' git -C "$dir/at/a/tree" add -A
    check 'git commit' git -C "$dir/at/a/tree" commit -q -m all
    is 'git status' "$(git -C "$dir/at/a/tree" status --porcelain)" ''
    check 'git clone' git clone -q "$dir/at/a/tree" "$dir/at/b/clone"
    check 'git fsck' git -C "$dir/at/b/clone" fsck --full --strict
    check 'what is cloned' diff -r -x .git "$dir/at/a/tree" "$dir/export/clone"

    mount_pid=$(pgrep -f "mount -f unix:$dir/s:/ $dir/at/b\$")
    unmount b
    mount_pid=$(pgrep -f "mount -f unix:$dir/s:/ $dir/at/a\$")
    unmount a
}

# What the server is asked, and how much of it at once.
part_wire() {
    local m=$dir/at/a i asked
    mkdir "$dir/export/many"
    for i in {1..200}; do echo "$i" >"$dir/export/many/$i"; done
    head -c 8M /dev/urandom >"$dir/export/big"
    cp "$dir/export/big" "$dir/data"
    level=info serve --trace
    general=(--msize 8192)
    mounted a -o timeout=600
    general=()

    # What comes with the names needs no more questions.
    is 'names alone' "$(ls -f "$m/many" | wc -l)" 202
    asked=$(grep -c Tgetattr "$log")
    [ "$asked" -ge 200 ] || fail "attributes that came with 200 names: $asked"
    is 'what they all are' "$(stat -c '%s %F' "$m"/many/{100..200} | sort -u)" '4 regular file'
    asked=$(($(grep -c Tgetattr "$log") - asked))
    [ "$asked" -le 3 ] || fail "questions for what had come already: $asked"

    # While the server rests, what is asked of it waits in its socket: a read is 23 bytes.
    started open "$helper" megabyte "$m/big"
    rest_server
    echo >&8
    until_so waiting_bytes_are $((4 * 23))
    kill -CONT "$server_pid"
    until_so grep -qx read "$started_said"
    rest_server
    echo >&8
    until_so waiting_bytes_are $((3 * 8192))
    kill -CONT "$server_pid"
    finish 'a megabyte by many requests'
    check 'a megabyte by many requests' cmp -n 1M "$dir/export/big" "$dir/data" 8M 4M
    unmount a
}
# All its threads.
rest_server() {
    kill -STOP "$server_pid"
    until_so fails grep -qs '^State:.[^T]' "/proc/$server_pid"/task/*/status
}
# So many bytes, or more, wait to be read in a connection of the server's.
waiting_bytes_are() { ss -xH | awk -v least="$1" -v path="$dir/s" '$5 == path && $3 >= least { found = 1 } END { exit !found }'; }

# waits PID [WHAT]: whether a process waits for the mount, as the kernel says: in a function of that name.
waits() { grep -q "fuse.*${2:-}" "/proc/$1/stack" 2>/dev/null; }

part_locks() {
    local kind mode first rival
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
}

part_cache() {
    local m=$dir/at/a other=$dir/at/none before after
    serve
    echo 'one' >"$dir/export/file"
    head -c 3000000 /dev/urandom >"$dir/export/large"
    # Names and attributes are true for an hour here: what is looked after is at an open.
    mounted a -o timeout=3600
    is 'a file' "$(cat "$m/file")" one
    exec 7<"$m/file"
    sleep 0.1    # for the host's clock, whose ticks the server's versions have
    echo 'two, by the host' >"$dir/export/file"
    is 'an edit of the host, at an open' "$(head -c 3 "$m/file")" two
    exec 7<&-
    cp "$dir/export/file" "$dir/export/at-once"
    check 'an edit of the host, at several opens at once' "$helper" open_at_once "$m/at-once" "$dir/export/at-once"
    before=$(read_by)
    cat "$m/large" >/dev/null
    [ $(($(read_by) - before)) -gt 3000000 ] || fail 'what is read is not seen'
    before=$(read_by)
    check 'what is kept' cmp "$m/large" "$dir/export/large"
    after=$(read_by)
    [ $((after - before)) -lt 1000000 ] || fail "a file that nobody changed was read again: $((after - before)) bytes"
    is 'a name that isn'\''t there' "$(cat "$m/new" 2>/dev/null)" ''
    echo new >"$dir/export/new"
    is 'a name that has come' "$(cat "$m/new")" new
    unmount a
    : >"$dir/said-a"

    mounted a -o timeout=0.2
    stat "$m/file" >/dev/null
    chmod 600 "$dir/export/file"
    until_so eval '[ "$(stat -c %a "$m/file")" = 600 ]'
    exec 7<"$m/file"
    is 'an open file' "$(head -c 3 <&7)" two
    echo 'three, which is longer' >"$dir/export/file"
    until_so grep -q three "$m/file"
    exec 7<&-
    unmount a

    mounted none -o cache=none
    is 'uncached' "$(head -c 3 "$other/file")" thr
    exec 7<"$other/file"
    echo 'four' >"$dir/export/file"
    is 'uncached, at once' "$(cat <&7)" four
    exec 7<&-
    mv "$dir/export/file" "$dir/export/renamed"
    is 'uncached, a name that is gone' "$(stat "$other/file" 2>&1 | grep -c 'No such file')" 1
    unmount none
}
# Bytes that the mount's process has received: of the system's count of what it read.
read_by() { awk '$1 == "rchar:" { print $2 }' "/proc/$mount_pid/io"; }

part_restarts() {
    local i m=$dir/at/a copying rereading writing
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
    wait "$copying" || fail 'comparing'
    wait "$writing" || fail 'copying'
    wait "$rereading" || fail 'reading again'
    is 'differences' "$(head -5 "$dir/different")" ''
    unmount a
}

# The server stays away: an error at the end of the wait, and the mount is of use when it is back.
part_gone() {
    local m=$dir/at/a
    serve
    echo text >"$dir/export/file"
    general=(--wait 2)
    mounted a -o timeout=0
    is 'a file' "$(cat "$m/file")" text
    exec 7<"$m/file"
    kill_server
    is 'without a server' "$(stat "$m/file" 2>&1 | grep -o 'Connection timed out')" 'Connection timed out'
    is 'without a server, of an open file' "$(cat <&7 2>&1 | grep -o 'Connection timed out')" 'Connection timed out'
    serve
    is 'with a server again' "$(cat "$m/file")" text
    is 'with a server again, of an open file' "$(cat <&7)" text
    exec 7<&-

    # Whoever is killed, or presses ^C, doesn't wait for the server. It is there, and says nothing.
    for signal in INT KILL; do
        kill -STOP "$server_pid"
        env --default-signal=INT cat "$m/file" >/dev/null 2>&1 &    # a shell's background ignores it
        until_so waits $!
        kill -$signal $!
        wait $! 2>/dev/null
        is "a read that is given up by $signal" $? $((128 + $(kill -l $signal)))
        kill -CONT "$server_pid"
        is 'what others read then' "$(cat "$m/file")" text
    done
    # One that handles the first signal is killed by the next.
    kill -STOP "$server_pid"
    bash -c 'trap : USR1; exec 6<"$1"' - "$m/file" &
    until_so waits $!
    kill -USR1 $!
    sleep 0.5
    kill -KILL $!
    wait $! 2>/dev/null
    is 'an open that is given up at last' $? 137
    kill -CONT "$server_pid"
    unmount a
}

part_ends() {
    local how signal m=$dir/at/a before
    serve
    before=$(descriptors)
    echo text >"$dir/export/file"
    for how in 'umount' 'fusermount3 -u' 'umount -l' 'fusermount3 -u -z' TERM INT HUP; do
        : >"$dir/said-a"
        mounted a
        is "$how: a file" "$(cat "$m/file")" text
        ls -l "$m" >/dev/null
        case $how in
            *mount*) check "$how" $how "$m" ;;
            *) kill -$how "$mount_pid" ;;
        esac
        ended a
        # With files open, and written to.
        : >"$dir/said-a"
        mounted a
        started open "$helper" write_on "$m/busy"
        exec 7<"$m/file" 6<"$m"
        case $how in
            umount|'fusermount3 -u')
                fails $how "$m" 2>/dev/null || fail "$how: though files are open"
                is "$how: it is there still" "$(cat "$m/file")" text
                ;;
            *mount*)
                check "$how, busy" $how "$m"
                ! is_mounted a || fail "$how: it is mounted still"
                is "$how: an open file" "$(cat <&7)" text
                kill -0 "$mount_pid" || fail "$how: nobody serves what is open"
                ;;
        esac
        case $how in *mount*) kill -TERM "$mount_pid" ;; *) kill -$how "$mount_pid" ;; esac
        ended a
        finish "$how: whoever writes gets an error"
        exec 7<&- 6<&-
    done
    # Without a server, and with somebody who waits for it: a second signal waits for nothing.
    : >"$dir/said-a"
    mounted a
    started open "$helper" write_on "$m/busy"
    kill_server
    until_so waits "$started_pid"
    kill -TERM "$mount_pid"
    until_so pgrep -P "$mount_pid"    # it has begun to unmount
    kill -TERM "$mount_pid"
    ended a
    finish 'whoever writes without a server'
    serve

    # One signal is enough: a server that is gone, or hangs, is waited for a little, whatever --wait says.
    general=(--wait 86400)
    for how in gone hung; do
        : >"$dir/said-a"
        mounted a
        started open "$helper" write_on "$m/busy"
        if [ $how = gone ]; then kill_server; else kill -STOP "$server_pid"; fi
        until_so waits "$started_pid"
        kill -TERM "$mount_pid"
        ended a
        finish "whoever writes when the server is $how"
        if [ $how = gone ]; then serve; else kill -CONT "$server_pid"; fi
    done
    general=()

    # What is in mapped pages and in the kernel's hands is with the server at the end.
    : >"$dir/said-a"
    mounted a
    check 'mapped' "$helper" map_only "$m/mapped"
    kill -TERM "$mount_pid"
    ended a
    check 'what was mapped' cmp "$dir/export/mapped" <(head -c 2000000 /dev/zero | tr '\0' '\7')
    until_so eval '[ "$(descriptors)" -le "$before" ]'

    # In the background, as it is without -f: it says nothing, and is there when the command ends.
    mkdir -p "$m"
    check 'in the background' "$p" mount "unix:$dir/s:/" "$m"
    is 'in the background: a file' "$(cat "$m/file")" text
    check 'in the background: unmount' fusermount3 -u "$m"
    until_so fails pgrep -f "mount unix:$dir/s:/ $m"
    # What can't be is said, and nothing stays.
    "$p" --wait 0 mount "unix:$dir/none:/" "$m" >"$dir/said" 2>&1
    is 'without a server' "$? $(wc -l <"$dir/said")" '1 1'
    "$p" mount "unix:$dir/s:/file" "$m" >"$dir/said" 2>&1
    is 'of a file' "$? $(grep -c 'Not a directory' "$dir/said")" '1 1'
    "$p" mount "unix:$dir/s:/" "$dir/none" >"$dir/said" 2>&1
    is 'on nothing' "$? $(grep -c 'No such file' "$dir/said")" '1 1'
    local wrong
    for wrong in timeout=x cache=some max_read=4096; do
        "$p" mount "unix:$dir/s:/" "$m" -o $wrong >"$dir/said" 2>&1
        is "-o $wrong" "$?" 2
    done
    ! is_mounted a || fail 'something is mounted'
}

# More files than a server has descriptors for.
part_many() {
    local m=$dir/at/a before seen many=${NINEP_COUNT:-10000} last
    echo "$many files of 100000"
    last=$(printf 'n%06d' $((many - 1)))
    mkdir "$dir/export/folder" "$dir/export/tree"
    "$helper" fill "$dir/export/folder" "$many"
    for i in $(seq 10); do
        mkdir "$dir/export/tree/d$i"
        "$helper" fill "$dir/export/tree/d$i" $((many / 20))
    done
    (ulimit -n 4000; exec "$server" --log-level warn --listen "unix:$dir/s" "$dir/export" >>"$log" 2>&1) &
    server_pid=$!
    until_so "$p" --wait 0 ls "unix:$dir/s:/"
    before=$(descriptors)
    mounted a -o timeout=60
    is 'names in a folder' "$(ls -f "$m/folder" | sort -u | wc -l)" $((many + 2))
    is 'names with attributes' "$(ls -l "$m/folder" | wc -l)" $((many + 1))
    is 'names in a tree' "$(find "$m/tree" -type f -size 0 | wc -l)" $((many / 2))
    is 'names in a tree, once more' "$(find "$m/tree" -newermt 2000-01-01 -type f | wc -l)" $((many / 2))
    seen=$(descriptors)
    echo "descriptors of the server: $before before, $seen with it all seen"
    awk '$1 == "VmRSS:" { print "resident: " $2 " KiB" }' "/proc/$mount_pid/status"
    # Whatever is asked of many, the server has the descriptors for it.
    is 'modes' "$(chmod 600 "$m"/tree/*/* 2>&1 | sort | uniq -c | head -3)" ''
    is 'times' "$(touch -d 2001-01-01 "$m"/tree/*/* 2>&1 | sort | uniq -c | head -3)" ''
    echo 2 >/proc/sys/vm/drop_caches
    until_so eval '[ "$(descriptors)" -lt $((before + 200)) ]'
    check 'files that rested' cat "$m/tree/d10/n000001" "$m/folder/$last"
    [ "$seen" -gt $((before + 500)) ] || fail 'the server could have kept more of them'
    # In use, they stay, however many others come: the folder where one is, and what has no name.
    mkdir "$m/here"
    (
        cd "$m/here" || exit 1
        rmdir "$dir/export/here"
        echo text >"$m/gone"
        exec 7<"$m/gone"
        rm "$m/gone"
        ls -l "$m/folder" >/dev/null
        [ "$(cat <&7)" = text ] || exit 1
        stat -L /proc/self/fd/7 >/dev/null || exit 1
        stat . >/dev/null
    ) || fail 'what is in use'
    unmount a
}

# Files of several file systems, which have the same inode numbers.
part_odd() {
    local m=$dir/at/a number asking
    mkdir "$dir/export"/{one,two,folder}
    serve
    mount -t tmpfs one "$dir/export/one"
    mount -t tmpfs two "$dir/export/two"
    echo 'in one' >"$dir/export/one/file"
    echo 'in two' >"$dir/export/two/file"
    is 'the same number, on the host' "$(stat -c %i "$dir/export/one/file")" "$(stat -c %i "$dir/export/two/file")"
    mounted a
    exec 7<"$m/one/file" 6<"$m/two/file"
    is 'one file' "$(cat <&7)" 'in one'
    is 'the other' "$(cat <&6)" 'in two'
    exec 7<&- 6<&-
    [ "$(stat -c %i "$m/one/file")" != "$(stat -c %i "$m/two/file")" ] || fail 'two files of one number'
    is 'a link from one to the other' "$(ln "$m/one/file" "$m/two/link" 2>&1 | grep -c 'cross-device')" 1
    check 'moved from one to the other' mv "$m/one/file" "$m/two/moved"
    is 'what is moved' "$(cat "$dir/export/two/moved")" 'in one'
    umount -l "$dir/export/one" "$dir/export/two"    # the server has files of theirs still
    # A number comes again, and the kernel has the first file with it still. Not every file system
    # gives one again at once.
    for i in $(seq 20); do
        echo AAAA >"$m/first$i"
        number=$(stat -c %i "$m/first$i")
        exec 7<"$m/first$i"
        rm "$m/first$i"
        kill_server
        serve
        echo BBBB >"$m/second"
        [ "$(stat -c %i "$m/second")" != "$number" ] || break
        rm "$m/second"
        exec 7<&-
    done
    if [ -e "$m/second" ]; then
        is 'a file of a number that came again' "$(cat "$m/second")" BBBB
        is 'the file that had it' "$(cat <&7 2>&1 | grep -c 'Stale')" 1
        exec 7<&-
        rm "$m/second"
    else
        echo 'not shown: files of one number; no number came again'
    fi
    # overlayfs gives a file another time of birth when it is changed first: it is the same one.
    mkdir -p "$dir/export/over" "$dir/lower/d" "$dir/upper"
    echo one >"$dir/lower/d/f"
    mount -t tmpfs upper "$dir/upper"
    mkdir "$dir/upper"/{upper,work}
    if mount -t overlay -o "lowerdir=$dir/lower,upperdir=$dir/upper/upper,workdir=$dir/upper/work" over "$dir/export/over"; then
        exec 7<"$m/over/d/f" 9<"$m/over/d/f"
        is 'in a folder that is copied up' "$(cd "$m/over/d" && stat . f >/dev/null && echo two >>f && touch new && sleep 1.2 && stat . f >/dev/null && env pwd)" "$m/over/d"
        is 'a file that is copied up' "$(cat <&7)" $'one\ntwo'
        exec 6<>"$m/over/d/f"
        kill_server
        serve
        check 'a file that is copied up, on another connection' bash -c 'echo 1 >&6'
        is 'a file that is copied up, on another connection' "$(head -1 "$m/over/d/f")" 1
        ls -l "$m/over/d" >/dev/null
        echo 1 >/proc/sys/vm/drop_caches
        is 'a file that was opened before it was copied up' "$(head -1 <&9)" 1
        exec 6<&- 7<&- 9<&-
        umount -l "$dir/export/over"
    else
        echo 'not shown: overlayfs; it can'\''t be mounted here'
    fi
    umount -l "$dir/upper"
    # A name of several is removed just when the server ends; a link was the last that was looked at.
    for i in unlink 'mv -T'; do
        echo x >"$m/first"
        ln "$m/first" "$m/second"
        rest_server
        if [ "$i" = unlink ]; then unlink "$m/first" & else mv -T "$m/first" "$m/third" & fi
        asking=$!
        until_so waits $asking
        sleep 0.2
        kill_server
        serve
        wait $asking || fail "$i of one of two names at a restart"
        [ ! -e "$dir/export/first" ] || fail "$i of one of two names at a restart: it is there"
        rm -f "$dir/export"/{first,second,third}
        until_so fails ls "$m/second"
    done
    # A name becomes another kind of file.
    for kind in 'touch' 'mkdir' 'ln -s x' 'mkfifo' 'touch'; do
        rm -rf "$dir/export/folder/name"
        $kind "$dir/export/folder/name"
        until_so eval '[ "$(stat -c %F "$m/folder/name" 2>/dev/null)" = "$(stat -c %F "$dir/export/folder/name")" ]'
    done
    unmount a
}

# Other users: one who mounts, and those who use what root has mounted.
part_users() {
    local m=$dir/at/a nobody round what
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${nobody[@]}" true || skip 'no setpriv'
    chmod 755 "$dir/export"
    mkdir -m 777 "$dir/export/folder"
    mkdir -m 2777 "$dir/export/set"
    chgrp 2000 "$dir/export/set"
    echo secret >"$dir/export/secret"
    chmod 600 "$dir/export/secret"
    echo open >"$dir/export/open"
    serve
    chmod 777 "$dir/s"
    mkdir "$m"
    chown 65534:65534 "$m"
    # Whether fusermount3 may is another's decision: here it says so in words.
    as=("${nobody[@]}")
    # Where others can reach it.
    cp "$p" "$dir/bin/9p"
    p=$dir/bin/9p
    mounted a
    is 'nobody reads' "$("${nobody[@]}" cat "$m/open")" open
    is 'nobody may not' "$("${nobody[@]}" cat "$m/secret" 2>&1 | grep -c 'Permission denied')" 1
    is 'root is another' "$(cat "$m/open" 2>&1 | grep -c 'Permission denied')" 1
    check 'nobody writes' "${nobody[@]}" sh -c "echo text >'$m/folder/file' && mkdir '$m/folder/d' && ln -s x '$m/folder/l'"
    is 'whose it is' "$(stat -c '%u:%g' "$dir/export/folder/file")" 65534:65534
    check 'nobody unmounts' "${nobody[@]}" fusermount3 -u "$m"
    ended a
    : >"$dir/said-a"
    mounted a
    kill -TERM "$mount_pid"
    ended a
    as=()
    rm -r "$dir/export/folder"/*

    mounted b -o allow_other
    m=$dir/at/b
    is 'others read' "$("${nobody[@]}" cat "$m/open")" open
    is 'others may not' "$("${nobody[@]}" cat "$m/secret" 2>&1 | grep -c 'Permission denied')" 1
    check 'others write' "${nobody[@]}" sh -c "echo text >'$m/folder/file' && mkdir '$m/folder/d' && ln -s x '$m/folder/l' && mkfifo '$m/folder/p' && echo more >>'$m/folder/file'"
    for what in file d l p; do
        is "whose is $what" "$(stat -c '%u:%g' "$dir/export/folder/$what")" 65534:65534
    done
    check 'in a folder of a group' "${nobody[@]}" sh -c "echo text >'$m/set/file' && mkdir '$m/set/d'"
    is 'whose is that' "$(stat -c '%u:%g %A' "$dir/export/set/file" "$dir/export/set/d" | tr '\n' ' ')" \
        '65534:2000 -rw-r--r-- 65534:2000 drwxr-sr-x '
    is 'others don'\''t write where they may not' "$("${nobody[@]}" sh -c "echo >'$m/file'" 2>&1 | grep -c 'Permission denied')" 1
    is 'nor remove' "$("${nobody[@]}" rm -f "$m/open" 2>&1 | grep -c 'Permission denied')" 1
    # An access list says less than its mask, which is what a mode shows of it.
    echo 'of some' >"$dir/export/listed"
    chmod 600 "$dir/export/listed"
    chown 0:2000 "$dir/export/listed"
    setfacl -m u:65534:rw,g::--- "$dir/export/listed"
    is 'by an access list' "$("${nobody[@]}" cat "$m/listed")" 'of some'
    is 'not by the mask of one' "$(setpriv --reuid=1234 --regid=2000 --clear-groups cat "$m/listed" 2>&1 | grep -c 'Permission denied')" 1
    is 'nor give away' "$("${nobody[@]}" chown 0 "$m/folder/file" 2>&1 | grep -c 'not permitted')" 1
    # Whoever writes to a program takes its set-id bits.
    for what in '>>' '1<>'; do
        echo text >"$dir/export/program"
        chown 0:65534 "$dir/export/program"
        chmod 6775 "$dir/export/program"
        check "a write by $what" "${nobody[@]}" sh -c "echo more $what'$m/program'"
        is "set-id bits after a write by $what" "$(stat -c %a "$dir/export/program")" 775
    done
    # Two at once: one makes a file that the other may not have, while he opens it. They meet.
    for round in 1 2 3 4 5 6 7 8 9 10; do
        (
            umask 077
            # Once the other one has begun; he goes the other way.
            for _ in $(seq 2000); do [ -e "$dir/export/folder/race$round-1" ] && break; sleep 0.005; done
            for i in $(seq 40 -1 2); do echo root >"$dir/export/folder/race$round-$i"; done
        ) &
        check 'races' "${nobody[@]}" sh -c "for i in \$(seq 40); do echo nobody 2>/dev/null >>'$m/folder/race$round-'\$i; done; true" 2>/dev/null
        wait $!
    done
    for what in 0 65534; do
        [ -n "$(find "$dir/export/folder" -name 'race*' -user $what -print -quit)" ] || fail "races: none was made by $what"
    done
    is 'files of root that another wrote to' \
        "$(find "$dir/export/folder" -name 'race*' -user 0 -exec grep -l nobody {} + | wc -l)" 0
    unmount b
    # Where the server's file system has no such lists.
    mkdir "$dir/export/plain-fs"
    mount -t ramfs plain "$dir/export/plain-fs"
    chmod 755 "$dir/export/plain-fs"
    echo text >"$dir/export/plain-fs/file"
    mounted d -o allow_other
    is 'without lists' "$("${nobody[@]}" cat "$dir/at/d/plain-fs/file")" text
    chown 65534 "$dir/export/plain-fs/file"
    is 'without lists, root' "$(cat "$dir/at/d/plain-fs/file")" text
    unmount d
    umount -l "$dir/export/plain-fs"

    # Access lists, and what they do to modes.
    mounted c -o timeout=600
    m=$dir/at/c
    touch "$m/acl"
    is 'before an access list' "$(stat -c %a "$m/acl")" 644
    check 'an access list' setfacl -m u:1:rwx "$m/acl"
    is 'with an access list' "$(stat -c %a "$m/acl")" 674
    mkdir "$m/heritage"
    check 'a list that is handed on' setfacl -d -m u::rwx,g::rwx,o::--- "$m/heritage"
    (umask 022; touch "$m/heritage/file"; mkdir "$m/heritage/d"; mkdir "$m/plain"; touch "$m/plain/file")
    is 'where a list is handed on' "$(stat -c %a "$dir/export/heritage/file" "$dir/export/heritage/d" | tr '\n' ' ')" '660 770 '
    is 'where none is' "$(stat -c %a "$dir/export/plain/file" "$dir/export/plain" | tr '\n' ' ')" '644 755 '
    unmount c
}

"part_$part"
[ $failed = 0 ] || { echo "what is left of the server's log:"; tail -5 "$log"; }
exit $failed
