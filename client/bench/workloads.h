// The workloads by name: what each lane does once, and then again and again.
#pragma once

#include <span>

#include "client/bench/lane.h"

namespace ninep::bench {

/// What a lane does, in one dialect: once, and then again and again.
struct Chains {
  std::span<const Step> setup;
  std::span<const Step> operation;
  std::span<const Step> operation_by_remove{};  // where the server lacks Tunlinkat
};

struct Workload {
  Str name;
  Str summary;
  Need need;
  Chains dot_l;
  Chains old;            // 9P2000 and 9P2000.u
  U32 io_size = 4096;    // unless --io-size says otherwise
  bool streams = false;  // counted in bytes

  const Chains& in(Dialects dialect) const { return dialect == kDotL ? dot_l : old; }
  /// Each operation is a connection (connect.h): there are no chains.
  bool connects() const { return dot_l.operation.empty(); }
  bool is_in(Dialects dialect) const { return connects() || !in(dialect).operation.empty(); }
};

std::span<const Workload> all_workloads();
/// Null if there is none of this name.
const Workload* find_workload(Str name);

std::span<const Workload> metadata_workloads();
std::span<const Workload> data_workloads();

}  // namespace ninep::bench
