# Sourced by `run`: the cases. One is a function `case_KIND KERNEL [MACHINE]`, which runs in a shell of
# its own that ends the case by exit, and a row of the table for each kernel it is run on.
# shellcheck shell=bash disable=SC2154
list() {
    cat <<'ROWS'
work/6.12       a source tree, git, make, dbench, sqlite, random operations: cache=mmap and loose
work/6.1        the same: cache=none
session/6.1     a session, by all ways to cache and to map users, and by message size
session/6.12    the same
vhost_user/6.1  a session over virtio: 9pserve is the guest's device, by QEMU 11
vhost_user/6.12 the same
vhost_user/7    the same
vhost_user/6.1/microvm the same on another machine, by virtio-mmio
vhost_user/6.12/microvm the same
vhost_user/7/microvm the same
vfio_user/6.1   the same by the other protocol
vfio_user/6.12  the same
vfio_user/7     the same
vfio_user/6.1/microvm the same on the other machine
vfio_user/6.12/microvm the same
vfio_user/7/microvm the same
vfio_user_line/6.1 the same with an interrupt line in place of MSI-X
vfio_user_line/6.12 the same
vfio_user_line/7 the same
vfio_user_line/6.1/microvm the same on the other machine
vfio_user_line/6.12/microvm the same
vfio_user_line/7/microvm the same
vfio_user_messages/6.12 the same with memory that is not shared
vhost_user_connect/6.12 QEMU listens, and 9pserve connects
together/6.12   three guests of one server: by vhost-user, by vfio-user and over TCP
life_vhost_user/6.12 a device's life: mounts, drivers, memory and devices that come and go
life_vhost_user/6.12/microvm the same, as far as it goes on virtio-mmio
life_vfio_user/6.12 the same
reboot/6.12     a guest that is reset by itself and by its VMM, at work, by both protocols
paste/6.12      QEMU's arguments and the mount line that 9pserve prints, pasted, by both protocols
libvirt/6.12    docs/libvirt.xml, by both protocols: start, suspend, reset, reboot, destroy, shutdown
uml/6.1         the same by vhost-user with User-Mode Linux, which kicks by messages
counters/6.1    kicks and interrupts for each request, with 32 requests under way
bench/6.1       bench/vm/run once through, for as short as can be
boot_time/6.1   bench/vm/boot once
front_ends/6.12 front ends that die at their work: QEMU, User-Mode Linux, and scripted ones
rootfs/6.1      Debian with a share as its root: boots, works on itself, powers off
kata/6.1        a container's root, and the files over it, in a share as Kata lays it out
kata/6.12       the same
overlay/6.12    shares as the lower layers of overlayfs
mounts/6.1      mounts as people type them, right and wrong ones
mounts/6.12     the same
mounts/7        the same
transports/6.1  9pserve in the guest: trans=unix, trans=fd, vsock
transports/6.12 the same
hung/6.12       a network's file system below the export stops answering
self/6.12       the session program on the guest's own tmpfs: what it checks holds there
serve/6.12      the mount line that ./dev serve prints, pasted
ROWS
}
# Left out where all cases are run at their reduced counts. The others have each two of kernel, machine
# and protocol together.
list_full() {
    cat <<'ROWS'
vfio_user/6.1/microvm
vfio_user/6.12/microvm
vfio_user/7
vfio_user_line/6.1
vfio_user_line/6.12/microvm
vfio_user_line/7/microvm
vhost_user/6.1/microvm
vhost_user/6.12
vhost_user/7
ROWS
}

perform() {
    local kind kernel machine
    IFS=/ read -r kind kernel machine <<<"$1"
    trap finish EXIT
    trap 'exit 143' TERM
    work=$(mktemp -d "$NINEP_CACHE/.case.XXXXXX")
    chmod 755 "$work"
    case $kind in
        uml*) provide get-uml "$kernel" ;;
        rootfs) provide get-rootfs ;;
        *) provide get-kernel "$kernel" ;;
    esac
    "case_$kind" "$kernel" "${machine:-q35}"
}
# provide COMMAND...: one of the scripts that fetch; where it can't, the case is skipped for the reason
# that it says.
provide() {
    local status=0
    "$kernel_tests/$@" 2>&1 >/dev/null | tee "$work/why" || status=$?
    if [ $status = 3 ]; then echo "SKIP ($(tail -n 1 "$work/why"))"; exit 0; fi
    [ $status = 0 ] || exit $status
}

