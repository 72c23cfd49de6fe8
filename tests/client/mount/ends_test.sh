#!/bin/bash
# ends_test.sh 9P 9PSERVE: how a mount ends, and what it leaves.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a
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
            fails $how "$m" 2>/dev/null || not_so "$how: though files are open"
            is "$how: it is there still" "$(cat "$m/file")" text
            ;;
        *mount*)
            check "$how, busy" $how "$m"
            ! is_mounted a || not_so "$how: it is mounted still"
            is "$how: an open file" "$(cat <&7)" text
            kill -0 "$mount_pid" || not_so "$how: nobody serves what is open"
            ;;
    esac
    case $how in *mount*) kill -TERM "$mount_pid" ;; *) kill -$how "$mount_pid" ;; esac
    ended a
    finish "$how: whoever writes gets an error"
    exec 7<&- 6<&-
done
# In the background, from wherever it was called.
for closed in '0<&-' '1>&-' '2>&-' '1>&- 2>&-' '0<&- 1>&- 2>&-'; do
    check "mount $closed" timeout 60 bash -c "'$p' mount 'unix:$dir/s:/' '$m' $closed"
    is "$closed: a file" "$(cat "$m/file")" text
    check "umount $closed" umount "$m"
done
is 'a mount on a file' "$("$p" mount "unix:$dir/s:/" "$dir/export/file" 2>&1)" "9p: mount on $dir/export/file: Not a directory"
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
for wrong in timeout=x cache=some max_read=4096; do
    "$p" mount "unix:$dir/s:/" "$m" -o $wrong >"$dir/said" 2>&1
    is "-o $wrong" "$?" 2
done
! is_mounted a || not_so 'something is mounted'

verdict
