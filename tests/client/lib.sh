# lib.sh: what the tests of the tool have in common. To be sourced; $dir is a folder of the test's own.
# shellcheck shell=bash disable=SC2034,SC2154

failed=0
# not_so WHAT: a check that did not hold.
not_so() {
    echo "FAILED: $*"
    failed=1
}
said() { head -20 "$dir/said" | sed "s/^/    /"; }
# check WHAT COMMAND...: it has to work.
check() {
    local what=$1
    shift
    "$@" >"$dir/said" 2>&1 && return
    not_so "$what: $*"
    said
    return 1
}
# says TEXT COMMAND...: TEXT is in what it prints, whatever its status.
says() {
    local text=$1
    shift
    "$@" >"$dir/said" 2>&1
    grep -qF -- "$text" "$dir/said" && return
    not_so "\"$text\" is not what it says: $*"
    said
}
# status N COMMAND...
status() {
    local wanted=$1
    shift
    "$@" >"$dir/said" 2>&1
    local is=$?
    [ $is = "$wanted" ] && return
    not_so "status $is, not $wanted: $*"
    said
}

# make_tree DIR: one of every kind, and what is hard to copy.
make_tree() {
    mkdir -p "$1/d/e" "$1/empty"
    (
        cd "$1" || exit 1
        echo hello >f
        ln f hard
        ln -s f link
        ln -s /etc/passwd absolute
        mkfifo pipe
        chmod 4750 d/e
        head -c 9000001 /dev/urandom >d/big
        truncate -s 40M d/sparse
        echo end >>d/sparse
        echo q >'d/a name with spaces'
        printf x >"$(printf 'd/\303\251 \001 \\ \"')"
        for i in $(seq 300); do echo "$i" >"d/e/n$i"; done
        touch -d '2001-02-03 04:05:06.789' f d/e d/big
        setfattr -n user.test -v value f
    )
}
# facts DIR: all that a copy keeps of a tree. A directory's size is its file system's own.
facts() {
    (cd "$1" && find . -mindepth 1 \( -type d -printf '%p %M %T@\n' -o -type l -printf '%p %M %l\n' \
        -o -printf '%p %M %T@ %s %n\n' \) | sort)
}
xattrs() { (cd "$1" && getfattr -R -h -d -m '^user\.' .); }
# same WHAT DIR DIR
same() {
    check "$1: content" diff -r --no-dereference -x pipe "$2" "$3"
    check "$1: facts" diff -u0 <(facts "$2") <(facts "$3")
    check "$1: attributes" diff -u0 <(xattrs "$2") <(xattrs "$3")
    [ ! -e "$2/hard" ] || [ -n "$(xattrs "$3")" ] || not_so "$1: there are no attributes"
}
