#!/bin/sh
# Sessions on one export, by many mounts: $MATRIX, in rows of CACHE:ACCESS:MSIZE. An MSIZE of `default`
# is what the kernel takes when it is told neither that nor a version.
# Each is two clients: the one that is tested, and an uncached one that looks at what it did.
. /guest/lib.sh

# try CACHE ACCESS MSIZE
try() {
    rest=access=$2,msize=$3
    if [ "$3" = default ]; then rest=access=$2 MOUNT=${MOUNT%,version=*}; fi
    case $2 in
        any) rest=$rest,uname=root ;;
        client) rest=$rest,posixacl ;;
    esac
    attach /mnt/a "cache=$1,$rest"
    attach /mnt/b "cache=none,$rest"
    bad=0
    options=kernel=$KERNEL,cache=$1,$rest
    # shellcheck disable=SC2086
    session -o "$options" /mnt/a /mnt/b $CHECKS || bad=1
    # With access=any all act as one user to the server, so that most rules are moot.
    case $2 in any) some=groups ;; *) some=$CHECKS ;; esac
    # shellcheck disable=SC2086
    session -o "$options" -u 1000:1000:2000 /mnt/a /mnt/b $some || bad=1
    if [ "$2" = client ] && [ -z "$CHECKS" ]; then acl_tools /mnt/a || bad=1; fi
    umount /mnt/a || bad=1
    umount /mnt/b || bad=1
    if [ $bad = 0 ]; then pass "cache=$1,$rest"; else fail "cache=$1,$rest"; fi
}

# acl_tools DIR: the tools people use, and that the lists are obeyed.
acl_tools() (
    set -e
    trap 'echo "  acl_tools: failed"' EXIT
    cd "$1"
    echo text >acl
    chmod 600 acl
    if su user -c 'cat acl' 2>/dev/null; then exit 1; fi
    setfacl -m u:user:r acl
    su user -c 'cat acl' >/dev/null
    if su user -c 'echo >>acl' 2>/dev/null; then exit 1; fi
    getfacl -c acl | grep -qx user:user:r--
    mkdir folder
    setfacl -d -m g:team:rwx folder
    echo text >folder/file
    getfacl -c folder/file | grep -q group:team:rwx
    case $options in
        kernel=6.1,cache=loose*) ;;     # client limit: see `acls` in session/attributes.c
        *)
            mkdir folder/inner
            getfacl -c folder/inner | grep -qx default:group:team:rwx
            ;;
    esac
    setfacl -b acl
    if su user -c 'cat acl' 2>/dev/null; then exit 1; fi
    rm -r acl folder
    trap - EXIT
)

if [ -n "$VIRTIO" ]; then
    shown
    mkdir -p /mnt/a
    # shellcheck disable=SC2016
    ok "the kernel's own version and msize" sh -c 'mount -t 9p -o trans=virtio a /mnt/a && echo text >/mnt/a/own &&
        grep -qx text /mnt/a/own && rm /mnt/a/own && umount /mnt/a'
fi
for row in $MATRIX; do
    # shellcheck disable=SC2046
    (try $(echo "$row" | tr : ' ')) || exit
done
