#include <atomic>
#include <charconv>
#include <numeric>

#include <linux/fs.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "transports/io/op.h"

namespace ninep::io {
namespace {

template <class T>
int answer(T result) {
  return result < 0 ? -errno : static_cast<int>(result);
}

int flags_of(const Op& op) { return static_cast<int>(op.flags); }

// /proc/self/fd, opened once; a loop's constructor does it, when there are descriptors still.
int own_descriptors() {
  static std::atomic<int> known{-1};
  const int now = known.load(std::memory_order_relaxed);
  if (now >= 0) return now;
  const int opened = ::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int none = -1;
  if (opened >= 0 && !known.compare_exchange_strong(none, opened)) ::close(opened);
  return known.load(std::memory_order_relaxed);
}

// A way to an O_PATH descriptor's file that doesn't lead through all of /proc each time.
int reopen(const Op& op) {
  const int descriptors = own_descriptors();
  char name[12];
  *std::to_chars(name, name + sizeof name - 1, op.fd).ptr = '\0';
  return answer(::openat(descriptors, name, flags_of(op) | O_CLOEXEC));
}

int receive(Op& op, int flags) {
  if (op.pipe) {
    // Whoever else has the file may take O_NONBLOCK from it at any time.
    const iovec room{op.data, op.size};
    if (flags & MSG_DONTWAIT) {
      const int size = answer(::preadv2(op.fd, &room, 1, -1, RWF_NOWAIT));
      if (size != -EOPNOTSUPP) return size;  // pipes, before Linux 6.4
    }
    return answer(::read(op.fd, op.data, op.size));
  }
  return answer(::recv(op.fd, op.data, op.size, flags));
}

int send(Op& op, int flags) {
  const auto& message = *static_cast<const msghdr*>(op.data);
  if (op.pipe)
    return answer(::writev(op.fd, message.msg_iov, static_cast<int>(message.msg_iovlen)));
  return answer(::sendmsg(op.fd, &message, flags | MSG_NOSIGNAL));
}

int poll(const Op& op, int timeout_ms) {
  pollfd polled{.fd = op.fd, .events = POLLIN, .revents = 0};
  const int ready = answer(::poll(&polled, 1, timeout_ms));
  return ready > 0 ? polled.revents : ready;
}

int open(Op& op, U64 resolve) {
  open_how how = *static_cast<const open_how*>(op.data);
  how.resolve |= resolve;
  return answer(::syscall(SYS_openat2, op.fd, op.path, &how, sizeof how));
}

int read(Op& op, int flags) {
  return answer(::preadv2(op.fd, static_cast<const iovec*>(op.data), static_cast<int>(op.size),
                          static_cast<off_t>(op.offset), flags));
}

// A part that is cached is not all that there is: the whole, up to the end of the file, or -EAGAIN.
int read_cached(Op& op) {
  const int result = read(op, RWF_NOWAIT);
  if (result == -EOPNOTSUPP) return -EAGAIN;  // not for this file system
  const std::span pieces(static_cast<const iovec*>(op.data), op.size);
  const auto add = [](std::size_t sum, const iovec& piece) { return sum + piece.iov_len; };
  const std::size_t wanted = std::accumulate(pieces.begin(), pieces.end(), std::size_t{0}, add);
  if (result <= 0 || static_cast<std::size_t>(result) == wanted) return result;
  std::byte next;
  const iovec one{&next, 1};
  const auto behind = static_cast<off_t>(op.offset) + result;
  return ::preadv2(op.fd, &one, 1, behind, RWF_NOWAIT) == 0 ? result : -EAGAIN;
}

int getdents(Op& op) {
  if (op.offset != ops::kHere && ::lseek(op.fd, static_cast<off_t>(op.offset), SEEK_SET) < 0)
    return -errno;
  return answer(::syscall(SYS_getdents64, op.fd, op.data, op.size));
}

int statx(Op& op) {
  const int sync = op.sleep == Sleep::kMay ? AT_STATX_SYNC_AS_STAT : AT_STATX_DONT_SYNC;
  return answer(
      ::statx(op.fd, "", AT_EMPTY_PATH | sync, op.mode, static_cast<struct statx*>(op.data)));
}

int truncate(Op& op) {
  const auto size = static_cast<off_t>(op.offset);
  return answer(op.fd >= 0 ? ::ftruncate(op.fd, size) : ::truncate(op.path, size));
}

}  // namespace

bool prepare_to_perform() { return own_descriptors() >= 0; }

int perform(Op& op) {
  if (op.as && op.kind != Kind::kChown) {
    if (auto done = assume(*op.as, op.gid); !done) return -static_cast<int>(done.error());
  } else if (op.as) {
    if (auto done = assume(*op.as); !done) return -static_cast<int>(done.error());
  }
  switch (op.kind) {
    case Kind::kAccept:
      return answer(::accept4(op.fd, nullptr, nullptr, SOCK_CLOEXEC));
    case Kind::kRecv:
      return receive(op, 0);
    case Kind::kSend:
      return send(op, 0);
    case Kind::kPoll:
      return poll(op, -1);
    case Kind::kTimeout:
      return -EINVAL;
    case Kind::kOpen:
      return open(op, 0);
    case Kind::kReopen:
      return reopen(op);
    case Kind::kClose:
      return answer(::close(op.fd));
    case Kind::kRead:
      return read(op, 0);
    case Kind::kWrite:
      return answer(::pwritev2(op.fd, static_cast<const iovec*>(op.data), static_cast<int>(op.size),
                               static_cast<off_t>(op.offset), flags_of(op)));
    case Kind::kStatx:
      return statx(op);
    case Kind::kSync:
      return answer(op.flags ? ::fdatasync(op.fd) : ::fsync(op.fd));
    case Kind::kGetdents:
      return getdents(op);
    case Kind::kReadlink:
      return answer(::readlinkat(op.fd, "", static_cast<char*>(op.data), op.size));
    case Kind::kMkdir:
      return answer(::mkdirat(op.fd, op.path, op.mode));
    case Kind::kMknod:
      return answer(::mknodat(op.fd, op.path, op.mode, op.offset));
    case Kind::kSymlink:
      return answer(::symlinkat(op.path, op.fd2, op.path2));
    case Kind::kLink:
      return answer(::linkat(AT_FDCWD, op.path, op.fd2, op.path2, AT_SYMLINK_FOLLOW));
    case Kind::kRename:
      return answer(::renameat(op.fd, op.path, op.fd2, op.path2));
    case Kind::kUnlink:
      return answer(::unlinkat(op.fd, op.path, flags_of(op)));
    case Kind::kChmod:
      return answer(::chmod(op.path, op.mode));
    case Kind::kChown:
      return answer(::fchownat(op.fd, "", op.uid, op.gid, AT_EMPTY_PATH));
    case Kind::kUtimes:
      return answer(::utimensat(op.fd, "", static_cast<const timespec*>(op.data), AT_EMPTY_PATH));
    case Kind::kTruncate:
      return truncate(op);
    case Kind::kStatfs:
      return answer(::fstatfs(op.fd, static_cast<struct statfs*>(op.data)));
    case Kind::kGetxattr:
      return answer(::getxattr(op.path, op.path2, op.data, op.size));
    case Kind::kSetxattr:
      return answer(::setxattr(op.path, op.path2, op.data, op.size, flags_of(op)));
    case Kind::kListxattr:
      return answer(::listxattr(op.path, static_cast<char*>(op.data), op.size));
    case Kind::kRemovexattr:
      return answer(::removexattr(op.path, op.path2));
    case Kind::kCall:
      return op.call(op.data);
  }
  return -EINVAL;
}

int perform_without_waiting(Op& op) {
  if (op.as) {
    if (auto done = assume(*op.as, op.gid); !done) return -static_cast<int>(done.error());
  }
  switch (op.kind) {
    case Kind::kAccept:
      return answer(::accept4(op.fd, nullptr, nullptr, SOCK_CLOEXEC));  // listeners don't block
    case Kind::kRecv:
      return receive(op, MSG_DONTWAIT);
    case Kind::kSend:
      return send(op, MSG_DONTWAIT);
    case Kind::kPoll: {
      const int events = poll(op, 0);
      return events == 0 ? -EAGAIN : events;
    }
    case Kind::kOpen: {
      const int result = open(op, RESOLVE_CACHED);
      return result == -EINVAL ? -EAGAIN : result;  // which Linux before 5.12 doesn't know
    }
    case Kind::kRead:
      return read_cached(op);
    default:
      return perform(op);
  }
}

}  // namespace ninep::io
