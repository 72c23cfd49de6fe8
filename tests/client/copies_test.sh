#!/bin/bash
# copies_test.sh 9P 9PSERVE: what is easy to get wrong in copies: what must not be copied, removed, taken
# for something else, or believed. Ends with 77, and says why, where it can't be tried.
set -u
p=$(realpath "$1") server=$(realpath "$2")
[ "$(id -u)" = 0 ] || { echo 'skipped: needs root: it mounts, and writes as somebody else'; exit 77; }
[ -n "${NINEP_OWN_MOUNTS:-}" ] || NINEP_OWN_MOUNTS=yes exec unshare -m --propagation private "$0" "$@"
dir=$(mktemp -d) || exit 1
chmod 755 "$dir"
pid=
ro=
told=
trap 'kill -9 $pid $ro $told 2>/dev/null; umount -l "$dir"/t/* 2>/dev/null; rm -rf --one-file-system "$dir"' EXIT
. "$(dirname "$0")/lib.sh"
at=unix:$dir/s export=$dir/export
start() {
    "$server" --listen "$at" --listen "unix:$dir/nobody,mode=666" "$export" >>"$dir/log" 2>&1 &
    pid=$!
    until "$p" --wait 0 ls "$at" >/dev/null 2>&1; do
        kill -0 $pid || { cat "$dir/log"; exit 1; }
        sleep 0.05
    done
}
mkdir "$export" "$dir/t"
cd "$dir/t" || exit 1
start
"$server" --ro --listen "unix:$dir/ro" "$export" >>"$dir/log" 2>&1 &
ro=$!

# ---------------------------------------------------------------- a dry run changes nothing
mkdir -p from/d/e from/new/f to/keep/deep to/d
echo 1 >from/d/e/f
echo 1 >from/new/f/g
echo 1 >to/keep/deep/precious
echo 1 >to/precious
cp -a to "$export/to"
for target in to "$at:/to"; do
    check 'a dry run' "$p" sync --dry-run --delete from "$target"
    for word in d/e/f new/f/g 'removed: .*precious' 'removed: .*keep'; do
        grep -q "$word" "$dir/said" || not_so "a dry run doesn't say $word: $(said)"
    done
done
for folder in to "$export/to"; do
    is=$(cd $folder && find . | sort | tr '\n' ' ')
    [ "$is" = '. ./d ./keep ./keep/deep ./keep/deep/precious ./precious ' ] || not_so "a dry run left: $is"
done
says d/e/f "$p" sync -n from "$at:/none"
says keep/deep/precious "$p" get -rn "$at:/to" none
[ ! -e none ] && [ ! -e "$export/none" ] || not_so 'a dry run made something'
check 'and now it does' "$p" sync --delete from "$at:/to"
check 'and now it does' diff -r from "$export/to"

# It counts what the real one counts.
counts() { "$p" --json "$@" 2>/dev/null | sed 's/.*"files":\([0-9]*\),.*"unchanged":\([0-9]*\).*/\1, \2 of them unchanged/'; }
mkdir -p count/d
for name in same mode attribute content d/f; do echo 1 >count/$name; done
ln count/same count/link
ln -s same count/symlink
for target in counted "$at:/counted"; do
    check sync "$p" sync count $target
done
chmod 600 count/mode
setfattr -n user.a -v b count/attribute
echo 22 >count/content
mkdir -p count/new/deeper count/empty
touch count/new/f count/new/deeper/f
for target in counted "$at:/counted"; do
    would=$(counts sync -n count $target)
    does=$(counts sync count $target)
    [ "$does" = '9, 6 of them unchanged' ] || not_so "sync counts $does"
    [ "$would" = "$does" ] || not_so "a dry run counts $would, the real one $does"
done

# ---------------------------------------------------------------- hard links, and what only looks alike
mkdir one two
mount -t tmpfs one one
mount -t tmpfs two two
for fs in one two; do
    mkdir $fs/d
    echo "of $fs" >$fs/d/f
    ln $fs/d/f $fs/d/g
done
[ "$(stat -c %i one/d/f)" = "$(stat -c %i two/d/f)" ] || not_so 'the numbers differ: nothing is tried'
mkdir both
mount --rbind . both
check 'files of one number' "$p" put -r both/one both/two "$at:/"
for fs in one two; do
    for name in f g; do
        [ "$(cat "$export/$fs/d/$name")" = "of $fs" ] || not_so "$fs/d/$name is $(cat "$export/$fs/d/$name")"
    done