# --- the server of a case

server_pid='' guests=() libvirt_pid=''
finish() {
    trap '' TERM    # or a second one would end this
    [ -z "$libvirt_pid" ] || pkill -KILL -P "$libvirt_pid" || :
    [ ${#guests[@]} = 0 ] || kill "${guests[@]}" 2>/dev/null || :
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || :
    wait
    rm -rf "$work"
}

# serve DIR [OPTION...]: starts the server on DIR, by the command in `launcher` if there is one; sets
# the array `reach`: what a guest needs to mount it. Its users are the guest's: it has /etc/passwd and
# /etc/group of its own.
launcher=()
serve() {
    local dir=$1 port i command mount=version=9p2000.L
    shift
    port=$(free_port)
    case $server in
        qemu)
            reach=(--share "a=$dir" --share "b=$dir" --env "MOUNT=trans=virtio,$mount" --env DEVICE=)
            return ;;
        diod)
            mount+=,uname=root,aname=$dir
            command=(diod -f -n -c /dev/null -L stderr -l "127.0.0.1:$port" -e "$dir") ;;
        *)
            [ -x "$server" ] || die "no $server: run ./dev build"
            command=("${launcher[@]}" "$server" --listen tcp:127.0.0.1:0 "$@" "$dir")
            ;;
    esac
    rm -f "$work/said"      # what an earlier one said
    # shellcheck disable=SC2016
    unshare -m bash -c 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group &&
        shift && exec "$@"' - "$kernel_tests/guest" "${command[@]}" 2> >(tee "$work/said" | sed 's/^/server: /') >"$work/server.out" &
    server_pid=$!
    for ((i = 0; i < 100; i++)); do
        if [ "$server" = diod ]; then
            (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        else    # the port that the system chose
            port=$(grep -m1 -oP 'listening on tcp:127.0.0.1:\K[0-9]+' "$work/said" 2>/dev/null) && break
        fi
        kill -0 "$server_pid" 2>/dev/null || die "the server ended at once"
        sleep 0.1
    done
    [ $i -lt 100 ] || die "the server doesn't listen"
    # shellcheck disable=SC2034
    reach=(--env "MOUNT=trans=tcp,port=$port,$mount" --env DEVICE=10.0.2.2 --env PORT="$port")
}

# stop_server: it has to be there still, and to end well.
stop_server() {
    local status=0
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || { echo "FAIL the server is gone"; wait "$server_pid" || status=$?; echo "  status $status"; exit 1; }
    wait "$server_pid" || status=$?
    server_pid=''
    [ "$server" = diod ] || [ $status = 0 ] || { echo "FAIL the server ended with status $status"; exit 1; }
}

# start_guest SCRIPT [BOOT_OPTION...]: boots it against the server that `serve` started.
start_guest() {
    local script=$1
    shift
    "$kernel_tests/boot" "${reach[@]}" "$@" "$kernel_tests/guest/$script" &
    guests+=($!)
}
# guest SCRIPT [BOOT_OPTION...]: the same, and waits for its end.
guest() { start_guest "$@" && wait_for_guests; }
wait_for_guests() {
    local pid status=0
    for pid in "${guests[@]}"; do wait "$pid" || status=$?; done
    guests=()
    return $status
}

# eventually COMMAND...: until it succeeds, or for two minutes.
eventually() {
    local i
    for ((i = 0; i < 600; i++)); do
        ! "$@" || return 0
        sleep 0.2
    done
    return 1
}
# held: what the server has of its clients: descriptors, and maps of memory that others have too, other
# than its own of the system's. released: it is what it was, as $before says.
held() { echo "$(ls "/proc/$server_pid/fd" | wc -l) descriptors, $(grep -E '^[^ ]+ ...s ' "/proc/$server_pid/maps" | grep -cv 'anon_inode:\|/\[aio\]') maps"; }
released() { [ "$(held)" = "$before" ]; }
# compile NAME SOURCE...: a static program, which --extra brings into the guest by $(program NAME).
compile() {
    local name=$1
    shift
    gcc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -static -o "$work/$name" "$@"
}
program() { echo "$work/$1:/guest/bin/$1"; }

