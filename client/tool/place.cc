#include "client/tool/place.h"

#include <array>
#include <cstdio>
#include <functional>
#include <utility>

namespace ninep::tool {
namespace {

constexpr Str kPart = ".9p-part";
constexpr std::size_t kStampSize = 16;

std::pair<U64, U64> changed(const Attributes& is) {
  return {is.attr.ctime_sec, is.attr.ctime_nsec};
}

}  // namespace

// Servers number files each by itself. Two directories of one number are one if they were born at
// one time; where nothing is known of that, if the one changed between two looks at the other, or
// at the same time.
Awaitable<bool> Directories::have(Place& directory) {
  const Identity is = directory.identity();
  const std::vector<Place*> all = all_;
  for (Place* const one : all) {
    if (one->identity() == is) co_return true;
    if (one->identity().path != is.path || !is.of.server || !one->identity().of.server) continue;
    const auto before = co_await one->stat("");
    const auto here = co_await directory.stat("");
    const auto after = co_await one->stat("");
    if (!before || !here || !after) continue;
    const client::Same same = client::compare(client::mark_of(*before), client::mark_of(*here));
    const bool changed_between =
        changed(*before) <= changed(*here) && changed(*here) <= changed(*after);
    if (same == client::Same::kYes || (same == client::Same::kUnknown && changed_between))
      co_return true;
  }
  co_return false;
}

std::string part_name(const std::string& name, const std::string& stamp, unsigned number) {
  constexpr std::size_t kNameMax = 255;
  std::array<char, kStampSize + 1> hex;
  const std::string all = number == 0 ? stamp : stamp + "/" + std::to_string(number);
  std::snprintf(hex.data(), hex.size(), "%016zx", std::hash<std::string>()(all));
  const std::string end = "." + std::string(hex.data()) + std::string(kPart);
  return "." + name.substr(0, kNameMax - 1 - end.size()) + end;
}

bool is_part_name(Str name) {
  if (!name.starts_with('.') || !name.ends_with(kPart)) return false;
  name.remove_suffix(kPart.size());
  return name.size() > kStampSize + 2 && name[name.size() - kStampSize - 1] == '.' &&
         name.find_last_not_of("0123456789abcdef") == name.size() - kStampSize - 1;
}

}  // namespace ninep::tool
