// The whole program, as it is shipped, after clients that vanished in the middle of anything.
// NINEP_COUNT is how many.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <gtest/gtest.h>

#include "tests/conversation/vanish.h"
#include "tests/server/program.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {
namespace {

struct Held {
  std::size_t descriptors;
  long resident_kib;
};
Held held_by(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  Held held{};
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(proc + "/fd"))
    ++held.descriptors;
  std::ifstream status(proc + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) held.resident_kib = std::atol(line.c_str() + 6);
  return held;
}

TEST(GoneClientsTest, LeaveNothing) {
  const unsigned count = count_of_vanishing(300);
  const TempDir share;
  Program program({"--listen", "tcp:127.0.0.1:0", share.path()});
  const int port = program.port();
  Client witness = connect_to(port);
  witness.version();
  witness.attach(0);
  const unsigned first = std::max(count / 2, 100u);  // then most of what is kept for reuse is there
  // What it holds once all have gone but the witness, or after a minute.
  const auto settled = [&](std::size_t descriptors) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    Held held = held_by(program.pid());
    while (held.descriptors > descriptors && std::chrono::steady_clock::now() < end)
      held = held_by(program.pid());
    return held;
  };
  const std::size_t descriptors = held_by(program.pid()).descriptors;
  for (unsigned i = 0; i < first; ++i) vanish(connect_to(port), i);
  const Held before = settled(descriptors);
  for (unsigned i = 0; i < count; ++i) vanish(connect_to(port), i);
  const Held after = settled(descriptors);
  EXPECT_EQ(witness.attr(0).qid.type, kQtDir);
  std::cout << "resident: " << before.resident_kib << " KiB before, " << after.resident_kib
            << " KiB after; descriptors: " << before.descriptors << " and " << after.descriptors
            << "\n";
  EXPECT_EQ(after.descriptors, descriptors);
  // What a thread may keep for reuse, and may have kept none of before.
  EXPECT_LE(after.resident_kib, before.resident_kib + 24 * 1024);
}

}  // namespace
}  // namespace ninep::test