# --- the cases

# What the session needs: its program, and files of the groups its ordinary user is in or not.
prepare_session() {
    mkdir -p "$work/export"/{team,others}-folder
    touch "$work/export"/{team,others}-file
    chown 0:2000 "$work/export"/team-*
    chown 0:3000 "$work/export"/others-*
    chmod 2770 "$work/export"/*-folder
    chmod 660 "$work/export"/*-file
    compile session "$kernel_tests"/guest/session/*.c
    session=(--tool setfacl --tool getfacl --extra "$(program session)")
}
case_self() {
    prepare_session
    reach=()
    guest self.sh --kernel "$1" "${session[@]}"
}
# mounts KERNEL [reduced]: all of cache x access at one msize, and other msizes; reduced: of both kernels
# together each value of each.
mounts() {
    local cache access msize
    if [ "${2:-}" = reduced ]; then
        if [ "$1" = 6.1 ]; then
            echo none:any:262144 mmap:user:65536 loose:client:1048576
        else
            echo mmap:any:65536 none:user:8192 loose:client:262144
        fi
        return
    fi
    for cache in none mmap loose; do
        for access in any user client; do echo "$cache:$access:262144"; done
    done
    for msize in 8192 65536 1048576; do
        for cache in none loose; do echo "$cache:user:$msize"; done
    done
}
case_session() {
    local matrix=${NINEP_MATRIX:-}
    [ -n "$matrix" ] || matrix=$(mounts "$1" $reduced)
    prepare_session
    serve "$work/export"
    echo "count: $(wc -w <<<"$matrix") of $(mounts "$1" | wc -w) mounts"
    guest session.sh --kernel "$1" --timeout 1500 --env VIRTIO= --env MATRIX="$(echo $matrix)" \
        --env CHECKS="${NINEP_CHECKS:-}" "${session[@]}"
    stop_server
}
# interrupts PROTOCOL OPTIONS: the kind that a PCI device has, as /proc/interrupts names it. QEMU gives a
# vhost-user device one vector, and Linux wants two for MSI-X.
interrupts() { if [ "$1$2" = vfio-user ]; then echo PCI-MSI; else echo IO-APIC; fi; }
# device_session PROTOCOL OPTIONS KERNEL BOOT_OPTION...: a session by two devices, as it looks at one
# folder by two mounts.
device_session() {
    prepare_session
    serve "$work/export" --listen "$1:$work/a.sock,tag=a$2" --listen "$1:$work/b.sock,tag=b$2"
    reach=("--$1" "$work/a.sock" "--$1" "$work/b.sock"
        --env MOUNT=trans=virtio,version=9p2000.L --env DEVICE=)
    local matrix='none:user:512000 mmap:client:512000 loose:any:512000 none:client:default'
    if [ -n "$reduced" ]; then
        matrix=none:user:512000
        [ "$3" != 6.12 ] || matrix=none:client:default
        echo "count: 1 of 4 mounts"
    fi
    guest session.sh --kernel "${@:3}" --env INTERRUPTS="$(interrupts "$1" "$2")" --timeout 1500 --env CHECKS="${NINEP_CHECKS:-}" --env VIRTIO=yes --tool lspci \
        --env MATRIX="${NINEP_MATRIX:-$matrix}" "${session[@]}"
    stop_server
}
case_uml() { device_session vhost-user '' "$1" --uml; }
newer_qemu() { provide get-qemu; }
# qemu_session PROTOCOL OPTIONS KERNEL MACHINE BOOT_OPTION...
qemu_session() {
    newer_qemu
    device_session "$1" "$2" "$3" --machine "$4" "${@:5}"
}
case_vhost_user() { qemu_session vhost-user '' "$@"; }
case_vfio_user() { qemu_session vfio-user '' "$@"; }
case_vfio_user_line() { qemu_session vfio-user ,msix=off "$@"; }
case_vfio_user_messages() { qemu_session vfio-user '' "$@" --private-memory on; }
case_vhost_user_connect() {
    newer_qemu
    mkdir "$work/export"
    echo 'from the host' >"$work/export/file"
    serve "$work/export" --connect "vhost-user:$work/a.sock,tag=a"
    reach=(--vhost-user "$work/a.sock,server=on,wait=on" --env PLUG= --env INTERRUPTS="$(interrupts vhost-user '')"
        --env FSTAB="$(guide_fstab)")
    guest life.sh --kernel "$1" --tool lspci
    guest life.sh --kernel "$1" --tool lspci       # the next VMM
    stop_server
}
case_together() {
    local tcp device=(--env MOUNT=trans=virtio,version=9p2000.L --env DEVICE=)
    newer_qemu
    mkdir -m 777 "$work/export"
    compile range "$kernel_tests/guest/range.c"
    serve "$work/export" --listen "vhost-user:$work/a.sock,tag=a" --listen "vfio-user:$work/b.sock,tag=b"
    tcp=("${reach[@]}" --env TAG=c --env ROLE=tcp)
    reach=(--kernel "$1" --mem 256 --extra "$(program range)" --env 'ROLES=vhost vfio tcp')
    start_guest together.sh "${device[@]}" --vhost-user "$work/a.sock" --env TAG=a --env ROLE=vhost
    start_guest together.sh "${device[@]}" --vfio-user "$work/b.sock" --env TAG=b --env ROLE=vfio
    start_guest together.sh "${tcp[@]}"
    wait_for_guests
    stop_server
}
# The line of fstab that docs/vm.md has.
guide_fstab() { grep -m 1 -E '^share +/mnt +9p ' "$top/docs/vm.md"; }
# life PROTOCOL KERNEL MACHINE. The device that is plugged and unplugged has no MSI-X: QEMU 11.1 aborts
# when such a one goes.
life() {
    local i device options=''
    newer_qemu
    mkdir "$work/export"
    echo 'from the host' >"$work/export/file"
    [ "$1" = vhost-user ] || options=,msix=off
    serve "$work/export" --listen "$1:$work/a.sock,tag=a" --listen "$1:$work/b.sock,tag=b$options"
    reach=("--$1" "$work/a.sock" --env PLUG=)
    if [ "$3" = q35 ]; then
        reach=("--$1" "$work/a.sock" --env PLUG=yes --mem 512 --qemu -m --qemu 512,slots=2,maxmem=2G
            --qemu -device --qemu pcie-root-port,id=slot-1,slot=1)
        at plug-memory <<'QMP'
{"execute": "object-add", "arguments": {"qom-type": "memory-backend-memfd", "id": "more", "size": 268435456, "share": true}}
{"execute": "device_add", "arguments": {"driver": "pc-dimm", "id": "dimm", "memdev": "more"}}
QMP
        for i in 1 2 3; do
            if [ "$1" = vhost-user ]; then
                device="\"driver\": \"vhost-user-test-device-pci\", \"chardev\": \"plugged-$i\", \"virtio-id\": 9, \"num_vqs\": 1, \"vq_size\": 128, \"config_size\": 256"
            else
                device="\"driver\": \"vfio-user-pci\", \"socket\": {\"type\": \"unix\", \"path\": \"$work/b.sock\"}"
            fi
            [ "$1" = vfio-user ] || at "plug-device-$i" <<<"{\"execute\": \"chardev-add\", \"arguments\": {\"id\": \"plugged-$i\", \"backend\": {\"type\": \"socket\", \"data\": {\"server\": false, \"addr\": {\"type\": \"unix\", \"data\": {\"path\": \"$work/b.sock\"}}}}}}"
            # QEMU has the former one still for a moment after the guest has let it go.
            at "plug-device-$i" retry <<<"{\"execute\": \"device_add\", \"arguments\": {\"id\": \"device-$i\", \"bus\": \"slot-1\", $device}}"
            at "unplug-device-$i" <<<"{\"execute\": \"device_del\", \"arguments\": {\"id\": \"device-$i\"}}"
        done
    fi
    guest life.sh --kernel "$2" --machine "$3" --tool lspci --env INTERRUPTS="$(interrupts "$1" '')" \
        --env FSTAB="$(guide_fstab)"
    stop_server
}
# at LINE [retry]: what QEMU is told when the guest says LINE is on standard input; `retry`: as often as
# it takes. Behind what the line has already.
at() {
    local file=$work/$1-${#reach[@]} command
    cat >"$file"
    command="'$kernel_tests/qmp' \"\$QMP\" <'$file'"
    [ "${2:-}" != retry ] || command="for _ in {1..100}; do ! $command || exit 0; sleep 0.3; done; exit 1"
    reach+=(--at "$1" "$command")
}
case_life_vhost_user() { life vhost-user "$@"; }
case_life_vfio_user() { life vfio-user "$@"; }
case_reboot() {
    local protocol
    newer_qemu
    for protocol in vhost-user vfio-user; do
        rm -rf "$work/export"
        mkdir "$work/export"
        serve "$work/export" --listen "$protocol:$work/$protocol.sock,tag=a"
        reach=("--$protocol" "$work/$protocol.sock" --reboot on --env MOUNT=trans=virtio,version=9p2000.L --env DEVICE=)
        at reset <<<'{"execute": "system_reset"}'
        guest reboot.sh --kernel "$1" --tool flock
        if [ "$(cat "$work/export/boot")" = 3 ]; then echo "PASS $protocol: three boots"; else echo "FAIL $protocol: $(cat "$work/export/boot") boots"; fi
        stop_server
    done
}
# What 9pserve prints, pasted: QEMU's arguments, and the guest's mount line.
case_paste() {
    local lines=() mounts=() arguments=() i
    newer_qemu
    mkdir "$work/export"
    echo 'from the host' >"$work/export/file"
    serve "$work/export" --listen "vhost-user:$work/a.sock,tag=my-share" --listen "vfio-user:$work/b.sock,tag=other"
    mapfile -t lines < <(sed -n 's/^qemu-system-x86_64 \.\.\. //p' "$work/said")
    mapfile -t mounts < <(sed -n 's/^in the guest: //p' "$work/said")
    [ ${#lines[@]} = 2 ] && [ ${#mounts[@]} = 2 ] || { echo "FAIL ${#lines[@]} lines for QEMU"; exit 1; }
    for i in 0 1; do
        eval "arguments=(${lines[i]//SIZE/1G})"
        reach=(--emulator "$(newer_emulator)")
        for argument in "${arguments[@]}"; do reach+=(--qemu "$argument"); done
        rm -f "$work/export/file2"
        guest paste.sh --kernel "$1" --env LINE="${mounts[i]}"
        if [ "$(cat "$work/export/file2")" = 'from the guest' ]; then echo "PASS ${lines[i]}"; else echo "FAIL ${lines[i]}"; fi
    done
    stop_server
}
newer_emulator() { echo "$("$kernel_tests/get-qemu")/qemu"; }
# counted TAG: what 9pserve has said of the device that has left.
counted() { grep -oP "device $1: left: \\K[1-9].*" "$work/said"; }
# few NAME LINE MOST: PASS with less than that many kicks and interrupts for each request.
few() {
    awk -v line="$2" -v most="$3" -v name="$1" 'BEGIN {
        split(line, word, " "); kicks = word[3] / word[1]; interrupts = word[5] / word[1]
        print (kicks < most && interrupts < most ? "PASS" : "FAIL"), name ": " line ";",
            sprintf("%.2f kicks and %.2f interrupts each", kicks, interrupts) }'
}
case_counters() {
    local tag how hows i rate device=(--env MOUNT=trans=virtio,version=9p2000.L,msize=512000 --env DEVICE=)
    newer_qemu
    mkdir "$work/export"
    head -c 64M /dev/zero >"$work/export/file"
    # A scripted driver, which is as fast as this machine.
    serve "$work/export" --listen "vhost-user:$work/ring.sock,tag=ring" --log-level debug
    for i in 1 32; do
        rate=$("$top/build/bin/ninep_ring" "$work/ring.sock" $i 1)
        echo "  scripted, $i under way: $rate"
    done
    stop_server
    few 'scripted, 32 under way' "$(counted ring | tail -n 1)" 0.25
    for tag in a b; do
        hows='held free killed'
        if [ -n "$reduced" ]; then
            hows="held $([ $tag = a ] && echo free || echo killed)"
            echo "count: $tag: $hows, of held, free and killed"
        fi
        for how in $hows; do
            serve "$work/export" --log-level debug --listen "vhost-user:$work/a.sock,tag=a" \
                --listen "vfio-user:$work/b.sock,tag=b"
            reach=("${device[@]}" --env TAG=$tag --env HOW=$how)
            if [ $tag = a ]; then reach+=(--vhost-user "$work/a.sock"); else reach+=(--vfio-user "$work/b.sock"); fi
            for i in 1 2 3 4 5 6 7 8; do
                reach+=(--at "hold-$i" "kill -STOP $server_pid" --at "release-$i" "kill -CONT $server_pid")
            done
            guest counters.sh --kernel "$1"
            stop_server
            case $how in
                held) few "$tag, $how" "$(counted $tag)" 0.2 ;;
                # Depends on how much of the machine the guest has: fewer than one each is all that holds.
                free) few "$tag, $how" "$(counted $tag)" 1 ;;
            esac
        done
    done
}
case_bench() {
    newer_qemu
    if ! unshare --net ip tuntap add dev any mode tap; then echo 'SKIP (no tap devices here)'; exit 0; fi
    echo 'count: 1 MiB of 4 GiB, 1 repeat of 5'
    "$top/bench/vm/run" --kernel "$1" --io-size 1M --repeats 1 --seconds 0.01 --files 10 --raw "$work/raw" \
        --plot "$work/plot.svg" >"$work/table"
    if [ "$(grep -c '<path' "$work/plot.svg")" -gt 20 ]; then echo 'PASS plot'; else echo 'FAIL plot'; fi
    # 7 devices by 15 figures, 4 of them by 12 more at each of two message sizes.
    if [ "$(grep -cE '^@ .* [0-9.]+$' "$work/raw")" = 201 ]; then echo 'PASS figures'; else echo 'FAIL figures'; fi
    if [ "$(grep -c '^| ' "$work/table")" = 86 ]; then echo 'PASS tables'; else echo "FAIL tables: $(grep -c '^| ' "$work/table")"; fi
}
case_boot_time() {
    newer_qemu
    provide get-rootfs
    echo 'count: 1 boot of 5'
    "$top/bench/vm/boot" 1 >"$work/table"
    if [ "$(grep -cE '^\| a (share|disk image) \|.*[0-9.]+ \([0-9.]+ to [0-9.]+\) \|$' "$work/table")" = 2 ]; then
        echo 'PASS both roots boot'
    else
        echo 'FAIL no times'
    fi
    sed 's/^/  /' "$work/table"
}
# Front ends that die at their work: a tenth of them QEMUs, two tenths User-Mode Linux, the others
# scripted. Nothing is left of them: not their locks (busy.sh), nor descriptors, nor memory.
case_front_ends() {
    local count=${NINEP_FRONT_ENDS:-1000} tool=$top/build/debug/tests/server/ninep_front_ends seed=$RANDOM
    local busy=(--mem 256 --timeout 120 --tool flock --kill-at busy --env DEVICE= --env MOUNT=trans=virtio,version=9p2000.L)
    newer_qemu
    provide get-uml 6.1
    [ -x "$tool" ] || die "no $tool: run ./dev build debug"
    if [ -n "$reduced" ]; then
        count=40
        echo 'count: 40 of 1000 front ends'
    fi
    mkdir -p "$work/export"/{a,b}
    serve "$work/export" --listen "vhost-user:$work/a.sock,tag=a,dir=$work/export/a" \
        --listen "vfio-user:$work/b.sock,tag=b,dir=$work/export/b"
    reach=()
    qemus() {
        local i
        for ((i = 0; i < $1; i += 2)); do
            start_guest busy.sh --kernel "$kernel" "${busy[@]}" --env TAG=a --vhost-user "$work/a.sock"
            start_guest busy.sh --kernel "$kernel" "${busy[@]}" --env TAG=b --vfio-user "$work/b.sock"
            wait_for_guests
        done
    }
    umls() {
        local i
        for ((i = 0; i < $1; i++)); do guest busy.sh --uml --kernel 6.1 "${busy[@]}" --env TAG=a --vhost-user "$work/a.sock"; done
    }
    # Kilobytes; and maps of memory of its own, which those that broke have become.
    resident() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$server_pid/status"; }
    own_maps() { wc -l <"/proc/$server_pid/maps"; }
    local before resident_before maps_before
    before=$(held)
    qemus 2; umls 1; "$tool" "$work/a.sock" "$work/b.sock" 100 "$seed"
    eventually released || { echo "FAIL $(held), at first $before"; exit 1; }
    resident_before=$(resident) maps_before=$(own_maps)
    qemus $((count / 10))
    umls $((count / 5))
    "$tool" "$work/a.sock" "$work/b.sock" $((count - count / 10 - count / 5)) "$((seed + 1))"
    if eventually released; then echo "PASS left: $before"; else echo "FAIL left: $(held), at first $before"; fi
    echo "  resident: $resident_before KiB after the first few, $(resident) KiB after $count; maps: $maps_before, $(own_maps)"
    if [ "$(resident)" -lt $((resident_before + 4096)) ]; then echo 'PASS memory'; else echo 'FAIL memory'; fi
    if [ "$(own_maps)" -lt $((maps_before + 32)) ]; then echo 'PASS maps'; else echo 'FAIL maps'; fi
    stop_server
}
. "$kernel_tests/libvirt.sh"
. "$kernel_tests/rootfs.sh"
. "$kernel_tests/containers.sh"
case_mounts() {
    mkdir -p "$work/export/folder"
    serve "$work/export"
    guest mounts.sh --kernel "$1" --tool mount --env EXPORT="$work/export" --env UNUSED_PORT="$(free_port)"
    stop_server
}
case_transports() {
    compile wire "$kernel_tests/guest/wire.c"
    reach=()
    guest transports.sh --kernel "$1" --module vsock_loopback --module fuse --extra "$(program wire)" \
        --extra "$server:/guest/bin/9pserve" --extra "$top/build/bin/9p:/guest/bin/9p"
}
case_hung() {
    reach=()
    guest hung.sh --kernel "$1" --extra "$server:/guest/bin/9pserve"
}
case_work() {
    local cache caches=none source program=() tool operations=100000 git=.
    [ "$1" = 6.1 ] || caches='mmap loose'
    if [ -n "$reduced" ]; then
        operations=20000 git=testsuite caches=${caches% loose}
        echo "count: $operations of 100000 random operations; git on the tree's folder $git; cache=$caches"
    fi
    source=$("$kernel_tests/get-source" busybox)
    compile churn "$kernel_tests/guest/churn.c"
    for tool in tar diff git make sqlite3 dbench; do program+=(--tool "$tool"); done
    for tool in dbench tcc libc6 libc6-dev linux-libc-dev; do program+=(--package "$tool"); done
    mkdir "$work/export" "$work/tree"
    tar -xf "$source" -C "$work/tree"
    serve "$work/export"
    for cache in ${NINEP_CACHES:-$caches}; do
        guest work.sh --kernel "$1" --timeout 1800 --mem 2048 --env CACHE="$cache" --env CHURN="$operations" --env GIT="$git" \
            --extra "$source:/guest/source.tar" --extra "$("$kernel_tests/get-source" lua5.4):/guest/program.tar" \
            --extra "$(program churn)" "${program[@]}"
        # What the guest wrote, as this machine sees it.
        if diff -r --no-dereference "$work/tree" "$work/export/$cache/tree"; then
            echo "PASS cache=$cache compared with the host's copy"
        else
            echo "FAIL cache=$cache compared with the host's copy"
        fi
    done
    stop_server
}
case_serve() {
    local line i
    mkdir "$work/export"
    echo 'from the host' >"$work/export/file"
    # As people do it; only the port is chosen, for others may serve here.
    "$top/dev" serve "$work/export" --listen "tcp:127.0.0.1:$(free_port)" >"$work/said" 2>&1 &
    server_pid=$!
    for ((i = 0; i < 6000; i++)); do
        line=$(grep -m1 -oE 'mount -t 9p .*' "$work/said") && break
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/said"
    [ -n "$line" ] || { echo 'FAIL no mount line'; exit 1; }
    reach=(--env "LINE=${line//127.0.0.1/10.0.2.2}")
    guest paste.sh --kernel "$1"
    if [ "$(cat "$work/export/file2")" = 'from the guest' ]; then echo 'PASS written'; else echo 'FAIL written'; fi
    stop_server
}
