// Gate: so many at once, or so much; the others wait in line. Signal: an event to wait for.
//
// On one executor that runs no two of its handlers at once. Whoever owns one keeps it until all who
// wait have returned. Cancelling a caller ends its waiting, which is a result here; whether it
// throws as well is the caller's choice (asio::this_coro::throw_if_cancelled): see cancelled.h.
#pragma once

#include <cstddef>
#include <list>
#include <system_error>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "proto/check.h"

namespace ninep::client {

/// It happens once: set() lets go all who wait, and who comes later doesn't wait.
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
  /// The same, and no longer than until `end`, which holds for all who wait. False: it wasn't set.
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
  /// `places`: how many may be in at once.
  Gate(asio::any_io_executor executor, std::size_t places)
      : executor_(std::move(executor)), free_(places) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { NINEP_CHECK(line_.empty()); }

  /// `places`, in the order of asking; never more than there are in all. False: the caller was
  /// cancelled, and has none.
  asio::awaitable<bool> enter(std::size_t places = 1) {
    return enter_until(asio::steady_timer::time_point::max(), places);
  }
  /// The same, and it waits no longer than until `end`. False: it has none.
  asio::awaitable<bool> enter_until(asio::steady_timer::time_point end, std::size_t places = 1) {
    if (try_enter(places)) co_return true;
    const Waiting waiting(*this, places);
    co_return co_await waiting.at->let_in.wait_until(end);
  }
  /// The same, if they are free and nobody waits for some.
  bool try_enter(std::size_t places = 1) {
    if (free_ < places || !line_.empty()) return false;
    free_ -= places;
    return true;
  }
  /// Gives them back, to the first in line if it can do with them.
  void leave(std::size_t places = 1) {
    free_ += places;
    let_in();
  }

 private:
  struct One {
    One(const asio::any_io_executor& executor, std::size_t wanted)
        : let_in(executor), places(wanted) {}
    Signal let_in;
    const std::size_t places;
  };
  /// In line, and out of it in any case.
  struct Waiting {
    Waiting(Gate& of, std::size_t places)
        : gate(of), at(of.line_.emplace(of.line_.end(), of.executor_, places)) {
      gate.let_in();
    }
    ~Waiting() {
      gate.line_.erase(at);
      gate.let_in();  // whoever gave up may have been in the way of others
    }
    Gate& gate;
    const std::list<One>::iterator at;
  };

  void let_in() {
    for (One& one : line_) {
      if (one.let_in.is_set()) continue;
      if (free_ < one.places) return;
      free_ -= one.places;
      one.let_in.set();
    }
  }

  asio::any_io_executor executor_;
  std::size_t free_;
  std::list<One> line_;
};

/// Places in a gate that were got: they are given back.
class Turn {
 public:
  explicit Turn(Gate& gate, std::size_t places = 1) : gate_(gate), places_(places) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { gate_.leave(places_); }

 private:
  Gate& gate_;
  const std::size_t places_;
};

}  // namespace ninep::client
