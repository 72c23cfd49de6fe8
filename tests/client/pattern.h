// Content for files.
#pragma once

#include <string>

#include "proto/types.h"

namespace ninep::test {

/// Bytes of which no part is like another.
inline std::string pattern(std::size_t size, U32 x = 1) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

}  // namespace ninep::test
