#include "transports/io/loop.h"

#include <algorithm>

namespace ninep::io {

bool Loop::start(Op& op) {
  if (op.kind == Kind::kClose) forget(op.fd);
  Route where = way(op);
  if (where == Route::kInPlace) {
    ++counter(op.kind).in_place;
    op.result = perform(op);
    return true;
  }
  if (where == Route::kTry) {
    if (try_now(op)) return true;
    where = Route::kRing;
  }
  begin(op, where);
  return false;
}

bool Loop::try_now(Op& op) {
  op.result = perform_without_waiting(op);
  if (op.result == -EAGAIN) return false;
  ++counter(op.kind).in_place;
  return true;
}

void Loop::at_turn_end(TurnEnd& what) {
  if (what.listed_at_) return;
  what.listed_at_ = this;
  turn_ends_.push_back(&what);
}

TurnEnd::~TurnEnd() {
  if (!listed_at_) return;
  std::ranges::replace(listed_at_->turn_ends_, this, nullptr);
  std::ranges::replace(listed_at_->turn_ends_running_, this, nullptr);
}

void Loop::run_turn_ends() {
  turn_ends_running_.swap(turn_ends_);
  for (TurnEnd*& what : turn_ends_running_) {
    if (!what) continue;
    what->listed_at_ = nullptr;
    what->turn_end();
  }
  turn_ends_running_.clear();
}

void Loop::run_posted() {
  std::vector<std::function<void()>> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (const auto& function : posted) function();
}

void Loop::post(std::function<void()> function) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(function));
  }
  if (first) wake();
}

void Loop::stop() {
  post([this] { stopped_ = true; });
}

void Loop::run_until_stopped() {
  stopped_ = false;
  ReadyQueue& ready = ReadyQueue::current();
  while (true) {
    run_posted();
    do {
      ready.run();
      run_turn_ends();
    } while (!ready.empty());
    if (stopped_ && detached_.empty()) break;
    turn(turn_ends_.empty());
  }
}

Result<std::unique_ptr<Loop>> make_loop(Choice choice, std::string& why_not) {
  if (choice == Choice::kPortable) return make_portable_loop();
  auto uring = make_uring_loop();
  if (uring || choice == Choice::kUring) return uring;
  why_not = errno_text(uring.error());
  return make_portable_loop();
}

}  // namespace ninep::io
