#include "transports/message_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "transports/party.h"
#include "transports/virtio/signal.h"

namespace ninep::transport {

namespace {
constexpr std::size_t kDescriptorsMax = 16;  // of one message; more than any may bring
constexpr std::size_t kSystemMax = 253;      // what the system takes of one sender at once
constexpr std::size_t kAsideMax = 1024;
constexpr unsigned kAtOnce = 64;  // pieces; then others on the loop have a turn

const char* const kTooMuchAside = "too many descriptors that came this way still wait to be closed";

ssize_t answer(ssize_t result) { return result < 0 ? -errno : result; }

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// A stream to tell the peer something: nothing comes by it, and nothing has. Its other end has no
// name, as that of a pair: that of a connection to one of our own listeners has. Nothing is asked
// that waits for whoever is reading it.
bool is_one_way(int fd) {
  sockaddr_storage other{};
  socklen_t size = sizeof other;
  int unread = 1;
  return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_STREAM &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size) == 0 &&
         size <= sizeof other.ss_family && ::shutdown(fd, SHUT_RD) == 0 &&
         ::ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0;
}
}  // namespace

MessageSocket::MessageSocket(io::Loop& loop, int fd, Streams streams, std::shared_ptr<Party> party,
                             Report report)
    : loop_(loop),
      fd_(fd),
      streams_(streams),
      party_(std::move(party)),
      report_(std::move(report)) {
  // An urgent byte stays where it is. Otherwise recvmsg(2) drops it, and closes what came with it.
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  if (party_->closing.waiting() <= kAsideMax) return;
  report_(kTooMuchAside);
  stopping_ = true;
}

void MessageSocket::stop() {
  stopping_ = true;
  if (wait_under_way_) loop_.cancel(waiting_);
}

void MessageSocket::abort() {
  stop();
  ::shutdown(fd_.get(), SHUT_RDWR);
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
    if (const char* const wrong =
            refuse(message, came, descriptors ? descriptors->size() : kSystemMax)) {
      for (io::OwnedFd& fd : came) party_->closing.close(std::move(fd));
      report_(wrong);
      co_return Got::kEnd;
    }
    if (!came.empty()) std::ranges::move(came, std::back_inserter(*descriptors));
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

// Why what came is not taken; none: it is. `taken`: how many descriptors the message has already.
const char* MessageSocket::refuse(const msghdr& message, std::span<const io::OwnedFd> came,
                                  std::size_t taken) const {
  if (!came.empty() && party_->closing.waiting() > kAsideMax) return kTooMuchAside;
  if ((message.msg_flags & MSG_CTRUNC) ||
      (!came.empty() && (taken > kDescriptorsMax || came.size() > kDescriptorsMax - taken)))
    return "too many descriptors";
  if (!std::ranges::all_of(came, [&](const io::OwnedFd& fd) { return takes(fd.get()); }))
    return "a descriptor of a kind that isn't needed";
  // A copy of the peer's own end would keep the connection up when the peer is gone. It is no
  // longer read by now, which this end is told.
  if (!came.empty() && ::send(fd_.get(), nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    return "its own end of the connection";
  return nullptr;
}

bool MessageSocket::takes(int fd) const {
  return ::fcntl(fd, F_GET_SEALS) >= 0 || virtio::is_eventfd(fd) ||
         (streams_ == Streams::kTaken && is_one_way(fd));
}

void MessageSocket::put_away(std::vector<io::OwnedFd>& descriptors) {
  for (io::OwnedFd& fd : descriptors) party_->closing.close(std::move(fd));
  descriptors.clear();
}

io::Task<void> MessageSocket::close() {
  ::shutdown(fd_.get(), SHUT_RDWR);
  // What is unread in it goes with its last descriptor, which isn't the one that the loop forgets.
  io::OwnedFd last(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  co_await loop_.run(io::ops::close(io::Sleep::kNever, fd_.leak()));
  party_->closing.close(std::move(last));
}

}  // namespace ninep::transport
