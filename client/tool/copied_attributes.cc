#include "client/tool/copied_attributes.h"

#include <algorithm>
#include <utility>

#include <sys/stat.h>

namespace ninep::tool {
namespace {

bool contains(const Xattrs& all, const Xattrs::value_type& one) {
  return std::ranges::find(all, one) != all.end();
}

Change owner_of(const Change& all) {
  Change owner;
  owner.uid = all.uid;
  owner.gid = all.gid;
  return owner;
}
bool changes_owner(const Change& change, const Attributes& there) {
  return change.uid && (*change.uid != there.attr.uid || *change.gid != there.attr.gid);
}

/// As utimensat(2) takes it, whatever a server says.
timespec time_of(U64 seconds, U64 nanoseconds) {
  constexpr U64 kMost = 999'999'999;
  return {static_cast<time_t>(seconds), static_cast<long>(std::min(nanoseconds, kMost))};
}

}  // namespace

/// Extended attributes that are to be set there, and access lists that are to go.
struct CopiedAttributes::Difference {
  Xattrs to_set;
  std::vector<std::string> to_remove;
  bool is_none() const { return to_set.empty() && to_remove.empty(); }
  bool removes_list() const { return std::ranges::find(to_remove, kAccessList) != to_remove.end(); }
  bool has_list() const { return removes_list() || has(to_set, kAccessList); }
};

Change CopiedAttributes::change_of(const Attributes& is) const {
  constexpr U32 kNobody = ~U32{0};  // to a system: that this is not changed
  Change change;
  change.atime = time_of(is.attr.atime_sec, is.attr.atime_nsec);
  change.mtime = time_of(is.attr.mtime_sec, is.attr.mtime_nsec);
  const bool has_owner = is.has(getattr::kUid) && is.has(getattr::kGid) && is.attr.uid != kNobody &&
                         is.attr.gid != kNobody;
  if (options_.owner && has_owner) {
    change.uid = is.attr.uid;
    change.gid = is.attr.gid;
  }
  const bool keeps_set_id = change.uid || is.is_directory();
  change.mode = is.attr.mode & (keeps_set_id ? 07777 : 01777);
  return change;
}

Awaitable<Expected<void>> CopiedAttributes::refresh(What what, const Attributes& there) {
  const Change all = change_of(what.is);
  const bool is_symlink = what.is.is_symlink();
  const bool is_theirs = changes_owner(all, there);
  bool has_another_mode = !is_symlink && (is_theirs || *all.mode != (there.attr.mode & 07777));
  Difference differs;
  if (options_.xattrs && !is_symlink) {
    auto found = co_await difference(what);
    NINEP_CO_RETURN_IF_WRONG(found);
    differs = std::move(*found);
  }
  // Without its list a file has other permissions than it showed.
  has_another_mode = has_another_mode || !differs.to_remove.empty();
  if (options_.dry) {
    if (is_theirs || has_another_mode || !differs.is_none()) progress_.named(what.path);
    co_return Expected<void>();
  }
  if (!is_symlink && (is_theirs || differs.removes_list())) {
    const auto narrowed = co_await narrow(what, there, all);
    NINEP_CO_RETURN_IF_WRONG(narrowed);
  }
  if (is_theirs) {
    const auto changed = co_await what.to.change(what.to_name, owner_of(all));
    NINEP_CO_RETURN_IF_WRONG(changed);
  }
  Change mode;
  mode.mode = all.mode;
  // Who may not write can't set attributes.
  if (!(there.attr.mode & S_IWUSR) && !differs.is_none()) {
    Change writable;
    writable.mode = (there.attr.mode & (*all.mode | S_IRWXU) & 0777) | S_IWUSR;
    const auto changed = co_await what.to.change(what.to_name, writable);
    NINEP_CO_RETURN_IF_WRONG(changed);
    has_another_mode = true;
  }
  const auto set = co_await make_alike(what, std::move(differs));
  if (!has_another_mode) co_return set;
  const auto changed = co_await what.to.change(what.to_name, mode);
  co_return changed ? set : changed;
}

Awaitable<Expected<void>> CopiedAttributes::finish_other(What what) {
  const bool is_symlink = what.is.is_symlink();
  Change change = change_of(what.is);
  // The directory may have handed a list on, of which the mode would become the mask.
  if (options_.xattrs && !is_symlink) {
    auto differs = co_await difference(what);
    NINEP_CO_RETURN_IF_WRONG(differs);
    if (change.uid && !differs->to_set.empty()) {
      const auto owned = co_await what.to.change(what.to_name, owner_of(change));
      NINEP_CO_RETURN_IF_WRONG(owned);
    }
    const auto set = co_await make_alike(what, std::move(*differs));
    NINEP_CO_RETURN_IF_WRONG(set);
  }
  if (is_symlink) change.mode.reset();
  const auto changed = co_await what.to.change(what.to_name, change);
  // Servers that change what a link leads to, or nothing, are many.
  if (!changed && !is_symlink) co_return changed;
  co_return Expected<void>();
}

// Last, as what was made in it changed its time. Whoever may not change it needn't, where it is
// alike, or where it was there before: it may be another's, who lets us write to it.
Awaitable<Expected<void>> CopiedAttributes::finish_directory(What what, bool may_be_anothers) {
  const auto may_not = [&](const Expected<void>& done) {
    return may_be_anothers && !done &&
           (client::is(done.error(), EPERM) || client::is(done.error(), EACCES));
  };
  Expected<void> set;
  Difference differs;
  if (options_.xattrs) {
    auto found = co_await difference(what);
    if (found)
      differs = std::move(*found);
    else
      set = std::unexpected(found.error());
  }
  const Attributes& is = what.is;
  const Change change = change_of(is);
  const auto there = co_await what.to.stat(what.to_name);
  const bool is_theirs = there && changes_owner(change, *there);
  const bool is_alike =
      there && !is_theirs && !differs.has_list() && *change.mode == (there->attr.mode & 07777) &&
      is.attr.mtime_sec == there->attr.mtime_sec && is.attr.mtime_nsec == there->attr.mtime_nsec;
  Expected<void> ready;
  if (is_theirs || (there && differs.removes_list())) ready = co_await narrow(what, *there, change);
  if (ready && is_theirs && !differs.is_none())
    ready = co_await what.to.change(what.to_name, owner_of(change));
  if (!ready && !may_not(ready)) co_return ready;
  if (!differs.is_none()) {
    const auto made = co_await make_alike(what, std::move(differs));
    if (!made && !may_not(made)) set = made;
  }
  if (is_alike) co_return set;
  const auto changed = co_await what.to.change(what.to_name, change);
  co_return changed || may_not(changed) ? set : changed;
}

Awaitable<Expected<CopiedAttributes::Difference>> CopiedAttributes::difference(
    const What& what) const {
  auto wanted = co_await what.from.xattrs(what.name, options_.owner);
  NINEP_CO_RETURN_IF_WRONG(wanted);
  Difference difference;
  if (!*wanted) co_return difference;
  difference.to_set = **std::move(wanted);
  const auto had = co_await what.to.xattrs(what.to_name, options_.owner);
  NINEP_CO_RETURN_IF_WRONG(had);
  const Xattrs there_are = had->value_or(Xattrs());
  // Whom the source doesn't let in is let in by nothing else.
  for (const char* const list : kAccessLists)
    if (has(there_are, list) && !has(difference.to_set, list)) difference.to_remove.push_back(list);
  std::erase_if(difference.to_set, [&](const auto& one) { return contains(there_are, one); });
  co_return difference;
}

Awaitable<Expected<void>> CopiedAttributes::make_alike(const What& what, Difference difference) {
  Expected<void> result;
  for (const std::string& name : difference.to_remove) {
    const auto removed = co_await what.to.remove_xattr(what.to_name, name);
    if (!removed && !client::is(removed.error(), ENODATA)) result = removed;
  }
  if (difference.to_set.empty()) co_return result;
  const auto set = co_await what.to.set_xattrs(what.to_name, std::move(difference.to_set));
  co_return set ? result : set;
}

// Its owner has what he has: he may take more at any time, and we may be it.
Awaitable<Expected<void>> CopiedAttributes::narrow(const What& what, const Attributes& there,
                                                   const Change& wanted) {
  const U32 is_now = there.attr.mode & 07777;
  const U32 may_stay = there.is_directory() ? 07777 : 01777;
  Change narrower;
  narrower.mode = is_now & (*wanted.mode | S_IRWXU) & may_stay;
  if (*narrower.mode == is_now) co_return Expected<void>();
  co_return co_await what.to.change(what.to_name, narrower);
}

}  // namespace ninep::tool
