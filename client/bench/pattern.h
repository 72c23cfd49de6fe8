// What the files contain: 64-bit words that follow from the file's id and their place in it, so
// that any piece of any file can be made and checked without keeping a copy.
#pragma once

#include <cstring>

#include "proto/types.h"

namespace ninep::bench {

namespace detail {
// Eight words at a time; the compiler makes the widest registers of it that the target has.
using Words = U64 __attribute__((vector_size(64)));
inline constexpr U64 kWordStep = 0x9E3779B97F4A7C15;  // odd: no word comes twice in a file
inline constexpr Words kLanes = {0,
                                 kWordStep,
                                 kWordStep * 2,
                                 kWordStep * 3,
                                 kWordStep * 4,
                                 kWordStep * 5,
                                 kWordStep * 6,
                                 kWordStep * 7};
constexpr U64 word_at(U64 id, U64 offset) {
  return (id + 1) * 0xD1342543DE82EF95 + offset / 8 * kWordStep;
}
}  // namespace detail

/// Makes the piece of file `id` that begins at `offset`. Offset and size are multiples of 64.
inline void fill_pattern(U64 id, U64 offset, Room room) {
  detail::Words words = detail::kLanes + detail::word_at(id, offset);
  for (std::size_t at = 0; at < room.size(); at += sizeof words) {
    std::memcpy(room.data() + at, &words, sizeof words);
    words += detail::kWordStep * 8;
  }
}

/// Whether `bytes` are the piece of file `id` that begins at `offset`; multiples of 64 again.
[[nodiscard]] inline bool matches_pattern(U64 id, U64 offset, Bytes bytes) {
  detail::Words words = detail::kLanes + detail::word_at(id, offset);
  detail::Words difference{};
  for (std::size_t at = 0; at < bytes.size(); at += sizeof words) {
    detail::Words found;
    std::memcpy(&found, bytes.data() + at, sizeof found);
    difference |= found ^ words;
    words += detail::kWordStep * 8;
  }
  U64 any = 0;
  for (std::size_t i = 0; i < 8; ++i) any |= difference[i];
  return any == 0;
}

}  // namespace ninep::bench
