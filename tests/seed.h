// The seed of everything random in a test program. It is printed, so that a failure can be had
// again: NINEP_SEED=123 ./the_test.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <random>

#include "proto/types.h"

namespace ninep::test {

inline U64 seed() {
  static const U64 seed = [] {
    const char* given = std::getenv("NINEP_SEED");
    const U64 value = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("NINEP_SEED=%llu\n", static_cast<unsigned long long>(value));
    std::fflush(stdout);  // also if the program doesn't live to its end
    return value;
  }();
  return seed;
}

}  // namespace ninep::test
