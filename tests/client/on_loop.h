// Running a coroutine of the client to its end, for tests that are none.
#pragma once

#include <optional>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "client/session.h"

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

}  // namespace ninep::test
