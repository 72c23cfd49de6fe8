// An operation is data: what to ask the system for, and what it answered.
//
// An Op is filled in by one of the functions below and handed to a Loop (loop.h), which makes the
// call in place, on its ring or on a pool thread, as the routing table says (route.h). The Op and
// all that it points at belong to the caller and stay put until the completion has come, also after
// a cancel.
#pragma once

#include <coroutine>

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/time_types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include "proto/types.h"
#include "transports/io/identity.h"

namespace ninep::io {

enum class Kind : U8 {
  kAccept,
  kRecv,
  kSend,
  kPoll,
  kTimeout,
  kOpen,
  kReopen,
  kClose,
  kRead,
  kWrite,
  kStatx,
  kSync,
  kGetdents,
  kReadlink,
  kMkdir,
  kMknod,
  kSymlink,
  kLink,
  kRename,
  kUnlink,
  kChmod,
  kChown,
  kUtimes,
  kTruncate,
  kStatfs,
  kGetxattr,
  kSetxattr,
  kListxattr,
  kRemovexattr,
  kCall,
};
inline constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::kCall) + 1;

/// Whether a call on a file system may sleep; a property of the file system.
enum class Sleep : U8 {
  kNever,  // memory only: tmpfs, ramfs
  kCold,   // a local disk: only for what isn't cached
  kMay,    // network, FUSE, unknown: any call, for any time
};

struct Op {
  Kind kind = Kind::kCall;
  Sleep sleep = Sleep::kMay;
  bool pipe = false;  // kRecv, kSend: not a socket
  int fd = -1;        // file, socket, or the directory of `path`
  int fd2 = -1;       // the directory of `path2`
  const char* path = nullptr;
  const char* path2 = nullptr;  // also: an attribute's name
  void* data = nullptr;         // iovec[], msghdr, struct to fill in, or bytes
  std::size_t size = 0;         // items or bytes at `data`
  U64 offset = 0;               // position; also a device number, a time in ns
  U64 flags = 0;
  U32 mode = 0;
  U32 uid = kNoId;               // kChown
  U32 gid = kNoId;               // kChown; else: the group to create with
  const Identity* as = nullptr;  // nullptr: it doesn't matter
  int (*call)(void*) = nullptr;  // kCall

  int result = 0;  // as the system call returns it, or a negative errno

  // The loop's and the waiting coroutine's.
  std::coroutine_handle<> waiter = {};
  Op* next = nullptr;
  bool in_pool = false;
  __kernel_timespec time = {};
};

