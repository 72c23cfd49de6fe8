#!/bin/bash
# odd_test.sh 9P 9PSERVE: files that look like another: those of several file systems have the same
# inode numbers, and a number comes again.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a
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
[ "$(stat -c %i "$m/one/file")" != "$(stat -c %i "$m/two/file")" ] || not_so 'two files of one number'
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
    wait $asking || not_so "$i of one of two names at a restart"
    [ ! -e "$dir/export/first" ] || not_so "$i of one of two names at a restart: it is there"
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

verdict
