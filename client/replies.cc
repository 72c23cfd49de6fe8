#include "client/replies.h"

#include <algorithm>
#include <cstring>

namespace ninep::client {

std::span<const iovec> Replies::room() {
  const iovec buffer{buffer_.data() + end_, buffer_.size() - end_};
  if (rest_.empty()) {
    pieces_[0] = buffer;
    return {pieces_.data(), 1};
  }
  pieces_ = {iovec{rest_.data(), rest_.size()}, buffer};
  return pieces_;
}

std::expected<void, const char*> Replies::received(std::size_t size) {
  if (!rest_.empty()) {
    const std::size_t part = std::min(size, rest_.size());
    rest_ = rest_.subspan(part);
    size -= part;
    if (!rest_.empty()) return {};
    requests_.answered(tag_);
  }
  end_ += size;
  while (end_ - begin_ >= kHeaderSize) {
    const Header header = read_header(buffered());
    if (header.size < kHeaderSize || header.size > msize_)
      return std::unexpected("a reply of a size that was not agreed");
    Awaited* const awaited = requests_.awaited(header.tag);
    if (!awaited || awaited->size != 0) return std::unexpected("a reply that nobody waits for");
    if (header.type != awaited->type && header.type != Describe<Rlerror>::code &&
        header.type != Describe<Rerror>::code)
      return std::unexpected("another reply than was asked for");
    if (header.size > awaited->most) return std::unexpected("a reply that is too long");
    const bool data = header.type == Describe<Rread>::code && !awaited->into.empty();
    if (data && header.size >= kReadHeaderSize && end_ - begin_ < kReadHeaderSize) break;
    const auto begun = begin(header, *awaited);
    if (!begun) return begun;
    if (!rest_.empty()) break;
    requests_.answered(header.tag);
  }
  // A header that is cut off has to have room behind it.
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  return {};
}

// Makes room for a reply, and brings there what has come of it.
std::expected<void, const char*> Replies::begin(const Header& header, Awaited& awaited) {
  const bool data = header.type == Describe<Rread>::code && !awaited.into.empty();
  const std::size_t head = data ? kReadHeaderSize : header.size;
  if (head > header.size) return std::unexpected("a reply that is cut off");
  awaited.frame = std::make_unique_for_overwrite<std::byte[]>(head);
  awaited.size = head;
  const Room frame(awaited.frame.get(), head);
  const auto bring = [this](Room to) {
    const std::size_t part = std::min(to.size(), end_ - begin_);
    std::memcpy(to.data(), buffered().data(), part);
    begin_ += part;
    return to.subspan(part);
  };
  tag_ = header.tag;
  rest_ = bring(frame);
  if (!data) return {};
  Reader count(Bytes(frame).subspan(kHeaderSize), kAny);
  awaited.read = count.number<U32>();
  if (awaited.read != header.size - head || awaited.read > awaited.into.size())
    return std::unexpected("more data than were asked for");
  rest_ = bring(awaited.into.first(awaited.read));
  return {};
}

}  // namespace ninep::client