done
umount -R both
rmdir both
mkdir hl
echo text >hl/a
ln hl/a hl/b
check 'sync' "$p" sync hl "$at:/hl"
ln hl/a hl/c
check 'a new link' "$p" sync hl "$at:/hl"
rm "$export/hl/b"
cp -p "$export/hl/a" "$export/hl/b"
check 'a link that has become a file' "$p" sync hl "$at:/hl"
[ "$(stat -c %h "$export/hl/a")" = 3 ] || not_so "sync leaves $(stat -c %h "$export/hl/a") links"

# A link that the source hasn't any more is none there.
rm -f hl/b hl/c
cp -p hl/a hl/b
cp -p hl/a hl/c
chmod 600 hl/b
for again in 1 2; do
    check "links that are no more, $again" "$p" sync hl "$at:/hl"
    same "links that are no more, $again" hl "$export/hl"
done

# ---------------------------------------------------------------- into itself
mkdir -p "$export/self/x"
echo 1 >"$export/self/x/f"
says 'copied into itself' "$p" cp -r "$at:/self" "$at:/self"
says 'copied into itself' "$p" sync "$at:/self" "$at:/self/x"
[ "$(find "$export/self" | wc -l)" -lt 20 ] || not_so 'it was copied into itself, again and again'

# By another of its server's addresses.
mkdir -p "$export/two/a/b"
echo 1 >"$export/two/a/f"
says 'copied into itself' "$p" cp -r "$at:/two" "unix:$dir/nobody:/two/a"
[ "$(find "$export/two" | wc -l)" -lt 20 ] || not_so 'by two addresses it was copied into itself, again and again'
says 'to itself' "$p" cp "$at:/two/a/f" "$at:/two/a/f"

# ---------------------------------------------------------------- what --delete must leave: the source
for by in "$at" "unix:$dir/nobody"; do
    mkdir -p "$export/del/sub" nested/nested
    echo precious >"$export/del/sub/f"
    chmod 777 "$export/del"
    echo precious >nested/nested/f
    echo file >nested/nested/nested
    status 1 "$p" sync --delete "$at:/del/sub" "$by:/del"
    grep -q 'what is being copied' "$dir/said" || not_so "$by: of its own source it says $(said)"
    [ "$(cat "$export/del/sub/f")" = precious ] || not_so "$by: --delete removed its own source"
    status 1 "$p" sync --delete nested/nested nested
    [ "$(cat nested/nested/f)" = precious ] || not_so 'what made way was the source'
    rm -rf "$export/del" nested
done

# Nor by another name of the source: foo/foo/foo would become foo/foo, of which nothing else stays.
for by in '' "$at" "unix:$dir/nobody"; do
    if [ -n "$by" ]; then folder=$export/same from=$at:/same/same target=$by:/same; else folder=same from=same/same target=same; fi
    mkdir -p $folder/same/same
    echo precious | tee $folder/same/f >$folder/same/same/g
    chmod 500 $folder/same
    was=$(facts $folder/same)
    for option in --dry-run --verbose; do
        status 1 "$p" sync --delete $option $from $target
        grep -q 'what is being copied' "$dir/said" || not_so "${by:-here}: of its own source it says $(said)"
        [ "$(facts $folder/same)" = "$was" ] || not_so "${by:-here}: the source became $(facts $folder/same)"
        [ "$(stat -c %a $folder/same)" = 500 ] || not_so "${by:-here}: the source became $(stat -c %a $folder/same)"
    done
    # Deeper, and without --delete.
    rm -rf $folder/same
    mkdir -p $folder/a/same/a/same
    echo precious | tee $folder/a/same/f >$folder/a/same/a/same/g
    was=$(cd $folder/a/same && find . | sort)
    for option in --delete --verbose; do
        status 1 "$p" sync $option ${from%/same}/a/same $target
        grep -q 'what is being copied' "$dir/said" || not_so "${by:-here}: of its own source it says $(said)"
        [ "$(cd $folder/a/same && find . | sort)" = "$was" ] || not_so "${by:-here}: the source has changed"
    done
    rm -rf $folder
done
# A tree that only looks like that.
mkdir -p like/like/like "$export/like/like"
echo 1 >like/like/like/f
check 'names that are the same' "$p" put -r like/like "$at:/like"
check 'names that are the same' "$p" get -r "$at:/like/like/like" like
[ -e "$export/like/like/like/f" ] && [ -e like/like/f ] || not_so 'names that are the same'

# ---------------------------------------------------------------- several of one name
mkdir -p names/a names/b names/out
echo a >names/a/n
echo b >names/b/n
says 'another of that name' "$p" cp names/a/n names/b/n names/out
[ "$(cat names/out/n)" = a ] || not_so 'of two files of one name the last is there'
status 1 "$p" put names/a/n "$at:/nosuch/"
status 1 "$p" get "$at:/two/a/f" nosuch/
[ ! -e "$export/nosuch" ] && [ ! -e nosuch ] || not_so 'a directory that is not there became a file'
status 1 "$p" mv "$at:/two/a/f" "$at:/two/nosuch/"
status 1 "$p" touch "$at:/two/nosuch/"
[ -e "$export/two/a/f" ] && [ ! -e "$export/two/nosuch" ] || not_so 'a directory that is not there became a file'

