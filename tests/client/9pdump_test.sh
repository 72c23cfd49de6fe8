#!/bin/sh
# 9pdump as a program: options and exit status. Usage: 9pdump_test.sh 9PDUMP TREE
dump=$1
tree=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# expect STATUS COMMAND...: runs it with standard input from $work/in
expect() {
  wanted=$1
  shift
  "$@" <"$work/in" >"$work/out" 2>"$work/err"
  status=$?
  [ "$status" = "$wanted" ] && return
  echo "exit $status instead of $wanted: $*"
  cat "$work/out" "$work/err"
  failed=1
}
# shows FILE TEXT: the last command's out or err holds TEXT
shows() {
  grep -qF -e "$2" "$work/$1" && return
  echo "standard $1 lacks: $2"
  cat "$work/$1"
  failed=1
}

: >"$work/in"
expect 0 "$dump"
expect 0 "$dump" --help
shows out 'Examples:'
expect 2 "$dump" --no-such-option
expect 2 "$dump" --raw
expect 2 "$dump" --raw --dialect 9P1999
expect 2 "$dump" --dialect 9P2000
expect 2 "$dump" --msize 100
expect 2 "$dump" --raw --dialect 9P2000 --msize many
expect 2 "$dump" file.txt

# The examples of --help do what they say.
echo 'me client 9P2000.L 13000000180100010000003fff000000000000' >"$work/in"
expect 0 "$dump"
shows out 'me Tgetattr tag 1 fid 1 request_mask 0xff3f'

for golden in "$tree"/tests/golden/9P*.txt; do
  cp "$golden" "$work/in"
  expect 0 "$dump" --verify
  [ "$(wc -l <"$work/out")" = "$(wc -l <"$golden")" ] || { echo "$golden: lines are missing"; failed=1; }
  expect 0 "$dump" --json --verify
done
cp "$tree/tests/golden/quirks.txt" "$work/in"
expect 0 "$dump"
expect 1 "$dump" --verify
shows err 'line 1: type 107 Rerror does not encode back'

printf '\007\000\000\000\171\003\000' >"$work/in"
expect 0 "$dump" --raw --dialect 9P2000.u --json
shows out '{"dialect":"9P2000.u","message":"Rclunk","tag":3,"body":{}}'
printf '\007\000\000' >"$work/in"
expect 1 "$dump" --raw --dialect 9P2000.L
shows err 'offset 0: the stream ends within a frame: 3 of 7 bytes'

: >"$work/in"
expect 0 "$dump" --dictionary
cmp "$work/out" "$tree/fuzz/9p.dict" || failed=1

# What can't be written is not passed over in silence.
for options in --dictionary "--raw --dialect 9P2000.L"; do
  # shellcheck disable=SC2086
  printf '\007\000\000\000\171\003\000' | "$dump" $options >/dev/full 2>"$work/err" && failed=1
  shows err "standard output can't be written"
done

exit $failed
