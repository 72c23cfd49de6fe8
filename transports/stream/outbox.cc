#include "transports/stream/outbox.h"

#include <algorithm>

#include "proto/check.h"

namespace ninep::transport {

Outbox::Place Outbox::reserve(std::size_t size) {
  if (!chunk_ || chunk_->capacity() - tail_ < size) {
    chunk_ = io::Chunk::take(std::max(size, kChunk));
    tail_ = 0;
  }
  Place place{chunk_, tail_, size};
  tail_ += size;
  reserved_ += size;
  return place;
}

void Outbox::commit(Place place, std::size_t size) {
  NINEP_CHECK(size <= place.size);
  reserved_ -= place.size;
  queued_ += size;
  // The last place gives back what it doesn't need; what others leave goes with the chunk.
  if (place.chunk.get() == chunk_.get() && place.at + place.size == tail_) tail_ = place.at + size;
  if (size != 0) {
    Run* last = queue_.empty() ? nullptr : &queue_.back();
    if (last && last->chunk.get() == place.chunk.get() && last->end == place.at) {
      last->end += size;
    } else {
      queue_.push_back({std::move(place.chunk), place.at, place.at + size});
    }
  }
}

msghdr& Outbox::message() {
  std::size_t count = 0;
  for (const Run& run : queue_) {
    if (count == kPieces) break;
    pieces_[count++] = {run.chunk->data() + run.begin, run.end - run.begin};
  }
  message_.msg_iov = pieces_;
  message_.msg_iovlen = count;
  return message_;
}

void Outbox::sent(std::size_t size) {
  queued_ -= size;
  while (size != 0) {
    Run& run = queue_.front();
    const std::size_t part = std::min(size, run.end - run.begin);
    run.begin += part;
    size -= part;
    if (run.begin == run.end) queue_.pop_front();
  }
  if (queue_.empty() && reserved_ == 0) {
    // An idle connection keeps no memory for replies.
    chunk_ = nullptr;
    tail_ = 0;
  }
}

void Outbox::clear() {
  queue_.clear();
  queued_ = 0;
}

}  // namespace ninep::transport
