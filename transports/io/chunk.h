// Chunks: the memory that frames are received into and replies are sent from.
#pragma once

#include <array>

#include "transports/io/ref.h"

namespace ninep::io {

/// A piece of memory with a count of those who use parts of it. One loop's.
class Chunk : public RefCounted {
 public:
  /// At least `size` bytes; their content is whatever was there before.
  static Ref<Chunk> take(std::size_t size);
  /// Bytes of the free chunks that this thread keeps for reuse.
  static std::size_t kept();

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
  std::size_t capacity() const { return capacity_; }
  Room room(std::size_t from, std::size_t to) { return {data() + from, to - from}; }

 private:
  explicit Chunk(std::size_t capacity) : capacity_(capacity) {}
  friend void dispose(Chunk* chunk);
  friend class ChunkLists;

  std::size_t capacity_;
  Chunk* next_ = nullptr;  // in a free list
};

}  // namespace ninep::io
