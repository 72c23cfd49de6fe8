// Coroutines side by side, for as long as the one that started them waits.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <exception>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "client/gate.h"
#include "proto/check.h"

namespace ninep::client {

/// Whoever has one waits for all_done() before it goes. Owns the coroutines; what they point at has
/// to stay until then.
class Group {
 public:
  explicit Group(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() { NINEP_CHECK(running_.empty()); }

  /// `work` begins in a later turn of the executor. What cancels it, until it has ended; nothing
  /// does before it has begun.
  asio::cancellation_signal& spawn(asio::awaitable<void> work) {
    const auto at = running_.emplace(running_.end());
    asio::co_spawn(executor_, later(std::move(work)),
                   asio::bind_cancellation_slot(at->slot(), [this, at](std::exception_ptr e) {
                     if (e) thrown_ = e;
                     running_.erase(at);
                     if (running_.size() < wanted_ && are_few_) are_few_->set();
                   }));
    return *at;
  }
  std::size_t count() const { return running_.size(); }
  /// Cancels all that there are.
  void cancel() {
    for (asio::cancellation_signal& one : running_) one.emit(asio::cancellation_type::terminal);
  }

  /// Until fewer than `count` are left: one caller at a time. Cancelling the caller cancels each
  /// that there is, and waits for them all the same. When all are over it throws what one of them
  /// has thrown.
  asio::awaitable<void> fewer_than(std::size_t count) {
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    wanted_ = count;
    while (running_.size() >= count) {
      if (cancellation.cancelled() != asio::cancellation_type::none) cancel();
      are_few_.emplace(executor_);
      (void)co_await are_few_->wait();
    }
    are_few_.reset();
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (thrown_ && running_.empty()) std::rethrow_exception(std::exchange(thrown_, nullptr));
  }
  asio::awaitable<void> all_done() { return fewer_than(1); }

 private:
  static asio::awaitable<void> later(asio::awaitable<void> work) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_await std::move(work);
  }

  asio::any_io_executor executor_;
  std::list<asio::cancellation_signal> running_;
  std::size_t wanted_ = 1;  // fewer than that, for the caller of fewer_than()
  std::optional<Signal> are_few_;
  std::exception_ptr thrown_;
};

/// Runs all of them, and returns when the last has ended. Cancelling the caller cancels each.
inline asio::awaitable<void> together(std::vector<asio::awaitable<void>> all) {
  Group group(co_await asio::this_coro::executor);
  for (asio::awaitable<void>& one : all) group.spawn(std::move(one));
  co_await group.all_done();
}

}  // namespace ninep::client
