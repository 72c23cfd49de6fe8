#!/bin/bash
# cache_test.sh 9P 9PSERVE: what is believed, and for how long.
. "$(dirname "$0")/lib.sh"

# Bytes that the mount's process has received: of the system's count of what it read.
read_by() { awk '$1 == "rchar:" { print $2 }' "/proc/$mount_pid/io"; }

m=$dir/at/a other=$dir/at/none
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
[ $(($(read_by) - before)) -gt 3000000 ] || not_so 'what is read is not seen'
before=$(read_by)
check 'what is kept' cmp "$m/large" "$dir/export/large"
after=$(read_by)
[ $((after - before)) -lt 1000000 ] || not_so "a file that nobody changed was read again: $((after - before)) bytes"
is 'a name that isn'\''t there' "$(cat "$m/new" 2>/dev/null)" ''
echo new >"$dir/export/new"
is 'a name that has come' "$(cat "$m/new")" new
# Names that others have taken away, or given to other files, while the kernel takes them for true.
for how in rm mv 'mv, with another name left'; do
    echo old >"$dir/export/name"
    is "$how: a file" "$(cat "$m/name")" old
    [ "${how#*left}" = "$how" ] || ln "$dir/export/name" "$dir/export/left"
    if [ "$how" = rm ]; then rm "$dir/export/name"; else
        echo new >"$dir/export/other"
        mv "$dir/export/other" "$dir/export/name"
    fi
    check "$how: append" eval 'echo line >>"$m/name"'
    is "$how, and appended to" "$(tr '\n' ' ' <"$dir/export/name")" "$([ "$how" = rm ] || echo 'new ')line "
    rm -f "$dir/export/name" "$dir/export/left"
done
# What is open may be opened once more, wherever this mount has put it, or where others have put its
# folder.
mkdir "$dir/export/folder" "$m/to"
echo here >"$dir/export/folder/file"
exec 7<"$m/folder/file"
mv "$m/folder/file" "$m/folder/moved"
is 'moved, and opened once more' "$(cat /proc/self/fd/7)" here
mv "$m/folder/moved" "$m/to/moved"
is 'moved to another folder, and opened once more' "$(cat /proc/self/fd/7)" here
ln "$m/to/moved" "$m/to/second"
rm "$m/to/moved"
is 'with another name, and opened once more' "$(cat /proc/self/fd/7)" here
rm "$m/to/second"
is 'removed, and opened once more' "$(cat /proc/self/fd/7)" here
exec 7<&-
echo deep >"$dir/export/folder/file"
# Whoever has a file needs no name to open it once more.
for how in rm mv 'mv another over'; do
    echo mine >"$dir/export/held"
    exec 7<"$m/held"
    case $how in
        rm) rm "$dir/export/held" ;;
        mv) mv "$dir/export/held" "$dir/export/elsewhere-now" ;;
        *) echo other >"$dir/export/another" && mv "$dir/export/another" "$dir/export/held" ;;
    esac
    is "$how by others, and opened once more" "$(cat /proc/self/fd/7)" mine
    exec 7<&-
done
touch "$dir/bound"
echo bound >"$dir/export/bound"
mount --bind "$m/bound" "$dir/bound"
mv "$dir/export/bound" "$dir/export/bound-now"
is 'bound, and renamed by others' "$(cat "$dir/bound"; cat "$dir/bound")" $'bound\nbound'
umount "$dir/bound"
# What was refused for one name is no leave for another.
echo a >"$dir/export/one"
echo b >"$dir/export/two"
cat "$m/one" "$m/two" >/dev/null
rm "$dir/export/one"
mkdir "$dir/export/one"
perl -e 'open(F, ">>", "$ARGV[0]/at/a/one"); stat("$ARGV[0]/at/a/two");
    open(N, ">", "$ARGV[0]/export/next"); print N "c\n"; close N; rename("$ARGV[0]/export/next", "$ARGV[0]/export/two");
    open(F, ">>", "$ARGV[0]/at/a/two") or die "two: $!"; print F "line\n"; close F' "$dir" || not_so 'a second name'
is 'a second name' "$(cat "$dir/export/two")" $'c\nline'
# Where somebody replaces it all the time there is always one.
(while :; do echo text >"$dir/export/next" && mv "$dir/export/next" "$dir/export/always"; done) &
replaces=$!
until [ -e "$dir/export/always" ]; do sleep 0.01; done
for _ in $(seq 300); do cat "$m/always"; done >"$dir/always" 2>&1
kill $replaces
is 'opened while it is replaced' "$(sort "$dir/always" | uniq -c | xargs)" '300 text'
is 'in a folder' "$(cd "$m/folder" && cat file && mv "$dir/export/folder" "$dir/export/elsewhere" && cat file)" $'deep\ndeep'
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

verdict
