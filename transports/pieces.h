// Memory in pieces, as readv(2) and virtqueues have it.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include <sys/uio.h>

#include "proto/types.h"

namespace ninep {

using Pieces = std::span<const iovec>;

inline std::size_t total(Pieces pieces) {
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  return size;
}

/// Copies `bytes` to the front of `pieces`, as far as both go.
inline void scatter(Bytes bytes, Pieces pieces) {
  for (const iovec& piece : pieces) {
    const std::size_t part = std::min(bytes.size(), piece.iov_len);
    if (part == 0) continue;
    std::memcpy(piece.iov_base, bytes.data(), part);
    bytes = bytes.subspan(part);
  }
}

/// Copies the front of `pieces` to `room`, as far as both go. Bytes copied.
inline std::size_t gather(Pieces pieces, Room room) {
  std::size_t size = 0;
  for (const iovec& piece : pieces) {
    const std::size_t part = std::min(room.size() - size, piece.iov_len);
    if (part == 0) continue;
    std::memcpy(room.data() + size, piece.iov_base, part);
    size += part;
  }
  return size;
}

/// Adds to `out` the `size` bytes of `pieces` behind the first `skip`, as far as they go. `Out` is
/// a vector of iovec.
template <class Out>
void slice(Pieces pieces, std::size_t skip, std::size_t size, Out& out) {
  for (const iovec& piece : pieces) {
    const std::size_t off = std::min(skip, piece.iov_len);
    const std::size_t part = std::min(size, piece.iov_len - off);
    skip -= off;
    size -= part;
    if (part != 0) out.push_back({static_cast<std::byte*>(piece.iov_base) + off, part});
  }
}

}  // namespace ninep
