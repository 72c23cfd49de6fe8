// Gate: so many at once; the others wait in line.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <list>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "proto/check.h"

namespace ninep::client {

/// An event that coroutines wait for, each with a timer of its own.
class Signal {
 public:
  explicit Signal(const asio::any_io_executor& executor)
      : timer_(executor, asio::steady_timer::time_point::max()) {}
  /// Until set(), or until the caller is cancelled. False: the latter.
  asio::awaitable<bool> wait() {
    std::error_code ignored;
    if (!set_) co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return set_;
  }
  /// The same, and no longer than until `end`. False: it wasn't set.
  asio::awaitable<bool> wait_until(asio::steady_timer::time_point end) {
    if (!set_) timer_.expires_at(end);
    return wait();
  }
  void set() {
    set_ = true;
    timer_.cancel();
  }
  bool is_set() const { return set_; }

 private:
  asio::steady_timer timer_;
  bool set_ = false;
};

class Gate {
 public:
  Gate(asio::any_io_executor executor, std::size_t places)
      : executor_(std::move(executor)), free_(places) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { NINEP_CHECK(line_.empty()); }

  /// A place, in the order of asking. False: the caller was cancelled, and has none.
  asio::awaitable<bool> enter() {
    if (free_ > 0) {  // so nobody waits
      --free_;
      co_return true;
    }
    const Waiting waiting(*this);
    co_return co_await waiting.at->wait();
  }
  /// A place, if one is free.
  bool try_enter() {
    if (free_ == 0) return false;
    --free_;
    return true;
  }
  void leave() {
    for (Signal& waiting : line_)
      if (!waiting.is_set()) return waiting.set();
    ++free_;
  }

 private:
  struct Waiting {
    explicit Waiting(Gate& of) : gate(of), at(of.line_.emplace(of.line_.end(), of.executor_)) {}
    ~Waiting() { gate.line_.erase(at); }
    Gate& gate;
    const std::list<Signal>::iterator at;
  };

  asio::any_io_executor executor_;
  std::size_t free_;
  std::list<Signal> line_;
};

}  // namespace ninep::client
