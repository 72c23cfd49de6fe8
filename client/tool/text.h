// Text that a server chose, for people's terminals.
#pragma once

#include <string>

#include "proto/types.h"

namespace ninep::tool {

/// Bytes of an error that are worth reading.
inline constexpr std::size_t kErrorMax = 1000;

/// What a terminal would take for something else than a character is "?": control characters, C1's
/// among them, and what is no UTF-8. Of more than `most` bytes the front, and "...".
std::string shown(Str text, std::size_t most = kStringMax);

}  // namespace ninep::tool
