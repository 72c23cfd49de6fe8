// Any message, for RapidCheck: made from the description of its fields. Call draw<M>() within a
// property; what was drawn shrinks.
#pragma once

#include <deque>
#include <limits>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "proto/codec.h"

namespace ninep::test {

/// Owns what the views of a drawn message point at.
class Arena {
 public:
  Str keep(const std::vector<U8>& bytes) { return kept_.emplace_back(bytes.begin(), bytes.end()); }

 private:
  std::deque<std::string> kept_;  // doesn't move its elements
};

template <Described M>
M draw(Arena& arena, Dialects d);

template <Integer T>
void draw_field(Arena&, T& value, Dialects) {
  if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number;
    Arena none;
    draw_field(none, number, kAny);
    value = T{number};
  } else {
    constexpr T kMax = std::numeric_limits<T>::max();
    value = *rc::gen::weightedOneOf<T>(
        {{3, rc::gen::arbitrary<T>()}, {1, rc::gen::element<T>(0, 1, kMax / 2, kMax - 1, kMax)}});
  }
}
inline void draw_field(Arena& arena, Str& s, Dialects) {
  s = arena.keep(*rc::gen::arbitrary<std::vector<U8>>());
}
inline void draw_field(Arena& arena, Payload& payload, Dialects) {
  payload = Bytes(as_bytes(arena.keep(*rc::gen::arbitrary<std::vector<U8>>())));
}
template <Described M>
void draw_field(Arena& arena, M& record, Dialects d) {
  record = draw<M>(arena, d);
}
template <bool must_agree>
void draw_field(Arena& arena, Counted<must_agree>& counted, Dialects d) {
  draw_field(arena, counted.stat, d);
}
template <Dialects set, class T, Dialects lax>
void draw_field(Arena& arena, Only<set, T, lax>& only, Dialects d) {
  if (has(set, d)) draw_field(arena, only.value, d);
}
template <class T, U16 N>
void draw_field(Arena& arena, List<T, N>& list, Dialects d) {
  const int count = *rc::gen::inRange<int>(0, N + 1);
  for (int i = 0; i < count; ++i) {
    T item{};
    draw_field(arena, item, d);
    list.push_back(item);
  }
}

/// A message or record with any values in the fields that `d` has.
template <Described M>
M draw(Arena& arena, Dialects d) {
  M m{};
  each_field<M>([&](const auto& field) { draw_field(arena, m.*field.at, d); });
  return m;
}

}  // namespace ninep::test
