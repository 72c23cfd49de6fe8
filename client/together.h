// Coroutines side by side, for as long as the one that started them waits.
#pragma once

#include <deque>
#include <exception>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>

#include "client/gate.h"

namespace ninep::client {

/// Runs all of them on the caller's executor, and returns when the last has ended. Cancelling the
/// caller cancels each, and waits for them all the same.
inline asio::awaitable<void> together(std::vector<asio::awaitable<void>> all) {
  const auto executor = co_await asio::this_coro::executor;
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  Signal done(executor);
  std::deque<asio::cancellation_signal> signals(all.size());
  std::size_t left = all.size();
  std::exception_ptr thrown;
  for (std::size_t i = 0; i < all.size(); ++i)
    asio::co_spawn(executor, std::move(all[i]),
                   asio::bind_cancellation_slot(signals[i].slot(), [&](std::exception_ptr e) {
                     if (e) thrown = e;
                     if (--left == 0) done.set();
                   }));
  if (left > 0 && !co_await done.wait()) {
    for (asio::cancellation_signal& signal : signals)
      signal.emit(asio::cancellation_type::terminal);
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await done.wait();
    co_await asio::this_coro::reset_cancellation_state();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace ninep::client
