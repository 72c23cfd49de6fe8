// Two ends for a Connection: a handler that gives back each frame, now or later, and a client that
// blocks.
#pragma once

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/run.h"
#include "transports/stream/connection.h"

namespace ninep::test {

enum class When { kAtOnce, kLater, kWhenClosed, kAny };

/// What a test and a handler share.
struct EchoPlan {
  When when = When::kAtOnce;
  U32 msize = 8192;
  std::size_t reply_min = 0;  // smaller ones are filled up with zeros
  U64 seed = 1;
  std::atomic<unsigned> seen = 0;
  unsigned under_way = 0;
  unsigned under_way_max = 0;
  std::function<void()> on_request = [] {};
};

class Echo final : public transport::Handler {
 public:
  Echo(io::Loop& loop, EchoPlan& plan) : loop_(loop), plan_(plan), random_(plan.seed) {}

  static transport::MakeHandler maker(EchoPlan& plan) {
    return [&plan](io::Loop& loop, const transport::Peer&) {
      return std::make_unique<Echo>(loop, plan);
    };
  }

  void request(transport::Request& request) override {
    // What was checked is what is handed on, whatever the peer has written there since.
    NINEP_CHECK(request.header().size == request.frame().size() + total(request.payload()));
    ++plan_.seen;
    plan_.under_way_max = std::max(plan_.under_way_max, ++plan_.under_way);
    const When when = plan_.when == When::kAny ? static_cast<When>(random_() % 3) : plan_.when;
    if (when == When::kAtOnce) {
      finish(request);
    } else if (when == When::kLater && !closing_) {
      later_.spawn(finish_later(request));
    } else {
      hanging_.push_back(&request);
    }
    plan_.on_request();
  }
  U32 msize() const override { return plan_.msize; }
  io::Task<void> close() override {
    closing_ = true;
    for (transport::Request* request : hanging_) {
      --plan_.under_way;
      request->finish(0);
    }
    hanging_.clear();
    io::Task<void> done = later_.all_done();
    co_await done;
  }

 private:
  io::Task<void> finish_later(transport::Request& request) {
    // As a read of a file does: the room is there before the wait.
    if (random_() % 2) request.room(random_() % 2 ? plan_.msize : 7 + random_() % 100);
    co_await loop_.run(io::ops::timeout(random_() % 300'000));
    finish(request);
  }
  void finish(transport::Request& request) {
    const Bytes frame = request.frame();
    const std::size_t size = std::max(frame.size(), plan_.reply_min);
    std::size_t done = 0;
    for (const iovec& piece : request.room(size)) {
      const std::size_t part = std::min(piece.iov_len, frame.size() - std::min(done, frame.size()));
      if (part != 0) std::memcpy(piece.iov_base, frame.data() + done, part);
      std::memset(static_cast<std::byte*>(piece.iov_base) + part, 0, piece.iov_len - part);
      done += piece.iov_len;
    }
    NINEP_CHECK(done == size);
    --plan_.under_way;
    request.finish(size);
  }

  io::Loop& loop_;
  EchoPlan& plan_;
  std::mt19937_64 random_;
  std::vector<transport::Request*> hanging_;
  io::Scope later_;
  bool closing_ = false;
};

/// Frame number i of a client; each is different.
inline std::vector<std::byte> echo_frame(unsigned i, U32 size) {
  std::vector<std::byte> frame(size);
  for (U32 at = 7; at < size; ++at) frame[at] = static_cast<std::byte>(i * 31 + at * 7);
  const auto tag = static_cast<U16>(i);
  std::memcpy(frame.data(), &size, 4);
  frame[4] = std::byte{100};
  std::memcpy(frame.data() + 5, &tag, 2);
  return frame;
}

/// Frames 0 to count, with sizes up to `size_max`.
struct EchoStream {
  EchoStream(unsigned count, U32 size_max, U64 seed) {
    std::mt19937_64 random(seed);
    for (unsigned i = 0; i < count; ++i) {
      frames.push_back(echo_frame(i, static_cast<U32>(7 + random() % (size_max - 6))));
      bytes.insert(bytes.end(), frames.back().begin(), frames.back().end());
    }
  }
  std::vector<std::vector<std::byte>> frames;
  std::vector<std::byte> bytes;
};

/// Frames that came, in the order that they came in. The last may be a part of one.
inline std::vector<std::vector<std::byte>> split_all(Bytes bytes) {
  std::vector<std::vector<std::byte>> frames;
  while (!bytes.empty()) {
    const Split split = split_frame(bytes, 1 << 30);
    const std::size_t size = split.front == Front::kFrame ? split.size : bytes.size();
    frames.emplace_back(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    bytes = bytes.subspan(size);
  }
  return frames;
}

/// A connected pair of descriptors; the client's is closed with it.
struct Ends {
  int server = -1;
  int client = -1;

  static Ends of_unix() {
    int fds[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    return Ends(fds[0], fds[1]);
  }
  static Ends of_tcp() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* at = reinterpret_cast<sockaddr*>(&name);
    NINEP_CHECK(::bind(listener, at, size) == 0 && ::listen(listener, 1) == 0);
    NINEP_CHECK(::getsockname(listener, at, &size) == 0);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NINEP_CHECK(::connect(client, at, size) == 0);
    const int server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    ::close(listener);
    return Ends(server, client);
  }
  Ends(int s, int c) : server(s), client(c) {
    const timeval watchdog{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &watchdog, sizeof watchdog);
    ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &watchdog, sizeof watchdog);
  }
  Ends(Ends&& other) noexcept : server(other.server), client(std::exchange(other.client, -1)) {}
  Ends& operator=(Ends&&) = delete;
  ~Ends() { close_client(); }
  void close_client() {
    if (client >= 0) ::close(std::exchange(client, -1));
  }
  /// The connection's part.
  transport::Ends socket() const { return {.in = server, .out = server, .pipe = false}; }
};

/// False: the peer is gone.
inline bool send_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return true;
}

/// Up to `most` bytes, or until the stream's end.
inline std::vector<std::byte> receive_all(int fd, std::size_t most = ~std::size_t{0}) {
  std::vector<std::byte> bytes;
  std::byte part[16384];
  while (bytes.size() < most) {
    const ssize_t size = ::read(fd, part, std::min(sizeof part, most - bytes.size()));
    if (size <= 0) break;
    bytes.insert(bytes.end(), part, part + size);
  }
  return bytes;
}

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 4096; ++fd) count += ::fcntl(fd, F_GETFD) >= 0;
  return count;
}

}  // namespace ninep::test
