// MessageSocket: a UNIX socket on which messages come with descriptors: what vhost-user and
// vfio-user have in common.
#pragma once

#include <vector>

#include "transports/io/owned_fd.h"
#include "transports/link.h"

namespace ninep::transport {

/// One loop's. One receive() and one send() at a time.
class MessageSocket {
 public:
  /// `fd`: a connected UNIX socket; owned from now on.
  MessageSocket(io::Loop& loop, int fd, Report report)
      : loop_(loop), fd_(fd), report_(std::move(report)) {}

  enum class Got { kAll, kEnd };
  /// Fills `room`. What descriptors come along are added to `descriptors`, which are those of one
  /// message. The end: where none may, or more than a message has, or one of a kind that isn't
  /// needed. Those that are neither wait for anybody when they are closed nor hold what does.
  io::Task<Got> receive(Room room, std::vector<io::OwnedFd>* descriptors);
  io::Task<Got> send(Bytes bytes);
  /// Ends the receive() that waits, and those to come.
  void stop();
  bool stopping() const { return stopping_; }
  /// Done when all is closed that the peer has sent, which may be what it keeps waiting.
  io::Task<void> close();

 private:
  io::Loop& loop_;
  io::OwnedFd fd_;
  const Report report_;
  std::vector<io::OwnedFd> strange_;  // what came and isn't taken
  io::Op waiting_;
  unsigned at_once_ = 0;
  bool wait_under_way_ = false;
  bool stopping_ = false;
};

}  // namespace ninep::transport
