#include "client/bench/content.h"

#include <algorithm>

namespace ninep::bench {

std::string small_name(U32 number) { return "small-" + std::to_string(number); }
std::string write_name(U32 connection) { return "write-" + std::to_string(connection); }

U64 write_size(const Options& options) {
  constexpr U64 kLeast = 4 << 20;
  const U64 share = options.file_size / options.connections / kSmallSize * kSmallSize;
  return std::max(share, std::min(kLeast, options.file_size));
}

}  // namespace ninep::bench
