#include "transports/stream/inbox.h"

namespace ninep::transport {

namespace {
constexpr std::size_t kOverhead = 64;  // leaves a chunk's own fields room in a power of two
}

Room Inbox::room(U32 msize) {
  const std::size_t held = end_ - begin_;
  std::size_t wanted = size_ - kOverhead;
  std::size_t frame = 0;
  if (held != 0) {
    frame = split_frame({chunk_->data() + begin_, held}, msize).size;
    wanted = std::max(wanted, frame);
  }
  // A large frame is received to its end and no further: what comes behind it would be copied.
  const auto rest = [&] {
    return chunk_->room(end_, frame > kLarge ? begin_ + frame : chunk_->capacity());
  };
  const bool unshared = chunk_.unique();
  // What is left of the present chunk will do if it takes the frame under way, and isn't a crumb.
  const std::size_t left = chunk_ ? chunk_->capacity() - begin_ : 0;
  if (chunk_ && (held == 0 ? !unshared && left >= size_ / 2 : left >= wanted)) {
    return rest();
  }
  if (unshared && chunk_->capacity() >= wanted && chunk_->capacity() <= 2 * wanted) {
    std::memmove(chunk_->data(), chunk_->data() + begin_, held);
  } else {
    Ref<io::Chunk> fresh = io::Chunk::take(wanted);
    if (held != 0) std::memcpy(fresh->data(), chunk_->data() + begin_, held);
    chunk_ = std::move(fresh);
  }
  begin_ = 0;
  end_ = held;
  return rest();
}

void Inbox::received(std::size_t size) {
  const std::size_t offered = chunk_->capacity() - end_;
  end_ += size;
  if (size == offered) {
    size_ = std::min(size_ * 4, kLarge);
    sparse_ = 0;
  } else if (size_ > kSmall && size < size_ / 8) {
    if (++sparse_ == 64) {
      size_ = kSmall;
      sparse_ = 0;
    }
  } else {
    sparse_ = 0;
  }
}

Front Inbox::next(U32 msize, Bytes& frame) {
  const Bytes held{chunk_->data() + begin_, end_ - begin_};
  const Split split = split_frame(held, msize);
  if (split.front == Front::kFrame) {
    frame = held.first(split.size);
    begin_ += split.size;
  }
  return split.front;
}

}  // namespace ninep::transport
