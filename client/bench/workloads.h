// The workloads by name: what each lane does once, and then again and again.
#pragma once

#include <span>

#include "client/bench/lane.h"

namespace ninep::bench {

struct Workload {
  Str name;
  Str summary;
  Need need;
  std::span<const Step> setup;
  std::span<const Step> operation;
  std::span<const Step> operation_by_remove;  // where the server lacks Tunlinkat
  U32 io_size = 4096;                         // unless --io-size says otherwise
  bool streams = false;                       // counted in bytes
};

/// Its chains are empty for "connect", whose operation is a connection (connect.h).
std::span<const Workload> all_workloads();
/// Null if there is none of this name.
const Workload* find_workload(Str name);

std::span<const Workload> metadata_workloads();
std::span<const Workload> data_workloads();

}  // namespace ninep::bench