# ---------------------------------------------------------------- the directory itself
mkdir -m 2710 top
echo 1 >top/f
setfattr -n user.a -v b top
touch -d @1000000000 top
check 'sync of a directory itself' "$p" sync top "$at:/top"
check 'get of the root itself' "$p" get -r "$at:/top/." got-top
for folder in "$export/top" got-top; do
    [ "$(stat -c '%a %Y' $folder)" = '2710 1000000000' ] || not_so "$folder is $(stat -c '%a %Y' $folder)"
    [ "$(getfattr --only-values -n user.a --absolute-names $folder)" = b ] || not_so "$folder has no attribute"
done
mkdir -m 755 stays
check 'get into what is there' "$p" get -r "$at:/top/." stays
[ "$(stat -c %a stays)" = 755 ] || not_so "get made the directory that it copied to $(stat -c %a stays)"
chmod 00700 top
check 'sync of a directory itself' "$p" sync top "$at:/top"
[ "$(stat -c %a "$export/top")" = 700 ] || not_so 'sync of a directory itself'
mkdir -m 1777 "$export/others"
check 'sync to what is somebody else'"'"'s' setpriv --reuid=65534 --clear-groups "$p" sync names/a "unix:$dir/nobody:/others"
says 'Not a directory' "$p" sync -n top "$at:/two/a/f"
says 'No such file' "$p" sync -n top "$at:/nosuch/deeper"
status 1 "$p" sync -n top "unix:$dir/nothing:/x"

# ---------------------------------------------------------------- directories that nobody writes in
mkdir -p closed/d
head -c 3000000 /dev/urandom >closed/d/a
chown -R 65534 closed
chmod 555 closed/d
chmod 755 closed
mkdir -m 777 "$export/w" w
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
check 'a directory that nobody writes in' as_nobody "$p" put -r closed "unix:$dir/nobody:/w"
check 'the same, to this host' as_nobody "$p" get -r "unix:$dir/nobody:/w/closed" w
chmod 755 closed/d "$export/w/closed/d"
as_nobody cp closed/d/a closed/d/b
as_nobody cp closed/d/a "$export/w/closed/d/b"
chmod 555 closed/d "$export/w/closed/d"
check 'and one more in it' as_nobody "$p" sync closed "unix:$dir/nobody:/w/closed"
check 'the same, to this host' as_nobody "$p" sync "unix:$dir/nobody:/w/closed" w/closed
same 'directories that nobody writes in' closed "$export/w/closed"
same 'the same, to this host' closed w/closed
# ---------------------------------------------------------------- attributes that aren't to be had, or not any more
mkdir ram acl
mount -t ramfs ram ram
echo 1 >acl/f
ln acl/f acl/g
setfattr -n user.a -v b acl/f
status 1 "$p" get -r "$at:/none" ram
check put "$p" sync acl "$at:/acl"
says 'set user.a of' "$p" get -r "$at:/acl" ram
[ "$(cat ram/acl/f)" = 1 ] && [ "$(stat -c %h ram/acl/f)" = 2 ] || not_so 'a file is not there for one of its attributes'
# What the source can't have is not what it hasn't got.
mkdir ram/x
echo 1 >ram/x/f
check sync "$p" sync ram/x "$at:/ramx"
setfattr -n user.keep -v b "$export/ramx/f"
chmod 600 ram/x/f
check sync "$p" sync ram/x "$at:/ramx"
[ "$(stat -c %a "$export/ramx/f")" = 600 ] || not_so 'sync from who has no attributes'
[ "$(getfattr --only-values -n user.keep --absolute-names "$export/ramx/f")" = b ] ||
    not_so 'sync from who can have no attributes took some off'
umount ram
if setfacl -m u:65534:rwx acl/f 2>/dev/null && setfacl -d -m u:65534:rwx "$export/acl"; then
    check 'an access list' "$p" sync acl "$at:/acl"
    getfacl -c "$export/acl/f" | grep -q nobody || not_so 'an access list did not come along'
    setfacl -b acl/f
    setfacl -d -m u:65534:rwx "$export/acl"
    cp acl/f acl/h
    mkdir acl/d
    check 'an access list that is no more' "$p" sync acl "$at:/acl"
    setfacl -d -m u:65534:rwx acl
    check 'the same, to this host' "$p" sync "$at:/acl" acl2
    mkdir acl3
    setfacl -d -m u:65534:rwx acl3
    check 'a list that a directory hands on' "$p" get -r "$at:/acl/h" acl3
    for file in "$export/acl/f" "$export/acl/h" "$export/acl/d" acl2/f acl3/h; do
        getfacl -cp "$file" | grep -q nobody && not_so "$file: whom the source doesn't let in is let in"
    done
