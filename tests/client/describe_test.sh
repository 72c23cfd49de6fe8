#!/bin/bash
# describe_test.sh 9P DOCS WHAT 9PSERVE: that the man page (WHAT is man) and the completions (bash, zsh,
# fish) in the folder DOCS know all that --help does, and that they work. Ends with 77, and says why,
# where the shell isn't there.
set -u
p=$1 docs=$2 what=$3 server=$4
dir=$(mktemp -d) || exit 1
pid=
trap 'kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT
. "$(dirname "$0")/lib.sh"

case $what in
    man) file=$docs/man/9p.1 needs=man ;;
    bash) file=$docs/completions/9p.bash needs=bash ;;
    zsh) file=$docs/completions/_9p needs=zsh ;;
    fish) file=$docs/completions/9p.fish needs=fish ;;
esac
if ! command -v "$needs" >/dev/null; then
    echo "skipped: there is no $needs here"
    exit 77
fi

# commands: as --help lists them.
commands() { "$p" --help | awk '/^COMMANDS/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }'; }
# options [COMMAND]: the flags of its --help.
options() {
    "$p" "$@" --help | awk '/^  +-/ { for (i = 1; i <= NF && $i ~ /^-/; ++i) { sub(/,$/, "", $i); print $i } }'
}
[ "$(commands | wc -l)" -ge 19 ] || not_so "commands of --help: $(commands | xargs)"
[ "$(options bench | wc -l)" -ge 12 ] || not_so "options of bench --help: $(options bench | xargs)"
for one in ls tree cat stat get put cp sync mkdir rm mv ln chmod touch xattr df lock ping bench mount; do
    commands | grep -qx "$one" || not_so "--help has no command $one"
done
for one in $(commands); do
    says "usage: 9p $one " "$p" "$one" --help
    says EXAMPLES "$p" "$one" --help
    "$p" "$one" --help | awk 'length > 104 { exit 1 }' || not_so "$one --help has lines that are too long"
done
says 'EXIT STATUS' "$p" --help

# A server with something to complete.
mkdir -p "$dir/export/docs/deep" "$dir/here"
touch "$dir/export/data" "$dir/export/docs/with space" "$dir/export/$(printf 'odd\377')"
"$server" --listen "unix:$dir/s" "$dir/export" >"$dir/log" 2>&1 &
pid=$!
until "$p" --wait 0 ls "unix:$dir/s" >/dev/null 2>&1; do
    kill -0 "$pid" || { cat "$dir/log"; exit 1; }
    sleep 0.05
done
at=unix:$dir/s
mkdir "$dir/bin"
ln -s "$(readlink -f "$p")" "$dir/bin/9p"
export PATH=$dir/bin:$PATH

# ---------------------------------------------------------------- what each of them knows of it
man_page() {
    local page
    man --warnings -l "$file" >"$dir/page" 2>"$dir/warnings" || not_so "man ends with $?"
    [ ! -s "$dir/warnings" ] || not_so "man warns: $(cat "$dir/warnings")"
    page=$(MANWIDTH=200 man -l -Tutf8 "$file" 2>/dev/null | col -b)
    # A command's part: from its heading to the next.
    part() { awk -v "c=   $1" '$0 == c { on = 1; next } on && /^   [^ ]|^[A-Z]/ { exit } on' <<<"$page"; }
    for one in $(commands); do
        part "$one" | grep -q "9p $one " || not_so "the page has no command $one"
        for flag in $(options "$one"); do
            case $flag in -h | --help) continue ;; esac
            part "$one" | grep -qE "^ +(-[^ ]+, )*$flag(,| |\$)" || not_so "the page has no $one $flag"
        done
    done
    for flag in $(options); do
        grep -qE "^ +(-[^ ]+, )*$flag(,| |\$)" <<<"$page" || not_so "the page has no $flag"
    done
    grep -q '^ADDRESSES' <<<"$page" || not_so 'the page does not say what an address is'
    grep -q '^EXIT STATUS' <<<"$page" || not_so 'the page has no exit status'
}

# line WORD...: what bash offers for the last of them, as readline divides them, one on a line.
line() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=() compopts=
    _9p
    printf '%s\n' "${COMPREPLY[@]}" | sort -u
}
# offers WANTED WORD...: all that is offered, separated by blanks. COMP_LINE is the caller's.
offers() {
    local wanted=$1 got
    shift
    got=$(line "$@" | paste -sd ' ')
    [ "$got" = "$wanted" ] || not_so "\"$COMP_LINE\" offers \"$got\", not \"$wanted\""
}
bash_completion() {
    bash -n "$file" || not_so 'its syntax'
    compopt() { compopts+=" $*"; }
    # shellcheck disable=SC1090
    . "$file"
    complete -p 9p >/dev/null || not_so '9p is not completed'
    COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
    COMP_LINE='9p mo' offers mount 9p mo
    COMP_LINE='9p get --rec' offers --recursive 9p get --rec
    COMP_LINE='9p --json --user me get --rec' offers --recursive 9p --json --user me get --rec
    COMP_LINE='9p bench x --unlink ' offers 'auto remove unlinkat' 9p bench x --unlink ''
    COMP_LINE='9p bench --unlink=re' offers remove 9p bench --unlink = re
    COMP_LINE='9p bench x seq' offers 'seqread seqwrite' 9p bench x seq
    COMP_LINE='9p ls un' offers unix: 9p ls un
    COMP_LINE="9p ls $at:/d" offers '/data /docs/' 9p ls unix : "$dir/s" : /d
    COMP_LINE="9p ls -l $at:/docs/" offers '/docs/deep/ /docs/with\ space' 9p ls -l unix : "$dir/s" : /docs/
    COMP_LINE="9p ls $at,aname=/:/d" offers '/data /docs/' 9p ls unix : "$dir/s,aname" = / : /d
    COMP_LINE="9p get $at:/odd" offers "\$'/odd\\377'" 9p get unix : "$dir/s" : /odd
    COMP_LINE="9p ls $at:/none" offers '' 9p ls unix : "$dir/s" : /none
    COMP_LINE="9p mount x $dir/he" offers "$dir/here" 9p mount x "$dir/he"
    COMP_LINE="9p put $dir/he" offers "$dir/here" 9p put "$dir/he"
    COMP_LINE="9p lock x -- sle" offers "$(compgen -c sle | sort -u | paste -sd ' ')" 9p lock x -- sle
    for one in $(commands); do
        COMP_LINE="9p $one" line 9p "$one" | grep -qx "$one" || not_so "no command $one is offered"
        for flag in $(options) $(options "$one"); do
            COMP_LINE="9p $one $flag" line 9p "$one" "$flag" | grep -qx -- "$flag" ||
                not_so "no $flag of $one is offered"
        done
    done
}

