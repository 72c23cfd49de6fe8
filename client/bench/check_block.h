// Whether a block of a write-N is as it has to be.
#pragma once

#include "client/bench/content.h"
#include "client/bench/error.h"
#include "client/bench/pattern.h"

namespace ninep::bench {

inline void check_block(const std::string& path, const Written& written, std::size_t number,
                        Bytes block) {
  const bool was_written = written.blocks[number];
  const U64 offset = number * written.block_size;
  if (!matches_pattern(was_written ? kWrittenPattern : kUnwrittenPattern, offset, block))
    give_up(path, ": the ", block.size(), " bytes at ", offset,
            was_written ? " aren't what was written" : " were changed but never written");
}

}  // namespace ninep::bench
