// bench.
#include <cstdio>

#include <unistd.h>

#include "client/bench/interrupt.h"
#include "client/bench/report.h"
#include "client/bench/workloads.h"
#include "client/stream.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;

struct Bench {
  bench::Options options;
  std::string place;
  std::vector<std::string> workloads = {"getattr", "randread", "seqread", "seqwrite", "create"};
  std::string local;
  U64 file_mib = 64;
  std::string unlink = "auto";
};

Awaitable<Expected<bench::Endpoint>> find_server(const Target& target,
                                                 std::chrono::milliseconds patience) {
  const auto found = co_await client::endpoints_of(target.address);
  NINEP_CO_RETURN_IF_WRONG(found);
  std::vector<bench::Endpoint> endpoints;
  for (const auto& one : *found) {
    bench::Endpoint& endpoint = endpoints.emplace_back();
    endpoint.size = static_cast<socklen_t>(one.size());
    std::memcpy(&endpoint.address, one.data(), one.size());
    endpoint.name = target.address_text;
  }
  co_return bench::choose_server(endpoints, patience);
}

Awaitable<Expected<std::unique_ptr<bench::Files>>> make_files(Tool& tool, const Target& target,
                                                              const Bench& what) {
  if (!what.local.empty()) {
    if (!target.path.empty())
      co_return error(EINVAL, target.text(), "with --local the files are in the tree's root");
    co_return bench::host_files(what.local);
  }
  auto node = co_await tool.node(target);
  NINEP_CO_RETURN_IF_WRONG(node);
  auto making = bench::server_files(std::move(*node));
  co_return co_await std::move(making);
}

Awaitable<Expected<Dialects>> find_dialect(Tool& tool, const Target& target, const Bench& what) {
  const auto connected = co_await tool.client(target);
  NINEP_CO_RETURN_IF_WRONG(connected);
  const Dialects dialect = (*connected)->dialect();
  for (const std::string& name : what.workloads)
    if (!bench::find_workload(name)->is_in(dialect))
      co_return error(EOPNOTSUPP, target.address_text,
                      "the server speaks " + std::string(dialect_name(dialect)) +
                          ", which has no messages for " + name);
  co_return dialect;
}

Awaitable<void> run_all(Tool& tool, const Bench& what, bench::Options& options,
                        bench::Files& files) {
  for (const std::string& name : what.workloads) {
    options.workload = name;
    const bench::Workload& workload = *bench::find_workload(name);
    auto running = bench::run(options, workload, files);
    const bench::Ran ran = co_await std::move(running);
    if (tool.json)
      tool.print(bench::report_json(options, workload, ran));
    else
      std::fputs(bench::report_text(options, workload, ran).c_str(), stdout);
    std::fflush(stdout);
  }
}

Awaitable<Expected<void>> bench_server(Tool& tool, const Bench& what) {
  const Target target = remote_of(what.place);
  bench::Options options = what.options;
  options.uname = tool.options.user.uname;
  options.aname = target.aname.value_or(tool.options.user.aname);
  options.uid = tool.options.user.uid == kNoNumericUid ? ::geteuid() : tool.options.user.uid;
  options.msize = tool.options.session.msize;
  options.patience = tool.options.session.patience;
  options.file_size = what.file_mib << 20;
  options.unlink = what.unlink == "remove"     ? bench::Unlink::kRemove
                   : what.unlink == "unlinkat" ? bench::Unlink::kUnlinkat
                                               : bench::Unlink::kAuto;
  bench::watch_signals();
  std::unique_ptr<bench::Files> files;
  std::string wrong;
  try {
    auto server = co_await find_server(target, options.patience);
    NINEP_CO_RETURN_IF_WRONG(server);
    options.server = *server;
    const auto dialect = co_await find_dialect(tool, target, what);
    NINEP_CO_RETURN_IF_WRONG(dialect);
    options.dialect = *dialect;
    auto made = co_await make_files(tool, target, what);
    NINEP_CO_RETURN_IF_WRONG(made);
    files = std::move(*made);
    co_await run_all(tool, what, options, *files);
  } catch (const bench::LoadError& e) {
    wrong = e.what();
  }
  if (files) {
    try {
      co_await files->remove();
    } catch (const bench::LoadError& e) {
      if (wrong.empty()) wrong = e.what();
    }
  }
  if (!wrong.empty()) {
    const std::string doing = options.workload.empty() ? "bench" : "bench " + options.workload;
    std::fprintf(stderr, "9p: %s: %s\n", doing.c_str(), wrong.c_str());
    tool.fail();
  }
  co_return Expected<void>();
}

