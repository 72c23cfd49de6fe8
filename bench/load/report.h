// What a run found, for people or for programs.
#pragma once

#include <string>

#include "bench/load/driver.h"

namespace ninep::load {

std::string report_text(const Options& options, const Workload& workload, const Agreed& agreed,
                        const Figures& figures);
std::string report_json(const Options& options, const Workload& workload, const Agreed& agreed,
                        const Figures& figures);

}  // namespace ninep::load
