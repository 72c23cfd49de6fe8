// One connection under load: requests gather in a buffer and leave with one send, replies arrive in
// a buffer and are taken one by one.
#pragma once

#include <optional>
#include <vector>

#include "client/bench/content.h"
#include "client/bench/wire.h"

namespace ninep::bench {

class Connection {
 public:
  Connection(Socket socket, U32 number, U32 msize, Dialects dialect);

  int fd() const { return socket_.fd(); }
  U32 number() const { return number_; }
  U32 msize() const { return msize_; }
  Dialects dialect() const { return dialect_; }

  /// Adds a request to what flush() sends.
  template <Message T>
  void queue(Tag tag, const T& request) {
    const std::size_t size = frame_size(request, dialect_);
    out_end_ += encode_frame(tag, request, dialect_, room(size));
  }
  /// Adds a Twrite of `size` bytes of a pattern, which is made in place.
  void queue_write(Tag tag, Fid fid, U64 offset, U64 pattern, U32 size);

  std::size_t queued() const { return out_end_ - out_begin_; }
  /// Sends as much as the socket takes without waiting.
  void flush();

  /// Receives once; waits if nothing is there. A signal ends it too.
  void receive();
  /// The next whole frame of what was received; valid until receive().
  std::optional<Bytes> next_frame();

  // What the lanes of a connection share.
  U64 stream_offset = 0;        // where the next piece of a sequential read or write begins
  Written written{};            // which blocks of its write-N were written
  bool waits_for_room = false;  // its socket was full

 private:
  Room room(std::size_t size);

  Socket socket_;
  U32 number_;
  U32 msize_;
  Dialects dialect_;
  std::vector<std::byte> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::vector<std::byte> out_;
  std::size_t out_begin_ = 0;
  std::size_t out_end_ = 0;
};

}  // namespace ninep::bench