else
    echo 'SKIP copies: access control lists (the file system has none)'
fi

# ---------------------------------------------------------------- what is there goes when what comes is there
mkdir dv
mknod dv/null c 1 3
ln -s nowhere dv/l
mkdir -m 777 dv2
echo precious >dv2/null
chown -R 65534 dv2
check put "$p" put -r --owner dv "$at:/"
status 1 as_nobody "$p" cp --owner "unix:$dir/nobody:/dv/null" dv2/null
[ "$(cat dv2/null)" = precious ] || not_so 'a file went for a device that may not be made'
# Nor is a device or a pipe replaced by a file, but where all becomes like the source.
mkdir special
mknod special/null c 1 3
mkfifo special/pipe
check put "$p" put -r --owner special dv2/null "$at:/"
mv "$export/null" "$export/plain"
for name in null pipe; do
    says 'which stays' "$p" get "$at:/plain" "special/$name"
    says 'which stays' "$p" put dv2/null "$at:/special/$name"
    says 'which stays' "$p" cp "$at:/plain" "$at:/special/$name"
    says 'which stays' "$p" get --dry-run "$at:/plain" "special/$name"
    mkdir -p alike/special "$export/alike"
    cp dv2/null "alike/special/$name"
done
check put "$p" put -r alike/special "$at:/alike"
# A link that is said leads who knows where.
ln -s special/null leads
ln -s pipe special/leads
check 'put a link' "$p" put special/leads "$at:/special/"
says 'say what it leads to' "$p" get "$at:/plain" leads
says 'say what it leads to' "$p" cp "$at:/plain" "$at:/special/leads"
says 'say what it leads to' "$p" cp -u "$at:/plain" leads
[ -L leads ] && [ -L "$export/special/leads" ] || not_so 'a file went where a link was'
rm special/leads "$export/special/leads"
says 'which stays' "$p" get -r "$at:/alike/special" .
says 'which stays' "$p" sync "$at:/alike/special" special
[ -c special/null ] && [ -p special/pipe ] || not_so 'a file went where a device or a pipe was'
[ -c "$export/special/null" ] && [ -p "$export/special/pipe" ] || not_so 'the same, on a server'
check 'the same device, and the same pipe' "$p" get -r --owner "$at:/special" .
check 'all like the source' "$p" sync --delete "$at:/alike/special" special
check 'all like the source' diff -r alike/special special
# What an attempt to link has left is in nobody's way.
mkdir links
echo 1 >links/a
check sync "$p" sync links "$at:/links"
ln links/a links/b
echo 2 >"$export/links/b"
check 'a link in the place of a file' "$p" sync links "$at:/links"
[ "$(stat -c %h "$export/links/a")" = 2 ] || not_so 'a link in the place of a file'
[ "$(ls -A "$export/links" | wc -l)" = 2 ] || not_so "links leave $(ls -A "$export/links")"

# ---------------------------------------------------------------- what has changed but for its content
mkdir -p c/d
echo text >c/f
check sync "$p" sync c "$at:/c"
chmod 600 c/f
setfattr -n user.a -v b c/f
check 'sync of permissions' "$p" sync c "$at:/c"
same 'sync of permissions' c "$export/c"
[ "$(getfattr --only-values -n user.a --absolute-names "$export/c/f")" = b ] || not_so 'sync of attributes'
# Permission to write comes before what is written.
chmod 400 c/f
check sync "$p" sync c "$at:/c"
chown 65534 c c/f "$export/c" "$export/c/f" "$export/c/d"
for mode in 600 400; do
    chmod $mode c/f
    setfattr -n user.a -v $mode c/f
    check 'sync by who could not write' setpriv --reuid=65534 --clear-groups "$p" sync c "unix:$dir/nobody:/c"
    same 'sync by who could not write' c "$export/c"
    chmod 400 "$export/c/f"
