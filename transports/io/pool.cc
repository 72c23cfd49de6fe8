#include "transports/io/pool.h"

#include <algorithm>
#include <csignal>
#include <system_error>

namespace ninep::io {

SyscallPool::~SyscallPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  available_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SyscallPool::submit(Op& op) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(&op);
  if (idle_ < waiting_.size() && threads_.size() < kThreadsMax) add_thread();
  if (threads_.empty()) {
    waiting_.clear();
    finish(op, -EAGAIN);
  }
  available_.notify_one();
}

void SyscallPool::add_thread() {
  // Signals are for the main thread.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The system has no more threads for us; those that are there do it.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void SyscallPool::finish(Op& op, int result) {
  op.result = result;
  op.next = finished_;
  if (!std::exchange(finished_, &op)) wake_();
}

void SyscallPool::cancel(Op& op) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find(waiting_.begin(), waiting_.end(), &op);
  if (at == waiting_.end()) return;
  waiting_.erase(at);
  finish(op, -ECANCELED);
}

Op* SyscallPool::take_finished() {
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, nullptr);
}

void SyscallPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    available_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    Op& op = *waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    const int result = perform(op);
    lock.lock();
    finish(op, result);
  }
}

}  // namespace ninep::io
