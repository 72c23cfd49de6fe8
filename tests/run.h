// Running a task to its end, for tests that are no coroutines.
#pragma once

#include <optional>

#include "transports/io/loop.h"

namespace ninep::test {

namespace detail {
template <class T>
io::Task<void> finish(io::Loop& loop, io::Task<T>& task, std::optional<T>& out) {
  T result = co_await task;
  out.emplace(std::move(result));
  loop.stop();
}
inline io::Task<void> finish(io::Loop& loop, io::Task<void>& task) {
  co_await task;
  loop.stop();
}
}  // namespace detail

/// Runs `loop` until `task` is done; most tasks are when they come.
template <class T>
T run(io::Loop& loop, io::Task<T> task) {
  if (task.done()) return task.await_resume();
  std::optional<T> out;
  const io::Task<void> finishing = detail::finish(loop, task, out);
  loop.run_until_stopped();
  NINEP_CHECK(out);
  return std::move(*out);
}
inline void run(io::Loop& loop, io::Task<void> task) {
  if (task.done()) return;
  const io::Task<void> finishing = detail::finish(loop, task);
  loop.run_until_stopped();
}

}  // namespace ninep::test