done
ln -s one c/l
touch -h -d @1000000000 c/l
check sync "$p" sync c "$at:/c"
ln -sf two c/l
touch -h -d @1000000000 c/l
check 'sync of a link' "$p" sync c "$at:/c"
[ "$(readlink "$export/c/l")" = two ] || not_so 'sync of a link'
# What is alike needs no permission.
check 'sync to who takes nothing' "$p" sync c "unix:$dir/ro:/c"
# What comes may not be to be had: what is there stays.
mkdir c/x
mknod c/x/dev c 1 3
mkdir -p "$export/c/x/dev/data"
status 1 "$p" sync --delete c "$at:/c"
[ -d "$export/c/x/dev/data" ] || not_so 'what is there went for what never came'
# Nothing is left of what may not have its name.
rm -r c/x "$export/c/x"
mkdir "$export/c/x"
head -c 3000000 /dev/urandom >c/x
status 1 "$p" sync c "$at:/c"
[ -z "$(find "$export/c" -name '*.9p-part')" ] || not_so "there stays $(find "$export/c" -name '*.9p-part')"
# What is of another kind makes way where it may.
rm -r c
mkdir -p c/f c/g
touch c/d c/f/x c/g/y
echo 1 >"$export/c/g"
status 1 "$p" sync c "$at:/c"
check 'sync of another kind' "$p" sync --delete c "$at:/c"
same 'sync of another kind' c "$export/c"

# ---------------------------------------------------------------- what others have put in the way
head -c 100M /dev/urandom >secret
cp -p secret "$export/secret"
mkdir -m 1777 in "$export/in"
for where in local remote; do
    if [ $where = local ]; then folder=in target=in from=$at:/secret; else folder=$export/in target=$at:/in from=secret; fi
    # The part's name, by an attempt that breaks off.
    "$p" cp "$from" "$target/secret" >/dev/null 2>&1 &
    until name=$(ls -A "$folder" | grep '^\.secret\..*\.9p-part$'); do kill -0 $! 2>/dev/null || break; done
    kill -9 $!
    wait $! 2>/dev/null
    [ -n "$name" ] || not_so "$where: there was no part"
    rm -f "$folder"/{,.}secret*
    for kind in file link; do
        case $kind in
            file) setpriv --reuid=1000 --clear-groups sh -c "umask 0; yes EVIL | head -c 104857600 >'$folder/$name'" ;;
            link) ln -s /etc/passwd "$folder/$name" ;;
        esac
        check "$where: a part that is another's ($kind)" "$p" cp "$from" "$target/secret"
        cmp "$folder/secret" secret || not_so "$where: the content is another's ($kind)"
        [ "$(stat -c %u "$folder/secret")" = 0 ] || not_so "$where: the file is another's ($kind)"
        rm -f "$folder/$name" "$folder/secret"
    done
done

# ---------------------------------------------------------------- files that aren't what they were
check 'a file without a size' "$p" put /proc/version "$at:/version"
cmp /proc/version "$export/version" || not_so 'a file without a size'
check 'a file that says too much' "$p" put /sys/kernel/mm/transparent_hugepage/enabled "$at:/enabled"
cmp /sys/kernel/mm/transparent_hugepage/enabled "$export/enabled" || not_so 'a file that says too much'
head -c 400M /dev/urandom >shrinks
"$p" put shrinks "$at:/shrinks" >"$dir/said" 2>&1 &
until [ -n "$(find "$export" -name '.shrinks.*' -size +20M)" ]; do kill -0 $! || break; done
: >shrinks
wait $! && not_so 'a file that shrank was copied as if it were whole'
grep -q 'copy shrinks.*became shorter' "$dir/said" || not_so "a file that shrank: $(said)"
rm -f "$export"/.shrinks.*
# Without room: said, and what there is no room for doesn't stay.
mkdir small many
mount -t tmpfs -o size=10M small small
head -c 20M /dev/urandom >many/large
cp many/large "$export/large"
mkdir "$export/small"
mount -t tmpfs -o size=10M small "$export/small" || not_so 'no tmpfs'
kill -9 $pid
wait $pid 2>/dev/null
start
says 'No space left' "$p" put many/large "$at:/small"
says 'No space left' "$p" cp "$at:/large" small
for folder in small "$export/small"; do
    [ -z "$(ls -A $folder)" ] || not_so "without room, there stays $(ls -A $folder)"
done
umount "$export/small"

# ---------------------------------------------------------------- the lock of a server that was there
"$p" lock "$at:/c/d" -- sleep 4 >"$dir/lock" 2>&1 &
locking=$!
until [ "$("$p" --json lock "$at:/c/d" | grep -c '"free":false')" = 1 ]; do sleep 0.05; done
kill -9 $pid
wait $pid 2>/dev/null
start
wait $locking && not_so 'a lock that was lost for a while is nothing to tell of'
grep -q 'lock' "$dir/lock" || not_so "of the lock that was lost it says $(cat "$dir/lock")"

# The command ends while the server is away.
"$p" --wait 86400 lock "$at:/c/d" -- sleep 3 >"$dir/lock" 2>&1 &
locking=$!
until [ "$("$p" --json lock "$at:/c/d" | grep -c '"free":false')" = 1 ]; do sleep 0.05; done
kill -9 $pid
wait $pid 2>/dev/null
sleep 4
start
wait $locking && not_so 'a lock that was lost until the end is nothing to tell of'
says free "$p" lock "$at:/c/d"
says free "$p" lock "unix:$dir/ro:/c/d"

