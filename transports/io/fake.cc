#include "transports/io/fake.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace ninep::io {
namespace {

using Clock = std::chrono::steady_clock;

std::span<const iovec> pieces(const Op& op) {
  if (op.kind == Kind::kSend) {
    const auto& message = *static_cast<const msghdr*>(op.data);
    return {message.msg_iov, message.msg_iovlen};
  }
  return {static_cast<const iovec*>(op.data), op.size};
}

// What an operation reads of the caller's memory, as a number that tells changes.
class Digest {
 public:
  void add(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3;
  }
  void add(const char* text) {
    if (text) add(text, std::strlen(text) + 1);
  }
  void add(std::span<const iovec> list) { add(list.data(), list.size_bytes()); }
  U64 value() const { return value_; }

 private:
  U64 value_ = 0xcbf29ce484222325;
};

U64 digest_input(const Op& op) {
  Digest digest;
  digest.add(op.path);
  digest.add(op.path2);
  switch (op.kind) {
    case Kind::kSend:
      digest.add(op.data, sizeof(msghdr));
      [[fallthrough]];
    case Kind::kWrite:
      digest.add(pieces(op));
      for (const iovec& piece : pieces(op)) digest.add(piece.iov_base, piece.iov_len);
      break;
    case Kind::kRead:
      digest.add(pieces(op));
      break;
    case Kind::kSetxattr:
      digest.add(op.data, op.size);
      break;
    case Kind::kUtimes:
      digest.add(op.data, 2 * sizeof(timespec));
      break;
    case Kind::kOpen:
      digest.add(op.data, sizeof(open_how));
      break;
    default:
      break;
  }
  return digest.value();
}

// Nothing is known of what an operation writes before it is done.
void scribble(const Op& op) {
  constexpr int kInk = 0xA5;
  switch (op.kind) {
    case Kind::kRead:
      for (const iovec& piece : pieces(op)) std::memset(piece.iov_base, kInk, piece.iov_len);
      break;
    case Kind::kRecv:
    case Kind::kGetdents:
    case Kind::kReadlink:
    case Kind::kGetxattr:
    case Kind::kListxattr:
      if (op.size != 0) std::memset(op.data, kInk, op.size);
      break;
    case Kind::kStatx:
      std::memset(op.data, kInk, sizeof(struct statx));
      break;
    case Kind::kStatfs:
      std::memset(op.data, kInk, sizeof(struct statfs));
      break;
    default:
      break;
  }
}

bool same_question(const Op& a, const Op& b) {
  return a.kind == b.kind && a.sleep == b.sleep && a.pipe == b.pipe && a.fd == b.fd &&
         a.fd2 == b.fd2 && a.path == b.path && a.path2 == b.path2 && a.data == b.data &&
         a.size == b.size && a.offset == b.offset && a.flags == b.flags && a.mode == b.mode &&
         a.uid == b.uid && a.gid == b.gid && a.as == b.as && a.call == b.call;
}

bool is_stream(Kind kind) {
  return kind == Kind::kAccept || kind == Kind::kRecv || kind == Kind::kSend || kind == Kind::kPoll;
}

class FakeLoop final : public Loop {
 public:
  FakeLoop(U64 seed, Faults faults)
      : random_(seed), faults_(std::move(faults)), event_(::eventfd(0, EFD_CLOEXEC)) {
    NINEP_CHECK(event_ >= 0);
  }
  ~FakeLoop() override { ::close(event_); }

  Str name() const override { return "fake"; }

  void cancel(Op& op) override {
    for (Pending& pending : pending_)
      if (pending.op == &op) pending.cancelled = true;
  }

 protected:
  Route way(const Op& op) override {
    const Route usual = Loop::way(op);
    if (usual == Route::kRing || usual == Route::kPool) return usual;
    return chance(0.25) ? usual : Route::kPool;
  }

  void begin(Op& op, Route route) override {
    ++(route == Route::kPool ? counter(op.kind).pool : counter(op.kind).ring);
    Pending pending{.op = &op, .begun = op, .input = digest_input(op)};
    for (const Faults::Error& error : faults_.errors)
      if (error.kind == op.kind && chance(error.chance)) pending.error = error.error;
    if (op.kind == Kind::kTimeout)
      pending.time = Clock::now() + std::chrono::nanoseconds(op.offset);
    if (op.pipe) ::fcntl(op.fd, F_SETFL, ::fcntl(op.fd, F_GETFL) | O_NONBLOCK);
    scribble(op);
    pending_.push_back(pending);
  }

