// The fake loop: a hostile one, for tests. It makes operations late and in any order, makes reads
// and writes short, loses and wins races against cancel() and invents errors; all from a seed.
//
// It also holds callers to the rules: an operation and what it points at stay put and unchanged
// until the completion (output is scribbled over at the start and right before the call, so that
// AddressSanitizer sees memory that went too early), and no descriptor is closed that an operation
// still uses.
#pragma once

#include <memory>
#include <vector>

#include "transports/io/loop.h"

namespace ninep::io {

struct Faults {
  struct Error {
    Kind kind;
    int error;
    double chance;
  };
  double late = 0.5;          // chance, in each turn, that an operation has to wait for the next
  double shortened = 0.3;     // chance that recv, send, read or write gets a part of the bytes
  std::vector<Error> errors;  // instead of the call; a close is made all the same
};

/// Single-threaded: what belongs on a pool is done on the loop's thread, some turns later.
std::unique_ptr<Loop> make_fake_loop(U64 seed, Faults faults = {});

}  // namespace ninep::io
