#include "client/bench/process.h"

#include <fstream>
#include <string>

#include <time.h>
#include <unistd.h>

#include "client/bench/error.h"

namespace ninep::bench {
namespace {

U64 read_clock(clockid_t clock) {
  timespec t{};
  if (clock_gettime(clock, &t) != 0) give_up_errno("clock_gettime");
  return static_cast<U64>(t.tv_sec) * 1'000'000'000 + static_cast<U64>(t.tv_nsec);
}

}  // namespace

U64 now_ns() { return read_clock(CLOCK_MONOTONIC); }
U64 own_cpu_ns() { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

U64 machine_cpu_ns() {
  // cpu user nice system idle iowait irq softirq steal
  std::ifstream stat("/proc/stat");
  std::string cpu;
  U64 user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  stat >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  const U64 ticks = user + nice + system + irq + softirq + steal;
  return ticks * (1'000'000'000 / static_cast<U64>(sysconf(_SC_CLK_TCK)));
}

ServerProcess::ServerProcess(pid_t pid) : pid_(pid) {
  if (pid == 0) return;
  if (const int error = clock_getcpuclockid(pid, &clock_); error != 0)
    give_up("--server-pid ", pid, ": ", std::strerror(error));
}

U64 ServerProcess::cpu_ns() const { return pid_ == 0 ? 0 : read_clock(clock_); }

U64 ServerProcess::peak_kib() const {
  if (pid_ == 0) return 0;
  std::ifstream status(text("/proc/", pid_, "/status"));
  for (std::string word; status >> word;) {
    U64 kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib;
  }
  return 0;
}

void ServerProcess::forget_peak() const {
  if (pid_ != 0) std::ofstream(text("/proc/", pid_, "/clear_refs")) << "5\n";
}

}  // namespace ninep::bench
