#include "client/bench/connect.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "client/bench/interrupt.h"

namespace ninep::bench {
namespace {

/// What the threads have in common.
struct Shared {
  std::mutex mutex;  // of what follows
  Histogram latency;
  std::exception_ptr error;
  U32 msize = 0;
};

void connect_until_end(const Options& options, U64 begin_ns, U64 end_ns, Shared& shared) try {
  Histogram latency;
  U32 msize = 0;
  for (U64 now = now_ns(); now < end_ns || latency.total() == 0;) {
    give_up_if_interrupted();
    const U64 began = now;
    {
      const Socket socket = connect_to(options.server, options.patience);
      msize = shake_hands(socket, options, {});
    }
    now = now_ns();
    if (now >= begin_ns) latency.add(now - began);
  }
  const std::lock_guard lock(shared.mutex);
  shared.latency.add(latency);
  shared.msize = msize;
} catch (...) {
  const std::lock_guard lock(shared.mutex);
  shared.error = std::current_exception();
}

void sleep_until(U64 when) {
  if (const U64 now = now_ns(); now < when)
    std::this_thread::sleep_for(std::chrono::nanoseconds(when - now));
}

}  // namespace

Figures run_connect(const Options& options, Agreed& agreed) {
  Meter meter(options);
  Shared shared;
  {
    std::vector<std::jthread> threads;
    for (U32 i = 0; i < options.connections; ++i)
      threads.emplace_back(
          [&] { connect_until_end(options, meter.begin_ns(), meter.end_ns(), shared); });
    sleep_until(meter.begin_ns());
    meter.tick(meter.begin_ns());
  }
  if (shared.error) std::rethrow_exception(shared.error);
  agreed.msize = shared.msize;
  meter.figures().latency = shared.latency;
  meter.tick(now_ns());
  return meter.figures();
}

}  // namespace ninep::bench
