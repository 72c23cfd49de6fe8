// One run of a workload, from its files to its figures.
#pragma once

#include "client/bench/driver.h"
#include "client/bench/files.h"

namespace ninep::bench {

struct Ran {
  Agreed agreed;
  Figures figures;
};

/// Makes the files, runs the load, looks at what the server left behind. Blocks its thread while
/// the load runs. Throws LoadError.
asio::awaitable<Ran> run(const Options& options, const Workload& workload, Files& files);

/// The first of them that can be connected to.
Endpoint choose_server(const std::vector<Endpoint>& all, std::chrono::milliseconds patience);

}  // namespace ninep::bench
