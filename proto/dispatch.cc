#include "proto/dispatch.h"

namespace ninep {
namespace {

struct Entry {
  Str name;
  Dialects dialects{};
};

constexpr std::array<Entry, 256> entries() {
  std::array<Entry, 256> table{};
  each_message(
      [&]<class M>() { table[Describe<M>::code] = {Describe<M>::name, Describe<M>::dialects}; });
  return table;
}
constexpr auto kEntries = entries();

consteval bool codes_grow() {
  int last = -1;
  bool grow = true;
  each_message([&]<class M>() {
    grow = grow && Describe<M>::code > last;
    last = Describe<M>::code;
  });
  return grow;
}
static_assert(codes_grow(), "AllMessages stands in the order of type codes, each once");

}  // namespace

Str message_name(U8 code) { return kEntries[code].name; }
Dialects message_dialects(U8 code) { return kEntries[code].dialects; }

}  // namespace ninep
