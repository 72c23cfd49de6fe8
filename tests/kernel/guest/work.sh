#!/bin/sh
# Real work on a mount: unpack a source tree, git, make, dbench, sqlite, random reads and writes.
# $CACHE says how the mount is cached; /guest/source.tar and /guest/program.tar come from Debian.
. /guest/lib.sh
attach /mnt/x "uname=root,access=any,msize=262144,cache=$CACHE"
mkdir "/mnt/x/$CACHE" /tmp/tree
cd "/mnt/x/$CACHE" || exit 1

unpack() {
    mkdir tree
    tar -xf /guest/source.tar -C tree
    [ "$(find tree | wc -l)" -ge 2900 ]
}
compare() {
    tar -xf /guest/source.tar -C /tmp/tree
    diff -r --no-dereference /tmp/tree tree
}
use_git() {
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    cd "tree/$GIT"
    git -c init.defaultBranch=main init
    git add -A -f
    git commit -q -m 'all of it'
    git fsck --full --strict
    find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -r {} +
    git checkout -q .
    [ -z "$(git status --porcelain)" ]
    diff -r --no-dereference -x .git "/tmp/tree/$GIT" .
    rm -r .git
}
build() {
    mkdir program
    tar -xf /guest/program.tar -C program
    make -C program/src CC=tcc AR='tcc -ar' RANLIB=true posix
    [ "$(program/src/lua -e 'print(6 * 7)')" = 42 ]
    # Its time stamps say that all is built.
    make -C program/src CC=tcc AR='tcc -ar' RANLIB=true posix >/tmp/again
    not grep -q 'tcc.*-c ' /tmp/again
    touch program/src/lapi.c
    make -C program/src CC=tcc AR='tcc -ar' RANLIB=true posix >/tmp/again
    [ "$(grep -c 'tcc.*-c ' /tmp/again)" = 1 ]
    rm -r program
}
four_clients() {
    mkdir dbench
    dbench -c /usr/share/dbench/client.txt -D dbench -t 10 4
    rm -r dbench
}
sqlite() {    # MODE, and "&" where the four may write at once
    rm -f base*
    [ "$(sqlite3 base "PRAGMA journal_mode=$1")" = "$1" ]
    sqlite3 base 'CREATE TABLE t(id INTEGER PRIMARY KEY, who, text); CREATE INDEX i ON t(text)'
    # The locks keep them apart.
    for who in 1 2 3 4; do
        for n in 1 2 3 4 5; do
            sqlite3 -cmd '.log stderr' -cmd '.timeout 60000' base "BEGIN IMMEDIATE;
                WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100)
                INSERT INTO t(who, text) SELECT $who, hex(randomblob(50)) FROM c; COMMIT"
        done &
        [ "$2" = '&' ] || wait
    done
    wait
    [ "$(sqlite3 base 'PRAGMA integrity_check')" = ok ]
    [ "$(sqlite3 base 'SELECT count(*), count(DISTINCT who) FROM t')" = '2000|4' ]
    sqlite3 base 'BEGIN; DELETE FROM t; ROLLBACK; UPDATE t SET text = who WHERE id % 2; VACUUM'
    [ "$(sqlite3 base 'PRAGMA integrity_check; SELECT count(*) FROM t WHERE text = who')" = 'ok
1000' ]
}
sqlite_rollback() { sqlite delete '&'; }
# Client limit: with cache=mmap a reply to fstat sets a file's size back while another process makes
# the file longer (docs/mount.md). The write-ahead log is such a file.
sqlite_wal() { case $CACHE in mmap) sqlite wal '' ;; *) sqlite wal '&' ;; esac; }
random_operations() { churn file "$CHURN"; }

does unpack
does compare
does use_git
does build
does four_clients
does sqlite_rollback
# Client limit: WAL needs a shared writable map, which an uncached mount refuses.
if [ "$CACHE" = none ]; then skip 'cache=none sqlite_wal (no shared writable maps)'; else does sqlite_wal; fi
does random_operations
cd /
umount /mnt/x || fail "cache=$CACHE umount"
