#include "transports/io/pool.h"

#include <algorithm>
#include <csignal>

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
  op.next = nullptr;
  waiting_.push_back(&op);
  if (idle_ < waiting_.size() && threads_.size() < kThreadsMax) {
    // Signals are for the main thread.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    threads_.emplace_back([this] { work(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  available_.notify_one();
}

void SyscallPool::cancel(Op& op) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find(waiting_.begin(), waiting_.end(), &op);
  if (at == waiting_.end()) return;
  waiting_.erase(at);
  op.result = -ECANCELED;
  op.next = finished_;
  finished_ = &op;
  wake_();
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
    op.result = perform(op);
    lock.lock();
    const bool first = finished_ == nullptr;
    op.next = finished_;
    finished_ = &op;
    if (first) wake_();
  }
}

}  // namespace ninep::io
