// Task<T>: a coroutine's result, or a value that is there already.
//
// A task starts at once and runs until it first has to wait. Most of ours never wait: then awaiting
// them costs no more than a call. A task that had to wait puts its awaiter on the loop's ready
// queue when it ends (g++ 12 has no reliable symmetric transfer below -O2, and stacks must not grow
// with the number of awaits).
//
// A Task is awaited, or handed to a Scope; dropping an unfinished one breaks an invariant.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "proto/check.h"

namespace ninep::io {

/// The coroutines that the current thread's loop is to resume next. Set by Loop::run().
class ReadyQueue {
 public:
  void push(std::coroutine_handle<> handle) { ready_.push_back(handle); }
  bool empty() const { return ready_.empty(); }
  /// Resumes all that are there, and those that they make ready.
  void run();

  /// This thread's.
  static ReadyQueue& current();

 private:
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> running_;
};

namespace detail {

/// Frames come from per-thread free lists: a request allocates nothing once the lists are warm.
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size);
/// Bytes of the free frames that this thread keeps for reuse.
std::size_t frames_kept();

class PromiseBase {
 public:
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) { free_frame(frame, size); }

  std::suspend_never initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<>) noexcept {
        if (awaiter) ReadyQueue::current().push(awaiter);
      }
      void await_resume() noexcept {}
      std::coroutine_handle<> awaiter;
    };
    return Final{awaiter_};
  }
  void unhandled_exception() { std::terminate(); }

  std::coroutine_handle<> awaiter_;
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  class promise_type : public detail::PromiseBase {
   public:
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    template <class U>
    void return_value(U&& value) {
      value_.emplace(std::forward<U>(value));
    }

   private:
    friend class Task;
    std::optional<T> value_;
  };

  /// A task that is done.
  Task(T value) : value_(std::move(value)) {}
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, Task> &&
             !std::is_same_v<std::remove_cvref_t<U>, T>)
  Task(U&& value) : value_(std::forward<U>(value)) {}
  Task(Task&& other) noexcept
      : value_(std::move(other.value_)), coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (!coroutine_) return;
    NINEP_CHECK(coroutine_.done());
    coroutine_.destroy();
  }

  bool done() const { return !coroutine_ || coroutine_.done(); }

  bool await_ready() const { return done(); }
  void await_suspend(std::coroutine_handle<> awaiter) { coroutine_.promise().awaiter_ = awaiter; }
  T await_resume() {
    return coroutine_ ? std::move(*coroutine_.promise().value_) : std::move(*value_);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}

  std::optional<T> value_;
  std::coroutine_handle<promise_type> coroutine_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  class promise_type : public detail::PromiseBase {
   public:
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_void() {}
  };

  /// A task that is done.
  Task() = default;
  Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (!coroutine_) return;
    NINEP_CHECK(coroutine_.done());
    coroutine_.destroy();
  }

  bool done() const { return !coroutine_ || coroutine_.done(); }

  bool await_ready() const { return done(); }
  void await_suspend(std::coroutine_handle<> awaiter) { coroutine_.promise().awaiter_ = awaiter; }
  void await_resume() {}

 private:
  explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

/// Something that one coroutine waits for and others announce. Announced before: doesn't wait.
class Event {
 public:
  void set() {
    if (waiter_) {
      ReadyQueue::current().push(std::exchange(waiter_, nullptr));
    } else {
      set_ = true;
    }
  }
  bool await_ready() { return std::exchange(set_, false); }
  void await_suspend(std::coroutine_handle<> waiter) {
    NINEP_CHECK(!waiter_);
    waiter_ = waiter;
  }
  void await_resume() {}

 private:
  std::coroutine_handle<> waiter_;
  bool set_ = false;
};

/// Tasks that nobody awaits one by one. It must outlive them: await all_done() before it goes.
class Scope {
 public:
  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { NINEP_CHECK(running_ == 0); }

  void spawn(Task<void> task) {
    if (!task.done()) watch(std::move(task));
  }
  bool empty() const { return running_ == 0; }
  /// Waits until no task is left. One waiter at a time.
  Task<void> all_done();

 private:
  struct Watcher {
    struct promise_type : detail::PromiseBase {
      Watcher get_return_object() { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
    };
  };
  Watcher watch(Task<void> task);

  unsigned running_ = 0;
  bool waiting_ = false;
  Event idle_;
};

}  // namespace ninep::io