# ---------------------------------------------------------------- links that lead out, and a "/" behind them
mkdir -p slash/real "$export/slash/real" "$export/slash/to"
echo 1 >slash/f
echo 1 >slash/real/g
ln slash/real/g slash/real/h
ln -s real slash/link
cp -a slash/. "$export/slash"
ln -s /somewhere/else "$export/slash/out"
for command in "put slash/f" "cp $at:/slash/f" "mv $at:/slash/f" "sync slash/real" "ln $at:/slash/f" "touch"; do
    # shellcheck disable=SC2086 # several words
    status 1 "$p" $command "$at:/slash/out"
    grep -q "which is a path of the server's host" "$dir/said" || not_so "$command says $(said)"
    [ "$(readlink "$export/slash/out")" = /somewhere/else ] && [ -e "$export/slash/f" ] || not_so "$command has changed a link"
done
status 1 "$p" rm -f "$at:/slash/out/f"
mkdir slash/to
for from in slash "$at:/slash"; do
    [ $from = slash ] && target=$at:/slash/to is=$export/slash/to || target=slash/to is=slash/to
    check 'a link is a link' "$p" cp -r "$from/link" $target
    [ -L $is/link ] || not_so "$from/link is no link"
    rm $is/link
    check 'what a link leads to' "$p" cp -r "$from/link/" $target
    [ ! -L $is/link ] && [ "$(stat -c %h $is/link/g)" = 2 ] || not_so "$from/link/ is no directory"
    check 'what a link leads to, by a new name' "$p" cp -r "$from/link/" $target/new
    same 'what a link leads to, by a new name' slash/real $is/new
    says 'say -r' "$p" cp "$from/link/" $target/x
    says 'Not a directory' "$p" cp -r "$from/f/" $target/x
    says 'No such file' "$p" cp -r "$from/nosuch/" $target/x
    [ ! -e $is/x ] || not_so "$from/f/ was copied"
done
for name in f link; do
    says 'Not a directory' "$p" mv "$at:/slash/$name/" "$at:/slash/x"
    [ ! -e "$export/slash/x" ] || not_so "what is no directory was moved as one: $name"
done
for command in cat chmod\ 600 touch stat ls; do
    # shellcheck disable=SC2086 # several words
    says 'Not a directory' "$p" $command "$at:/slash/f/"
done

# ---------------------------------------------------------------- what can't be removed keeps nothing else
mkdir -p "$export/keep/big/a" "$export/keep/big/z"
(cd "$export/keep/big" && seq -f 'removable-%g' 2000 | xargs touch a/x z/y)
chown 65534 "$export/keep" "$export/keep/big" "$export/keep/big/z"
chmod 755 "$export/keep/big/a"
for again in 1 2; do
    status 1 as_nobody "$p" --msize 4096 rm -r "unix:$dir/nobody:/keep/big"
    is=$(cd "$export/keep" && find . | sort | tr '\n' ' ')
    [ "$is" = '. ./big ./big/a ./big/a/x ' ] || not_so "rm -r, $again, leaves $(find "$export/keep" | wc -l): ${is:0:200}"
    [ "$(wc -l <"$dir/said")" = 3 ] || not_so "rm -r tells not once of each: $(said)"
done

# ---------------------------------------------------------------- what goes, and what comes for it
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir -p whole/from whole/to/x "$export/whole/x"
echo new >whole/from/x
echo precious | tee whole/to/x/data >"$export/whole/x/data"
chown -R 65534 whole/to "$export/whole"
for target in whole/to "unix:$dir/nobody:/whole"; do
    # The owner that it would have can't be given to it.
    status 1 "${nobody[@]}" "$p" sync --delete --owner whole/from "$target"
done
for folder in whole/to "$export/whole"; do
    [ "$(cat $folder/x/data 2>&1)" = precious ] || not_so "what was there has gone for what didn't come: $folder"
    [ "$(ls -A $folder)" = x ] || not_so "what didn't come stays: $(ls -A $folder)"
done
mkdir -p "$export/shut" shut
mkdir -m 700 "$export/shut/x"
echo precious >shut/x
chown -R 65534 shut
status 1 "${nobody[@]}" "$p" sync --delete "unix:$dir/nobody:/shut" shut
[ "$(cat shut/x 2>&1)" = precious ] || not_so 'what was there has gone for a directory that nobody lists'
chmod 755 "$export/shut/x"
echo 1 >"$export/shut/x/f"
check 'a directory for a file' "${nobody[@]}" "$p" sync --delete "unix:$dir/nobody:/shut" shut
[ "$(cd shut && find . | sort | tr '\n' ' ')" = '. ./x ./x/f ' ] || not_so "a directory for a file: $(find shut)"
check 'a file for a directory' "$p" sync --delete whole/from "$at:/whole"
[ "$(cat "$export/whole/x")" = new ] || not_so 'a file for a directory'

