# Sourced by cases.sh: containers in a VM, whose files are in a share.
# shellcheck shell=bash disable=SC2034,SC2054,SC2154

# container ID CACHE: a root, and three files that are mounted over it, as Kata lays them out.
container() {
    local share=$work/export root=$work/export/$1/rootfs
    mkdir -p "$root"/{bin,etc,proc,old,asked,home,guest,tmp}
    cp "$(command -v busybox)" "$root/bin/"
    ln -s busybox "$root/bin/sh"
    touch "$root"/etc/{resolv.conf,hosts,hostname}
    echo 'container:x:1000:1000::/:/bin/sh' >"$root/etc/passwd"
    echo "$2" >"$root/cache"
    install -o 1000 -g 1000 -m 600 /dev/null "$root/home/own"
    install -m 600 /dev/null "$root/home/roots"
    install -m 644 "$kernel_tests/guest/lib.sh" "$root/guest/"
    install -m 755 "$kernel_tests/guest/container.sh" "$root/guest/"
    echo 'nameserver 192.0.2.1' >"$share/$1-resolv.conf"
    echo '127.0.0.1 localhost' >"$share/$1-hosts"
    echo "$1" >"$share/$1-hostname"
}
# What the process in a container asks for, by a file in /asked with the name of one of these
# functions; it waits for the answer.
on_append_hosts() { echo '192.0.2.2 appended' >>"$work/export/$id-hosts"; }
on_write_hosts() { echo '192.0.2.3 written in place, and longer than before' >"$work/export/$id-hosts"; }
on_shorten_hosts() { echo 192.0.2.4 >"$work/export/$id-hosts"; }
on_replace_hosts() { echo '192.0.2.5 replaced' >"$work/new" && mv "$work/new" "$work/export/$id-hosts"; }
on_new_files() { mkdir "$root/new" && echo text >"$root/new/file" && chown -R 1000:1000 "$root/new"; }
on_change_mode() { chmod 000 "$root/new/file"; }
on_remove_file() { rm "$root/new/file"; }
on_hostname_written() { [ "$(cat "$work/export/$id-hostname")" = written ]; }
# What the guest says of what it made, by the same program.
on_files_made() { (cd "$root" && bin/busybox find made -exec bin/busybox stat -c '%F %a %u:%g %h %s %t:%T %N' {} + | sort) | diff - "$root/said"; }
answer() {
    local id root question
    for question in "$work"/export/*/rootfs/asked/*; do
        case $question in *.answer|*'*') continue ;; esac
        [ ! -e "$question.answer" ] || continue
        root=${question%/asked/*} id=${question#"$work"/export/} id=${id%%/*}
        if "on_${question##*/}"; then echo yes; else echo no; fi >"$question.new"
        mv "$question.new" "$question.answer"
    done
}
case_kata() {
    local cache caches='none mmap' id
    newer_qemu
    compile wire "$kernel_tests/guest/wire.c"
    mkdir "$work/export"
    for cache in $caches; do container "$(printf %s "$cache" | sha256sum | cut -c -64)" "$cache"; done
    launcher=("$work/wire" listen "$work/kata.sock")
    serve "$work/export" --listen vhost-user:fd=3,tag=kataShared
    reach=(--vhost-user "$work/kata.sock" --env MOUNT=trans=virtio,version=9p2000.L --env DEVICE=kataShared)
    while kill -0 "$server_pid" 2>/dev/null; do
        answer
        sleep 0.1
    done &
    guest kata.sh --kernel "$1" --network none --env CACHES="$caches"
    stop_server
}

# layers DIR: a and b, which has what lies below it, as layers of container images are on a host's
# disk: the one above hides what it has not by devices 0:0, and by an attribute of folders, which is
# another one where ordinary users mount.
layers() {
    mkdir -p "$1"/{a,b}/{dir,many,opaque,opaque-to-users}
    odd_files "$1/a/odd"
    rm "$1/a/odd/sparse"    # 9P doesn't tell of holes: 5 GiB would be copied
    cp "$(command -v busybox)" "$1/a/echo"
    head -c 3000000 /dev/urandom >"$1/a/large"
    mknod "$1/a/removed" c 0 0
    setfattr -n trusted.overlay.opaque -v y "$1/a/opaque"
    setfattr -n user.overlay.opaque -v y "$1/a/opaque-to-users"
    echo b >"$1/b/removed"
    local layer i
    for layer in a b; do
        echo $layer >"$1/$layer/only-$layer"
        echo $layer >"$1/$layer/both"
        echo $layer >"$1/$layer/dir/only-$layer"
        echo $layer >"$1/$layer/dir/both"
        echo $layer | tee "$1/$layer"/opaque{,-to-users}/only-$layer >/dev/null
        for ((i = 0; i < 300; i++)); do echo >"$1/$layer/many/$layer-$i"; done
    done
}
digest() { tar -C "$work/export" --sort=name --xattrs --xattrs-include='*' --acls --numeric-owner --pax-option='exthdr.name=%f,delete=atime,delete=ctime' -cf - . | sha256sum; }
case_overlay() {
    local before
    newer_qemu
    layers "$work/export"
    before=$(digest)
    serve "$work/export" --listen "vhost-user:$work/a.sock,tag=a,dir=$work/export/a,ro" \
        --listen "vhost-user:$work/b.sock,tag=b,dir=$work/export/b,ro"
    reach=(--vhost-user "$work/a.sock" --vhost-user "$work/b.sock"
        --env MOUNT=trans=virtio,version=9p2000.L --env DEVICE=)
    guest overlay.sh --kernel "$1" --network none --module overlay --tool setfattr --tool getfattr \
        --env CACHES='none mmap loose'
    stop_server
    if [ "$(digest)" = "$before" ]; then echo 'PASS unchanged'; else echo 'FAIL the shares have changed'; fi
}
