// The workload "connect": an operation is a connection, from connect(2) over version and attach to
// close(2).
#pragma once

#include "client/bench/driver.h"

namespace ninep::bench {

/// options.connections of them at a time, each on a thread; the depth is always 1.
Figures run_connect(const Options& options, Agreed& agreed);

}  // namespace ninep::bench
