#include "client/bench/connection.h"

#include <algorithm>

#include <sys/socket.h>

#include "client/bench/error.h"
#include "client/bench/pattern.h"

namespace ninep::bench {

Connection::Connection(Socket socket, U32 number, U32 msize, Dialects dialect)
    : socket_(std::move(socket)),
      number_(number),
      msize_(msize),
      dialect_(dialect),
      in_(std::max<std::size_t>(256 << 10, 2 * std::size_t{msize})) {}

void Connection::queue_write(Tag tag, Fid fid, U64 offset, U64 pattern, U32 size) {
  const Room frame = room(kWriteHeaderSize + size);
  Writer w(frame.data(), dialect_);
  put_fields(w, Header{kWriteHeaderSize + size, Describe<Twrite>::code, tag});
  put(w, fid);
  put(w, offset);
  put(w, size);
  fill_pattern(pattern, offset, frame.subspan(kWriteHeaderSize));
  out_end_ += frame.size();
}

void Connection::flush() {
  while (queued() != 0) {
    const ssize_t n = send(fd(), out_.data() + out_begin_, queued(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) give_up_errno("send");
    out_begin_ += static_cast<std::size_t>(n);
  }
  out_begin_ = out_end_ = 0;
}

void Connection::receive() {
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  if (in_.size() - in_begin_ < msize_) {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_),
              in_.begin() + static_cast<std::ptrdiff_t>(in_end_), in_.begin());
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  const ssize_t n = recv(fd(), in_.data() + in_end_, in_.size() - in_end_, 0);
  if (n == 0) give_up("the server closed connection ", number_);
  if (n < 0 && errno == EAGAIN) give_up("no reply on connection ", number_, " within --timeout");
  if (n < 0 && errno == EINTR) return;
  if (n < 0) give_up_errno("receive");
  in_end_ += static_cast<std::size_t>(n);
}

std::optional<Bytes> Connection::next_frame() {
  const Bytes received = Bytes(in_).subspan(in_begin_, in_end_ - in_begin_);
  const Split split = split_frame(received, msize_);
  if (split.front == Front::kBroken) give_up("a reply claims to be of ", split.size, " bytes");
  if (split.front == Front::kIncomplete) return std::nullopt;
  in_begin_ += split.size;
  return received.first(split.size);
}

Room Connection::room(std::size_t size) {
  if (out_.size() - out_end_ < size) out_.resize(std::max(2 * out_.size(), out_end_ + size));
  return Room(out_).subspan(out_end_, size);
}

}  // namespace ninep::bench
