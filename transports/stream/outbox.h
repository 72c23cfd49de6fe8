// Outbox: replies on their way to a stream, as runs of bytes in chunks.
//
// Replies that are made one after the other stand one behind the other in a chunk and leave as one
// run; a reply that has to wait keeps its place in the chunk, all that it may need, and joins the
// queue when it is done.
#pragma once

#include <deque>

#include <sys/socket.h>
#include <sys/uio.h>

#include "transports/io/chunk.h"

namespace ninep::transport {

class Outbox {
 public:
  /// A place for one reply.
  struct Place {
    Ref<io::Chunk> chunk;
    std::size_t at = 0;
    std::size_t size = 0;
  };

  /// Room for `size` bytes. Give it back by commit().
  Place reserve(std::size_t size);
  /// The first `size` bytes of the place are to be sent (none: 0), behind what was committed
  /// before.
  void commit(Place place, std::size_t size);

  bool empty() const { return queue_.empty(); }
  /// Bytes reserved, or committed and not sent.
  std::size_t load() const { return reserved_ + queued_; }

  /// The front of the queue as a message for sendmsg(2). Valid until sent().
  msghdr& message();
  void sent(std::size_t size);
  /// Forgets what was to be sent.
  void clear();

 private:
  static constexpr std::size_t kChunk = (64 << 10) - 64;
  static constexpr std::size_t kPieces = 64;

  struct Run {
    Ref<io::Chunk> chunk;
    std::size_t begin;
    std::size_t end;
  };

  Ref<io::Chunk> chunk_;  // where the next reply goes
  std::size_t tail_ = 0;
  std::deque<Run> queue_;
  std::size_t reserved_ = 0;
  std::size_t queued_ = 0;
  iovec pieces_[kPieces];
  msghdr message_{};
};

}  // namespace ninep::transport
