#include "client/bench/report.h"

#include <iomanip>
#include <sstream>

namespace ninep::bench {
namespace {

/// Of "connect" it is always 1.
U32 depth_of(const Options& options, const Workload& workload) {
  return workload.connects() ? 1 : options.depth;
}

/// The figures per unit: an operation, or for streams a megabyte (10^6 bytes).
struct PerUnit {
  PerUnit(const Workload& workload, const Agreed& agreed, const Figures& figures) {
    const double units =
        static_cast<double>(figures.operations()) * (workload.streams ? agreed.io_size / 1e6 : 1.0);
    rate = units * 1e9 / static_cast<double>(figures.wall_ns);
    server_us = units == 0 ? 0 : static_cast<double>(figures.server_cpu_ns) / 1000 / units;
    name = workload.streams ? "MB" : "op";
  }
  double rate;       // units per second
  double server_us;  // the server's CPU time for a unit
  const char* name;
};

double us(U64 nanoseconds) { return static_cast<double>(nanoseconds) / 1000; }
double share(U64 part, U64 whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

std::string report_text(const Options& options, const Workload& workload, const Ran& ran) {
  const auto& [agreed, figures] = ran;
  const PerUnit unit(workload, agreed, figures);
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << std::left << std::setw(9) << options.workload << std::right << ' ' << std::setw(11)
      << unit.rate << ' ' << unit.name << "/s   p50 " << std::setw(9)
      << us(figures.latency.percentile(0.5)) << " us   p99 " << std::setw(9)
      << us(figures.latency.percentile(0.99)) << " us   " << options.connections << " x "
      << depth_of(options, workload) << ", msize " << agreed.msize;
  if (workload.streams) out << ", pieces of " << agreed.io_size;
  if (agreed.by_remove) out << ", by Tremove";
  if (options.dialect != kDotL) out << ", " << dialect_name(options.dialect);
  out << '\n';
  const double own = share(figures.own_cpu_ns, figures.wall_ns);
  if (options.server_pid != 0)
    out << "          server: " << unit.server_us << " us/" << unit.name << ", "
        << 100 * share(figures.server_cpu_ns, figures.wall_ns) << " % of a CPU, peak "
        << static_cast<double>(figures.server_peak_kib) / 1024 << " MiB; 9p bench: " << 100 * own
        << " %, everything else on this machine: "
        << 100 * share(figures.others_cpu_ns(), figures.wall_ns) << " %\n";
  return out.str();
}

nlohmann::json report_json(const Options& options, const Workload& workload, const Ran& ran) {
  const auto& [agreed, figures] = ran;
  const PerUnit unit(workload, agreed, figures);
  nlohmann::json report = {
      {"workload", options.workload},
      {"connections", options.connections},
      {"depth", depth_of(options, workload)},
      {"dialect", dialect_name(options.dialect)},
      {"msize", agreed.msize},
      {"io_size", agreed.io_size},
      {"by_remove", agreed.by_remove},
      {"operations", figures.operations()},
      {"seconds", static_cast<double>(figures.wall_ns) / 1e9},
      {"unit", unit.name},
      {"rate", unit.rate},
      {"p50_us", us(figures.latency.percentile(0.5))},
      {"p99_us", us(figures.latency.percentile(0.99))},
      {"client_busy", share(figures.own_cpu_ns, figures.wall_ns)},
      {"others_busy", share(figures.others_cpu_ns(), figures.wall_ns)},
  };
  if (options.server_pid != 0)
    report.update({{"server_us_per_unit", unit.server_us},
                   {"server_busy", share(figures.server_cpu_ns, figures.wall_ns)},
                   {"server_peak_kib", figures.server_peak_kib}});
  return report;
}

}  // namespace ninep::bench
