// What one run does.
#pragma once

#include <chrono>
#include <string>

#include <sys/socket.h>
#include <sys/types.h>

#include "proto/types.h"

namespace ninep::bench {

enum class Unlink { kAuto, kUnlinkat, kRemove };

/// Where a server listens, for connect(2).
struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
  std::string name;  // for people
};

struct Options {
  Endpoint server;
  Dialects dialect = kDotL;  // one that it speaks
  std::string uname;         // who attaches (attach(5))
  U32 uid = 0;               // the same as a number
  std::string aname;         // to this tree
  std::string workload;      // a name of all_workloads()
  U32 depth = 1;             // operations in flight per connection
  U32 connections = 1;
  U32 msize = 65536;         // what Tversion asks for
  U32 io_size = 0;           // bytes per Tread and Twrite; 0: what suits the workload
  U64 file_size = 64 << 20;  // of the file that is read; of all that are written, about
  double seconds = 1;        // measured; warm-up comes before
  U64 seed = 1;              // of the random offsets and choices of files
  pid_t server_pid = 0;      // whose CPU time and memory are reported; 0: nobody's
  Unlink unlink = Unlink::kAuto;
  std::chrono::milliseconds patience{10'000};  // with a server that does not answer
};

}  // namespace ninep::bench
