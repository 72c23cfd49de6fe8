#!/bin/bash
# session_test.sh 9P 9PSERVE: the kernel's mounts' own session script: `mount -t 9p` is a program that
# mounts by FUSE.
. "$(dirname "$0")/lib.sh"

mounts=(open:user:65536 none:user:262144 open:user:8192 open:user:1048576) count=${NINEP_COUNT:-1}
echo "$count mounts of ${#mounts[@]}"
compile session "$guest"/session/*.c
mkdir -p "$dir/export"/{team,others}-folder "$dir/root"/{guest,mnt}
touch "$dir/export"/{team,others}-file
chown 0:2000 "$dir/export"/team-*
chown 0:3000 "$dir/export"/others-*
chmod 2770 "$dir/export"/*-folder
chmod 660 "$dir/export"/*-file
cat >"$dir/bin/mount" <<EOF
#!/bin/bash
# mount -t 9p -o OPTIONS DEVICE DIR
for option in \${4//,/ }; do
    case \$option in
        msize=*) msize=\${option#*=} ;;
        cache=none) cache=none ;;
        cache=*) cache=open ;;
    esac
done
exec "$p" --msize "\$msize" mount "unix:$dir/s:/" "\$6" -o "allow_other,dev,suid,cache=\$cache"
EOF
chmod 755 "$dir/bin/mount"
serve
echo 'SKIP access=client,posixacl (FUSE here has no lists of its own)'
echo 'SKIP access=any (a mount attaches as one user in any case)'
echo 'SKIP whole_file_locks, lock_release (FUSE tells of the last close when the process has gone on: mount_locks_test has what holds)'
checks=$(sed -n '/define CHECKS/,/^\/\//p' "$guest/session/session.h" | grep -o 'X([a-z_]*)' | sed 's/X(\(.*\))/\1/' |
    grep -vx -e X -e whole_file_locks -e lock_release | tr '\n' ' ')
# shellcheck disable=SC2016
env -i PATH="$dir/bin:$PATH" dir="$dir" guest="$guest" \
    KERNEL=fuse VIRTIO= CHECKS="${NINEP_CHECKS:-$checks}" MOUNT=version=9p2000.L DEVICE=server \
    MATRIX="${mounts[*]:0:count}" \
    unshare -m bash -c '
        mount() { /bin/mount "$@"; }
        mount --make-rprivate /
        for d in /*; do
            case $d in /guest|/mnt) continue ;; esac
            if [ -L "$d" ]; then cp -P "$d" "$dir/root"
            elif [ -d "$d" ]; then mkdir "$dir/root$d" && mount --rbind "$d" "$dir/root$d"; fi
        done
        mount --bind "$guest" "$dir/root/guest"
        exec chroot "$dir/root" sh /guest/session.sh' | tee "$dir/session"
is 'mounts that passed' "$(grep -c '^PASS' "$dir/session")" "$count"
! grep '^FAIL' "$dir/session" || not_so 'a check of the session'
until_so fails pgrep -f "mount unix:$dir/s:/"

verdict
