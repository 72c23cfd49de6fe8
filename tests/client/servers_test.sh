#!/bin/bash
# servers_test.sh 9P 9PSERVE WHAT: the tool against servers of other people's. WHAT: diod, ganesha:
# what the tool can do with that one; chain: copies from 9pserve by way of both, and back.
# Ends with 77, and says why, where a server isn't there.
set -u
p=$1 server=$2 what=$3
case $what in chain) needed="diod ganesha" ;; *) needed=$what ;; esac
declare -A program=([diod]=/usr/sbin/diod [ganesha]=/usr/bin/ganesha.nfsd)
for one in $needed; do
    [ -x "${program[$one]}" ] || { echo "skipped: ${program[$one]} is not installed"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: diod and ganesha have to be root"; exit 77; }
# ganesha listens on all of a host's addresses: it gets a host of its own, and any port.
[ -n "${NINEP_ALONE:-}" ] || NINEP_ALONE=yes exec unshare --net "$0" "$@"
ip link set lo up || exit 1

dir=$(mktemp -d) || exit 1
declare -A pid=()
mounted=
end() {
    [ -z "$mounted" ] || umount -l "$mounted" 2>/dev/null
    [ ${#pid[@]} = 0 ] || kill -9 "${pid[@]}" 2>/dev/null
    wait
    rm -rf --one-file-system "$dir"
}
trap end EXIT
. "$(dirname "$0")/lib.sh"
declare -A folder=() address=()
for one in own diod ganesha; do
    folder[$one]=$dir/$one
    mkdir "${folder[$one]}"
done
# Both know their trees by path; of several they want to be told which.
address=([own]="unix:$dir/own.sock"
         [diod]="unix:$dir/diod.sock,aname=${folder[diod]}"
         [ganesha]="tcp:127.0.0.1:564,aname=${folder[ganesha]}")
cat >"$dir/ganesha.conf" <<EOF
NFS_CORE_PARAM { Protocols = 9P; }
_9P { _9P_TCP_Port = 564; _9P_TCP_Msize = 65536; }
EXPORT {
    Export_Id = 1;
    Path = ${folder[ganesha]};
    Pseudo = ${folder[ganesha]};
    Protocols = 9P;
    Access_Type = RW;
    Squash = No_Root_Squash;
    FSAL { Name = VFS; }
}
EOF
run() {
    case $1 in
        own) exec "$server" --listen "unix:$dir/own.sock" "${folder[own]}" ;;
        diod) exec diod -f -n -L stderr -c /dev/null -e "${folder[diod]}" -l "$dir/diod.sock" ;;
        ganesha) exec ganesha.nfsd -F -f "$dir/ganesha.conf" -L STDERR -p "$dir/ganesha.pid" ;;
    esac
}
start() {
    run "$1" >>"$dir/$1.log" 2>&1 &
    pid[$1]=$!
    for _ in $(seq 400); do
        "$p" --wait 0 ls "${address[$1]}" >/dev/null 2>&1 && return
        kill -0 "${pid[$1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "FAILED: $1 did not start"
    "$p" --wait 0 ls "${address[$1]}"
    tail -n 50 "$dir/$1.log"
    exit 1
}
stop() {
    kill -9 "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null
}
# A server that dies of what the tool does is a fault of the tool's too.
alive() {
    kill -0 "${pid[$what]}" 2>/dev/null && return
    wait "${pid[$what]}"
    not_so "$what ended, with $?"
    tail -n 30 "$dir/$what.log"
    exit 1
}

if [ "$what" = chain ]; then
    make_tree "${folder[own]}/tree"
    for one in own diod ganesha; do start "$one"; done
    check 'to diod' "$p" cp -r "${address[own]}:/tree" "${address[diod]}:/tree"
    same 'to diod' "${folder[own]}/tree" "${folder[diod]}/tree"
    check 'to ganesha' "$p" cp -r "${address[diod]}:/tree" "${address[ganesha]}:/tree"
    same 'to ganesha' "${folder[own]}/tree" "${folder[ganesha]}/tree"
    check 'and back' "$p" cp -r "${address[ganesha]}:/tree" "${address[own]}:/back"
    same 'and back' "${folder[own]}/tree" "${folder[own]}/back"
    [ $failed = 0 ] && echo "all passed"
    exit $failed
fi

