# Sourced by the host's scripts here: where things are, and small helpers.
# shellcheck shell=bash
kernel_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck disable=SC2034  # used by those who source this
top=$(cd "$kernel_tests/../.." && pwd -P)
NINEP_CACHE=${NINEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ninep}
mkdir -p "$NINEP_CACHE"
NINEP_CACHE=$(cd "$NINEP_CACHE" && pwd -P)
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 99; }
need() {
    local tool
    for tool; do command -v "$tool" >/dev/null || die "no '$tool' on this machine: run ./dev setup"; done
}

# locked FILE: one process at a time past this point.
locked() { exec 9>"$1"; flock 9; }

# scratch NAME: sets $tmp to a folder that goes away with the script.
scratch() {
    tmp=$(mktemp -d "$NINEP_CACHE/.$1.XXXXXX")
    chmod 755 "$tmp"
    trap 'rm -rf "$tmp"' EXIT
}

# image FOLDER: what QEMU boots of a folder of get-kernel's.
image() { if [ -e "$1/vmlinux" ]; then echo "$1/vmlinux"; else echo "$1/vmlinuz"; fi; }

# free_port: a loopback TCP port that nothing listens on just now.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# mirror: URL and suite of this machine's Debian archive, from the index files its apt has.
mirror() {
    local found
    # shellcheck disable=SC2016  # the $ are apt's
    found=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
    [ -n "$found" ] || die "apt knows no Debian archive here (apt-get update first)"
    echo "$found"
}

# private_apt DIR SOURCE_LINE...: puts into the array `apt` options that keep an apt of its own in
# DIR, with those sources alone; the machine's sources stay as they are. A %s in a source line
# stands for the key option and the archive's URL.
private_apt() {
    local dir=$1 url line; shift
    url=$(mirror); url=${url% *}
    mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/none"
    # shellcheck disable=SC2059
    for line; do
        printf "$line\n" "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $url"
    done >"$dir/sources.list"
    # shellcheck disable=SC2034
    apt=(-q -oDir::Etc::sourcelist="$dir/sources.list" -oDir::Etc::sourceparts="$dir/none"
        -oDir::Etc::preferencesparts="$dir/none" -oDir::State::lists="$dir/lists"
        -oDir::Cache="$dir" -oDir::State::status=/dev/null -oAPT::Sandbox::User=root)
}

# find_package VERSION PATTERN: the newest package whose name is the regular expression, from the
# first Debian suite with kernels of VERSION that has one. Sets `package`, `suite` and the array
# `apt`; what apt said is in $tmp/log. Exit status 3: no suite has it.
find_package() {
    local suites=(trixie-backports sid) unreached=''
    case $1 in
        6.1) suites=(bookworm) ;;
        6.12) suites=(bookworm-backports trixie) ;;
    esac
    for suite in "${suites[@]}"; do
        private_apt "$tmp/$suite" "deb %s $suite main"
        apt-get "${apt[@]}" update >"$tmp/log" 2>&1 || { say "$suite: apt-get update failed"; unreached+=" $suite"; continue; }
        package=$(apt-cache "${apt[@]}" pkgnames linux- | grep -xE "$2" | sort -V | tail -n 1) || continue
        say "$1: $package from $suite"
        return
    done
    if [ -n "$unreached" ]; then
        say "no package of Debian's for kernel $1: apt-get update failed for$unreached"
    else
        say "no package of Debian's for kernel $1 in: ${suites[*]}"
    fi
    exit 3
}
# download DIR PACKAGE...: what find_package found.
download() {
    local dir=$1; shift
    mkdir -p "$dir"
    (cd "$dir" && apt-get "${apt[@]}" download "$@" >>"$tmp/log" 2>&1) ||
        { tail -n 3 "$tmp/log" >&2; die "cannot download $*"; }
}

# To the array `devices`, for QEMU: a device of 9pserve's by vhost-user, where the bus is -pci or empty;
# memory that others can map.
add_vhost_user() {    # SOCKET BUS
    local id=c${#devices[@]}
    devices+=(-chardev "socket,id=$id,path=$1"
        -device "vhost-user-test-device$2,chardev=$id,virtio-id=9,num_vqs=1,vq_size=128,config_size=256")
}
add_shared_memory() {    # MEGABYTES
    devices+=(-object "memory-backend-memfd,id=ram,size=$1M,share=on" -machine memory-backend=ram)
}
