# Sourced by cases.sh: the case of a VM whose root is a share.
# shellcheck shell=bash disable=SC2034,SC2154

# What the root itself doesn't have: owners, modes, attributes and links of all kinds.
odd_files() {
    mkdir -p "$1"/{sticky,team}
    echo text >"$1/plain"
    cp /bin/true "$1/program"
    chown 1234:2345 "$1/plain" "$1/program"
    chown 0:2345 "$1/team"
    chmod 640 "$1/plain"
    chmod 6755 "$1/program"
    chmod 1777 "$1/sticky"
    chmod 2770 "$1/team"
    ln "$1/plain" "$1/the same"
    ln -s nowhere "$1/link"
    mkfifo "$1/fifo"
    mknod "$1/null" c 1 3
    truncate -s 5G "$1/sparse"
    touch -d '2001-02-03 04:05:06.789012345' "$1/sparse"
    setfattr -n user.key -v value "$1/plain"
    setfattr -n trusted.key -v value "$1/plain"
    # cap_net_raw, as setcap(8) writes it.
    setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 "$1/program"
    setfacl -m u:1234:r "$1/team"
}
# holds NAME COMMAND...
holds() {
    local name=cache=$cache' '$1
    shift
    if "$@" >"$work/answer" 2>&1; then echo "PASS $name"; return; fi
    echo "FAIL $name: $*"
    tail -n 20 "$work/answer" | sed 's/^/  /'
}
powered_off() { grep -q 'reboot: Power down' "$work/console" && grep -q 'All filesystems unmounted' "$work/console"; }
nothing_failed() { ! grep -aE 'FAILED|Failed|BUG:|WARNING:|Oops|I/O error|imed out|9p.*:' "$work/console" | grep -avE "Installing|$known"; }
nothing_logged() { ! grep -E '\[(warning|error|critical)\]' "$work/said"; }
same() {
    "$kernel_tests/guest/manifest" "$root" usr/bin srv >"$work/after"
    [ "$cache" != loose ] || sed -i /posix_acl/d "$work/after"
    diff "$work/after" "$root/guest/after"
}
whole() { ! chroot "$root" dpkg --verify hello | grep .; }
journal() { [ "$(chroot "$root" journalctl -D /var/log/journal -t guest -o cat)" = marker ]; }
# The machine uses its own root, and what it did is seen here.
root_by() {
    local cache=$1 root=$work/root flags=cache=$1 known=nothing before status=0
    # Client limit: with cache=loose,posixacl Linux 6.1 follows a null pointer in mkdir(2).
    [ "$cache" = loose ] || flags+=,posixacl
    [ "$cache" != none ] || known='Failed to open system journal'
    mkdir "$root"
    tar -C "$root" --zstd --xattrs --xattrs-include='*' --acls --numeric-owner -xpf "$("$kernel_tests/get-rootfs")"
    odd_files "$root/srv/odd"
    install -D -t "$root/guest" "$kernel_tests"/guest/{lib.sh,manifest,rootfs.sh}
    install -m 644 "$kernel_tests/guest/rootfs.service" "$root/etc/systemd/system/"
    ln -s /etc/systemd/system/rootfs.service "$root/etc/systemd/system/multi-user.target.wants/"
    printf '%s\n' "CACHE=$cache" "VERIFY=$verify" >"$root/guest/env"
    "$kernel_tests/guest/manifest" "$root" usr/bin srv >"$root/guest/before"

    serve "$root" --listen "vhost-user:$work/root.sock,tag=root"
    before=$(held)
    "$kernel_tests/boot-root" --vhost-user "$work/root.sock" --flags "$flags" \
        --console "$work/console" "$root" &
    guests=($!)
    wait_for_guests || status=$?
    sed 's/\r$//; s/^/console: /' "$work/console"
    holds 'QEMU ends well' [ $status = 0 ]
    holds 'powered off' powered_off
    holds 'nothing failed' nothing_failed
    holds "released: $before" eventually released
    holds 'nothing logged' nothing_logged
    stop_server
    # As this machine sees it.
    holds 'same files' same
    holds 'its program runs' chroot "$root" hello
    holds 'its package is whole' whole
    holds 'no package is half done' [ -z "$(chroot "$root" dpkg --audit)" ]
    if [ "$cache" = none ]; then
        echo 'SKIP cache=none journal (no shared writable maps, which journald needs)'
    else
        holds 'its journal is whole' chroot "$root" journalctl -D /var/log/journal --verify
        holds 'its journal has what was logged' journal
    fi
    rm -rf --one-file-system "$root"
}
case_rootfs() {
    local cache caches='none mmap loose' verify=''
    if [ -n "$reduced" ]; then
        caches=mmap verify='hello libc6'
        echo "count: 1 of 3 ways to cache; $(wc -w <<<"$verify") packages verified, not all"
    fi
    newer_qemu
    for cache in ${NINEP_CACHES:-$caches}; do root_by "$cache"; done
}
