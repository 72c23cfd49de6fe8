#include "client/tool/place.h"

#include <array>
#include <cstdio>
#include <functional>
#include <tuple>

namespace ninep::tool {
namespace {

constexpr Str kPart = ".9p-part";
constexpr std::size_t kStampSize = 16;

bool are_alike(const Attr& a, const Attr& b) {
  const auto all = [](const Attr& x) {
    return std::tie(x.mode, x.uid, x.gid, x.nlink, x.size, x.mtime_sec, x.mtime_nsec, x.ctime_sec,
                    x.ctime_nsec);
  };
  return all(a) == all(b);
}

}  // namespace

// Servers number files each by itself: two directories of one number are one if they are alike
// while one of them is worked in.
Awaitable<bool> Directories::have(Place& directory) {
  constexpr int kTries = 3;
  const Identity is = directory.identity();
  const std::vector<Place*> all = all_;
  for (Place* const one : all) {
    if (one->identity() == is) co_return true;
    const bool may_be =
        one->identity().path == is.path && is.of.server && one->identity().of.server;
    for (int i = 0; may_be && i < kTries; ++i) {
      const auto here = co_await directory.stat("");
      const auto there = co_await one->stat("");
      if (here && there && are_alike(here->attr, there->attr)) co_return true;
    }
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
