// What a run found, for people or for programs.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "client/bench/run.h"

namespace ninep::bench {

/// A line or several, each with its "\n".
std::string report_text(const Options& options, const Workload& workload, const Ran& ran);
nlohmann::json report_json(const Options& options, const Workload& workload, const Ran& ran);

}  // namespace ninep::bench
