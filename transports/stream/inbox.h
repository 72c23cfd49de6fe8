// Inbox: turns what a stream brings into frames.
//
// Frames are handed out as views into the chunk that they were received into; whoever needs one
// longer holds the chunk. A frame that is larger than a chunk gets a chunk of its own size as soon
// as its header is there, and the rest of it is received straight into that.
#pragma once

#include "proto/frame.h"
#include "transports/io/chunk.h"

namespace ninep::transport {

class Inbox {
 public:
  /// Where the next bytes should go. Valid until received().
  Room room(U32 msize);
  /// `size` bytes of room() were filled.
  void received(std::size_t size);

  /// Takes the next frame, if there is a whole one. Its bytes stay as long as chunk() of now is
  /// held. kIncomplete: receive more; kBroken: the stream can't be followed.
  Front next(U32 msize, Bytes& frame);
  const Ref<io::Chunk>& chunk() const { return chunk_; }

 private:
  static constexpr std::size_t kSmall = 4 << 10;    // for an idle or chatty peer
  static constexpr std::size_t kLarge = 256 << 10;  // for a busy one

  Ref<io::Chunk> chunk_;
  std::size_t begin_ = 0;  // of what isn't handed out
  std::size_t end_ = 0;    // of what was received
  std::size_t size_ = kSmall;
  unsigned sparse_ = 0;  // receives in a row that left a large chunk nearly empty
};

}  // namespace ninep::transport
