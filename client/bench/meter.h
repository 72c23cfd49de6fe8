// What is counted: the operations that end between the warm-up and the end, and what they cost.
#pragma once

#include "client/bench/histogram.h"
#include "client/bench/options.h"
#include "client/bench/process.h"

namespace ninep::bench {

struct Figures {
  Histogram latency;  // of each operation, in nanoseconds
  U64 wall_ns = 0;
  U64 server_cpu_ns = 0;
  U64 own_cpu_ns = 0;
  U64 machine_cpu_ns = 0;  // of all processes: what isn't the server's or ours is noise
  U64 server_peak_kib = 0;

  U64 operations() const { return latency.total(); }
  /// CPU time that went to others; inexact, see machine_cpu_ns().
  U64 others_cpu_ns() const {
    return machine_cpu_ns - std::min(machine_cpu_ns, server_cpu_ns + own_cpu_ns);
  }
};

class Meter {
 public:
  /// The warm-up begins now.
  explicit Meter(const Options& options)
      : server_(options.server_pid),
        begin_ns_(now_ns() + seconds_ns(std::min(0.3, 0.05 + options.seconds / 5))),
        end_ns_(begin_ns_ + seconds_ns(options.seconds)) {}

  U64 begin_ns() const { return begin_ns_; }
  U64 end_ns() const { return end_ns_; }
  bool over() const { return phase_ == Phase::kOver; }

  /// To be called often; notes when the warm-up ends and when the run does: not before an operation
  /// has ended.
  void tick(U64 now) {
    if (phase_ == Phase::kWarmUp && now >= begin_ns_) {
      server_.forget_peak();
      figures_.wall_ns = now_ns();
      figures_.server_cpu_ns = server_.cpu_ns();
      figures_.own_cpu_ns = bench::own_cpu_ns();
      figures_.machine_cpu_ns = bench::machine_cpu_ns();
      phase_ = Phase::kMeasuring;
    } else if (phase_ == Phase::kMeasuring && now >= end_ns_ && figures_.operations() != 0) {
      figures_.wall_ns = now_ns() - figures_.wall_ns;
      figures_.server_cpu_ns = server_.cpu_ns() - figures_.server_cpu_ns;
      figures_.own_cpu_ns = bench::own_cpu_ns() - figures_.own_cpu_ns;
      figures_.machine_cpu_ns = bench::machine_cpu_ns() - figures_.machine_cpu_ns;
      figures_.server_peak_kib = server_.peak_kib();
      phase_ = Phase::kOver;
    }
  }

  /// An operation ended; counts between the warm-up and the end only.
  void count(U64 latency_ns) {
    if (phase_ == Phase::kMeasuring) figures_.latency.add(latency_ns);
  }

  /// Complete when over().
  Figures& figures() { return figures_; }

 private:
  enum class Phase { kWarmUp, kMeasuring, kOver };
  static U64 seconds_ns(double seconds) { return static_cast<U64>(seconds * 1e9); }

  ServerProcess server_;
  U64 begin_ns_;
  U64 end_ns_;
  Phase phase_ = Phase::kWarmUp;
  Figures figures_;
};

}  // namespace ninep::bench
