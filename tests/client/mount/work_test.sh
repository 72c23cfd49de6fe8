#!/bin/bash
# work_test.sh 9P 9PSERVE: the kernel's mounts' own work: untar, git, make, dbench, sqlite, random
# operations.
. "$(dirname "$0")/lib.sh"

for tool in tar git make tcc dbench sqlite3; do command -v $tool >/dev/null || skip "no $tool"; done
tree=$("$source/tests/kernel/get-source" busybox) || exit 1
program=$("$source/tests/kernel/get-source" lua5.4) || exit 1
compile churn "$guest/churn.c"
mkdir -p "$dir/root"/{guest,mnt} "$dir/guest"
# Copies, as they are: its /tmp is its own, and what is in another isn't seen there.
cp "$guest"/{lib,work}.sh "$dir/guest"
cp "$p" "$dir/bin/9p"
cp "$tree" "$dir/guest/source.tar"
cp "$program" "$dir/guest/program.tar"
cat >"$dir/bin/mount" <<EOF
#!/bin/bash
exec "$dir/bin/9p" mount "unix:$dir/s:/" "\$6" -o "cache=\$CACHE"
EOF
chmod 755 "$dir/bin/mount"
serve
# shellcheck disable=SC2016
env -i PATH="$dir/bin:$PATH" HOME="$dir" dir="$dir" MOUNT=version=9p2000.L DEVICE=server CACHE=open \
    GIT="${NINEP_GIT:-testsuite}" CHURN="${NINEP_CHURN:-5000}" \
    unshare -m bash -c '
        mount() { /bin/mount "$@"; }
        mount --make-rprivate /
        for d in /*; do
            case $d in /guest|/mnt|/tmp) continue ;; esac
            if [ -L "$d" ]; then cp -P "$d" "$dir/root"
            elif [ -d "$d" ]; then mkdir "$dir/root$d" && mount --rbind "$d" "$dir/root$d"; fi
        done
        mkdir -p "$dir/root/tmp" "$dir/root$dir"
        mount --bind "$dir" "$dir/root$dir"
        mount --bind "$dir/guest" "$dir/root/guest"
        exec chroot "$dir/root" sh /guest/work.sh' | tee "$dir/session"
is 'kinds of work that were done' "$(grep -c '^PASS' "$dir/session")" 8
! grep '^FAIL' "$dir/session" || not_so 'some work'
mkdir "$dir/tree"
tar -xf "$tree" -C "$dir/tree"
check 'the tree, on the server' diff -r --no-dereference "$dir/tree" "$dir/export/open/tree"

verdict
