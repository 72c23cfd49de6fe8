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
  /// Threads for calls that a local disk may hold up, and for those that may take any time
  /// (Sleep::kMay): what hangs in a network's file system leaves the others theirs.
  static constexpr unsigned kThreadsMax = 16;
  static constexpr unsigned kFarThreadsMax = 64;

  /// `wake` is called on a pool thread when finished operations wait for take_finished().
  explicit SyscallPool(std::function<void()> wake) : wake_(std::move(wake)) {}
  SyscallPool(const SyscallPool&) = delete;
  SyscallPool& operator=(const SyscallPool&) = delete;
  /// Waits for what is running.
  ~SyscallPool();

  // On the loop's thread:

  /// Has perform(op) called on a thread of the pool. A thread is started if all are busy and there
  /// are fewer than the most. If the system gives none at all, a close is made at once, and any
  /// other op finishes with -EAGAIN.
  void submit(Op& op);
  /// Finishes op with -ECANCELED if no thread has begun it.
  void cancel(Op& op);
  /// All that has finished since, linked by Op::next.
  Op* take_finished();

 private:
  /// Threads with a queue of their own.
  struct Crew {
    const unsigned threads_max;
    std::condition_variable available{};
    std::deque<Op*> waiting{};
    unsigned idle = 0;
    std::vector<std::thread> threads{};
  };
  Crew& crew_of(const Op& op) { return op.sleep == Sleep::kMay ? far_ : near_; }
  void work(Crew& crew);
  // With mutex_ held:
  void add_thread(Crew& crew);
  void finish(Op& op, int result);

  const std::function<void()> wake_;
  std::mutex mutex_;  // guards all below
  Crew near_{kThreadsMax};
  Crew far_{kFarThreadsMax};
  Op* finished_ = nullptr;
  bool ending_ = false;
};

}  // namespace ninep::io
