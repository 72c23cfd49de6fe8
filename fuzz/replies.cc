// Any bytes as an R-message: decoded, printed, encoded again.
#include "fuzz/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  ninep::fuzz::check_input(input, size, false);
  return 0;
}
