#include "client/bench/run.h"

#include "client/bench/connect.h"

namespace ninep::bench {

asio::awaitable<Ran> run(const Options& options, const Workload& workload, Files& files) {
  co_await files.prepare(workload.need, options);
  Ran ran;
  if (workload.connects()) {
    ran.figures = run_connect(options, ran.agreed);
  } else {
    Driver driver(options, workload, files.names());
    ran.figures = driver.run();
    ran.agreed = driver.agreed();
    if (workload.need == Need::kNew) co_await files.check_nothing_new();
    if (workload.need == Need::kWrite)
      for (const Connection& connection : driver.connections())
        co_await files.check_written(connection.number(), connection.written);
  }
  co_return ran;
}

Endpoint choose_server(const std::vector<Endpoint>& all, std::chrono::milliseconds patience) {
  for (const Endpoint& one : all) {
    try {
      connect_to(one, patience);
      return one;
    } catch (const LoadError&) {
      if (&one == &all.back()) throw;
    }
  }
  give_up("the server has no address");
}

}  // namespace ninep::bench
