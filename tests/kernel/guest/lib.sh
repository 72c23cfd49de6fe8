# Sourced by the guest scripts. A script says what it found in lines that the runner counts:
# PASS name, FAIL name: why, SKIP name (why); indented lines are shown with them.
# shellcheck shell=sh
pass() { echo "PASS $*"; }
fail() { echo "FAIL $*"; }
skip() { echo "SKIP $*"; }

# $MOUNT: the options that reach the server of this case; $DEVICE what it is mounted from, or empty
# where that is the last part of the mount point (virtio tags).
# attach DIR OPTIONS: mounts it at DIR, or ends the script: it would test the initramfs.
attach() {
    mkdir -p "$1"
    mount -t 9p -o "$MOUNT${2:+,$2}" "${DEVICE:-${1##*/}}" "$1" && return
    fail "mount -o $MOUNT,$2 $DEVICE"
    exit 1
}

# does NAME: the function of that name, in a shell of its own; the last lines of what a failure says.
does() {
    read -r began _ </proc/uptime
    (set -e; "$1") >/tmp/said 2>&1
    status=$?
    read -r ended _ </proc/uptime
    if [ $status = 0 ]; then
        pass "cache=$CACHE $1, $((${ended%.*} - ${began%.*})) s"
    else
        fail "cache=$CACHE $1: status $status"
        tail -n 8 /tmp/said | sed 's/^/  /'
    fi
}
# not COMMAND...: it has to fail. (`set -e` doesn't see what `!` says.)
not() { ! "$@"; }
# is GOT WANTED
is() {
    [ "$1" = "$2" ] || {
        echo "wanted: $2"
        echo "got: $1"
        return 1
    }
}

# ok NAME COMMAND...
ok() {
    name=$1
    shift
    if "$@" >/tmp/said 2>&1; then pass "$name"; else fail "$name: $*"; sed 's/^/  /' /tmp/said; fi
}
# shown: the first virtio-9p device, as tools show it; on a PCI bus its interrupts are of the kind that
# $INTERRUPTS says. Sets `device`, and on a PCI bus `pci` and `slot`.
shown() {
    device=$(echo /sys/bus/virtio/drivers/9pnet_virtio/virtio*)
    device=${device##*/}
    ok 'bound to 9pnet_virtio' [ -e "/sys/bus/virtio/drivers/9pnet_virtio/$device/mount_tag" ]
    case $(readlink -f "/sys/bus/virtio/devices/$device") in */pci*) pci=yes ;; *) pci='' ;; esac
    if [ -n "$pci" ]; then
        slot=$(basename "$(readlink -f "/sys/bus/virtio/devices/$device/..")")
        ok 'lspci' sh -c "lspci -nn -s $slot | grep -F '[1af4:1049]'"
        ok 'its driver' [ -d "/sys/bus/pci/drivers/virtio-pci/$slot/$device" ]
        echo "  $(lspci -nn -s "$slot")"
        ok "interrupts: $INTERRUPTS" sh -c "grep -F $device /proc/interrupts | grep -F '$INTERRUPTS'"
        grep -F "$device" /proc/interrupts | sed 's/^/  /'
    fi
}
