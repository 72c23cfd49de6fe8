// What the server's process and this one use: CPU time of all threads, memory at its peak.
#pragma once

#include <sys/types.h>

#include "proto/types.h"

namespace ninep::bench {

/// A steady clock, in nanoseconds.
U64 now_ns();
/// CPU time of this process, in nanoseconds.
U64 own_cpu_ns();

/// CPU time of everything on this machine, the kernel and other guests included, in nanoseconds;
/// counted in steps of 10 ms. 0 if /proc/stat can't be read.
U64 machine_cpu_ns();

/// The server, from outside; pid 0 stands for one that cannot be looked at: everything is 0.
class ServerProcess {
 public:
  explicit ServerProcess(pid_t pid);

  /// CPU time of all its threads since it started, in nanoseconds.
  U64 cpu_ns() const;
  /// Its largest resident size since forget_peak(), in KiB.
  U64 peak_kib() const;
  /// Starts a new peak. Does nothing where the kernel doesn't allow that.
  void forget_peak() const;

 private:
  pid_t pid_;
  clockid_t clock_{};
};

}  // namespace ninep::bench
