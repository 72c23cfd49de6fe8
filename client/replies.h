// Replies: from the bytes that a server sends to the requests that they answer. No sockets and no
// waiting: the server may send anything (fuzz/client_replies.cc).
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
  Room into;             // an Rread's data; empty: they stay in the frame

  std::unique_ptr<std::byte[]> frame;  // what came; without data that went into `into`
  std::size_t size = 0;                // bytes in `frame`; 0: nothing came yet
  std::size_t read = 0;                // bytes in `into`

  Bytes bytes() const { return {frame.get(), size}; }
};

/// Whom replies belong to.
class Requests {
 public:
  /// Whose reply that is; null: nobody's.
  virtual Awaited* awaited(Tag tag) = 0;
  /// All of the reply is there.
  virtual void answered(Tag tag) = 0;

 protected:
  ~Requests() = default;
};

class Replies {
 public:
  explicit Replies(Requests& requests) : requests_(requests), buffer_(kBufferSize) {}

  /// The largest frame that may come; before the first bytes do.
  void set_msize(U32 msize) { msize_ = msize; }
  /// Where the next bytes go.
  std::span<const iovec> room();
  /// `size` bytes have come there. Otherwise what the server did wrong: nothing that it sends after
  /// that means anything.
  std::expected<void, const char*> received(std::size_t size);

 private:
  static constexpr std::size_t kBufferSize = 64 << 10;

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
