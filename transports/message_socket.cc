#include "transports/message_socket.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace ninep::transport {

namespace {
constexpr std::size_t kDescriptorsMax = 16;  // of one message; more than any may bring
constexpr unsigned kAtOnce = 64;             // pieces; then others on the loop have a turn

ssize_t answer(ssize_t result) { return result < 0 ? -errno : result; }
}  // namespace

void MessageSocket::stop() {
  stopping_ = true;
  if (wait_under_way_) loop_.cancel(waiting_);
}

io::Task<MessageSocket::Got> MessageSocket::receive(Room room,
                                                    std::vector<io::OwnedFd>* descriptors) {
  for (std::size_t got = 0; got < room.size();) {
    iovec piece{room.data() + got, room.size() - got};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)];
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
    if ((message.msg_flags & MSG_CTRUNC) || came.size() > kDescriptorsMax - taken) {
      report_("too many descriptors");
      co_return Got::kEnd;
    }
    if (descriptors)
      for (io::OwnedFd& fd : came) descriptors->push_back(std::move(fd));
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
  co_await loop_.run(io::ops::close(io::Sleep::kNever, fd_.leak()));
}

}  // namespace ninep::transport
