#!/bin/sh
# overlayfs above shares that are read-only, as containers' roots are made of images' layers; what is
# written goes to a tmpfs of the guest's.
. /guest/lib.sh

# over OPTIONS LAYER...: at /tmp/x, with nothing written yet.
over() {
    options=$1
    shift
    rm -rf /tmp/upper /tmp/work
    mkdir -p /tmp/upper /tmp/work /tmp/x
    mount -t overlay -o "lowerdir=$(echo "$*" | tr ' ' :),upperdir=/tmp/upper,workdir=/tmp/work$options" overlay /tmp/x ||
        { fail "cache=$CACHE overlayfs$options above $*"; exit 1; }
    cd /tmp/x || exit
}
over_end() {
    cd /
    umount /tmp/x || fail "cache=$CACHE umount"
}
# what FILE: all that there is to know of it; not what overlayfs adds to its own copy, nor how much
# room a file system has for a folder.
what() {
    stat -c '%F %a %u:%g %s %t:%T %Y' "$1" | sed -E 's/^(directory .* )[0-9]+( .* )/\1\2/'
    getfattr -h -d -m - "$1" | grep -vE '^# file|trusted.overlay' || :
}

same() {
    for file in odd odd/*; do is "$(what "$file")" "$(cd /mnt/a && what "$file")"; done
    cmp large /mnt/a/large
    is "$(ls many | wc -l)" 300
    not touch /mnt/a/new
}
copied_up() {
    for file in odd/plain odd/program odd/team odd/sticky odd/fifo odd/null; do
        before=$(what "$file")
        chmod u+s "$file"
        chmod "$(stat -c %a "/mnt/a/$file")" "$file"
        [ -e "/tmp/upper/$file" ]
        is "$(what "$file")" "$before"
    done
    before=$(stat -c %a:%u:%g odd/plain)
    echo more >>odd/plain
    is "$(cat odd/plain)" 'text
more'
    is "$(stat -c %a:%u:%g odd/plain)" "$before"
    # Which names are one file isn't kept: overlayfs would need file handles of the layer for it.
    is "$(cat 'odd/the same')" text
    printf end | dd of=large bs=1 seek=3000000 conv=notrunc
    is "$(head -c 3000000 large | md5sum)" "$(md5sum </mnt/a/large)"
    is "$(tail -c 3 large)" end
}
links() {
    ln only-a linked
    echo more >>linked
    is "$(cat only-a)" "$(cat linked)"
    is "$(stat -c %h only-a)" 2
}
executed() {
    is "$(./echo text)" text
    touch echo
    [ -e /tmp/upper/echo ]
    is "$(./echo text)" text
}
removed() {
    rm both many/a-7
    not ls both
    is "$(stat -c %F:%t:%T /tmp/upper/both)" 'character special file:0:0'
    is "$(ls many | wc -l)" 299
    echo again >both
    is "$(cat both)" again
    rm -r many
    mkdir many
    [ -z "$(ls many)" ]
    getfattr -n trusted.overlay.opaque /tmp/upper/many
    touch many/new
    is "$(ls many)" new
}
moved() {
    mv dir moved        # copies: rename(2) of a layer's folder says EXDEV
    is "$(cat moved/only-a)" a
    not ls dir
    mv 'odd/the same' odd/moved
    is "$(what odd/moved)" "$(what '/mnt/a/odd/the same')"
    not ls 'odd/the same'
}
redirected() {
    mv dir moved
    is "$(cat moved/only-a)" a
    not ls dir
    [ ! -e /tmp/upper/moved/only-a ]
    getfattr -n trusted.overlay.redirect /tmp/upper/moved
}
two_layers() {
    is "$(cat both only-a only-b)" 'a
a
b'
    is "$(echo dir/*)" 'dir/both dir/only-a dir/only-b'
    is "$(cat dir/both)" a
    is "$(ls many | wc -l)" 600
    not ls removed
    is "$(echo opaque/* opaque-to-users/*)" 'opaque/only-a opaque-to-users/only-a opaque-to-users/only-b'
    rm dir/both
    echo more >>dir/only-b
    mv many/b-7 many/c-7
    is "$(cat dir/only-b)" 'b
more'
    is "$(ls many | wc -l)" 600
}
# The attributes that are for ordinary users in place of those of trusted.
user_attributes() {
    is "$(echo opaque/* opaque-to-users/*)" 'opaque/only-a opaque/only-b opaque-to-users/only-a'
    not ls removed
    rm -r dir
    mkdir dir
    getfattr -n user.overlay.opaque /tmp/upper/dir
    [ -z "$(ls dir)" ]
    touch odd/plain
    is "$(what odd/plain | grep user.key)" 'user.key="value"'
}

for CACHE in $CACHES; do
    attach /mnt/a "cache=$CACHE,msize=512000,posixacl"
    attach /mnt/b "cache=$CACHE,msize=512000,posixacl"
    over '' /mnt/a
    for check in same copied_up links executed removed moved; do does $check; done
    over_end
    over ,redirect_dir=on /mnt/a
    does redirected
    over_end
    over '' /mnt/a /mnt/b
    does two_layers
    over_end
    over ,userxattr /mnt/a /mnt/b
    does user_attributes
    over_end
    umount /mnt/a || fail "cache=$CACHE umount a"
    umount /mnt/b || fail "cache=$CACHE umount b"
done
echo '  the kernel says:'
dmesg | grep -i overlay | sed 's/^\[[^]]*\] /    /' | sort | uniq -c
