#!/bin/bash
# users_test.sh 9P 9PSERVE: other users: one who mounts, and those who use what root has mounted.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a
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
    [ -n "$(find "$dir/export/folder" -name 'race*' -user $what -print -quit)" ] || not_so "races: none was made by $what"
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

verdict
