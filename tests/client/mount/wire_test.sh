#!/bin/bash
# wire_test.sh 9P 9PSERVE: what the server is asked, and how much of it at once.
. "$(dirname "$0")/lib.sh"

# So many bytes, or more, wait to be read in a connection of the server's.
waiting_bytes_are() { ss -xH | awk -v least="$1" -v path="$dir/s" '$5 == path && $3 >= least { found = 1 } END { exit !found }'; }

m=$dir/at/a
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
[ "$asked" -ge 200 ] || not_so "attributes that came with 200 names: $asked"
is 'what they all are' "$(stat -c '%s %F' "$m"/many/{100..200} | sort -u)" '4 regular file'
asked=$(($(grep -c Tgetattr "$log") - asked))
[ "$asked" -le 3 ] || not_so "questions for what had come already: $asked"

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

verdict
