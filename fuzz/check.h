// What must hold for any bytes. The fuzz targets run it, and so do the property tests.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "client/dump/json.h"
#include "client/dump/reencode.h"
#include "proto/print.h"

namespace ninep::fuzz {

/// Whether decode takes bytes for a T that encode would not write: a stat may be padded, and old
/// programs leave fields out.
template <class T>
inline constexpr bool kTolerant = false;
template <bool must_agree>
inline constexpr bool kTolerant<Counted<must_agree>> = true;
template <Dialects set, class T, Dialects lax>
inline constexpr bool kTolerant<Only<set, T, lax>> = lax != kNone;

template <Message M>
constexpr bool tolerant() {
  bool any = false;
  each_field<M>([&](const auto& field) {
    any = any || kTolerant<typename std::decay_t<decltype(field)>::Type>;
  });
  return any;
}

/// What is wrong with how m, which was decoded from `body`, encodes; "" if nothing is.
template <Message M>
std::string encoding_fault(const M& m, Bytes body, Dialects d) {
  const std::size_t size = encoded_size(m, d);
  if (size >= kUnencodable) return "decodes, but cannot be encoded";
  std::vector<std::byte> again(size);
  if (!encode(m, d, again)) return "does not fit its own size";
  if (!tolerant<M>() && !std::ranges::equal(again, body)) return "encodes to other bytes";
  M same{};
  if (!decode(again, d, same) || !(same == m)) return "does not survive a round trip";
  return "";
}

/// The same for a frame of any type that `d` may lack, and for how it prints. `frame` holds at
/// least a header; what its size field says does not matter.
inline std::string frame_fault(Bytes frame, Dialects d) {
  const std::string text = print_frame(frame, d);
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; }))
    return "prints as something else than a line of ASCII";
  (void)frame_to_json(frame, d).dump();  // throws if a string is not UTF-8 after all
  std::string fault;
  visit_frame(frame, d, [&](const auto& m) { fault = encoding_fault(m, frame_body(frame), d); });
  return fault;
}

}  // namespace ninep::fuzz
