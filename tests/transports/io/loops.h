// Tests that run on each loop.
#pragma once

#include <string>

#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/check.h"
#include "tests/run.h"
#include "tests/seed.h"
#include "transports/io/fake.h"
#include "transports/io/loop.h"

namespace ninep::test {

/// "io_uring", "portable", "fake"; several fake ones differ by their seeds.
struct Which {
  const char* name;
  unsigned seed = 0;  // added to the program's
};

inline void PrintTo(const Which& which, std::ostream* out) { *out << which.name << which.seed; }

/// nullptr: this system has no such loop; `why` says why.
inline std::unique_ptr<io::Loop> make_loop(const Which& which, const io::Faults& faults,
                                           std::string& why) {
  if (Str(which.name) == "fake") return io::make_fake_loop(seed() + which.seed, faults);
  if (Str(which.name) == "portable") return io::make_portable_loop();
  auto loop = io::make_uring_loop();
  if (loop) return std::move(*loop);
  // The system's fault, not ours.
  io_uring_params parameters{};
  NINEP_CHECK(::syscall(SYS_io_uring_setup, 1, &parameters) < 0);
  why = "no io_uring here: " + std::string(errno_text(loop.error()));
  return nullptr;
}

class EachLoop : public testing::TestWithParam<Which> {
 protected:
  explicit EachLoop(io::Faults faults = {}) : faults_(std::move(faults)) {}
  void SetUp() override {
    std::string why;
    loop_ = make_loop(GetParam(), faults_, why);
    if (!loop_) GTEST_SKIP() << why;
  }
  io::Loop& loop() { return *loop_; }
  bool is(Str name) const { return loop_->name() == name; }

  std::unique_ptr<io::Loop> loop_;

 private:
  const io::Faults faults_;
};

inline std::string loop_name(const testing::TestParamInfo<Which>& info) {
  return std::string(info.param.name) + (info.param.seed ? std::to_string(info.param.seed) : "");
}
inline const auto kEachLoop = testing::Values(Which{"io_uring"}, Which{"portable"}, Which{"fake"},
                                              Which{"fake", 1}, Which{"fake", 2});

}  // namespace ninep::test
