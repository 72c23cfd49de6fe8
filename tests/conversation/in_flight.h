// The fixture of conversations with requests that are in flight for certain: a tree in memory
// behind gates, with a file "f" ("content") and directories "d" and "e" in it.
#pragma once

#include "tests/conversation/conversation.h"
#include "tests/conversation/gate.h"

namespace ninep::test {

class InFlight : public Conversation {
 protected:
  void SetUp() override {
    if (!start({make_gated_tree(std::make_shared<fs::MemoryTree>(), gate)})) GTEST_SKIP() << why();
    Client c = session();
    c.make_file(0, "f", "content");
    c.make_dir(0, "d");
    c.make_dir(0, "e");
  }
  // Whatever a failed test has left waiting.
  void TearDown() override {
    gate.open();
    gate.release_all();
  }

  /// Fid 1 is "f", open for reading and writing.
  Client session_with_file() {
    Client c = session();
    c.reach(0, 1, {"f"});
    c.open(1, lopen::kReadWrite);
    return c;
  }
  /// The tag of the next reply, which is an R.
  template <Message R>
  static int tag_of_next(Client& c) {
    const Received got = c.receive();
    EXPECT_EQ(got.header().type, Describe<R>::code) << got.text();
    return static_cast<int>(got.header().tag);
  }
  /// The server has looked at all that was sent so far: a request of no interest was answered.
  static void settle(Client& c) { c.get<Rstatfs>(Tstatfs{Fid{0}}); }

  Gate gate;
};

inline const auto kInFlightWorlds =
    testing::Values(World{{"io_uring"}, "memory"}, World{{"portable"}, "memory"},
                    World{{"fake"}, "memory"}, World{{"fake", 1}, "memory"});
#define NINEP_IN_FLIGHT(suite) INSTANTIATE_TEST_SUITE_P(Each, suite, kInFlightWorlds, world_name)

}  // namespace ninep::test
