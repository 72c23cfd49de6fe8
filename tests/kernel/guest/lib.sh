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
