// The files that the workloads use, made and checked on the host, in the folder that the server
// exports.
#pragma once

#include <string>
#include <vector>

#include "proto/types.h"

namespace ninep::load {

inline constexpr U32 kSmallFiles = 64;
inline constexpr U32 kSmallSize = 4096;
inline constexpr U32 kEntries = 10'000;
inline constexpr U64 kBigSize = 64 << 20;
inline constexpr U64 kWriteSizeMax = 64 << 20;

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

/// Blocks of a write-N that the load wrote.
struct Written {
  U32 block_size;
  std::vector<bool> blocks;
};

/// Makes what is needed; what is there already, and cannot have been changed, is kept.
void prepare_files(const std::string& dir, Need need, U32 connections, U64 write_size);

/// Ends the run if a write-N isn't what was written to it, or something was left in new/.
void check_written(const std::string& dir, U32 connection, const Written& written);
void check_nothing_new(const std::string& dir);

}  // namespace ninep::load
