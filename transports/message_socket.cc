#include "transports/message_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "transports/virtio/signal.h"

namespace ninep::transport {

namespace {
constexpr std::size_t kDescriptorsMax = 16;  // of one message; more than any may bring
constexpr std::size_t kSystemMax = 253;      // what the system takes of one sender at once
constexpr unsigned kAtOnce = 64;             // pieces; then others on the loop have a turn

ssize_t answer(ssize_t result) { return result < 0 ? -errno : result; }

// A stream to tell the peer something: nothing comes by it, and nothing has, in which there may be
// descriptors.
bool is_one_way(int fd) {
  int domain = 0, type = 0, unread = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
         ::shutdown(fd, SHUT_RD) == 0 && ::ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0;
}

// A file below a FUSE mount of the peer's, or a network socket that lingers, is closed when others
// think fit.
bool is_tame(int fd) {
  return ::fcntl(fd, F_GET_SEALS) >= 0 || virtio::can_signal(fd) || is_one_way(fd);
}
}  // namespace

void MessageSocket::stop() {
  stopping_ = true;
  if (wait_under_way_) loop_.cancel(waiting_);
}

io::Task<MessageSocket::Got> MessageSocket::receive(Room room,
                                                    std::vector<io::OwnedFd>* descriptors) {
  for (std::size_t got = 0; got < room.size();) {
    iovec piece{room.data() + got, room.size() - got};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kSystemMax)];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const bool enough = ++at_once_ > kAtOnce;
    const ssize_t size =
        enough ? -EAGAIN : answer(::recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (size == -EINTR) continue;
    if (size == -EAGAIN) {
      at_once_ = 0;
      if (stopping_) co_return Got::kEnd;
      waiting_ = io::ops::readable(fd_.get());
      wait_under_way_ = true;
      const int ready = co_await loop_.run(waiting_);
      wait_under_way_ = false;
      if (ready < 0 && ready != -EINTR) co_return Got::kEnd;
      continue;
    }
    if (size <= 0) co_return Got::kEnd;
    std::vector<io::OwnedFd> came;
    for (const cmsghdr* c = CMSG_FIRSTHDR(&message); c;
         c = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(c))) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        came.emplace_back(fd);
      }
    }
    const std::size_t taken = descriptors ? descriptors->size() : kDescriptorsMax;
    const char* wrong = nullptr;
    if ((message.msg_flags & MSG_CTRUNC) || came.size() > kDescriptorsMax - taken)
      wrong = "too many descriptors";
    else if (!std::ranges::all_of(came, [](const io::OwnedFd& fd) { return is_tame(fd.get()); }))
      wrong = "a descriptor that is no memory, eventfd, pipe or UNIX stream";
    if (!came.empty()) std::ranges::move(came, std::back_inserter(wrong ? strange_ : *descriptors));
    if (wrong) {
      report_(wrong);
      co_return Got::kEnd;
    }
    got += static_cast<std::size_t>(size);
  }
  co_return Got::kAll;
}

io::Task<MessageSocket::Got> MessageSocket::send(Bytes bytes) {
  while (!bytes.empty()) {
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    const int size = co_await loop_.run(io::ops::send(fd_.get(), false, message));
    if (size == -EINTR) continue;
    if (size <= 0) co_return Got::kEnd;
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  co_return Got::kAll;
}

io::Task<void> MessageSocket::close() {
  ::shutdown(fd_.get(), SHUT_RDWR);
  const auto sleep = is_one_way(fd_.get()) ? io::Sleep::kNever : io::Sleep::kPeers;
  co_await loop_.run(io::ops::close(sleep, fd_.leak()));
  for (io::OwnedFd& fd : strange_) co_await loop_.run(io::ops::close(io::Sleep::kPeers, fd.leak()));
}

}  // namespace ninep::transport
