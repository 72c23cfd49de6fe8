// The other end of a socket on which messages come with descriptors: what the front ends of tests
// have in common.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/check.h"
#include "proto/types.h"

namespace ninep::test {

class MessagePeer {
 public:
  /// `fd`: owned from now on.
  explicit MessagePeer(int fd) : fd_(fd) {
    const timeval limit{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  MessagePeer(const MessagePeer&) = delete;
  MessagePeer& operator=(const MessagePeer&) = delete;
  ~MessagePeer() { hang_up(); }

  void send_raw(Bytes bytes, const std::vector<int>& descriptors = {}, int flags = 0) {
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
    if (!descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* const c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
      std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size() * sizeof(int));
    }
    [[maybe_unused]] const auto sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | flags);
  }
  /// False: the conversation has ended.
  bool receive(Room room) {
    while (!room.empty()) {
      const ssize_t size = ::recv(fd_, room.data(), room.size(), 0);
      if (size < 0 && errno == EINTR) continue;
      NINEP_CHECK(size >= 0 || errno != EAGAIN);  // a minute of silence
      if (size <= 0) return false;
      room = room.subspan(static_cast<std::size_t>(size));
    }
    return true;
  }
  /// Waits for the conversation's end, whatever comes before it.
  bool ends() {
    std::byte byte;
    while (receive({&byte, 1})) continue;
    return true;
  }
  void hang_up() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace ninep::test
