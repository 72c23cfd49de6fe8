// What NINEP_MESSAGE and NINEP_RECORD write down about a struct: its name, its fields in wire order
// and, for a message, its type code and dialects. Everything else (codec, print, JSON, dispatch,
// generators, documentation) follows from this.
//
// The fields stand once as members and once in the macro's list, on neighbouring lines; the
// compiler checks that the list names every member, in order.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "proto/types.h"

namespace ninep {

/// A member of M: its name and where it is.
template <class M, class T>
struct Field {
  using Type = T;
  const char* name;
  T M::* at;
  std::size_t offset;
};

template <class M>
struct Describe;

template <class M>
concept Described = requires { Describe<M>::fields; };
template <class M>
concept Message = Described<M> && requires { Describe<M>::code; };

/// Calls visit(field) for each field of M, in wire order.
template <Described M>
constexpr void each_field(auto&& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, Describe<M>::fields);
}

/// Two messages or records are equal if all their fields are.
template <Described M>
constexpr bool operator==(const M& a, const M& b) {
  bool equal = true;
  each_field<M>([&](const auto& field) { equal = equal && a.*field.at == b.*field.at; });
  return equal;
}

namespace detail {

struct Anything {
  template <class T>
  constexpr operator T() const;
};

/// The number of members of an aggregate: the longest list of initializers that it takes.
template <class M, class... Inits>
consteval std::size_t member_count() {
  if constexpr (requires { M{Inits{}..., Anything{}}; }) {
    return member_count<M, Inits..., Anything>();
  } else {
    return sizeof...(Inits);
  }
}

template <class M>
consteval bool fields_are_members_in_order() {
  std::size_t count = 0;
  std::size_t end = 0;
  bool ordered = true;
  each_field<M>([&](const auto& field) {
    ordered = ordered && field.offset >= end;
    end = field.offset + sizeof(typename std::decay_t<decltype(field)>::Type);
    ++count;
  });
  return ordered && count == member_count<M>();
}

}  // namespace detail
}  // namespace ninep

// NINEP_EACH(f, M, a, b, c) -> f(M, a), f(M, b), f(M, c); up to 256 names.
#define NINEP_EXPAND(...) NINEP_EXPAND3(NINEP_EXPAND3(NINEP_EXPAND3(NINEP_EXPAND3(__VA_ARGS__))))
#define NINEP_EXPAND3(...) NINEP_EXPAND2(NINEP_EXPAND2(NINEP_EXPAND2(NINEP_EXPAND2(__VA_ARGS__))))
#define NINEP_EXPAND2(...) NINEP_EXPAND1(NINEP_EXPAND1(NINEP_EXPAND1(NINEP_EXPAND1(__VA_ARGS__))))
#define NINEP_EXPAND1(...) __VA_ARGS__
#define NINEP_PARENS ()
#define NINEP_EACH(f, M, ...) __VA_OPT__(NINEP_EXPAND(NINEP_EACH_STEP(f, M, __VA_ARGS__)))
#define NINEP_EACH_STEP(f, M, x, ...) \
  f(M, x) __VA_OPT__(, NINEP_EACH_AGAIN NINEP_PARENS(f, M, __VA_ARGS__))
#define NINEP_EACH_AGAIN() NINEP_EACH_STEP

#define NINEP_FIELD(M, x) \
  Field<M, decltype(M::x)> { #x, &M::x, offsetof(M, x) }

#define NINEP_FIELDS(M, ...)              \
  static constexpr const char* name = #M; \
  static constexpr auto fields = std::tuple{NINEP_EACH(NINEP_FIELD, M __VA_OPT__(, ) __VA_ARGS__)};

#define NINEP_CHECK_FIELDS(M)                                                  \
  static_assert(std::is_aggregate_v<M> && std::is_trivially_destructible_v<M>, \
                #M " is a plain view: see docs/architecture.md, coroutines");  \
  static_assert(detail::fields_are_members_in_order<M>(),                      \
                "the list behind " #M " must name all of its members, in order")

/// Describes a part of messages (qid, stat, ...). In namespace ninep, behind the struct.
#define NINEP_RECORD(M, ...)                   \
  template <>                                  \
  struct Describe<M> {                         \
    NINEP_FIELDS(M __VA_OPT__(, ) __VA_ARGS__) \
  };                                           \
  NINEP_CHECK_FIELDS(M)

/// Describes a message: its type code, the dialects that have it, its fields in wire order.
#define NINEP_MESSAGE(M, number, dialect_set, ...)    \
  template <>                                         \
  struct Describe<M> {                                \
    static constexpr U8 code = number;                \
    static constexpr Dialects dialects = dialect_set; \
    NINEP_FIELDS(M __VA_OPT__(, ) __VA_ARGS__)        \
  };                                                  \
  NINEP_CHECK_FIELDS(M)
