// Frames as lines of text, the format of tests/golden: SOURCE client|server DIALECT HEX
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "proto/dispatch.h"

namespace ninep {

struct FrameLine {
  std::string source;  // the program that sent it
  Dialects dialect;
  std::vector<std::byte> frame;
};

/// "9P2000.L" -> kDotL; nothing for another text.
std::optional<Dialects> dialect_of(Str name);

/// One line, without its newline. Nothing for a line that is blank or a comment ('#' up to its
/// end); a sentence for one that is wrong. A frame has at least a header, and the size that this
/// says.
std::expected<std::optional<FrameLine>, std::string> parse_frame_line(Str line);

}  // namespace ninep
