// Bytes for tests: from hex, and messages as the bytes of their bodies.
#pragma once

#include <string>
#include <vector>

#include "proto/frame.h"

namespace ninep::test {

/// "0a 0b" -> two bytes. Blanks are for the reader. Only for hex that a test spells out.
inline std::vector<std::byte> hex(Str text) {
  std::vector<std::byte> bytes;
  std::string digits;
  for (const char c : text) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::byte>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

inline std::string to_hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += kDigits[static_cast<U8>(b) >> 4];
    text += kDigits[static_cast<U8>(b) & 15];
  }
  return text;
}

/// The body of m. Empty also if m cannot be encoded: check that where it matters.
template <Described M>
std::vector<std::byte> body_of(const M& m, Dialects d) {
  const std::size_t size = encoded_size(m, d);
  if (size >= kUnencodable) return {};
  std::vector<std::byte> body(size);
  if (!encode(m, d, body)) body.clear();
  return body;
}

template <Message M>
std::vector<std::byte> frame_of(Tag tag, const M& m, Dialects d) {
  std::vector<std::byte> frame(frame_size(m, d));
  frame.resize(encode_frame(tag, m, d, frame));
  return frame;
}

inline constexpr Dialects kDialects[] = {k9P2000, kDotU, kDotL};

}  // namespace ninep::test
