// Coroutines side by side, for as long as the one that started them waits.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "client/gate.h"

namespace ninep::client {

/// Whoever has one waits for all_done() before it goes, unless the executor is destroyed. Owns the
/// coroutines; what they point at has to stay until then.
class Group {
 public:
  explicit Group(asio::any_io_executor executor)
      : shared_(std::make_shared<Shared>(std::move(executor))) {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// `work` begins in a later turn of the executor. What cancels it, until it has ended; nothing
  /// does before it has begun.
  asio::cancellation_signal& spawn(asio::awaitable<void> work) {
    const auto at = shared_->running.emplace(shared_->running.end());
    const auto is_over = [shared = shared_, at](std::exception_ptr thrown) {
      if (thrown) shared->thrown = thrown;
      shared->running.erase(at);
      if (shared->running.size() < shared->wanted && shared->are_few) shared->are_few->set();
    };
    asio::co_spawn(shared_->executor, later(std::move(work)),
                   asio::bind_cancellation_slot(at->slot(), is_over));
    return *at;
  }
  std::size_t count() const { return shared_->running.size(); }
  /// Cancels all that there are.
  void cancel() {
    for (asio::cancellation_signal& one : shared_->running)
      one.emit(asio::cancellation_type::terminal);
  }

  /// Until fewer than `count` are left: one caller at a time. Cancelling the caller cancels each
  /// that there is, and waits for them all the same. When all are over it throws what one of them
  /// has thrown.
  asio::awaitable<void> fewer_than(std::size_t count) {
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    shared_->wanted = count;
    while (shared_->running.size() >= count) {
      if (cancellation.cancelled() != asio::cancellation_type::none) cancel();
      shared_->are_few.emplace(shared_->executor);
      (void)co_await shared_->are_few->wait();
    }
    shared_->are_few.reset();
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (shared_->thrown && shared_->running.empty())
      std::rethrow_exception(std::exchange(shared_->thrown, nullptr));
  }
  asio::awaitable<void> all_done() { return fewer_than(1); }

 private:
  /// With the coroutines: an executor that is destroyed destroys them in its own order.
  struct Shared {
    explicit Shared(asio::any_io_executor on) : executor(std::move(on)) {}
    asio::any_io_executor executor;
    std::list<asio::cancellation_signal> running;
    std::size_t wanted = 1;  // fewer than that, for the caller of fewer_than()
    std::optional<Signal> are_few;
    std::exception_ptr thrown;
  };

  static asio::awaitable<void> later(asio::awaitable<void> work) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_await std::move(work);
  }

  const std::shared_ptr<Shared> shared_;
};

/// Runs all of them, and returns when the last has ended. Cancelling the caller cancels each.
inline asio::awaitable<void> together(std::vector<asio::awaitable<void>> all) {
  Group group(co_await asio::this_coro::executor);
  for (asio::awaitable<void>& one : all) group.spawn(std::move(one));
  co_await group.all_done();
}

}  // namespace ninep::client
