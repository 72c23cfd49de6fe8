# Sourced by cases.sh: the case of docs/libvirt.xml, with a libvirt of its own that leaves nothing
# behind.
# shellcheck shell=bash disable=SC2034,SC2154

virsh() { command virsh -q -c "qemu:///session?socket=$work/home/.cache/libvirt/libvirt-sock" "$@"; }

# libvirt: a session's libvirtd, as an ordinary user. It has a namespace of processes, which ends with
# the first of them, so that no QEMU stays. There the cache is /mnt: the user may not reach it where
# it is.
libvirt() {
    need virsh libvirtd unshare setpriv pkill
    if grep -qs ^libvirtd /sys/kernel/security/apparmor/profiles; then
        echo "SKIP libvirt (AppArmor's profile of libvirtd lets it start no QEMU but the installed one)"
        exit 0
    fi
    if ! unshare --mount --pid --fork --mount-proc true; then
        echo 'SKIP libvirt (no namespaces here)'
        exit 0
    fi
    install -d -m 700 -o nobody "$work/home"
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --mount-proc bash -c '
        mount --bind "$1" /mnt
        setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH="$PATH" HOME="$2" libvirtd &
        wait $!' - "$NINEP_CACHE" "$(inside "$work/home")" >"$work/libvirtd.log" 2>&1 &
    libvirt_pid=$!
    eventually virsh version >/dev/null 2>&1 || { cat "$work/libvirtd.log"; die "libvirtd doesn't answer"; }
}
# inside FILE: its name there.
inside() { echo "/mnt/${1#"$NINEP_CACHE"/}"; }

# domain KERNEL: the file that users get, with the paths of this case, without KVM, and with two
# ports whose output is kept.
domain() {
    local name ports=''
    for name in console out; do
        install -o nobody /dev/null "$work/$name"
        ports+="<serial type='file'><source path='$(inside "$work/$name")' append='on'/></serial>"
    done
    sed -e "s|/srv/guest/vmlinuz|$(inside "$(image "$("$kernel_tests/get-kernel" "$1")")")|" \
        -e "s|/srv/guest/initrd.img|$(inside "$work/initrd")|" \
        -e "s|/run/9pserve/|$(inside "$work/sockets")/|" \
        -e "s|/usr/bin/qemu-system-x86_64|$(inside "$("$kernel_tests/get-qemu")")/qemu|" \
        -e "s|type='kvm'|type='qemu'|" \
        -e "s|<serial type='pty'/>|$ports|" "$top/docs/libvirt.xml"
}

# ok NAME COMMAND...: a failure ends the case, with what there is to see.
ok() {
    local name=$1
    shift
    if "$@" >"$work/answer" 2>&1; then echo "PASS $name"; return; fi
    echo "FAIL $name: $*"
    cat "$work/out"
    tail -n 20 "$work/answer" "$work/console" "$work"/home/.cache/libvirt/qemu/log/* | sed 's/\r$//; s/^/  /'
    exit 1
}
said() { grep -qx "$1" "$work/out"; }
is() { [ "$(virsh domstate guest)" = "$1" ]; }
written() {
    local mount
    for mount in a b; do [ "$(cat "$work/export/written-by-$mount")" = "$stage" ] || return; done
}
# works: by both devices, another round is done.
works() {
    local mount before
    for mount in a b; do
        before=$(round)
        eventually another_round || return
    done
}
round() { cat "$work/export/round-$mount" || :; }
another_round() { [ "$(round)" != "$before" ]; }

# at_work STAGE COMMAND...: COMMAND makes the guest start; and it mounts, and works.
at_work() {
    stage=$1
    shift
    echo "$stage" >"$work/export/stage"
    ok "$stage" "$@"
    ok "$stage: mounted" eventually said "at work: $stage"
    ok "$stage: written" written
    ok "$stage: works" works
}

case_libvirt() {
    local stage
    newer_qemu
    libvirt
    mkdir "$work/export"
    # As docs/vm.md says: a folder for QEMU's user alone.
    install -d -m 700 -o nobody "$work/sockets"
    serve "$work/export" --listen "vhost-user:$work/sockets/vhost-user.sock,tag=a,mode=0666" \
        --listen "vfio-user:$work/sockets/vfio-user.sock,tag=b,mode=0666"
    "$kernel_tests/initramfs" --kernel "$1" --out "$work/initrd" --tool flock --module button --module evdev \
        --env MOUNT=trans=virtio,version=9p2000.L --env DEVICE= "$kernel_tests/guest/libvirt.sh"
    domain "$1" >"$work/domain.xml"

    ok define virsh define --validate "$work/domain.xml"
    at_work start virsh start guest
    ok suspend virsh suspend guest
    ok resume virsh resume guest
    ok 'resume: works' works
    at_work reset virsh reset guest
    at_work reboot virsh reboot guest
    ok 'reboot: unmounted' said 'ended: reset'
    ok destroy virsh destroy guest
    at_work again virsh start guest
    ok shutdown virsh shutdown guest
    ok 'shutdown: off' eventually is 'shut off'
    ok 'shutdown: unmounted' said 'ended: again'
    ok undefine virsh undefine guest
    cat "$work/out"
    stop_server
}
