#include "transports/io/chunk.h"

#include <bit>
#include <new>

#include <sanitizer/asan_interface.h>  // no-ops without the sanitizer

namespace ninep::io {

namespace {
constexpr unsigned kSmallest = 12;  // 4 KiB, the chunk's own fields included
constexpr unsigned kLargest = 23;
constexpr std::size_t kKeptMax = std::size_t{16} << 20;  // bytes kept for reuse, per thread
}  // namespace

/// Free chunks by powers of two, per thread: fresh large memory costs a page fault for each page.
class ChunkLists {
 public:
  ~ChunkLists() {
    for (Chunk*& list : lists_) {
      while (Chunk* chunk = list) {
        list = chunk->next_;
        ::operator delete(chunk);
      }
    }
  }

  Chunk* take(std::size_t size) {
    const unsigned bits = std::max<unsigned>(
        kSmallest, static_cast<unsigned>(std::bit_width(size + sizeof(Chunk) - 1)));
    const std::size_t bytes = std::size_t{1} << bits;
    if (bits <= kLargest && lists_[bits - kSmallest]) {
      Chunk*& list = lists_[bits - kSmallest];
      Chunk* chunk = list;
      list = chunk->next_;
      kept_ -= bytes;
      ASAN_UNPOISON_MEMORY_REGION(chunk->data(), chunk->capacity_);
      return chunk;
    }
    return new (::operator new(bytes)) Chunk(bytes - sizeof(Chunk));
  }

  void give(Chunk* chunk) {
    const std::size_t bytes = chunk->capacity_ + sizeof(Chunk);
    const auto bits = static_cast<unsigned>(std::bit_width(bytes) - 1);
    if (bits > kLargest || kept_ + bytes > kKeptMax) return ::operator delete(chunk);
    chunk->next_ = lists_[bits - kSmallest];
    lists_[bits - kSmallest] = chunk;
    kept_ += bytes;
    ASAN_POISON_MEMORY_REGION(chunk->data(), chunk->capacity_);
  }

  std::size_t kept() const { return kept_; }

 private:
  std::array<Chunk*, kLargest - kSmallest + 1> lists_{};
  std::size_t kept_ = 0;
};

namespace {
thread_local ChunkLists lists;
}

Ref<Chunk> Chunk::take(std::size_t size) { return Ref<Chunk>(lists.take(size)); }

std::size_t Chunk::kept() { return lists.kept(); }

void dispose(Chunk* chunk) { lists.give(chunk); }

}  // namespace ninep::io
