#include "bench/load/report.h"

#include <iomanip>
#include <sstream>

#include <nlohmann/json.hpp>

namespace ninep::load {
namespace {

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

std::string report_text(const Options& options, const Workload& workload, const Agreed& agreed,
                        const Figures& figures) {
  const PerUnit unit(workload, agreed, figures);
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << options.workload << ": " << unit.rate << ' ' << unit.name << "/s, p50 "
      << us(figures.latency.percentile(0.5)) << " us, p99 " << us(figures.latency.percentile(0.99))
      << " us\n";
  out << "connections " << options.connections << ", depth " << options.depth << ", msize "
      << agreed.msize << ", io size " << agreed.io_size
      << (agreed.by_remove ? ", by Tremove; " : "; ") << figures.operations() << " operations in "
      << static_cast<double>(figures.wall_ns) / 1e9 << " s\n";
  if (options.server_pid != 0)
    out << "server: " << unit.server_us << " us/" << unit.name << ", "
        << 100 * share(figures.server_cpu_ns, figures.wall_ns) << " % of a CPU, peak "
        << static_cast<double>(figures.server_peak_kib) / 1024 << " MiB\n";
  out << "load generator: " << 100 * share(figures.own_cpu_ns, figures.wall_ns)
      << " % of a CPU; everything else on this machine: "
      << 100 * share(figures.others_cpu_ns(), figures.wall_ns) << " %\n";
  return out.str();
}

std::string report_json(const Options& options, const Workload& workload, const Agreed& agreed,
                        const Figures& figures) {
  const PerUnit unit(workload, agreed, figures);
  const nlohmann::ordered_json report = {
      {"workload", options.workload},
      {"connections", options.connections},
      {"depth", options.depth},
      {"msize", agreed.msize},
      {"io_size", agreed.io_size},
      {"by_remove", agreed.by_remove},
      {"operations", figures.operations()},
      {"seconds", static_cast<double>(figures.wall_ns) / 1e9},
      {"unit", unit.name},
      {"rate", unit.rate},
      {"p50_us", us(figures.latency.percentile(0.5))},
      {"p99_us", us(figures.latency.percentile(0.99))},
      {"server_us_per_unit", unit.server_us},
      {"server_busy", share(figures.server_cpu_ns, figures.wall_ns)},
      {"server_peak_kib", figures.server_peak_kib},
      {"client_busy", share(figures.own_cpu_ns, figures.wall_ns)},
      {"others_busy", share(figures.others_cpu_ns(), figures.wall_ns)},
  };
  return report.dump() + "\n";
}

}  // namespace ninep::load
