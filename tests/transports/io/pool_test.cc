#include "transports/io/pool.h"

#include <atomic>
#include <chrono>
#include <set>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ninep::io {
namespace {

// A pool and its loop's side, without a loop.
class Pool : public testing::Test {
 protected:
  // Waits until `count` more have finished.
  std::set<Op*> finish(std::size_t count) {
    std::set<Op*> finished;
    while (finished.size() < count) {
      std::unique_lock lock(mutex_);
      available_.wait(lock, [this] { return woken_; });
      woken_ = false;
      lock.unlock();
      for (Op* op = pool_->take_finished(); op; op = op->next) finished.insert(op);
    }
    return finished;
  }

  std::mutex mutex_;
  std::condition_variable available_;
  bool woken_ = false;
  std::unique_ptr<SyscallPool> pool_ = std::make_unique<SyscallPool>([this] {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    available_.notify_one();
  });
};

// Holds pool threads until it is opened; knows how many came.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int inside = 0;

  static int pass(void* gate) {
    auto& g = *static_cast<Gate*>(gate);
    std::unique_lock lock(g.mutex);
    ++g.inside;
    g.changed.notify_all();
    g.changed.wait(lock, [&] { return g.open; });
    return g.inside;
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside >= count; });
  }
  void open_now() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};

int count_up(void* counter) { return ++*static_cast<std::atomic<int>*>(counter); }

TEST_F(Pool, MakesTheCallAndKeepsItsResult) {
  static constexpr auto answer = [](void*) { return 42; };
  Op op = ops::call(answer, nullptr);
  pool_->submit(op);
  EXPECT_EQ(finish(1), std::set<Op*>{&op});
  EXPECT_EQ(op.result, 42);
}

TEST_F(Pool, ManyOperationsEachOnce) {
  std::atomic<int> counter = 0;
  std::vector<Op> many(20'000, ops::call(count_up, &counter));
  for (Op& op : many) pool_->submit(op);
  EXPECT_EQ(finish(many.size()).size(), many.size());
  EXPECT_EQ(counter, static_cast<int>(many.size()));
  std::set<int> results;
  for (const Op& op : many) results.insert(op.result);
  EXPECT_EQ(results.size(), many.size());
}

TEST_F(Pool, HasABoundedNumberOfThreads) {
  for (const auto& [sleep, most] : {std::pair<Sleep, int>{Sleep::kCold, SyscallPool::kThreadsMax},
                                    {Sleep::kMay, SyscallPool::kFarThreadsMax}}) {
    Gate gate;
    std::vector<Op> many(4 * static_cast<std::size_t>(most), ops::call(Gate::pass, &gate));
    for (Op& op : many) {
      op.sleep = sleep;
      pool_->submit(op);
    }
    gate.wait_for(most);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for one too many to show up
    {
      const std::lock_guard lock(gate.mutex);
      EXPECT_EQ(gate.inside, most);
    }
    gate.open_now();
    EXPECT_EQ(finish(many.size()).size(), many.size());
  }
}

TEST_F(Pool, CancelsWhatHasNotBegunAndNothingElse) {
  Gate gate;
  std::vector<Op> busy(SyscallPool::kFarThreadsMax, ops::call(Gate::pass, &gate));
  for (Op& op : busy) pool_->submit(op);
  gate.wait_for(static_cast<int>(busy.size()));
  std::atomic<int> counter = 0;
  Op waits = ops::call(count_up, &counter);
  Op cancelled = ops::call(count_up, &counter);
  pool_->submit(waits);
  pool_->submit(cancelled);
  pool_->cancel(cancelled);
  EXPECT_EQ(finish(1), std::set<Op*>{&cancelled});
  EXPECT_EQ(cancelled.result, -ECANCELED);
  pool_->cancel(busy[0]);  // has begun: no effect
  gate.open_now();
  EXPECT_EQ(finish(busy.size() + 1).size(), busy.size() + 1);
  EXPECT_EQ(counter, 1);
  EXPECT_GT(busy[0].result, 0);
}

// Whatever hangs in a network's file system, a local disk's calls are made.
TEST_F(Pool, WhatMayTakeAnyTimeLeavesTheOthersTheirs) {
  Gate gate;
  std::vector<Op> hang(2 * SyscallPool::kFarThreadsMax, ops::call(Gate::pass, &gate));
  for (Op& op : hang) pool_->submit(op);
  std::atomic<int> counter = 0;
  Op local = ops::call(count_up, &counter);
  local.sleep = Sleep::kCold;
  pool_->submit(local);
  EXPECT_EQ(finish(1), std::set<Op*>{&local});
  EXPECT_EQ(counter, 1);
  gate.open_now();
  finish(hang.size());
}

TEST_F(Pool, EndsWhatIsThereBeforeItGoes) {
  std::atomic<int> counter = 0;
  std::vector<Op> many(1'000, ops::call(count_up, &counter));
  for (Op& op : many) pool_->submit(op);
  pool_.reset();
  EXPECT_EQ(counter, 1'000);
}

// Signals go to the main thread, which expects them.
TEST_F(Pool, ItsThreadsTakeNoSignals) {
  static constexpr auto blocked = [](void*) {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, SIGTERM);
  };
  Op op = ops::call(blocked, nullptr);
  pool_->submit(op);
  finish(1);
  EXPECT_EQ(op.result, 1);
}

// A system that gives no thread is no reason to end: the operation fails, but a close is made.
void submit_without_threads() {
  const rlimit none{0, 0};
  if (::setresuid(65534, 65534, 65534) != 0 || ::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(2);
  static constexpr auto answer = [](void*) { return 42; };
  Op op = ops::call(answer, nullptr);
  bool woken = false;
  SyscallPool pool([&] { woken = true; });
  pool.submit(op);
  if (!woken || pool.take_finished() != &op || op.result != -EAGAIN) ::_exit(1);
  Op close = ops::close(Sleep::kMay, STDOUT_FILENO);
  pool.submit(close);
  ::_exit(close.result == 0 && ::fcntl(STDOUT_FILENO, F_GETFD) < 0 ? 0 : 1);
}

TEST(PoolWithoutThreads, FailsTheOperation) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without threads";
  EXPECT_EXIT(submit_without_threads(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ninep::io
