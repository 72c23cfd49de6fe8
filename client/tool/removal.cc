#include "client/tool/removal.h"

#include <algorithm>
#include <iterator>

#include <dirent.h>

namespace ninep::tool {

using client::error;

// All are listed before one is removed: there are servers whose listing goes on by counting.
Awaitable<void> Removal::others(Place& in, const std::set<std::string>& names, bool& has_gone) {
  constexpr std::size_t kNamesMax = 1 << 24;
  Budget::Share share(budget_);
  if (!share.take(Budget::kLevel)) co_return progress_.give_up(too_much(in));
  std::vector<Found> others;
  for (std::size_t count = 0;;) {
    auto found = co_await in.next();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty() || progress_.has_given_up()) break;
    count += found->size();
    std::erase_if(*found, [&](const Found& one) { return names.contains(one.name); });
    if (!share.take(size_as_set(*found)) || count > kNamesMax)
      co_return progress_.give_up(too_much(in));
    std::ranges::move(*found, std::back_inserter(others));
  }
  for (const Found& one : others) {
    if (progress_.has_given_up()) co_return;
    // What isn't whole goes on where it is when the copy is said again.
    if (progress_.errors() != 0 && is_part_name(one.name)) continue;
    const auto removed = co_await tree(in, one, has_gone);
    if (!removed) progress_.wrong(removed.error());
  }
}

Awaitable<Expected<void>> Removal::tree(Place& in, Found what, bool& has_gone) {
  const auto& [name, type, number] = what;
  if (type == DT_UNKNOWN) {
    const auto is = co_await in.stat(name);
    if (!is && client::is(is.error(), ENOENT)) co_return Expected<void>();
    NINEP_CO_RETURN_IF_WRONG(is);
    what.type = static_cast<U8>(IFTODT(is->attr.mode));
  }
  if (type == DT_DIR) {
    auto inner = co_await in.enter(name);
    if (!inner && client::is(inner.error(), ENOENT)) co_return Expected<void>();
    if (!inner && client::is(inner.error(), ENAMETOOLONG)) progress_.give_up(inner.error());
    if (progress_.has_given_up()) co_return Expected<void>();
    NINEP_CO_RETURN_IF_WRONG(inner);
    const bool is_kept = co_await kept_.have(**inner);
    if (is_kept)
      co_return error(EINVAL, "remove " + in.path_of(name), "it is what is being copied");
    if (!dry_) co_await others(**inner, std::set<std::string>(), has_gone);
  }
  if (progress_.has_given_up()) co_return Expected<void>();
  if (!dry_) {
    const auto removed = co_await in.remove(name, type == DT_DIR, number);
    const bool is_gone = removed || client::is(removed.error(), ENOENT);
    if (!is_gone) co_return removed;
    if (removed) has_gone = true;
  }
  progress_.removed(in.path_of(name));
  co_return Expected<void>();
}

}  // namespace ninep::tool
