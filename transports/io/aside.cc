#include "transports/io/aside.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "transports/io/start_thread.h"

namespace ninep::io {
namespace {
constexpr std::size_t kMemoryMax = 256;
std::atomic<std::size_t> everywhere{0};
}  // namespace

struct Aside::Queue : std::enable_shared_from_this<Queue> {
  std::mutex mutex;  // guards all below
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;
  std::size_t count = 0;
  bool running = false;
  bool ending = false;

  /// Under the mutex. Where the system has no thread just now, the next one tries again.
  void start() {
    if (running) return;
    auto thread = start_thread([self = shared_from_this()] { self->work(); });
    if (!thread) return;
    thread->detach();
    running = true;
  }

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return ending || !waiting.empty(); });
      if (waiting.empty()) return;
      const auto what = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      what();
      lock.lock();
      --count;
      --everywhere;
    }
  }
};

Aside::Aside() : queue_(std::make_shared<Queue>()) {}

Aside::~Aside() {
  const std::lock_guard lock(queue_->mutex);
  queue_->ending = true;
  queue_->changed.notify_one();
  if (!queue_->waiting.empty()) queue_->start();
}

void Aside::run(std::function<void()> what) {
  const std::lock_guard lock(queue_->mutex);
  queue_->waiting.push_back(std::move(what));
  ++queue_->count;
  ++everywhere;
  queue_->changed.notify_one();
  queue_->start();
}

void Aside::close(OwnedFd fd) {
  if (fd) run([fd = fd.leak()] { ::close(fd); });
}

std::size_t Aside::waiting() const {
  const std::lock_guard lock(queue_->mutex);
  return queue_->count;
}

std::size_t Aside::waiting_everywhere() { return everywhere; }

void give_back_aside(std::function<void()> what) {
  static Aside& memory = *new Aside;  // its thread outlives all else
  if (memory.waiting() >= kMemoryMax) return what();
  memory.run(std::move(what));
}

}  // namespace ninep::io
