#include "transports/io/pool.h"

#include <algorithm>

#include "transports/io/start_thread.h"

namespace ninep::io {

SyscallPool::~SyscallPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  for (Crew* crew : {&near_, &far_}) {
    crew->available.notify_all();
    for (std::thread& thread : crew->threads) thread.join();
  }
}

void SyscallPool::submit(Op& op) {
  const std::lock_guard lock(mutex_);
  Crew& crew = crew_of(op);
  crew.waiting.push_back(&op);
  if (crew.idle < crew.waiting.size() && crew.threads.size() < crew.threads_max) add_thread(crew);
  if (crew.threads.empty()) {
    crew.waiting.clear();
    finish(op, op.kind == Kind::kClose ? perform(op) : -EAGAIN);  // nothing stays open
  }
  crew.available.notify_one();
}

void SyscallPool::add_thread(Crew& crew) {
  // Without one, those that are there do it.
  if (auto thread = start_thread([this, &crew] { work(crew); }))
    crew.threads.push_back(std::move(*thread));
}

void SyscallPool::finish(Op& op, int result) {
  op.result = result;
  op.next = finished_;
  if (!std::exchange(finished_, &op)) wake_();
}

void SyscallPool::cancel(Op& op) {
  const std::lock_guard lock(mutex_);
  std::deque<Op*>& waiting = crew_of(op).waiting;
  const auto at = std::find(waiting.begin(), waiting.end(), &op);
  if (at == waiting.end()) return;
  waiting.erase(at);
  finish(op, -ECANCELED);
}

Op* SyscallPool::take_finished() {
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, nullptr);
}

void SyscallPool::work(Crew& crew) {
  std::unique_lock lock(mutex_);
  while (true) {
    ++crew.idle;
    crew.available.wait(lock, [&] { return ending_ || !crew.waiting.empty(); });
    --crew.idle;
    if (crew.waiting.empty()) return;
    Op& op = *crew.waiting.front();
    crew.waiting.pop_front();
    lock.unlock();
    const int result = perform(op);
    lock.lock();
    finish(op, result);
  }
}

}  // namespace ninep::io
