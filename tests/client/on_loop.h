// Running coroutines of the client to their end, for tests that are none.
#pragma once

#include <atomic>
#include <optional>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <gtest/gtest.h>

#include "client/client.h"

namespace ninep::test {

/// Runs `context` until `work` is done; what else there is goes on meanwhile.
template <class T>
T run(asio::io_context& context, asio::awaitable<T> work) {
  std::optional<T> result;
  asio::co_spawn(context, std::move(work), [&](std::exception_ptr error, T value) {
    if (error) std::rethrow_exception(error);
    result.emplace(std::move(value));
  });
  while (!result) {
    context.restart();
    context.run_one();
  }
  return std::move(*result);
}

/// Runs `work` to its end; it is cancelled when `is_there`.
inline void run_cancelled(asio::io_context& context, asio::awaitable<void> work,
                          const std::atomic<bool>& is_there) {
  bool is_over = false;
  asio::cancellation_signal cancel;
  asio::co_spawn(context, std::move(work),
                 asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& thrown) {
                   EXPECT_FALSE(thrown);
                   is_over = true;
                 }));
  context.restart();
  while (!is_there) context.poll();
  cancel.emit(asio::cancellation_type::terminal);
  while (!is_over) context.run_one();
}

/// What is there without an error, or the test ends.
template <class T>
T must(client::Expected<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class OnLoop : public testing::Test {
 protected:
  template <class T>
  auto wait(asio::awaitable<T> work) {
    return run(context, std::move(work));
  }
  template <class T>
  T get(asio::awaitable<client::Expected<T>> work) {
    return must(run(context, std::move(work)));
  }
  /// "" where there is none.
  template <class T>
  std::string error(asio::awaitable<client::Expected<T>> work) {
    const auto result = run(context, std::move(work));
    return result ? "" : result.error().text();
  }
  std::string read_all(client::File& file, std::size_t size, U64 offset = 0) {
    std::string got(size, '\0');
    got.resize(get(file.read(offset, std::as_writable_bytes(std::span(got)))));
    return got;
  }
  std::vector<client::Entry> entries(client::Node& node) {
    client::Directory directory = get(node.open_directory());
    std::vector<client::Entry> all;
    for (std::vector<client::Entry> some; !(some = get(directory.next())).empty();)
      all.insert(all.end(), some.begin(), some.end());
    return all;
  }
  /// Until nothing is under way: what nobody has any more is clunked, and its connection closed.
  void settle() {
    context.restart();
    context.run();
  }
  client::Stream stream_to(int fd) { return {context.get_executor(), fd, fd}; }

  asio::io_context context;
};

}  // namespace ninep::test
