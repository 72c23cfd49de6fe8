#include "client/bench/workloads.h"

#include <algorithm>
#include <vector>

namespace ninep::bench {

std::span<const Workload> all_workloads() {
  static const std::vector<Workload> all = [] {
    const auto metadata = metadata_workloads();
    const auto data = data_workloads();
    std::vector<Workload> both(metadata.begin(), metadata.end());
    both.insert(both.end(), data.begin(), data.end());
    return both;
  }();
  return all;
}

const Workload* find_workload(Str name) {
  const auto all = all_workloads();
  const auto found = std::ranges::find(all, name, &Workload::name);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace ninep::bench
