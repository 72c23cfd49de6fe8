// ninep_load: puts a 9P2000.L server under load. See --help and docs/performance.md.
#include <cstdio>

#include "bench/load/connect.h"
#include "bench/load/report.h"

namespace {

using namespace ninep::load;

std::string run(const Options& options) {
  const Workload& workload = *find_workload(options.workload);
  Agreed agreed;
  Figures figures;
  if (workload.operation.empty()) {
    figures = run_connect(options, agreed);
  } else {
    Driver driver(options, workload);
    figures = driver.run();
    agreed = driver.agreed();
  }
  if (figures.operations() == 0) give_up("no operation ended within --seconds");
  return options.json ? report_json(options, workload, agreed, figures)
                      : report_text(options, workload, agreed, figures);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  try {
    std::fputs(run(options).c_str(), stdout);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ninep_load: %s: %s\n", options.workload.c_str(), error.what());
    return 1;
  }
}
