// NINEP_CHECK: for invariants of our own. Never for what a peer or the system may cause.
#pragma once

#include <cstdio>
#include <cstdlib>

#define NINEP_CHECK(condition)                                                               \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
