// Every message of 9P2000, 9P2000.u and 9P2000.L: the only place where one is described.
//
// A struct is the message's body; size[4] type[1] tag[2] are the frame's (proto/frame.h). Views in
// a decoded message point into the frame that it was decoded from. Rlerror's pair Tlerror (6) and
// Rerror's pair Terror (106) are never sent and have no struct.
#pragma once

#include <tuple>

#include "proto/fields.h"

namespace ninep {

/// An error in .L.
struct Rlerror {
  U32 ecode;  // a Linux errno
};
NINEP_MESSAGE(Rlerror, 7, kDotL, ecode);

/// statfs(2) of the file system that holds fid.
struct Tstatfs {
  Fid fid;
};
NINEP_MESSAGE(Tstatfs, 8, kDotL, fid);

struct Rstatfs {
  U32 type;
  U32 bsize;  // never 0
  U64 blocks;
  U64 bfree;
  U64 bavail;
  U64 files;
  U64 ffree;
  U64 fsid;
  U32 namelen;
};
NINEP_MESSAGE(Rstatfs, 9, kDotL, type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen);

/// open(2) of a walked fid, which becomes an open one.
struct Tlopen {
  Fid fid;
  U32 flags;  // ninep::lopen
};
NINEP_MESSAGE(Tlopen, 12, kDotL, fid, flags);

struct Rlopen {
  Qid qid;
  U32 iounit;  // 0: msize - 24
};
NINEP_MESSAGE(Rlopen, 13, kDotL, qid, iounit);

/// Creates a regular file in directory fid; fid then is the new, open file.
struct Tlcreate {
  Fid fid;
  Str name;
  U32 flags;  // ninep::lopen; kCreate is implied
  U32 mode;
  U32 gid;  // the caller's effective gid
};
NINEP_MESSAGE(Tlcreate, 14, kDotL, fid, name, flags, mode, gid);

struct Rlcreate {
  Qid qid;
  U32 iounit;
};
NINEP_MESSAGE(Rlcreate, 15, kDotL, qid, iounit);

struct Tsymlink {
  Fid dfid;
  Str name;
  Str symtgt;  // any bytes; not interpreted by the server
  U32 gid;
};
NINEP_MESSAGE(Tsymlink, 16, kDotL, dfid, name, symtgt, gid);

struct Rsymlink {
  Qid qid;
};
NINEP_MESSAGE(Rsymlink, 17, kDotL, qid);

/// Device, fifo, socket; also a regular file.
struct Tmknod {
  Fid dfid;
  Str name;
  U32 mode;  // with the file type
  U32 major;
  U32 minor;
  U32 gid;
};
NINEP_MESSAGE(Tmknod, 18, kDotL, dfid, name, mode, major, minor, gid);

struct Rmknod {
  Qid qid;
};
NINEP_MESSAGE(Rmknod, 19, kDotL, qid);

/// The older rename: the file's fid, then the directory.
struct Trename {
  Fid fid;
  Fid newdirfid;
  Str name;
};
NINEP_MESSAGE(Trename, 20, kDotL, fid, newdirfid, name);

struct Rrename {};
NINEP_MESSAGE(Rrename, 21, kDotL);

struct Treadlink {
  Fid fid;
};
NINEP_MESSAGE(Treadlink, 22, kDotL, fid);

struct Rreadlink {
  Str target;
};
NINEP_MESSAGE(Rreadlink, 23, kDotL, target);

struct Tgetattr {
  Fid fid;
  U64 request_mask;  // ninep::getattr
};
NINEP_MESSAGE(Tgetattr, 24, kDotL, fid, request_mask);

struct Rgetattr {
  U64 valid;  // ninep::getattr: what the server filled in
  Attr attr;
};
NINEP_MESSAGE(Rgetattr, 25, kDotL, valid, attr);

struct Tsetattr {
  Fid fid;
  U32 valid;  // ninep::setattr
  U32 mode;
  U32 uid;
  U32 gid;
  U64 size;
  U64 atime_sec;
  U64 atime_nsec;
  U64 mtime_sec;
  U64 mtime_nsec;
};
NINEP_MESSAGE(Tsetattr, 26, kDotL, fid, valid, mode, uid, gid, size, atime_sec, atime_nsec,
              mtime_sec, mtime_nsec);

struct Rsetattr {};
NINEP_MESSAGE(Rsetattr, 27, kDotL);

/// newfid becomes a fid to read an attribute's value; empty name: the list of names.
struct Txattrwalk {
  Fid fid;
  Fid newfid;
  Str name;
};
NINEP_MESSAGE(Txattrwalk, 30, kDotL, fid, newfid, name);

struct Rxattrwalk {
  U64 size;  // of the value
};
NINEP_MESSAGE(Rxattrwalk, 31, kDotL, size);

/// Fid becomes one to write an attribute's value; it is set by Tclunk.
struct Txattrcreate {
  Fid fid;
  Str name;
  U64 attr_size;
  U32 flags;  // kXattrCreate, kXattrReplace
};
NINEP_MESSAGE(Txattrcreate, 32, kDotL, fid, name, attr_size, flags);

struct Rxattrcreate {};
NINEP_MESSAGE(Rxattrcreate, 33, kDotL);

struct Treaddir {
  Fid fid;
  U64 offset;  // 0, or the offset of an entry: what follows it
  U32 count;
};
NINEP_MESSAGE(Treaddir, 40, kDotL, fid, offset, count);

struct Rreaddir {
  Payload data;  // whole Dirents; none at the end
};
NINEP_MESSAGE(Rreaddir, 41, kDotL, data);

struct Tfsync {
  Fid fid;
  Optional<U32> datasync;  // not 0: fdatasync(2) will do; the first .L programs don't send it
};
NINEP_MESSAGE(Tfsync, 50, kDotL, fid, datasync);

struct Rfsync {};
NINEP_MESSAGE(Rfsync, 51, kDotL);

/// A POSIX record lock; fcntl(2).
struct Tlock {
  Fid fid;
  U8 type;  // ninep::lock
  U32 flags;
  U64 start;
  U64 length;   // 0: to the end of file
  U32 proc_id;  // with client_id: who holds it
  Str client_id;
};
NINEP_MESSAGE(Tlock, 52, kDotL, fid, type, flags, start, length, proc_id, client_id);

struct Rlock {
  U8 status;  // ninep::lock
};
NINEP_MESSAGE(Rlock, 53, kDotL, status);

/// No flags, unlike Tlock.
struct Tgetlock {
  Fid fid;
  U8 type;
  U64 start;
  U64 length;
  U32 proc_id;
  Str client_id;
};
NINEP_MESSAGE(Tgetlock, 54, kDotL, fid, type, start, length, proc_id, client_id);

struct Rgetlock {
  U8 type;  // kUnlock: nobody is in the way
  U64 start;
  U64 length;
  U32 proc_id;
  Str client_id;
};
NINEP_MESSAGE(Rgetlock, 55, kDotL, type, start, length, proc_id, client_id);

/// Directory first, then the file.
struct Tlink {
  Fid dfid;
  Fid fid;
  Str name;
};
NINEP_MESSAGE(Tlink, 70, kDotL, dfid, fid, name);

struct Rlink {};
NINEP_MESSAGE(Rlink, 71, kDotL);

struct Tmkdir {
  Fid dfid;
  Str name;
  U32 mode;
  U32 gid;
};
NINEP_MESSAGE(Tmkdir, 72, kDotL, dfid, name, mode, gid);

struct Rmkdir {
  Qid qid;
};
NINEP_MESSAGE(Rmkdir, 73, kDotL, qid);

struct Trenameat {
  Fid olddirfid;
  Str oldname;
  Fid newdirfid;
  Str newname;
};
NINEP_MESSAGE(Trenameat, 74, kDotL, olddirfid, oldname, newdirfid, newname);

struct Rrenameat {};
NINEP_MESSAGE(Rrenameat, 75, kDotL);

struct Tunlinkat {
  Fid dirfid;
  Str name;
  U32 flags;  // 0 or kUnlinkRemoveDir
};
NINEP_MESSAGE(Tunlinkat, 76, kDotL, dirfid, name, flags);

struct Runlinkat {};
NINEP_MESSAGE(Runlinkat, 77, kDotL);

/// Plan9port's extension: open, and pass the descriptor along a UNIX socket.
struct Topenfd {
  Fid fid;
  U8 mode;
};
NINEP_MESSAGE(Topenfd, 98, k9P2000, fid, mode);

struct Ropenfd {
  Qid qid;
  U32 iounit;
  U32 unixfd;
};
NINEP_MESSAGE(Ropenfd, 99, k9P2000, qid, iounit, unixfd);

/// Starts a session; the same bytes in every dialect.
struct Tversion {
  U32 msize;  // largest frame that the client takes, header included
  Str version;
};
NINEP_MESSAGE(Tversion, 100, kAny, msize, version);

struct Rversion {
  U32 msize;    // at most the client's
  Str version;  // "unknown" if there is none in common
};
NINEP_MESSAGE(Rversion, 101, kAny, msize, version);

struct Tauth {
  Fid afid;
  Str uname;
  Str aname;
  Only<kUnix, U32, kDotU> n_uname = kNoNumericUid;  // a numeric uid; not given: uname decides
};
NINEP_MESSAGE(Tauth, 102, kAny, afid, uname, aname, n_uname);

struct Rauth {
  Qid aqid;
};
NINEP_MESSAGE(Rauth, 103, kAny, aqid);

/// Introduces a user to a tree; fid becomes its root.
struct Tattach {
  Fid fid;
  Fid afid;  // from Tauth, or kNoFid
  Str uname;
  Str aname;
  Only<kUnix, U32, kDotU> n_uname = kNoNumericUid;
};
NINEP_MESSAGE(Tattach, 104, kAny, fid, afid, uname, aname, n_uname);

struct Rattach {
  Qid qid;
};
NINEP_MESSAGE(Rattach, 105, kAny, qid);

/// An error in 9P2000 and .u.
struct Rerror {
  Str ename;
  Only<kDotU, U32> ecode;
};
NINEP_MESSAGE(Rerror, 107, kOld, ename, ecode);

/// The client no longer waits for oldtag.
struct Tflush {
  Tag oldtag;
};
NINEP_MESSAGE(Tflush, 108, kAny, oldtag);

struct Rflush {};
NINEP_MESSAGE(Rflush, 109, kAny);

/// newfid becomes what the names lead to from fid; no names: a clone of fid.
struct Twalk {
  Fid fid;
  Fid newfid;
  Names wname;
};
NINEP_MESSAGE(Twalk, 110, kAny, fid, newfid, wname);

struct Rwalk {
  Qids wqid;  // fewer than names: the walk stopped there, and newfid does not exist
};
NINEP_MESSAGE(Rwalk, 111, kAny, wqid);

struct Topen {
  Fid fid;
  U8 mode;
};
NINEP_MESSAGE(Topen, 112, kOld, fid, mode);

struct Ropen {
  Qid qid;
  U32 iounit;
};
NINEP_MESSAGE(Ropen, 113, kOld, qid, iounit);

struct Tcreate {
  Fid fid;
  Str name;
  U32 perm;  // with the DM bits
  U8 mode;
  Only<kDotU, Str> extension;  // a link's target, "b MAJOR MINOR", ...
};
NINEP_MESSAGE(Tcreate, 114, kOld, fid, name, perm, mode, extension);

struct Rcreate {
  Qid qid;
  U32 iounit;
};
NINEP_MESSAGE(Rcreate, 115, kOld, qid, iounit);

struct Tread {
  Fid fid;
  U64 offset;
  U32 count;
};
NINEP_MESSAGE(Tread, 116, kAny, fid, offset, count);

struct Rread {
  Payload data;
};
NINEP_MESSAGE(Rread, 117, kAny, data);

struct Twrite {
  Fid fid;
  U64 offset;
  Payload data;
};
NINEP_MESSAGE(Twrite, 118, kAny, fid, offset, data);

struct Rwrite {
  U32 count;
};
NINEP_MESSAGE(Rwrite, 119, kAny, count);

/// Fid is gone, whatever the answer says.
struct Tclunk {
  Fid fid;
};
NINEP_MESSAGE(Tclunk, 120, kAny, fid);

struct Rclunk {};
NINEP_MESSAGE(Rclunk, 121, kAny);

/// Removes the file; fid is gone in any case.
struct Tremove {
  Fid fid;
};
NINEP_MESSAGE(Tremove, 122, kAny, fid);

struct Rremove {};
NINEP_MESSAGE(Rremove, 123, kAny);

struct Tstat {
  Fid fid;
};
NINEP_MESSAGE(Tstat, 124, kOld, fid);

struct Rstat {
  Counted<false> stat;
};
NINEP_MESSAGE(Rstat, 125, kOld, stat);

struct Twstat {
  Fid fid;
  Counted<true> stat;  // all ones and "" mean: leave it
};
NINEP_MESSAGE(Twstat, 126, kOld, fid, stat);

struct Rwstat {};
NINEP_MESSAGE(Rwstat, 127, kOld);

/// All of them, in the order of their type codes: the one list.
using AllMessages =
    std::tuple<Rlerror, Tstatfs, Rstatfs, Tlopen, Rlopen, Tlcreate, Rlcreate, Tsymlink, Rsymlink,
               Tmknod, Rmknod, Trename, Rrename, Treadlink, Rreadlink, Tgetattr, Rgetattr, Tsetattr,
               Rsetattr, Txattrwalk, Rxattrwalk, Txattrcreate, Rxattrcreate, Treaddir, Rreaddir,
               Tfsync, Rfsync, Tlock, Rlock, Tgetlock, Rgetlock, Tlink, Rlink, Tmkdir, Rmkdir,
               Trenameat, Rrenameat, Tunlinkat, Runlinkat, Topenfd, Ropenfd, Tversion, Rversion,
               Tauth, Rauth, Tattach, Rattach, Rerror, Tflush, Rflush, Twalk, Rwalk, Topen, Ropen,
               Tcreate, Rcreate, Tread, Rread, Twrite, Rwrite, Tclunk, Rclunk, Tremove, Rremove,
               Tstat, Rstat, Twstat, Rwstat>;

}  // namespace ninep
