// A server that answers each request with what it is told to.
#pragma once

#include <cstring>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "proto/check.h"
#include "proto/codec.h"
#include "tests/bytes.h"

namespace ninep::test {

using Frame = std::vector<std::byte>;

/// `r` as the answer to `frame`.
template <Message R>
Frame reply(Bytes frame, const R& r, Dialects d = kDotL) {
  return frame_of(read_header(frame).tag, r, d);
}
inline Frame agrees(Bytes f) { return reply(f, Rversion{8192, "9P2000.L"}); }
/// Lets a client have the root, and closes at whatever else it wants.
inline std::optional<Frame> attaches(Bytes f) {
  switch (read_header(f).type) {
    case Describe<Tversion>::code:
      return agrees(f);
    case Describe<Tattach>::code:
      return reply(f, Rattach{});
    case Describe<Twalk>::code:
      return reply(f, Rwalk{});
    default:
      return Frame();
  }
}

class Scripted {
 public:
  /// Nothing: it says nothing. An empty frame: it closes.
  using Answer = std::function<std::optional<Frame>(Bytes request)>;
  enum class Then { kClose, kSayNothing };

  explicit Scripted(Answer answer) : Scripted(std::move(answer), ~std::size_t{0}, Then::kClose) {}
  /// To the first request the first answer, and so on; `then`, after the last.
  explicit Scripted(std::vector<std::function<Frame(Bytes)>> answers, Then then = Then::kClose)
      : Scripted(
            [answers, next = std::size_t{0}](Bytes request) mutable -> std::optional<Frame> {
              Frame frame = answers[next++](request);
              if (frame.empty()) return std::nullopt;
              return frame;
            },
            answers.size(), then) {}
  Scripted(const Scripted&) = delete;
  Scripted& operator=(const Scripted&) = delete;
  ~Scripted() { thread_.join(); }

  int client;  // the other end, for the client to own

 private:
  Scripted(Answer answer, std::size_t requests, Then then) {
    int pair[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    client = pair[0];
    thread_ = std::thread([fd = pair[1], answer = std::move(answer), requests, then] {
      std::size_t done = 0;
      for (; done < requests; ++done) {
        U32 size;
        if (::recv(fd, &size, sizeof size, MSG_WAITALL) != sizeof size) break;
        Frame frame(size);
        std::memcpy(frame.data(), &size, sizeof size);
        if (::recv(fd, frame.data() + 4, size - 4, MSG_WAITALL) < 0) break;
        const std::optional<Frame> back = answer(frame);
        if (!back) continue;
        if (back->empty() || ::send(fd, back->data(), back->size(), MSG_NOSIGNAL) < 0) break;
      }
      for (char c; done == requests && then == Then::kSayNothing && ::recv(fd, &c, 1, 0) > 0;)
        continue;
      ::close(fd);
    });
  }

  std::thread thread_;
};

}  // namespace ninep::test
