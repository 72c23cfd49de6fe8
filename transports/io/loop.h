// Loop: runs coroutines and carries out their operations. One loop to a thread.
//
// Three implementations, which answer every operation alike: the io_uring one, the portable one
// (epoll and threads, on Asio) and, for tests, one that completes in any order with faults.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "transports/io/route.h"
#include "transports/io/task.h"

namespace ninep::io {

/// Where operations of one kind went.
struct Counter {
  U64 in_place = 0;
  U64 ring = 0;
  U64 pool = 0;
};
using Counters = std::array<Counter, kKinds>;

class Loop;

/// Something to be done once at the end of the current turn, before the loop sleeps: what several
/// requests of a turn have in common, such as sending their replies.
class TurnEnd {
 public:
  virtual void turn_end() = 0;

 protected:
  TurnEnd() = default;
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;
  /// One that goes before the end of the turn is not called.
  ~TurnEnd();

 private:
  friend class Loop;
  Loop* listed_at_ = nullptr;
};

class Loop {
 public:
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// "io_uring", "portable", "fake".
  virtual Str name() const = 0;

  // ---- on the loop's thread

  /// Starts an operation. True: it was done in place, op.result is there. False: op.waiter is
  /// resumed when it is done. A descriptor that operations waited for is closed by ops::close(), so
  /// that the loop learns of it.
  bool start(Op& op);
  /// Makes an operation in place if it needn't wait for anything. False: it wasn't started.
  bool try_now(Op& op);
  /// Asks for an end of an operation that was started and is not done. It completes in any case,
  /// with its ordinary result or with -ECANCELED. What a pool thread has begun is not interrupted.
  virtual void cancel(Op& op) = 0;
  /// What is listed already stays listed once. Listed by a turn's end: at the next turn's, which
  /// comes without sleep.
  void at_turn_end(TurnEnd& what);

  /// An operation as an expression: `const int n = co_await loop.run(ops::recv(...));`, or one that
  /// is the caller's, so that it can be cancelled.
  template <class O>
  struct Running {
    Loop& loop;
    O op;
    bool await_ready() { return loop.start(op); }
    void await_suspend(std::coroutine_handle<> waiter) { op.waiter = waiter; }
    int await_resume() const { return op.result; }
  };
  Running<Op> run(Op&& op) { return {*this, op}; }
  Running<Op&> run(Op& op) { return {*this, op}; }

  /// Lets a task go on by itself, for what must be done but concerns no one, such as closing a file
  /// that was read from.
  void detach(Task<void> task) { detached_.spawn(std::move(task)); }

  /// Runs until stop(), and until what was detached has ended.
  void run_until_stopped();
  const Counters& counters() const { return counters_; }

  // ---- on any thread

  void stop();
  /// Has `function` called on the loop's thread, soon.
  void post(std::function<void()> function);

 protected:
  Loop() = default;

  /// Where an operation is made. The table decides; a loop for tests may decide otherwise.
  virtual Route way(const Op& op) { return route(op.kind, op.sleep); }
  /// Starts what was not done in place. Completes by calling complete(), not within this call.
  virtual void begin(Op& op, Route route) = 0;
  /// Hands in what was begun and takes completions; sleeps for one only if `may_sleep`.
  virtual void turn(bool may_sleep) = 0;
  /// Ends a sleep in turn(). Any thread.
  virtual void wake() = 0;

  /// `fd` is about to be closed; its number may come back with another file behind it.
  virtual void forget(int /*fd*/) {}

  void complete(Op& op, int result) {
    op.result = result;
    ReadyQueue::current().push(op.waiter);
  }
  Counter& counter(Kind kind) { return counters_[static_cast<std::size_t>(kind)]; }

 private:
  friend class TurnEnd;
  void run_posted();
  void run_turn_ends();

  Counters counters_{};
  Scope detached_;
  std::vector<TurnEnd*> turn_ends_;  // nullptr: gone
  std::vector<TurnEnd*> turn_ends_running_;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;
};

/// A loop on io_uring; the error is what the kernel said (EPERM, ENOSYS: switched off here).
Result<std::unique_ptr<Loop>> make_uring_loop();
/// A loop that any Linux has. Both throw std::system_error where the system has no descriptors
/// left.
std::unique_ptr<Loop> make_portable_loop();

enum class Choice { kAuto, kUring, kPortable };
/// kAuto falls back to the portable loop and says why in `why_not`.
Result<std::unique_ptr<Loop>> make_loop(Choice choice, std::string& why_not);

}  // namespace ninep::io
