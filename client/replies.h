// Replies: from the bytes that a server sends to the requests that they answer (intro(5): a frame
// is size[4] type[1] tag[2] and the rest). No sockets and no waiting; one thread at a time. The
// server may send anything.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include <sys/uio.h>

#include "proto/dispatch.h"
#include "proto/result.h"

namespace ninep::client {

/// A request that waits for its reply: what may come, and where it goes.
struct Awaited {
  U8 type = 0;           // of the reply, if nothing is wrong
  std::size_t most = 0;  // bytes of the frame that may come, an error's included
  Room into;             // an Rread's data, the caller's; empty: they stay in the frame

  std::unique_ptr<std::byte[]> frame;  // what came; without data that went into `into`
  std::size_t size = 0;                // bytes in `frame`; 0: nothing came yet
  std::size_t read = 0;                // bytes in `into`

  Bytes bytes() const { return {frame.get(), size}; }
};

/// Whom replies belong to. Called from received().
class Requests {
 public:
  /// Whose reply that is; it stays until it is answered. Null: nobody's.
  virtual Awaited* awaited(Tag tag) = 0;
  /// All of the reply is there.
  virtual void answered(Tag tag) = 0;

 protected:
  ~Requests() = default;
};

class Replies {
 public:
  /// `requests` stays.
  explicit Replies(Requests& requests) : requests_(requests), buffer_(kBufferSize) {}

  /// The largest frame that may come, in bytes; before the first ones do.
  void set_msize(U32 msize) { msize_ = msize; }
  /// Where the next bytes go.
  std::span<const iovec> room();
  /// `size` bytes have come there. Otherwise what the server did wrong: nothing that it sends after
  /// that means anything.
  std::expected<void, const char*> received(std::size_t size);

 private:
  // For heads and what is small: most of an Rread goes where it belongs at once.
  static constexpr std::size_t kBufferSize = 8 << 10;

  std::expected<void, const char*> begin(const Header& header, Awaited& awaited);
  Bytes buffered() const { return Bytes(buffer_).subspan(begin_, end_ - begin_); }

  Requests& requests_;
  U32 msize_ = 0;
  std::vector<std::byte> buffer_;  // [begin_, end_) has come and belongs to no reply yet
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Tag tag_{};  // of the reply that is under way
  Room rest_;  // where what is missing of it goes
  std::array<iovec, 2> pieces_;
};

}  // namespace ninep::client
