#!/bin/bash
# data_test.sh 9P 9PSERVE: what is written and read, by several at once as well.
. "$(dirname "$0")/lib.sh"

pids=()
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
[ ! -e "$dir/different" ] || not_so 'read by several at once'
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

verdict
