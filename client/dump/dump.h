// What 9pdump does with frames: print each as text or JSON, and check that it encodes back.
#pragma once

#include <iosfwd>

#include "proto/types.h"

namespace ninep {

struct DumpOptions {
  bool json = false;
  bool verify = false;       // encode each frame again; stop at the first that differs
  bool raw = false;          // frames behind each other, not lines of text
  Dialects dialect = kDotL;  // of a raw stream
  U32 msize = 1 << 20;       // of a raw stream: a size above it is an error
};

/// Reads `in` to its end. True if every frame was well-formed and, with verify, encoded to the same
/// bytes. What was wrong is said on `err`, with the line or the offset.
bool dump(const DumpOptions& options, std::istream& in, std::ostream& out, std::ostream& err);

}  // namespace ninep