Awaitable<void> bench_told(Tool& tool, const Bench& what) {
  const auto done = co_await bench_server(tool, what);
  if (!done) tool.wrong(done.error());
}

std::string workloads_and_examples() {
  std::string text =
      "WORKLOADS (one operation is the whole chain; in 9P2000 and 9P2000.u of the messages that do "
      "the same)\n";
  for (const bench::Workload& workload : bench::all_workloads())
    text.append("  ")
        .append(workload.name)
        .append(12 - workload.name.size(), ' ')
        .append(workload.summary)
        .append("\n");
  return text + R"(
  Every byte that is read is compared with what must be there, and every byte that was written is
  read back when the load is over: a run in which anything is wrong has no figure, but an error. The
  files are in a directory of their own, 9p-bench-..., which is removed at the end.

EXAMPLES
  9p bench tcp:fileserver:/tmp                         what it does one request at a time
  9p bench --depth 32 tcp:fileserver:/tmp getattr      and with 32 of them in flight
  9p bench --connections 64 tcp:fileserver connect     64 clients that come and go
  9p bench --depth 8 --msize 1048576 --seconds 5 --json unix:/run/9pserve.sock:/tmp seqread seqwrite
  9p bench --local /srv/scratch --server-pid $(pidof diod) tcp:localhost,aname=/srv/scratch stat
)";
}

}  // namespace

void add_bench(CLI::App& app, Command& chosen) {
  auto what = std::make_shared<Bench>();
  CLI::App* const c =
      app.add_subcommand("bench", "Put a server under load, and say how fast it answers");
  c->add_option("DIRECTORY", what->place, "where files may be made, as tcp:fileserver:/tmp")
      ->required()
      ->type_name(kRemote);
  std::vector<std::string> names;
  for (const bench::Workload& workload : bench::all_workloads()) names.emplace_back(workload.name);
  c->add_option("WORKLOAD", what->workloads, "What is done, one after the other")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  bench::Options& o = what->options;
  c->add_option("-d,--depth", o.depth, "Operations in flight on each connection")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  c->add_option("-c,--connections", o.connections, "Connections at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  c->add_option("-s,--seconds", o.seconds, "How long is measured; a warm-up comes before")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  c->add_option("--io-size", o.io_size,
                "Size of a read or write; 0: 4096, and as many as a message takes where they are "
                "in a row")
      ->type_name("BYTES")
      ->capture_default_str();
  c->add_option("--file-size", what->file_mib, "Size of the file that is read or written")
      ->type_name("MIB")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->add_option("--seed", o.seed, "Of the random offsets and names")
      ->check(not_negative)
      ->capture_default_str();
  c->add_option("--unlink", what->unlink,
                "How files are removed: by Tunlinkat, by walk and Tremove, or by what there is")
      ->type_name("HOW")
      ->check(CLI::IsMember({"auto", "unlinkat", "remove"}))
      ->capture_default_str();
  c->add_option("--server-pid", o.server_pid,
                "A server on this host: says what CPU time and memory it took")
      ->type_name("PID");
  c->add_option("--local", what->local,
                "What the server serves, as a directory of this host: files are made and looked at "
                "there, past the server, and stay")
      ->type_name(kLocal);
  c->footer(workloads_and_examples());
  c->callback([&chosen, what] { chosen = [what](Tool& tool) { return bench_told(tool, *what); }; });
}

}  // namespace ninep::tool