namespace ops {

// Sockets and pipes.
inline Op accept(int fd) { return {.kind = Kind::kAccept, .fd = fd}; }
inline Op recv(int fd, bool pipe, Room room) {
  return {.kind = Kind::kRecv, .pipe = pipe, .fd = fd, .data = room.data(), .size = room.size()};
}
inline Op send(int fd, bool pipe, msghdr& message) {
  return {.kind = Kind::kSend, .pipe = pipe, .fd = fd, .data = &message};
}
/// Waits until `fd` can be read without waiting. Result: poll(2)'s events.
inline Op readable(int fd) { return {.kind = Kind::kPoll, .fd = fd}; }
/// Result: -ETIME when it is over, -ECANCELED.
inline Op timeout(U64 ns) { return {.kind = Kind::kTimeout, .offset = ns}; }

// Files. `path` is a single name, or a path of our own; NUL-terminated.
/// openat2(2).
inline Op open(Sleep sleep, int dir, const char* path, open_how& how) {
  return {.kind = Kind::kOpen, .sleep = sleep, .fd = dir, .path = path, .data = &how};
}
/// Opens what the O_PATH descriptor `fd` stands for.
inline Op reopen(Sleep sleep, int fd, int flags) {
  return {.kind = Kind::kReopen, .sleep = sleep, .fd = fd, .flags = static_cast<U64>(flags)};
}
inline Op close(Sleep sleep, int fd) { return {.kind = Kind::kClose, .sleep = sleep, .fd = fd}; }
inline Op read(Sleep sleep, int fd, std::span<const iovec> to, U64 offset) {
  return {.kind = Kind::kRead,
          .sleep = sleep,
          .fd = fd,
          .data = const_cast<iovec*>(to.data()),
          .size = to.size(),
          .offset = offset};
}
/// flags: RWF_APPEND.
inline Op write(Sleep sleep, int fd, std::span<const iovec> from, U64 offset, int flags) {
  return {.kind = Kind::kWrite,
          .sleep = sleep,
          .fd = fd,
          .data = const_cast<iovec*>(from.data()),
          .size = from.size(),
          .offset = offset,
          .flags = static_cast<U64>(flags)};
}
/// statx(2) of an open descriptor.
inline Op statx(Sleep sleep, int fd, U32 mask, struct statx& out) {
  return {.kind = Kind::kStatx, .sleep = sleep, .fd = fd, .data = &out, .mode = mask};
}
inline Op sync(Sleep sleep, int fd, bool data_only) {
  return {.kind = Kind::kSync, .sleep = sleep, .fd = fd, .flags = data_only};
}
/// getdents64(2) at the descriptor's position, or from `offset` unless it is kHere.
inline constexpr U64 kHere = ~U64{0};
inline Op getdents(Sleep sleep, int fd, Room room, U64 offset) {
  return {.kind = Kind::kGetdents,
          .sleep = sleep,
          .fd = fd,
          .data = room.data(),
          .size = room.size(),
          .offset = offset};
}
inline Op readlink(Sleep sleep, int fd, Room room) {
  return {
      .kind = Kind::kReadlink, .sleep = sleep, .fd = fd, .data = room.data(), .size = room.size()};
}
inline Op mkdir(Sleep sleep, int dir, const char* name, U32 mode) {
  return {.kind = Kind::kMkdir, .sleep = sleep, .fd = dir, .path = name, .mode = mode};
}
inline Op mknod(Sleep sleep, int dir, const char* name, U32 mode, U64 device) {
  return {.kind = Kind::kMknod,
          .sleep = sleep,
          .fd = dir,
          .path = name,
          .offset = device,
          .mode = mode};
}
inline Op symlink(Sleep sleep, const char* target, int dir, const char* name) {
  return {.kind = Kind::kSymlink, .sleep = sleep, .fd2 = dir, .path = target, .path2 = name};
}
/// `file` is a path below /proc/self/fd; what it leads to is linked, never a target behind that.
inline Op link(Sleep sleep, const char* file, int dir, const char* name) {
  return {.kind = Kind::kLink, .sleep = sleep, .fd2 = dir, .path = file, .path2 = name};
}
inline Op rename(Sleep sleep, int from_dir, const char* from, int to_dir, const char* to) {
  return {.kind = Kind::kRename,
          .sleep = sleep,
          .fd = from_dir,
          .fd2 = to_dir,
          .path = from,
          .path2 = to};
}
/// flags: AT_REMOVEDIR.
inline Op unlink(Sleep sleep, int dir, const char* name, int flags) {
  return {.kind = Kind::kUnlink,
          .sleep = sleep,
          .fd = dir,
          .path = name,
          .flags = static_cast<U64>(flags)};
}
/// `path` is one below /proc/self/fd here and in the attribute calls.
inline Op chmod(Sleep sleep, const char* path, U32 mode) {
  return {.kind = Kind::kChmod, .sleep = sleep, .path = path, .mode = mode};
}
inline Op chown(Sleep sleep, int fd, U32 uid, U32 gid) {
  return {.kind = Kind::kChown, .sleep = sleep, .fd = fd, .uid = uid, .gid = gid};
}
/// times: two of them, access and modification; utimensat(2).
inline Op utimes(Sleep sleep, int fd, timespec* times) {
  return {.kind = Kind::kUtimes, .sleep = sleep, .fd = fd, .data = times};
}
/// By descriptor if fd >= 0, else by path.
inline Op truncate(Sleep sleep, int fd, const char* path, U64 size) {
  return {.kind = Kind::kTruncate, .sleep = sleep, .fd = fd, .path = path, .offset = size};
}
inline Op statfs(Sleep sleep, int fd, struct statfs& out) {
  return {.kind = Kind::kStatfs, .sleep = sleep, .fd = fd, .data = &out};
}
inline Op getxattr(Sleep sleep, const char* path, const char* name, Room value) {
  return {.kind = Kind::kGetxattr,
          .sleep = sleep,
          .path = path,
          .path2 = name,
          .data = value.data(),
          .size = value.size()};
}
inline Op setxattr(Sleep sleep, const char* path, const char* name, Bytes value, int flags) {
  return {.kind = Kind::kSetxattr,
          .sleep = sleep,
          .path = path,
          .path2 = name,
          .data = const_cast<std::byte*>(value.data()),
          .size = value.size(),
          .flags = static_cast<U64>(flags)};
}
inline Op listxattr(Sleep sleep, const char* path, Room names) {
  return {.kind = Kind::kListxattr,
          .sleep = sleep,
          .path = path,
          .data = names.data(),
          .size = names.size()};
}
inline Op removexattr(Sleep sleep, const char* path, const char* name) {
  return {.kind = Kind::kRemovexattr, .sleep = sleep, .path = path, .path2 = name};
}
/// Any function that may block; on a pool thread.
inline Op call(int (*function)(void*), void* argument) {
  return {.kind = Kind::kCall, .data = argument, .call = function};
}

}  // namespace ops

/// Takes what perform() needs of the system, while it is to be had. False, with errno: it isn't.
bool prepare_to_perform();
/// Makes the system call that an Op stands for, in the calling thread and under the Op's identity.
/// Returns its result or a negative errno. Not for kTimeout.
int perform(Op& op);
/// The same, but gives -EAGAIN where it would have to wait: sockets, kPoll, kOpen and kRead.
int perform_without_waiting(Op& op);

}  // namespace ninep::io