at=${address[$what]} export=${folder[$what]}
make_tree "$export/tree"
start "$what"

# ---------------------------------------------------------------- listing
check ls "$p" ls "$at:/tree"
grep -qx d "$dir/said" || not_so "ls: $(said)"
says 'link -> f' "$p" ls -l "$at:/tree"
says '1 directories, 304 files' "$p" tree "$at:/tree/d/e/.."
says hello "$p" cat "$at:/tree/link"
says "which is a path of the server's host" "$p" cat "$at:/tree/absolute"
says '"size":6' "$p" --json ls "$at:/tree/f"
says '0644' "$p" stat "$at:/tree/f"
says 'find none: No such file or directory' "$p" stat "$at:/none"
says 'find tree/f/x: Not a directory' "$p" stat "$at:/tree/f/x"
says 9P2000.L "$p" ping -c 2 -i 0.01 "$at"
# diod 1.0.24 does not survive an answer that nobody takes any more.
for _ in $(seq 40); do check ls "$p" ls "$at:/tree"; done
alive
size=$(df -B1 --output=size "$export" | tail -n 1)
says "${size:?}" "$p" df "$at"
alive

# ---------------------------------------------------------------- copies
for msize in 8192 65536 1048576; do
    check "get, $msize" "$p" --msize $msize get -r "$at:/tree" "$dir/got-$msize"
    same "get, $msize" "$export/tree" "$dir/got-$msize"
    check "put, $msize" "$p" --msize $msize put -r "$dir/got-$msize" "$at:/put-$msize"
    same "put, $msize" "$dir/got-$msize" "$export/put-$msize"
    check "cmp, $msize" cmp "$export/tree/d/big" <("$p" --msize $msize cat "$at:/tree/d/big")
    alive
done
check "cp" "$p" cp -r "$at:/put-8192" "$at:/copy"
same "cp" "$export/put-8192" "$export/copy"
echo more >"$export/tree/new"
echo extra >"$dir/got-8192/extra"
says 'unchanged' "$p" sync "$at:/tree" "$dir/got-8192"
check "sync" "$p" sync --delete "$at:/tree" "$dir/got-8192"
same "sync" "$export/tree" "$dir/got-8192"
rm "$dir/got-8192/new"
check "sync to it" "$p" sync --delete "$dir/got-8192" "$at:/tree"
same "sync to it" "$dir/got-8192" "$export/tree"
alive

# ---------------------------------------------------------------- changes
check mkdir "$p" mkdir -p "$at:/x/y/z"
check mv "$p" mv "$at:/put-8192" "$at:/x/y"
check 'mv, renamed' "$p" mv "$at:/x/y/put-8192" "$at:/x/moved"
same 'mv' "$export/copy" "$export/x/moved"
check ln "$p" ln "$at:/tree/f" "$at:/x/f"
[ "$export/tree/f" -ef "$export/x/f" ] || not_so "ln"
check 'ln -s' "$p" ln -s 'any where' "$at:/x/s"
[ "$(readlink "$export/x/s")" = 'any where' ] || not_so "ln -s"
check 'chmod' "$p" chmod u+x,go-rwx "$at:/x/f"
[ "$(stat -c %a "$export/tree/f")" = 700 ] || not_so "chmod"
check touch "$p" touch "$at:/x/new"
check touch "$p" touch -t 1000000000.25 "$at:/x/new"
[ "$(stat -c %.2Y "$export/x/new")" = 1000000000.25 ] || not_so "touch -t"
says 'say -r' "$p" rm "$at:/x"
alive
check 'xattr, set' "$p" xattr "$at:/tree/f" user.some 'a value'
[ "$(getfattr --absolute-names --only-values -n user.some "$export/tree/f")" = 'a value' ] || not_so "xattr, set"
says 'a value' "$p" xattr "$at:/tree/f" user.some
says 'user.some=a value' "$p" xattr "$at:/tree/f"
check 'xattr, removed' "$p" xattr -d "$at:/tree/f" user.some
says 'No data available' "$p" xattr "$at:/tree/f" user.some
alive
check rm "$p" rm -r "$at:/x" "$at:/copy"
[ ! -e "$export/x" ] && [ ! -e "$export/copy" ] || not_so "rm -r"
says "locked; the server doesn't tell by whom" "$p" lock "$at:/tree/f" -- "$p" lock "$at:/tree/f"
says free "$p" lock "$at:/tree/f"
says 'somebody else has it' "$p" lock "$at:/tree/f" -- "$p" lock -n "$at:/tree/f" true
status 7 "$p" lock "$at:/tree/f" -- sh -c 'exit 7'
alive

