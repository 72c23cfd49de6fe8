// Drives the lanes of all connections on one thread, by epoll, and counts. Not on Asio: what is
// measured is a server, and the less is done here for each reply, the more of the time is its.
#pragma once

#include <vector>

#include "client/bench/meter.h"
#include "client/bench/workloads.h"

namespace ninep::bench {

/// What a run found out about itself before it began.
struct Agreed {
  U32 msize = 0;
  U32 io_size = 0;         // bytes per Tread and Twrite, after msize had its say
  bool by_remove = false;  // the server lacks Tunlinkat, or --unlink says so
};

class Driver {
 public:
  /// Connects. `names`: Files::names(); the files are there.
  Driver(const Options& options, const Workload& workload, const std::vector<std::string>& names);

  /// Runs the load to its end.
  Figures run();
  const Agreed& agreed() const { return agreed_; }
  /// What was written to write-N, by connection.
  const std::vector<Connection>& connections() const { return connections_; }

 private:
  void open_connections(const std::vector<std::string>& names);
  void make_lanes();
  void wait_for_ready();
  void serve(Connection& connection);
  void send(Connection& connection);
  void take(Lane& lane, Bytes frame);
  void begin(Lane& lane);

  const Options& options_;
  const Workload& workload_;
  const Chains& chains_;
  Agreed agreed_;
  std::span<const Step> operation_;
  std::vector<Connection> connections_;
  std::vector<Lane> lanes_;         // those of connection 0, then those of 1, ...
  std::vector<Connection*> ready_;  // something to receive
  Socket epoll_;                    // of no use with a single connection: that just receives
  Meter meter_;
  U64 now_ = 0;
  std::size_t busy_ = 0;  // lanes that aren't idle
};

}  // namespace ninep::bench
