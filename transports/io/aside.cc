#include "transports/io/aside.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "transports/io/start_thread.h"

namespace ninep::io {
namespace {

constexpr std::size_t kMemoryMax = 256;

struct Queue {
  std::mutex mutex;  // guards all below
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;
  std::size_t count = 0;
  bool running = false;

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return !waiting.empty(); });
      const auto what = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      what();
      lock.lock();
      --count;
    }
  }
};

Queue& queue(Aside which) {
  static auto& queues = *new std::array<Queue, 2>;  // their threads outlive all else
  return queues[static_cast<std::size_t>(which)];
}

}  // namespace

void aside(Aside which, std::function<void()> what) {
  Queue& queue = io::queue(which);
  std::unique_lock lock(queue.mutex);
  if (which == Aside::kMemory && queue.count >= kMemoryMax) {
    lock.unlock();
    return what();
  }
  queue.waiting.push_back(std::move(what));
  ++queue.count;
  queue.changed.notify_one();
  if (queue.running) return;
  auto thread = start_thread([&queue] { queue.work(); });
  if (!thread) return;  // the next one tries again
  thread->detach();
  queue.running = true;
}

void close_aside(Aside which, OwnedFd fd) {
  if (fd) aside(which, [fd = fd.leak()] { ::close(fd); });
}

std::size_t waiting_aside(Aside which) {
  Queue& queue = io::queue(which);
  const std::lock_guard lock(queue.mutex);
  return queue.count;
}

}  // namespace ninep::io
