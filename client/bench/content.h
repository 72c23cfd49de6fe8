// The files that the workloads use, and what is in them.
#pragma once

#include <string>
#include <vector>

#include "client/bench/options.h"

namespace ninep::bench {

inline constexpr U32 kSmallFiles = 64;
inline constexpr U32 kSmallSize = 4096;
inline constexpr U32 kEntries = 10'000;

/// The pattern of each file's content (pattern.h).
inline constexpr U64 kBigPattern = 1;
inline constexpr U64 kUnwrittenPattern = 2;  // what "write-N" holds before
inline constexpr U64 kWrittenPattern = 3;    // and what the load writes
inline constexpr U64 kCreatedPattern = 4;
inline constexpr U64 kSmallPattern = 1000;  // and the number of the file

/// Which of them a workload needs.
enum class Need : U8 {
  kNothing,
  kSmall,    // small-0 to small-63
  kBig,      // big
  kWrite,    // write-0 ... one per connection
  kEntries,  // entries/, with files named by their number
  kNew,      // new/, which is empty before and after
};

std::string small_name(U32 number);
std::string write_name(U32 connection);
/// Bytes of a write-N: all of them are about options.file_size.
U64 write_size(const Options& options);

/// Blocks of a write-N that the load wrote.
struct Written {
  U32 block_size;
  std::vector<bool> blocks;
};

}  // namespace ninep::bench
