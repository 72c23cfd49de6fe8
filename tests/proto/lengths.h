// Where the lengths and counts of a message stand in its bytes.
#pragma once

#include <functional>

#include "proto/codec.h"

namespace ninep::test {

struct Length {
  std::size_t at;     // of the length field itself, in the body
  std::size_t width;  // 2 or 4
  bool checked;       // false for Rstat's nstat, which clients ignore
  bool of_list = false;
  std::size_t value = 0;  // of a list
};

using Visit = std::function<void(const Length&)>;

/// Calls visit(Length) for each length in `value`, which stands at `at`. Gives the end of it.
template <class T>
std::size_t each_length(const T& value, std::size_t at, Dialects d, const Visit&) {
  return at + field_size(value, d);  // a fixed size: no length
}
inline std::size_t each_length(const Str& s, std::size_t at, Dialects d, const Visit& visit) {
  visit(Length{at, 2, true});
  return at + field_size(s, d);
}
inline std::size_t each_length(const Payload& p, std::size_t at, Dialects d, const Visit& visit) {
  visit(Length{at, 4, true});
  return at + field_size(p, d);
}
template <class T, U16 N>
std::size_t each_length(const List<T, N>& list, std::size_t at, Dialects d, const Visit& visit) {
  visit(Length{at, 2, true, true, list.size()});
  at += 2;
  for (const T& item : list) at = each_length(item, at, d, visit);
  return at;
}
template <Dialects set, class T, Dialects lax>
std::size_t each_length(const Only<set, T, lax>& only, std::size_t at, Dialects d,
                        const Visit& visit) {
  return has(set, d) ? each_length(only.value, at, d, visit) : at;
}
inline std::size_t each_length(const Stat& stat, std::size_t at, Dialects d, const Visit& visit) {
  visit(Length{at, 2, true});
  at += 2;
  each_field<Stat>([&](const auto& field) { at = each_length(stat.*field.at, at, d, visit); });
  return at;
}
template <bool must_agree>
std::size_t each_length(const Counted<must_agree>& c, std::size_t at, Dialects d,
                        const Visit& visit) {
  visit(Length{at, 2, must_agree});
  return each_length(c.stat, at + 2, d, visit);
}

template <Message M>
void each_length(const M& m, Dialects d, const Visit& visit) {
  std::size_t at = 0;
  each_field<M>([&](const auto& field) { at = each_length(m.*field.at, at, d, visit); });
}

}  // namespace ninep::test
