#include "transports/io/task.h"

#include <array>
#include <memory>
#include <new>

#include <sanitizer/asan_interface.h>  // no-ops without the sanitizer

namespace ninep::io {

void ReadyQueue::run() {
  while (!ready_.empty()) {
    running_.swap(ready_);
    for (const auto handle : running_) handle.resume();
    running_.clear();
  }
}

ReadyQueue& ReadyQueue::current() {
  thread_local ReadyQueue queue;
  return queue;
}

namespace detail {
namespace {

constexpr std::size_t kStep = 64;
constexpr std::size_t kClasses = 64;        // frames up to 4 KiB; larger ones go to the heap
constexpr std::size_t kKeptPerClass = 256;  // at most 256 * 4 KiB kept for the largest

struct FreeFrame {
  FreeFrame* next;
};

class FrameLists {
 public:
  ~FrameLists() {
    for (List& list : lists_)
      while (FreeFrame* frame = list.pop()) ::operator delete(frame);
  }
  void* take(std::size_t index) {
    const std::size_t size = (index + 1) * kStep;
    FreeFrame* const frame = lists_[index].pop();
    if (!frame) return ::operator new(size);
    ASAN_UNPOISON_MEMORY_REGION(frame, size);
    return frame;
  }
  void give(void* frame, std::size_t index) {
    List& list = lists_[index];
    if (list.count == kKeptPerClass) return ::operator delete(frame);
    list.head = new (frame) FreeFrame{list.head};
    ++list.count;
    ASAN_POISON_MEMORY_REGION(list.head + 1, (index + 1) * kStep - sizeof(FreeFrame));
  }

  std::size_t kept() const {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < kClasses; ++i) bytes += lists_[i].count * (i + 1) * kStep;
    return bytes;
  }

 private:
  struct List {
    FreeFrame* head = nullptr;
    std::size_t count = 0;
    FreeFrame* pop() {
      if (!head) return nullptr;
      --count;
      return std::exchange(head, head->next);
    }
  };
  std::array<List, kClasses> lists_;
};
thread_local FrameLists frame_lists;

}  // namespace

void* allocate_frame(std::size_t size) {
  const std::size_t index = (size - 1) / kStep;
  return index < kClasses ? frame_lists.take(index) : ::operator new(size);
}

void free_frame(void* frame, std::size_t size) {
  const std::size_t index = (size - 1) / kStep;
  if (index < kClasses) {
    frame_lists.give(frame, index);
  } else {
    ::operator delete(frame);
  }
}

std::size_t frames_kept() { return frame_lists.kept(); }

}  // namespace detail

Task<void> Scope::all_done() {
  waiting_ = true;
  while (running_ != 0) co_await idle_;
  waiting_ = false;
}

Scope::Watcher Scope::watch(Task<void> task) {
  ++running_;
  co_await task;
  --running_;
  if (waiting_ && running_ == 0) idle_.set();
}

}  // namespace ninep::io
