#include "transports/stream/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace ninep::transport {

namespace {
constexpr std::size_t kSendAt = 256 << 10;  // bytes of replies that don't wait for the turn's end
constexpr unsigned kLingerMs = 2000;

// Whether a TCP peer has yet to get something.
bool unsent(int fd) {
  int domain = 0;
  int bytes = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
         (domain == AF_INET || domain == AF_INET6) && ::ioctl(fd, SIOCOUTQ, &bytes) == 0 &&
         bytes > 0;
}
}  // namespace

/// A request in a chunk of the inbox, its reply in one of the outbox.
class Connection::StreamRequest final : public Request {
 public:
  static void* operator new(std::size_t size) { return io::detail::allocate_frame(size); }
  static void operator delete(void* at, std::size_t size) { io::detail::free_frame(at, size); }

  StreamRequest(Connection& connection, Bytes frame)
      : connection_(connection), chunk_(connection.inbox_.chunk()) {
    frame_ = frame;
  }

  std::span<const iovec> room(std::size_t size) override {
    if (place_.chunk && place_.size < size) connection_.outbox_.commit(std::move(place_), 0);
    if (!place_.chunk) place_ = connection_.outbox_.reserve(size);
    piece_ = {place_.chunk->data() + place_.at, size};
    return {&piece_, 1};
  }

  void finish(std::size_t size) override {
    if (place_.chunk) connection_.outbox_.commit(std::move(place_), size);
    connection_.finished(*this, size);
  }

 private:
  Connection& connection_;
  Ref<io::Chunk> chunk_;
  Outbox::Place place_;
  iovec piece_{};
};

Connection::Connection(io::Loop& loop, Ends ends, Peer peer, const MakeHandler& make_handler)
    : loop_(loop), ends_(ends), peer_(std::move(peer)), handler_(make_handler(loop, peer_)) {}

Connection::~Connection() { NINEP_CHECK(requests_ == 0 && !receive_under_way_); }

io::Task<void> Connection::serve() {
  io::Task<void> sending = send();
  io::Task<void> receiving = receive();
  co_await receiving;
  stopping_ = true;
  while (draining_ && requests_ != 0 && !send_failed_) co_await idle_;
  io::Task<void> closing = handler_->close();
  co_await closing;
  sending_ended_ = true;
  to_send_.set();
  co_await sending;
  io::Task<void> ending = close_ends();
  co_await ending;
}

void Connection::stop() {
  if (stopping_) return;
  stopping_ = true;
  draining_ = true;
  if (receive_under_way_) loop_.cancel(receiving_);
  capacity_.set();
}

void Connection::abort() {
  stop();
  draining_ = false;
  send_failed_ = true;
  idle_.set();
  if (send_under_way_) {
    loop_.cancel(sending_);
  } else {
    outbox_.clear();
  }
}

bool Connection::overloaded() const {
  return requests_ >= kRequestsMax ||
         outbox_.load() + request_bytes_ > 2 * std::size_t{handler_->msize()} + (64 << 10);
}

// False: the stream is broken.
bool Connection::handle_frames() {
  while (!stopping_ && !overloaded()) {
    Bytes frame;
    switch (inbox_.next(handler_->msize(), frame)) {
      case Front::kIncomplete:
        return true;
      case Front::kBroken:
        return false;
      case Front::kFrame:
        ++requests_;
        request_bytes_ += frame.size();
        handler_->request(*new StreamRequest(*this, frame));
    }
  }
  return true;
}

io::Task<void> Connection::receive() {
  while (!stopping_ && !send_failed_) {
    receiving_ = io::ops::recv(ends_.in, ends_.pipe, inbox_.room(handler_->msize()));
    receive_under_way_ = true;
    const int size = co_await loop_.run(receiving_);
    receive_under_way_ = false;
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size == 0 && ends_.pipe) draining_ = true;  // a pipe's other direction is still there
    if (size <= 0) break;
    inbox_.received(static_cast<std::size_t>(size));
    if (!handle_frames()) break;
    while (overloaded() && !stopping_ && !send_failed_) {
      receiver_waits_ = true;
      co_await capacity_;
      receiver_waits_ = false;
      if (!handle_frames()) co_return;
    }
  }
}

io::Task<void> Connection::send() {
  while (true) {
    if (outbox_.empty()) {
      if (sending_ended_) co_return;
      sender_waits_ = true;
      co_await to_send_;
      sender_waits_ = false;
      continue;
    }
    sending_ = io::ops::send(ends_.out, ends_.pipe, outbox_.message());
    send_under_way_ = true;
    const int size = co_await loop_.run(sending_);
    send_under_way_ = false;
    if ((size == -EINTR || size == -EAGAIN) && !send_failed_) continue;
    if (size < 0 || send_failed_) {
      send_failed_ = true;
      outbox_.clear();
      if (receive_under_way_) loop_.cancel(receiving_);
      idle_.set();
    } else {
      outbox_.sent(static_cast<std::size_t>(size));
    }
    if (receiver_waits_ && (send_failed_ || !overloaded())) capacity_.set();
  }
}

void Connection::turn_end() {
  if (sender_waits_ && !outbox_.empty()) to_send_.set();
}

void Connection::finished(StreamRequest& request, std::size_t size) {
  request_bytes_ -= request.frame().size();
  --requests_;
  delete &request;
  if (size != 0) {
    if (sender_waits_ && outbox_.load() >= kSendAt) send_early();
    loop_.at_turn_end(*this);
  }
  // What is being sent stays until that is done.
  if (send_failed_ && !send_under_way_) outbox_.clear();
  if (receiver_waits_ && !overloaded()) capacity_.set();
  if (draining_ && requests_ == 0) idle_.set();
}

// Large replies go out while those behind them are made: that keeps them in the processor's cache,
// and the peer busy. An error is left for send() to find.
void Connection::send_early() {
  if (ends_.pipe || send_failed_ || outbox_.empty()) return;
  sending_ = io::ops::send(ends_.out, ends_.pipe, outbox_.message());
  if (loop_.try_now(sending_) && sending_.result > 0)
    outbox_.sent(static_cast<std::size_t>(sending_.result));
}

// Closing a TCP socket with unread input resets it, and throws away what the peer hasn't got yet.
io::Task<void> Connection::close_ends() {
  if (!ends_.pipe) ::shutdown(ends_.out, SHUT_WR);
  for (unsigned ms = 0; !send_failed_ && ms < kLingerMs && unsent(ends_.out); ++ms)
    co_await loop_.run(io::ops::timeout(1'000'000));
  co_await loop_.run(io::ops::close(io::Sleep::kNever, ends_.in));
  if (ends_.out != ends_.in) co_await loop_.run(io::ops::close(io::Sleep::kNever, ends_.out));
}

}  // namespace ninep::transport
