#include "client/bench/interrupt.h"

#include <atomic>
#include <csignal>

#include "client/bench/error.h"

namespace ninep::bench {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "it is set by a signal's handler");

}  // namespace

void watch_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

void give_up_if_interrupted() {
  if (interrupted.load(std::memory_order_relaxed)) give_up("interrupted");
}

}  // namespace ninep::bench
