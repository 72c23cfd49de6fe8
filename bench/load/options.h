// What one run does, as the command line says it.
#pragma once

#include <string>

#include <sys/types.h>

#include "proto/types.h"

namespace ninep::load {

enum class Unlink { kAuto, kUnlinkat, kRemove };

struct Options {
  std::string address;   // tcp:HOST:PORT or unix:PATH
  std::string aname;     // the tree to attach to
  std::string dir;       // where that tree is on this host: files are made and checked there
  std::string workload;  // a name of all_workloads()
  U32 depth = 1;         // operations in flight per connection
  U32 connections = 1;
  U32 msize = 65536;     // what Tversion asks for
  U32 io_size = 0;       // bytes per Tread and Twrite; 0: what suits the workload
  double seconds = 1;    // measured; warm-up comes before
  U64 seed = 1;          // of the random offsets and choices of files
  pid_t server_pid = 0;  // whose CPU time and memory are reported; 0: nobody's
  Unlink unlink = Unlink::kAuto;
  bool json = false;
};

/// Ends the process for --help (0) and for what it can't make sense of (2).
Options parse_options(int argc, char** argv);

}  // namespace ninep::load
