// Replies into the pieces of room that a transport gives.
#pragma once

#include <absl/container/inlined_vector.h>

#include "transports/transport.h"

namespace ninep::server {

/// The first piece, if it has `size` bytes; else none.
inline Room contiguous(Pieces pieces, std::size_t size) {
  if (pieces.empty() || pieces[0].iov_len < size) return {};
  return {static_cast<std::byte*>(pieces[0].iov_base), size};
}

/// `size` bytes of `pieces` behind the first `skip`.
class PayloadRoom {
 public:
  PayloadRoom(Pieces pieces, std::size_t skip, std::size_t size) {
    slice(pieces, skip, size, pieces_);
  }
  Pieces pieces() const { return pieces_; }

 private:
  absl::InlinedVector<iovec, 2> pieces_;
};

/// Writes a frame into the request's room. 0: it is larger than the room.
template <Message R>
std::size_t write_reply(transport::Request& request, Tag tag, const R& reply, Dialects d) {
  const std::size_t size = frame_size(reply, d);
  const Pieces pieces = request.room(size);
  const Room front = contiguous(pieces, size);
  if (!front.empty()) return encode_frame(tag, reply, d, front);
  if (total(pieces) < size) return 0;
  std::vector<std::byte> frame(size);
  (void)encode_frame(tag, reply, d, frame);
  scatter(frame, pieces);
  return size;
}

}  // namespace ninep::server
