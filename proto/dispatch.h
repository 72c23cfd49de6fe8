// From a frame's type code to the struct: tables made from AllMessages.
#pragma once

#include <array>
#include <utility>

#include "proto/frame.h"

namespace ninep {

/// T-messages have even codes, R-messages odd ones.
constexpr bool is_request(U8 code) { return code % 2 == 0; }

/// Calls visit.operator()<M>() for each message.
template <class Visitor>
constexpr void each_message(Visitor&& visit) {
  [&]<class... M>(std::tuple<M...>*) {
    (visit.template operator()<M>(), ...);
  }(static_cast<AllMessages*>(nullptr));
}

/// "Tattach"; empty for a code that no message has.
Str message_name(U8 code);
/// The dialects that have this message; none for a code that no message has.
Dialects message_dialects(U8 code);

enum class Outcome {
  kDone,          // the visitor was called
  kUnknown,       // no message has this code
  kWrongDialect,  // the dialect has no such message
  kMalformed,     // the body does not fit the message
};

namespace detail {
template <U8 code, class First, class... Rest>
consteval auto with_code(std::tuple<First, Rest...>*) {
  if constexpr (Describe<First>::code == code) {
    return std::type_identity<First>{};
  } else {
    return with_code<code>(static_cast<std::tuple<Rest...>*>(nullptr));
  }
}
}  // namespace detail

/// The R-message that answers T when nothing is wrong.
template <Message T>
  requires(is_request(Describe<T>::code))
using ReplyTo =
    decltype(detail::with_code<Describe<T>::code + 1>(static_cast<AllMessages*>(nullptr)))::type;

namespace detail {
template <class Visitor>
using Step = bool (*)(Visitor&, Bytes body, Dialects d);

template <class M, class Visitor>
bool decode_and_visit(Visitor& visitor, Bytes body, Dialects d) {
  M m{};
  if (!decode(body, d, m)) return false;
  visitor(static_cast<const M&>(m));
  return true;
}

template <class Visitor, bool requests>
constexpr std::array<Step<Visitor>, 256> steps() {
  std::array<Step<Visitor>, 256> table{};
  each_message([&]<class M>() {
    if constexpr (is_request(Describe<M>::code) == requests)
      table[Describe<M>::code] = &decode_and_visit<M, Visitor>;
  });
  return table;
}

template <bool requests, class Visitor>
Outcome visit(U8 code, Bytes body, Dialects d, Visitor& visitor) {
  static constexpr auto kSteps = steps<Visitor, requests>();
  if (!kSteps[code]) return Outcome::kUnknown;
  if (!has(message_dialects(code), d)) return Outcome::kWrongDialect;
  return kSteps[code](visitor, body, d) ? Outcome::kDone : Outcome::kMalformed;
}
}  // namespace detail

/// Decodes the body of a T-message and calls visitor(const M&). The visitor takes every T-message:
/// an overload that is missing doesn't compile.
template <class Visitor>
Outcome visit_request(U8 code, Bytes body, Dialects d, Visitor&& visitor) {
  return detail::visit<true>(code, body, d, visitor);
}

/// The same for R-messages. nfs-ganesha sends every .L error as type 107 with Rlerror's body; Linux
/// takes that, and so do we.
template <class Visitor>
Outcome visit_reply(U8 code, Bytes body, Dialects d, Visitor&& visitor) {
  if (d == kDotL && code == Describe<Rerror>::code) code = Describe<Rlerror>::code;
  return detail::visit<false>(code, body, d, visitor);
}

}  // namespace ninep