# zsh completes on a terminal alone: it is given one, and prints what would be added.
zsh_completion() {
    zsh -n "$file" || not_so 'its syntax'
    cat >"$dir/setup.zsh" <<'END'
PROMPT=
fpath=($1 $fpath)
autoload -Uz compinit
compinit -u -D
bindkey '^I' complete-word
mark() { print -r -- '@@@@@'; }
compprefuncs=(mark)
comppostfuncs=(mark exit)
zstyle ':completion:*' insert-tab false
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a offered
  builtin compadd -A offered "$@"
  (( $#offered )) && print -rl -- $offered
  builtin compadd "$@"
}
print REA''DY
END
    cat >"$dir/offered.zsh" <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $1 $2"
zpty -r -m shell got '*READY*'
zpty -n -w shell "$3"$'\t'
zpty -r -m shell got '*@@@@@*@@@@@*'
print -r -- ${${${got#*@@@@@}%@@@@@*}//$'\r'/}
END
    # offered LINE: what zsh offers, one on a line.
    offered() {
        zsh -f "$dir/offered.zsh" "$dir/setup.zsh" "$docs/completions" "$1" | grep . | sort -u
    }
    gives() {
        local got
        got=$(offered "$1" | paste -sd ' ')
        [ "$got" = "$2" ] || not_so "\"$1\" offers \"$got\", not \"$2\""
    }
    gives '9p mo' mount
    gives '9p get --rec' --recursive
    gives '9p --json --user me get --rec' --recursive
    gives '9p bench x --unlink ' 'auto remove unlinkat'
    gives '9p bench x seq' 'seqread seqwrite'
    gives '9p ls un' unix:
    gives "9p ls $at:/d" "$at:/data $at:/docs/"
    gives "9p ls -l $at:/docs/" "$at:/docs/deep/ $at:/docs/with\\ space"
    gives "9p put $dir/he" here
    gives "9p mount x $dir/he" here
    for one in $(commands); do
        gives "9p $one" "$one"
        offered "9p $one x -" >"$dir/answer"
        for flag in $(options) $(options "$one"); do
            grep -qx -- "$flag" "$dir/answer" || not_so "no $flag of $one is offered"
        done
    done
}

fish_completion() {
    fish -n "$file" || not_so 'its syntax'
    # offered LINE: what fish offers, one on a line.
    cat >"$dir/offered.fish" <<END
source $file
while read -l line
    complete -C "\$line" | string replace -r '\t.*' ''
    echo ---
end
END
    offered() { echo "$1" | fish --no-config "$dir/offered.fish" 2>&1 | grep -vx -- --- | sort | paste -sd ' '; }
    gives() { [ "$(offered "$1")" = "$2" ] || not_so "\"$1\" offers \"$(offered "$1")\", not \"$2\""; }
    gives '9p mo' mount
    gives '9p get --rec' --recursive
    gives '9p bench x --unlink ' 'auto remove unlinkat'
    gives '9p bench x seq' 'seqread seqwrite'
    gives "9p ls $at:/d" "$at:/data $at:/docs/"
    gives "9p put $dir/he" "$dir/here/"
    gives "9p mount x $dir/he" "$dir/here/"
    {
        for one in $(commands); do
            echo "9p $one"
            echo "9p $one -"
            echo "9p $one --"
        done
    } >"$dir/lines"
    fish --no-config "$dir/offered.fish" <"$dir/lines" >"$dir/answers" 2>&1
    for one in $(commands); do
        number=$((number + 1))
        awk -v RS='---\n' -v n="$number" 'NR == 3 * n - 2' "$dir/answers" | grep -qx "$one" ||
            not_so "no command $one is offered"
        for flag in $(options) $(options "$one"); do
            awk -v RS='---\n' -v n="$number" 'NR == 3 * n - 1 || NR == 3 * n' "$dir/answers" |
                grep -qx -- "$flag" || not_so "no $flag of $one is offered"
        done
    done
}

number=0
case $what in
    man) man_page ;;
    *) "${what}_completion" ;;
esac
exit $failed
