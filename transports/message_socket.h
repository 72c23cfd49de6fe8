// MessageSocket: a UNIX socket on which messages come with descriptors: what vhost-user and
// vfio-user have in common.
#pragma once

#include <span>
#include <vector>

#include "transports/io/owned_fd.h"
#include "transports/link.h"

namespace ninep::transport {

/// One loop's. One receive() and one send() at a time.
class MessageSocket {
 public:
  /// What peers hand over. Streams: UNIX sockets by which they are told something.
  enum class Streams { kNone, kTaken };
  /// `fd`: a connected UNIX socket; owned from now on.
  MessageSocket(io::Loop& loop, int fd, Streams streams, std::shared_ptr<Party> party,
                Report report);

  enum class Got { kAll, kEnd };
  /// Fills `room`. What descriptors come along are added to `descriptors`, which are those of one
  /// message. The end: where none may, or more than a message has, or one of a kind that isn't
  /// needed. Those that are wait for nobody when they are closed; only of a stream that can't be
  /// known (Party::closing).
  io::Task<Got> receive(Room room, std::vector<io::OwnedFd>* descriptors);
  /// Closes what a message brought and nobody has taken, which may be a lot of memory.
  void put_away(std::vector<io::OwnedFd>& descriptors);
  io::Task<Got> send(Bytes bytes);
  /// Ends the receive() that waits, and those to come.
  void stop();
  bool stopping() const { return stopping_; }
  /// Ends the send() that waits too, though the peer has not received all of it.
  void abort();
  io::Task<void> close();

 private:
  bool takes(int fd) const;
  const char* refuse(const msghdr& message, std::span<const io::OwnedFd> came,
                     std::size_t taken) const;

  io::Loop& loop_;
  io::OwnedFd fd_;
  const Streams streams_;
  const std::shared_ptr<Party> party_;
  const Report report_;
  io::Op waiting_;
  unsigned at_once_ = 0;
  bool wait_under_way_ = false;
  bool stopping_ = false;
};

}  // namespace ninep::transport
