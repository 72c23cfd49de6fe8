// How a coroutine is told that it was cancelled: by ECANCELED, once.
//
// Asio keeps a cancellation with the coroutine, and by default throws at its next co_await. Here
// nothing throws, and what ends by it is an error. What was done all the same is a result; the
// cancellation is kept then, and is the next call's.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "client/error.h"
#include "client/gate.h"

namespace ninep::client {

/// `work`, in which nothing throws because the caller was cancelled. The caller was told, if it is
/// ECANCELED.
template <class T>
asio::awaitable<Expected<T>> told_by_result(asio::awaitable<Expected<T>> work) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  auto cancellation = co_await asio::this_coro::cancellation_state;
  Expected<T> result;
  std::exception_ptr thrown;
  try {
    result = co_await std::move(work);
  } catch (...) {
    thrown = std::current_exception();
  }
  if (!thrown && !result && is(result.error(), ECANCELED)) cancellation.clear();
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (thrown) std::rethrow_exception(thrown);
  co_return result;
}

/// Waits in such work. False: the caller was cancelled, before or meanwhile.
inline asio::awaitable<bool> pause_for(std::chrono::milliseconds time) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  std::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return !cancelled;
}

/// For whoever asks again: each is twice as long as the one before, up to `most`.
class Pauses {
 public:
  Pauses(std::chrono::milliseconds first, std::chrono::milliseconds most)
      : next_(first), most_(most) {}
  /// As pause_for(), and no longer than `at_most`.
  asio::awaitable<bool> next(std::chrono::milliseconds at_most = std::chrono::milliseconds::max()) {
    return pause_for(std::min(at_most, std::exchange(next_, std::min(next_ * 2, most_))));
  }

 private:
  std::chrono::milliseconds next_;
  const std::chrono::milliseconds most_;
};

/// Waits in such work until it is set. A cancellation that was kept is none of Signal::wait()'s.
inline asio::awaitable<bool> wait_for(Signal& signal) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return false;
  co_return co_await signal.wait();
}

/// The same, or until `end`: true. Of a signal that nobody else waits for.
inline asio::awaitable<bool> wait_for(Signal& signal, asio::steady_timer::time_point end) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return false;
  const bool is_set = co_await signal.wait_until(end);
  co_return is_set || cancellation.cancelled() == asio::cancellation_type::none;
}

}  // namespace ninep::client
