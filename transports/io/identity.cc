#include "transports/io/identity.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ninep::io {
namespace {

struct Assumed {
  U64 serial = 0;  // 0: unknown
  U32 gid = kNoId;
};
thread_local Assumed assumed;

bool set_gid(U32 gid) {
  ::setfsgid(gid);
  return static_cast<U32>(::setfsgid(kNoId)) == gid;  // (gid_t)-1 changes nothing, and tells
}

bool set_uid(U32 uid) {
  ::setfsuid(uid);
  return static_cast<U32>(::setfsuid(kNoId)) == uid;
}

// setfsuid(2) takes from a user what it calls the file system's capabilities. These are root's too,
// and stay effective: trusted.* attributes, file capabilities, space and quota that are kept for
// root.
constexpr U64 kOfRoot = U64{1} << CAP_SYS_ADMIN | U64{1} << CAP_SETFCAP |
                        U64{1} << CAP_SYS_RESOURCE | U64{1} << CAP_SYS_RAWIO;

// Gives the calling thread those of them that it may have, or takes them away.
bool set_capabilities(bool root) {
  // Unknown at first: a thread begins with what the one that made it had just then.
  static thread_local std::optional<bool> has;
  if (has == root) return true;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct parts[2];
  if (::syscall(SYS_capget, &header, parts) != 0) return false;
  for (unsigned i = 0; i < 2; ++i) {
    const auto some = static_cast<U32>(kOfRoot >> (32 * i));
    if (root) {
      parts[i].effective |= some & parts[i].permitted;
    } else {
      parts[i].effective &= ~some;
    }
  }
  if (::syscall(SYS_capset, &header, parts) != 0) return false;
  has = root;
  return true;
}

}  // namespace

std::shared_ptr<const Identity> Identity::make(U32 uid, U32 gid, std::vector<U32> groups) {
  static std::atomic<U64> last{0};
  return std::make_shared<const Identity>(Identity{uid, gid, std::move(groups), ++last});
}

const Identity* own_identity() {
  static const std::shared_ptr<const Identity> own = [] {
    if (::geteuid() != 0) return std::shared_ptr<const Identity>();
    std::vector<U32> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
    if (::getgroups(static_cast<int>(groups.size()), groups.data()) < 0) groups.clear();
    return Identity::make(0, ::getegid(), std::move(groups));
  }();
  return own.get();
}

Status assume(const Identity& who, U32 gid) {
  if (gid == kNoId) gid = who.gid;
  if (assumed.serial == who.serial && assumed.gid == gid) return {};
  const bool same_user = assumed.serial == who.serial;
  assumed.serial = 0;
  if (!same_user) {
    // The library's setgroups() would change all threads; the system call changes this one.
    if (::syscall(SYS_setgroups, who.groups.size(), who.groups.data()) < 0) return fail(errno);
    if (!set_uid(who.uid) || !set_capabilities(who.uid == 0)) return fail(EPERM);
  }
  if (!set_gid(gid)) return fail(EPERM);
  assumed = {who.serial, gid};
  return {};
}

}  // namespace ninep::io
