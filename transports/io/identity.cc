#include "transports/io/identity.h"

#include <atomic>

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

}  // namespace

std::shared_ptr<const Identity> Identity::make(U32 uid, U32 gid, std::vector<U32> groups) {
  static std::atomic<U64> last{0};
  return std::make_shared<const Identity>(Identity{uid, gid, std::move(groups), ++last});
}

Status assume(const Identity& who, U32 gid) {
  if (gid == kNoId) gid = who.gid;
  if (assumed.serial == who.serial && assumed.gid == gid) return {};
  const bool same_user = assumed.serial == who.serial;
  assumed.serial = 0;
  if (!same_user) {
    // The library's setgroups() would change all threads; the system call changes this one.
    if (::syscall(SYS_setgroups, who.groups.size(), who.groups.data()) < 0) return fail(errno);
    if (!set_uid(who.uid)) return fail(EPERM);
  }
  if (!set_gid(gid)) return fail(EPERM);
  assumed = {who.serial, gid};
  return {};
}

}  // namespace ninep::io
