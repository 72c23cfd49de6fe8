#include "client/tool/text.h"

#include <algorithm>

namespace ninep::tool {
namespace {

/// Bytes of the character at the front of `text`; 0: it is none, or none to be shown.
std::size_t character_size(Str text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first < 0x20 || first == 0x7F ? 0 : 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  char32_t character = first & (0xFFu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_none = character < kLeast[size] || character > 0x10FFFF ||
                       (character >= 0xD800 && character < 0xE000);
  const bool is_control = character < 0xA0 || character == 0x2028 || character == 0x2029 ||
                          (character >= 0x202A && character <= 0x202E) ||  // other ways to write
                          (character >= 0x2066 && character <= 0x2069);
  return is_none || is_control ? 0 : size;
}

}  // namespace

std::string shown(Str text, std::size_t most) {
  std::string result;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (result.size() + std::max<std::size_t>(size, 1) > most) return result + "...";
    result += size == 0 ? "?" : text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result;
}

}  // namespace ninep::tool