  void turn(bool may_sleep) override {
    std::shuffle(pending_.begin(), pending_.end(), random_);
    std::vector<Pending> looked_at;
    looked_at.swap(pending_);
    bool sleep = may_sleep;
    for (const Pending& pending : looked_at) {
      if (chance(faults_.late)) {
        pending_.push_back(pending);
        sleep = false;
      } else if (finish(pending)) {
        sleep = false;
      } else {
        pending_.push_back(pending);
      }
    }
    wait(sleep);
  }

  void wake() override {
    const U64 one = 1;
    [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
  }

  void forget(int fd) override {
    for (const Pending& pending : pending_)
      NINEP_CHECK(pending.op->fd != fd && pending.op->fd2 != fd);
  }

 private:
  struct Pending {
    Op* op;
    Op begun;  // as it was handed in
    U64 input;
    int error = 0;  // instead of the call
    Clock::time_point time = {};
    bool cancelled = false;
  };

  bool chance(double probability) {
    return std::uniform_real_distribution<>(0, 1)(random_) < probability;
  }

  // False: it would have to wait.
  bool finish(const Pending& pending) {
    Op& op = *pending.op;
    NINEP_CHECK(same_question(op, pending.begun));
    NINEP_CHECK(digest_input(op) == pending.input);
    scribble(op);
    int result = attempt(pending);
    if (result == -EAGAIN && pending.error != EAGAIN) {
      if (!pending.cancelled) return false;
      result = -ECANCELED;
    }
    complete(op, result);
    return true;
  }

  int attempt(const Pending& pending) {
    Op& op = *pending.op;
    if (pending.cancelled && chance(0.5)) return -ECANCELED;
    if (op.kind == Kind::kTimeout) return Clock::now() >= pending.time ? -ETIME : -EAGAIN;
    if (pending.error != 0) {
      if (op.kind == Kind::kClose) perform(op);
      return -pending.error;
    }
    if (chance(faults_.shortened)) return attempt_part(op);
    return is_stream(op.kind) ? perform_without_waiting(op) : perform(op);
  }

  // The operation, on some of its bytes only.
  int attempt_part(Op& op) {
    Op part = op;
    std::vector<iovec> list;
    msghdr message;
    switch (op.kind) {
      case Kind::kRecv:
        part.size = some_of(op.size);
        return perform_without_waiting(part);
      case Kind::kSend:
        list = some_of(pieces(op));
        message = *static_cast<const msghdr*>(op.data);
        message.msg_iov = list.data();
        message.msg_iovlen = list.size();
        part.data = &message;
        return perform_without_waiting(part);
      case Kind::kRead:
      case Kind::kWrite:
        list = some_of(pieces(op));
        part.data = list.data();
        part.size = list.size();
        return perform(part);
      default:
        return is_stream(op.kind) ? perform_without_waiting(op) : perform(op);
    }
  }

  std::size_t some_of(std::size_t size) {
    if (size <= 1) return size;
    // Often very few: that is where heads and bodies are torn apart.
    const std::size_t most = chance(0.5) ? std::min<std::size_t>(size, 16) : size;
    return std::uniform_int_distribution<std::size_t>(1, most)(random_);
  }
  std::vector<iovec> some_of(std::span<const iovec> list) {
    std::size_t total = 0;
    for (const iovec& piece : list) total += piece.iov_len;
    std::size_t left = some_of(total);
    std::vector<iovec> part;
    for (const iovec& piece : list) {
      if (left == 0) break;
      part.push_back({piece.iov_base, std::min(left, piece.iov_len)});
      left -= part.back().iov_len;
    }
    return part;
  }

  // For something to happen, or not at all; takes note of wake() in any case.
  void wait(bool sleep) {
    std::vector<pollfd> polled{{.fd = event_, .events = POLLIN, .revents = 0}};
    int timeout_ms = sleep ? -1 : 0;
    for (const Pending& pending : pending_) {
      if (!sleep) break;
      const Op& op = *pending.op;
      if (is_stream(op.kind)) {
        const short events = op.kind == Kind::kSend ? POLLOUT : POLLIN;
        polled.push_back({.fd = op.fd, .events = events, .revents = 0});
      } else {
        using std::chrono::milliseconds;
        const auto left = std::chrono::ceil<milliseconds>(pending.time - Clock::now());
        const int ms = static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 60'000));
        timeout_ms = timeout_ms < 0 ? ms : std::min(timeout_ms, ms);
      }
    }
    ::poll(polled.data(), polled.size(), timeout_ms);
    U64 count;
    if (polled[0].revents != 0) [[maybe_unused]]
      const auto taken = ::read(event_, &count, sizeof count);
  }

  std::mt19937_64 random_;
  const Faults faults_;
  const int event_;
  std::vector<Pending> pending_;
};

}  // namespace

std::unique_ptr<Loop> make_fake_loop(U64 seed, Faults faults) {
  return std::make_unique<FakeLoop>(seed, std::move(faults));
}

}  // namespace ninep::io
