#include "server/locks.h"

#include <algorithm>

namespace ninep::server {
namespace {

using Lock = LockTable::Lock;
using Range = LockTable::Range;

bool overlap(const Range& a, const Range& b) { return a.first <= b.last && b.first <= a.last; }

const Lock* blocker(const std::vector<Lock>& locks, const LockTable::Owner& owner, U8 type,
                    const Range& range) {
  for (const Lock& held : locks) {
    if (overlap(held.range, range) && held.owner != owner &&
        (type == lock::kWrite || held.type == lock::kWrite))
      return &held;
  }
  return nullptr;
}

}  // namespace

Result<Range> LockTable::range(U64 start, U64 length) {
  if (length == 0) return Range{start, ~U64{0}};
  if (start + (length - 1) < start) return fail(EINVAL);
  return Range{start, start + (length - 1)};
}

Result<U8> LockTable::set(const LockedFile& file, const Owner& owner, const void* fid, U8 type,
                          Range range) {
  if (owner.client_id.size() > kClientIdMax) return fail(EINVAL);
  const std::lock_guard lock(mutex_);
  const auto at = files_.find(file);
  if (at == files_.end() && type == lock::kUnlock) return lock::kSuccess;
  std::vector<Lock>& locks = at == files_.end() ? files_[file] : at->second;
  if (type != lock::kUnlock && blocker(locks, owner, type, range)) return lock::kBlocked;

  // What the owner holds there gives way: cut off, cut in two, or gone.
  const std::size_t before = locks.size();
  std::size_t after = before + (type != lock::kUnlock);
  for (const Lock& held : locks)
    if (held.owner == owner && overlap(held.range, range))
      after = after - 1 + (held.range.first < range.first) + (held.range.last > range.last);
  if (after > before) {
    const std::size_t more = after - before;
    const auto of_session = held_.find(owner.session);
    const std::size_t of_sessions = of_session == held_.end() ? 0 : of_session->second;
    if (after > kPerFileMax || total_ + more > kMax || of_sessions + more > kPerSessionMax) {
      if (locks.empty()) files_.erase(file);
      return fail(ENOLCK);
    }
  }
  std::vector<Lock> rest;
  std::erase_if(locks, [&](Lock& held) {
    if (held.owner != owner || !overlap(held.range, range)) return false;
    if (held.range.last > range.last) {
      rest.push_back(held);
      rest.back().range.first = range.last + 1;
    }
    if (held.range.first < range.first) {
      rest.push_back(held);
      rest.back().range.last = range.first - 1;
    }
    return true;
  });
  std::ranges::move(rest, std::back_inserter(locks));
  if (type != lock::kUnlock) locks.push_back({range, type, owner, fid});
  count(owner.session, before, locks.size());
  if (locks.empty()) files_.erase(file);
  return lock::kSuccess;
}

// After a change of one session's locks on a file, which has that many.
void LockTable::count(const void* session, std::size_t before, std::size_t after) {
  if (before == after) return;
  total_ += after - before;
  std::size_t& held = held_[session];
  held += after - before;
  if (held == 0) held_.erase(session);
}

bool LockTable::conflict(const LockedFile& file, const Owner& owner, U8 type, Range range,
                         Lock& out) const {
  const std::lock_guard lock(mutex_);
  const auto at = files_.find(file);
  if (at == files_.end() || type == lock::kUnlock) return false;
  const Lock* held = blocker(at->second, owner, type, range);
  if (held) out = *held;
  return held != nullptr;
}

void LockTable::release(const LockedFile& file, const void* fid) {
  const std::lock_guard lock(mutex_);
  const auto at = files_.find(file);
  if (at == files_.end()) return;
  const void* session = nullptr;  // a fid is one session's
  const std::size_t before = at->second.size();
  std::erase_if(at->second, [&](const Lock& held) {
    if (held.fid != fid) return false;
    session = held.owner.session;
    return true;
  });
  count(session, before, at->second.size());
  if (at->second.empty()) files_.erase(at);
}

}  // namespace ninep::server