# What can't be removed: nothing of what came for it gathers there.
mkdir -p stuck/from stuck/to/x/d
touch stuck/to/x/d/f
chown 65534 stuck/to
for i in 1 2 3; do
    echo "$i" >stuck/from/x
    status 1 "${nobody[@]}" "$p" sync --delete stuck/from stuck/to
done
[ "$(ls -A stuck/to)" = x ] || not_so "what came for what stays: $(ls -A stuck/to)"

# A dry run says what the real one will.
mkdir -p kind/from/d kind/to/f
touch kind/from/d/x kind/from/f kind/to/d
status 1 "$p" sync -n kind/from kind/to
says 'File exists' "$p" sync -n kind/from kind/to
says 'Is a directory' "$p" sync -n kind/from kind/to
status 1 "$p" sync kind/from kind/to

# Pipes and devices get no more rights than they had.
mkdir -p "$export/lists" lists pipes
mkfifo -m 660 pipes/p
setfacl -d -m u:65534:rwx "$export/lists"
setfacl -d -m u:65534:rwx lists
check 'a pipe' "$p" put -r pipes "$at:/lists"
check 'a pipe' "$p" get -r "$at:/lists/pipes" lists
for folder in "$export/lists" lists; do
    [ "$(getfacl -cp $folder/pipes/p | grep -c nobody)" = 0 ] || not_so "a pipe has a list: $folder"
    [ "$(stat -c %a $folder/pipes/p)" = 660 ] || not_so "a pipe's mode: $folder"
done

