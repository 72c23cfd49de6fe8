// Drives the lanes of all connections on one thread, and counts.
#pragma once

#include <vector>

#include "bench/load/meter.h"
#include "bench/load/workloads.h"

namespace ninep::load {

/// What a run found out about itself before it began.
struct Agreed {
  U32 msize = 0;
  U32 io_size = 0;         // bytes per Tread and Twrite, after msize had its say
  bool by_remove = false;  // the server lacks Tunlinkat, or --unlink says so
};

class Driver {
 public:
  /// Connects, makes the files.
  Driver(const Options& options, const Workload& workload);

  /// Runs the load to its end, then checks what the server left behind.
  Figures run();
  const Agreed& agreed() const { return agreed_; }

 private:
  void open_connections();
  void make_lanes();
  void wait_for_ready();
  void serve(Connection& connection);
  void send(Connection& connection);
  void take(Lane& lane, Bytes frame);
  void begin(Lane& lane);
  void check_files() const;

  const Options& options_;
  const Workload& workload_;
  Agreed agreed_;
  std::span<const Step> operation_;
  U64 write_size_;
  std::vector<Connection> connections_;
  std::vector<Lane> lanes_;         // those of connection 0, then those of 1, ...
  std::vector<Connection*> ready_;  // something to receive
  Socket epoll_;                    // of no use with a single connection: that just receives
  Meter meter_;
  U64 now_ = 0;
  std::size_t busy_ = 0;  // lanes that aren't idle
};

}  // namespace ninep::load
