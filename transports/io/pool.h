// SyscallPool: threads for calls that may block and have no place on the ring.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "transports/io/op.h"

namespace ninep::io {

class SyscallPool {
 public:
  static constexpr unsigned kThreadsMax = 16;

  /// `wake` is called on a pool thread when finished operations wait for take_finished().
  explicit SyscallPool(std::function<void()> wake) : wake_(std::move(wake)) {}
  SyscallPool(const SyscallPool&) = delete;
  SyscallPool& operator=(const SyscallPool&) = delete;
  /// Waits for what is running.
  ~SyscallPool();

  // On the loop's thread:

  /// Has perform(op) called on a thread of the pool. A thread is started if all are busy and there
  /// are fewer than kThreadsMax. If the system gives none at all, op finishes with -EAGAIN.
  void submit(Op& op);
  /// Finishes op with -ECANCELED if no thread has begun it.
  void cancel(Op& op);
  /// All that has finished since, linked by Op::next.
  Op* take_finished();

 private:
  void work();
  // With mutex_ held:
  void add_thread();
  void finish(Op& op, int result);

  const std::function<void()> wake_;
  std::mutex mutex_;  // guards all below
  std::condition_variable available_;
  std::deque<Op*> waiting_;
  Op* finished_ = nullptr;
  unsigned idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ninep::io
