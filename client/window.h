// Window: how many bytes of large transfers are under way at once: so many that the link is never
// idle, and not so many that all else waits behind them.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <list>

#include "client/gate.h"

namespace ninep::client {

/// Learns from what comes back, much as TCP does it with BBR: as long as more under way brings more
/// in a second, it grows twofold; then it is what the link holds (its rate, times how long one
/// request takes when nothing is in its way), and from time to time a quarter more is tried.
class Window {
 public:
  using Clock = std::chrono::steady_clock;

  /// `max`: bytes under way, at most.
  Window(asio::any_io_executor executor, std::size_t max)
      : executor_(std::move(executor)), max_(max), size_(std::min(kStart, max)) {}
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  /// Waits for room for `size` bytes; there is always room for two requests. False: the caller was
  /// cancelled.
  asio::awaitable<bool> enter(std::size_t size);
  /// What had room is done. `took`: from sending to the answer; zero: it failed.
  void leave(std::size_t size, Clock::duration took);

  /// Bytes that may be under way now.
  std::size_t size() const { return size_; }

 private:
  struct Waiting;
  bool has_room(std::size_t size) const {
    return requests_ < 2 || (under_way_ + size <= size_ && requests_ < kRequestsMax);
  }
  void learn(std::size_t size, Clock::duration took);
  void end_round(Clock::time_point now);
  void let_in();

  static constexpr std::size_t kRequestsMax = 256;
  static constexpr std::size_t kStart = 256 << 10;
  static constexpr int kFlatRounds = 3;    // without more in a second: this is the link's rate
  static constexpr int kProbeRounds = 16;  // then a quarter more is tried

  asio::any_io_executor executor_;
  const std::size_t max_;
  std::size_t size_;
  std::size_t under_way_ = 0;  // bytes
  std::size_t requests_ = 0;
  std::list<Waiting*> line_;

  Clock::time_point round_began_{};
  std::size_t round_bytes_ = 0;  // that came in this round
  bool round_was_full_ = false;  // something waited: the window was what held it back
  double rate_ = 0;              // bytes a second, the most seen lately
  Clock::duration least_ = Clock::duration::max();  // that a request took lately
  int flat_ = 0;
  int rounds_ = 0;
};

}  // namespace ninep::client
