#!/bin/bash
# many_test.sh 9P 9PSERVE: more files than a server has descriptors for.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a many=${NINEP_COUNT:-10000}
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
is 'modes' "$(find "$m/tree" -type f -print0 | xargs -0 chmod 600 2>&1 | sort | uniq -c | head -3)" ''
is 'times' "$(find "$m/tree" -type f -print0 | xargs -0 touch -d 2001-01-01 2>&1 | sort | uniq -c | head -3)" ''
echo 2 >/proc/sys/vm/drop_caches
until_so eval '[ "$(descriptors)" -lt $((before + 200)) ]'
check 'files that rested' cat "$m/tree/d10/n000001" "$m/folder/$last"
[ "$seen" -gt $((before + 500)) ] || not_so 'the server could have kept more of them'
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
) || not_so 'what is in use'
unmount a
# Folders with something in them rest too.
kill_server
for i in $(seq 1500); do mkdir -p "$dir/export/folders/$i" && : >"$dir/export/folders/$i/file"; done
(ulimit -n 600; exec "$server" --log-level warn --listen "unix:$dir/s" "$dir/export" >>"$log" 2>&1) &
server_pid=$!
until_so "$p" --wait 0 ls "unix:$dir/s:/"
: >"$dir/said-a"
mounted a -o timeout=60
is 'files, one in each folder' "$(find "$m/folders" -newermt 2000-01-01 -type f 2>&1 | grep -c '/file$')" 1500
is 'each opened' "$(cat "$m"/folders/*/file 2>&1)" ''
unmount a

verdict
