#!/bin/bash
# gone_test.sh 9P 9PSERVE: the server stays away: an error at the end of the wait, and the mount is of
# use when it is back.
. "$(dirname "$0")/lib.sh"

m=$dir/at/a
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

verdict
