#include "bench/load/options.h"

#include <map>

#include <CLI/CLI.hpp>

#include "bench/load/workloads.h"

namespace ninep::load {
namespace {

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const Workload& workload : all_workloads()) names.emplace_back(workload.name);
  return names;
}

std::string footer() {
  std::string text = "Workloads (one operation is the whole chain):\n";
  for (const Workload& workload : all_workloads())
    text.append("  ")
        .append(workload.name)
        .append(12 - workload.name.size(), ' ')
        .append(workload.summary)
        .append("\n");
  return text +
         "\nExamples:\n"
         "  ninep_load --address tcp:127.0.0.1:564 --dir /srv/bench --workload stat --depth 32\n"
         "  ninep_load --address unix:/run/9p --dir /srv/bench --workload seqread --depth 8 \\\n"
         "             --msize 1048576 --server-pid $(pidof 9pserve) --json\n"
         "  ninep_load --address tcp:127.0.0.1:564 --aname /srv/bench --dir /srv/bench \\\n"
         "             --workload connect --connections 64";
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options o;
  CLI::App app{"Puts a 9P2000.L server under load, checks all data, and says what it took."};
  app.option_defaults()->always_capture_default();
  app.footer(footer());
  app.add_option("--address", o.address, "tcp:HOST:PORT or unix:PATH")->required();
  app.add_option("--dir", o.dir,
                 "The exported folder on this host: files are made and checked there")
      ->required();
  app.add_option("--workload", o.workload)->required()->check(CLI::IsMember(workload_names()));
  app.add_option("--aname", o.aname, "Tree to attach to");
  app.add_option("--depth", o.depth, "Operations in flight per connection")
      ->check(CLI::Range(1, 4096));
  app.add_option("--connections", o.connections)->check(CLI::Range(1, 4096));
  app.add_option("--msize", o.msize, "Largest message to ask for")
      ->check(CLI::Range(8192, 1 << 26));
  app.add_option("--io-size", o.io_size, "Bytes per read and write; 0: what suits the workload");
  app.add_option("--seconds", o.seconds, "Measured; a warm-up comes before")
      ->check(CLI::Range(0.01, 3600.0));
  app.add_option("--seed", o.seed, "Of the random choices");
  app.add_option("--server-pid", o.server_pid, "Whose CPU time and memory to report; 0: nobody's");
  app.add_option("--unlink", o.unlink, "How files are removed; auto: unlinkat if the server has it")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Unlink>{
          {"auto", Unlink::kAuto}, {"unlinkat", Unlink::kUnlinkat}, {"remove", Unlink::kRemove}}))
      ->default_str("auto");
  app.add_flag("--json", o.json, "One JSON object instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return o;
}

}  // namespace ninep::load
