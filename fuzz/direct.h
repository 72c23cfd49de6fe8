// A session without sockets: requests that are handed over in person, and checks of what comes
// back.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "proto/print.h"
#include "transports/transport.h"

namespace ninep::fuzz {

/// A request that owns its frame and its reply's room, both of exactly the size that was asked for,
/// so that AddressSanitizer sees a byte too many. `done` gets the reply; none: dropped.
class DirectRequest final : public transport::Request {
 public:
  using Done = std::function<void(Bytes reply)>;

  /// Lives until finish().
  static DirectRequest* make(Bytes frame, std::size_t reply_max, Done done) {
    return new DirectRequest(frame, reply_max, std::move(done));
  }

  std::span<const iovec> room(std::size_t size) override {
    room_.reset(new std::byte[size]);
    room_size_ = size;
    piece_ = {room_.get(), size};
    return {&piece_, 1};
  }

  void finish(std::size_t size) override {
    const Bytes reply{room_.get(), size};
    check(size <= room_size_, "a reply larger than its room", {});
    if (size != 0) check_reply(reply);
    done_(reply);
    delete this;
  }

 private:
  DirectRequest(Bytes frame, std::size_t reply_max, Done done)
      : bytes_(frame.begin(), frame.end()), reply_max_(reply_max), done_(std::move(done)) {
    frame_ = bytes_;
  }

  void check(bool holds, const char* what, Bytes reply) const {
    if (holds) return;
    std::fprintf(stderr, "%s\n  %s\n", what, print_frame(frame_, kDotL).c_str());
    if (!reply.empty()) std::fprintf(stderr, "  %s\n", print_frame(reply, kDotL).c_str());
    std::abort();
  }

  void check_reply(Bytes reply) const {
    check(reply.size() >= kHeaderSize, "a reply without a header", {});
    const Header asked = header();
    const Header got = read_header(reply);
    check(got.size == reply.size(), "a reply that doesn't say its size", reply);
    check(got.size <= reply_max_, "a reply larger than msize", reply);
    check(got.tag == asked.tag, "a reply with another tag", reply);
    check(got.type == asked.type + 1 || got.type == Describe<Rlerror>::code,
          "a reply of another type", reply);
    check(visit_reply(got.type, frame_body(reply), kDotL, [](const auto&) {}) == Outcome::kDone,
          "a reply that can't be decoded", reply);
    if (got.type == Describe<Rlerror>::code) {
      Rlerror error{};
      check(decode(frame_body(reply), kDotL, error) && error.ecode != 0 && error.ecode < 4096,
            "an Rlerror without an errno", reply);
    }
  }

  const std::vector<std::byte> bytes_;
  const std::size_t reply_max_;
  const Done done_;
  std::unique_ptr<std::byte[]> room_;
  std::size_t room_size_ = 0;
  iovec piece_{};
};

}  // namespace ninep::fuzz
