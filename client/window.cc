#include "client/window.h"

#include <algorithm>

namespace ninep::client {

struct Window::Waiting {
  Waiting(Window& of, std::size_t bytes) : window(of), size(bytes), is_let_in(of.executor_) {
    at = window.line_.insert(window.line_.end(), this);
  }
  ~Waiting() {
    if (!is_let_in.is_set()) window.line_.erase(at);
  }
  Window& window;
  const std::size_t size;
  Signal is_let_in;
  std::list<Waiting*>::iterator at;
};

asio::awaitable<bool> Window::enter(std::size_t size) {
  if (line_.empty() && has_room(size)) {
    if (requests_ == 0) round_began_ = Clock::now(), round_bytes_ = 0;
    under_way_ += size;
    ++requests_;
    co_return true;
  }
  round_was_full_ = true;
  Waiting waiting(*this, size);
  co_return co_await waiting.is_let_in.wait();
}

void Window::leave(std::size_t size, Clock::duration took) {
  under_way_ -= size;
  --requests_;
  if (took.count() > 0) learn(size, took);
  let_in();
}

void Window::let_in() {
  while (!line_.empty() && has_room(line_.front()->size)) {
    Waiting& next = *line_.front();
    line_.pop_front();
    under_way_ += next.size;
    ++requests_;
    next.is_let_in.set();
  }
}

// A round: as much came back as may be under way.
void Window::learn(std::size_t size, Clock::duration took) {
  least_ = std::min(least_, took);
  round_bytes_ += size;
  if (round_bytes_ >= size_) end_round(Clock::now());
}

void Window::end_round(Clock::time_point now) {
  // No round is shorter than a request: what had gathered elsewhere came at once.
  const double seconds =
      std::chrono::duration<double>(std::max(now - round_began_, least_)).count();
  const double rate = static_cast<double>(round_bytes_) / std::max(seconds, 1e-9);
  const bool was_full = std::exchange(round_was_full_, false);
  round_began_ = now;
  round_bytes_ = 0;
  if (rate > rate_ * 1.15) {
    rate_ = rate;
    flat_ = 0;
  } else if (was_full) {
    ++flat_;
  }
  if (!was_full) return;
  if (flat_ < kFlatRounds) {
    size_ = std::min(size_ * 2, max_);
    return;
  }
  const double holds = rate_ * std::chrono::duration<double>(least_).count();
  size_ = std::min(static_cast<std::size_t>(holds * 1.25) + kStart, max_);
  if (++rounds_ % kProbeRounds != 0) return;
  // The link may have become another one.
  size_ = std::min(size_ + size_ / 4, max_);
  rate_ *= 0.9;
  least_ += least_ / 10;
  flat_ = kFlatRounds - 1;
}

}  // namespace ninep::client
