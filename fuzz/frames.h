// The input of the targets that take one frame: a byte for the dialect, then the frame.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/check.h"

namespace ninep::fuzz {

/// Checks the frame in `input` if it goes in the target's direction; ends the process if it fails.
inline void check_input(const std::uint8_t* input, std::size_t size, bool requests) {
  if (size < 1 + kHeaderSize) return;
  static constexpr Dialects kDialects[] = {k9P2000, kDotU, kDotL};
  const Dialects d = kDialects[input[0] % 3];
  const Bytes frame = std::as_bytes(std::span(input + 1, size - 1));
  if (is_request(read_header(frame).type) != requests) return;
  const std::string fault = frame_fault(frame, d);
  if (fault.empty()) return;
  std::fprintf(stderr, "%s: %s\n", print_frame(frame, d).c_str(), fault.c_str());
  std::abort();
}

}  // namespace ninep::fuzz
