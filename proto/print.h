// Messages as text for people: `Twalk tag 3 fid 0 newfid 1 wname ["usr" "lib"]`. Used by --trace
// and 9pdump. Data are shown as a byte count.
#pragma once

#include <string>

#include "proto/dispatch.h"

namespace ninep {

namespace detail {
void show_number(std::string& out, Str field, U64 value);
void show(std::string& out, Fid fid);
void show(std::string& out, Tag tag);
void show(std::string& out, Str s);
void show(std::string& out, const Qid& qid);
void show(std::string& out, const Payload& payload);
}  // namespace detail

/// Appends " name value" for each field that the dialect has.
template <Described M>
void print_fields(std::string& out, const M& m, Dialects d);

template <class T>
void print_field(std::string& out, Str name, const T& value, Dialects d) {
  if constexpr (Integer<T> && !std::is_enum_v<T>) {
    detail::show_number(out, name, value);
  } else if constexpr (std::same_as<T, Attr> || std::same_as<T, Stat>) {
    out += '{';
    print_fields(out, value, d);
    out += " }";
  } else {
    detail::show(out, value);
  }
}
template <class T, U16 N>
void print_field(std::string& out, Str name, const List<T, N>& list, Dialects d) {
  out += '[';
  for (const T& item : list) {
    if (&item != list.begin()) out += ' ';
    print_field(out, name, item, d);
  }
  out += ']';
}
template <bool must_agree>
void print_field(std::string& out, Str name, const Counted<must_agree>& c, Dialects d) {
  print_field(out, name, c.stat, d);
}
template <Dialects set, class T, Dialects lax>
void print_field(std::string& out, Str name, const Only<set, T, lax>& only, Dialects d) {
  print_field(out, name, only.value, d);
}

namespace detail {
template <class T>
constexpr bool absent(const T&, Dialects) {
  return false;
}
template <Dialects set, class T, Dialects lax>
constexpr bool absent(const Only<set, T, lax>&, Dialects d) {
  return !has(set, d);
}
}  // namespace detail

template <Described M>
void print_fields(std::string& out, const M& m, Dialects d) {
  each_field<M>([&](const auto& field) {
    if (detail::absent(m.*field.at, d)) return;
    out += ' ';
    out += field.name;
    out += ' ';
    print_field(out, field.name, m.*field.at, d);
  });
}

template <Message M>
void print(std::string& out, Tag tag, const M& m, Dialects d) {
  out += Describe<M>::name;
  out += " tag ";
  detail::show(out, tag);
  print_fields(out, m, d);
}

/// A whole frame, of any type and in any state of repair, as one line without a newline.
std::string print_frame(Bytes frame, Dialects d);

}  // namespace ninep