# ---------------------------------------------------------------- a server that comes back
head -c 200000000 /dev/urandom >"$export/tree/d/large"
check 'get it whole' "$p" get -r "$at:/tree" "$dir/whole"
for how in get put; do
    cut=0
    case $how in get) to=$dir/again ;; put) to=$export/again ;; esac
    for i in 1 2 3; do
        # By the server, which keeps what it has seen in mind.
        "$p" rm -rf "$at:/again"
        rm -rf "$dir/again"
        case $how in
            get) "$p" get -r "$at:/tree" "$to" ;;
            put) "$p" put -r "$dir/whole" "$at:/again" ;;
        esac >"$dir/copied" 2>&1 &
        copy=$!
        while kill -0 $copy 2>/dev/null; do
            part=$(ls "$to"/d/.large.*.9p-part 2>/dev/null) && [ -n "$part" ] &&
                [ "$(stat -c %s "$part" 2>/dev/null || echo 0)" -gt $((i * 40000000)) ] && break
            sleep 0.01
        done
        stop "$what"
        if kill -0 $copy 2>/dev/null; then cut=$((cut + 1)); fi
        start "$what"
        wait $copy || { not_so "$how through a restart"; cat "$dir/copied"; }
        same "$how through a restart" "$export/tree" "$to"
    done
    [ $cut -gt 0 ] || not_so "$how: each copy was over before the server was killed"
    echo "$cut of 3 copies ($how) were cut"
done

# ---------------------------------------------------------------- a mount
mount_it() {
    mkdir -p "$dir/mount"
    check mount "$p" --wait 0 mount "$at:/tree" "$dir/mount" || return
    mounted=$dir/mount
    same 'mount' "$export/tree" "$mounted"
    check 'mount: write' cp "$export/tree/d/big" "$mounted/d/copy"
    check 'mount: what was written' cmp "$export/tree/d/big" "$export/tree/d/copy"
    check 'mount: append' sh -c 'echo more >>"$0"; echo and more >>"$0"' "$mounted/d/copy"
    check 'mount: what was appended' cmp "$export/tree/d/copy" <(cat "$export/tree/d/big"; echo more; echo and more)
    cp "$export/tree/d/big" "$export/tree/d/copy"
    check 'mount: mkdir' mkdir "$mounted/made"
    check 'mount: rename' mv "$mounted/d/copy" "$mounted/made/moved"
    check 'mount: what was renamed' cmp "$export/tree/d/big" "$mounted/made/moved"
    check 'mount: rename a directory' mv "$mounted/made" "$mounted/newer"
    check 'mount: what is in it' cmp "$export/tree/d/big" "$mounted/newer/moved"
    check 'mount: chmod' chmod 600 "$mounted/newer/moved"
    [ "$(stat -c %a "$export/tree/newer/moved")" = 600 ] || not_so 'mount: chmod'
    # Open to be written to: nfs-ganesha takes no other exclusive locks.
    check 'mount: flock' sh -c 'exec 8<>"$0" 9<>"$0"; flock 8 && ! flock -n 9 && flock -u 8 && flock -n 9' "$mounted/f"
    # diod knows files by their paths.
    check 'mount: link' ln "$mounted/newer/moved" "$mounted/newer/link"
    check 'mount: link, stat' stat "$mounted/newer/link"
    check 'mount: link, rm' rm "$mounted/newer/link"
    check 'mount: a file that had two names' cmp "$export/tree/newer/moved" "$mounted/newer/moved"
    check 'mount: a file that had two names, chmod' chmod 600 "$mounted/newer/moved"
    check 'mount: rm' rm -r "$mounted/newer"
    [ ! -e "$export/tree/newer" ] || not_so 'mount: rm'
    check 'mount: unmount' fusermount3 -u "$mounted"
    mounted=
}
if [ -e /dev/fuse ] && command -v fusermount3 >/dev/null; then
    mount_it
else
    echo "SKIP mount (there is no /dev/fuse, or no fusermount3)"
fi
alive

[ $failed = 0 ] && echo "all passed"
exit $failed