# Nobody has more rights for a moment than before or afterwards. asks WANTED COMMAND...: what it asks
# of a server that has to do with rights, in turn.
"$server" --trace --listen "unix:$dir/told" "$export" >>"$dir/told.log" 2>&1 &
told=$!
until "$p" --wait 0 ls "unix:$dir/told" >/dev/null 2>&1; do kill -0 $told || exit 1; done
asks() {
    local wanted=$1 is='' line valid
    shift
    : >"$dir/told.log"
    check "what asks for $wanted" "$@"
    while read -r line; do
        if [[ $line =~ Tsetattr.*valid\ (0x[0-9a-f]+)\ mode\ ([0-7]+) ]]; then
            valid=$((BASH_REMATCH[1]))
            [ $((valid & 3)) = 0 ] || is+=' '
            [ $((valid & 1)) = 0 ] || is+=mode:${BASH_REMATCH[2]}
            [ $((valid & 2)) = 0 ] || is+=owner
        elif [[ $line =~ Txattrcreate.*posix_acl_access.*attr_size\ ([0-9]+) ]]; then
            [ "${BASH_REMATCH[1]}" = 0 ] && is+=' no-list' || is+=' list'
        elif [[ $line =~ Tmknod.*mode\ ([0-7]+) ]]; then
            is+=" mknod:${BASH_REMATCH[1]}"
        fi
    done <"$dir/told.log"
    [ "${is# }" = "$wanted" ] || not_so "$* asks for ${is# }, not for $wanted"
    check 'the same, on this host' "${@:1:$#-1}" rights2
    for folder in "$export/rights" rights2; do
        check "rights of $folder" diff <(cd rights && getfacl -Rn . && stat -c '%n %a' ./*) \
            <(cd $folder && getfacl -Rn . && stat -c '%n %a' ./*)
    done
}
mkdir -m 755 rights rights2
if setfacl -m u:65534:rwx rights2 2>/dev/null; then
    setfacl -b rights2
    echo 1 >rights/f
    chmod 640 rights/f
    mkdir -m 750 rights/d
    there=unix:$dir/told:/rights
    check sync "$p" sync rights "$there"
    check sync "$p" sync rights rights2
    # What a list lets in at most is what the group may when the list has gone.
    lists() { for folder in "$export/rights" rights2; do setfacl -m u:65534:rwx "$folder/$1"; done; }
    lists f
    asks 'mode:0640 no-list mode:0640' "$p" sync rights "$there"
    lists d
    asks 'mode:0750 no-list mode:0750' "$p" sync rights "$there"
    chown 1000:100 rights/f
    chmod 600 rights/f
    asks 'mode:0600 owner mode:0600' "$p" sync --owner rights "$there"
    chown 1000:100 rights/d
    chmod 700 rights/d
    asks 'mode:0700 mode:0700owner' "$p" sync --owner rights "$there"
    # No more than that is asked for.
    chmod 644 rights/f
    asks 'mode:0644' "$p" sync --owner rights "$there"
    chown 1001 rights/f
    asks 'owner mode:0644' "$p" sync --owner rights "$there"
    chmod 1777 rights/d
    asks 'mode:01777owner' "$p" sync --owner rights "$there"
    chown 1001 rights/d
    asks 'mode:01777owner' "$p" sync --owner rights "$there"
    # A list is for its file's owner's group.
    chown 1002 rights/d
    setfacl -m u:65534:r-x rights/d
    asks 'owner list mode:01777owner' "$p" sync --owner rights "$there"
    mknod -m 660 rights/n c 1 3
    chown 1000:100 rights/n
    setfacl -m u:65534:r rights/n
    asks 'mknod:020600 owner list mode:0660owner mode:0755owner' "$p" sync --owner rights "$there"
else
    echo 'SKIP rights (the file system has no access control lists)'
fi

# A link of a server's doesn't become what the target is called: the next copy would follow it.
mkdir outside
ln -s "$PWD/outside" "$export/photos"
status 1 "$p" get -r "$at:/photos" "$PWD/photos"
status 1 "$p" get -rn "$at:/photos" "$PWD/photos"
rm "$export/photos"
echo evil >"$export/photos"
check 'and once more' "$p" get -r "$at:/photos" "$PWD/photos"
[ -z "$(ls -A outside)" ] && [ ! -L photos ] || not_so 'a server chose where its file is'

# Times that differ by less than a second.
mkdir seconds
echo aaa >seconds/f
touch -d '2020-01-01 00:00:00' seconds/f
check 'whole seconds' "$p" sync seconds "$at:/seconds"
echo bbb >seconds/f
touch -d '2020-01-01 00:00:00.7' seconds/f
check 'and some more' "$p" sync seconds "$at:/seconds"
[ "$(cat "$export/seconds/f")" = bbb ] || not_so 'a second that is not whole'

# ---------------------------------------------------------------- a file system that tells no types
mkdir untyped nothing
truncate -s 20M untyped.img
if mkfs.ext4 -q -O ^filetype untyped.img && mount -o loop untyped.img untyped; then
    mkdir untyped/from
    (cd untyped/from && for i in $(seq 300); do mkdir d"$i" && echo "$i" >d"$i"/f; done)
    # Of directories so many are open at once as may be.
    (
        ulimit -n 200
        check 'many directories' "$p" put -r untyped/from "$at:/untyped"
        exit $failed
    ) || failed=1
    same 'many directories' untyped/from "$export/untyped"
    check 'many directories go' "$p" sync --delete nothing untyped
    [ -z "$(ls -A untyped)" ] || not_so 'many directories go'
    umount untyped
else
    echo 'SKIP a file system that tells no types (it would be mounted)'
fi

# ---------------------------------------------------------------- odds and ends
check 'mkdir -p of the root' "$p" mkdir -p "$at:/"
check 'mkdir -p of what is there' "$p" mkdir -p "$at:/c/f"
status 1 "$p" mkdir -p "$at:/c/d"
check 'mkdir -p with names that are none' "$p" mkdir -p -m 700 "$at:/c/./k/../k2/" "$at:/c/k3/."
[ "$(stat -c %a "$export/c/k2")" = 700 ] && [ -d "$export/c/k3" ] || not_so 'mkdir -p with names that are none'
status 2 "$p" mkdir -m 4755 "$at:/c/k4"
check 'rm -f of what was never there' "$p" rm -f "$at:/nosuch/x" "$at:/c/d/x"
status 1 "$p" rm -r "$at:/c/k3/."
[ -d "$export/c/k3" ] || not_so 'rm -r of "." removed the directory'
ln -s k3 "$export/c/to-k3"
status 1 "$p" rm "$at:/c/to-k3/"
[ -L "$export/c/to-k3" ] || not_so 'rm of a directory removed a link'
for time in 1700000000.123456789 -1.5 -2 0; do
    check "touch -t $time" "$p" touch -t "$time" "$at:/c/k3"
    [ "$(date -d "@$time" +%s.%N)" = "$(date -d "$(stat -c %y "$export/c/k3")" +%s.%N)" ] ||
        not_so "touch -t $time makes $(stat -c %.9Y "$export/c/k3")"
done
for time in nan 1e30 1. x ''; do status 2 "$p" touch "--time=$time" "$at:/c/k3"; done
touch -d 1960-01-01 "$export/old"
says '"mtime":-31' "$p" --json stat "$at:/old"
touch own/.x.9p-part 2>/dev/null || { mkdir own; touch own/.x.9p-part; }
check 'a name that only looks like a part' "$p" put -r own "$at:/"
[ -e "$export/own/.x.9p-part" ] || not_so 'a name that only looks like a part'

[ $failed = 0 ] && echo "all passed"
exit $failed
