#include "server/users.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ninep::server {
namespace {

constexpr std::size_t kKnownMax = 4096;
constexpr auto kRemembered = std::chrono::seconds(30);
constexpr int kGroupsMax = 65536;  // NGROUPS_MAX

struct Question {
  std::string name;  // if uid is kNoNumericUid
  U32 uid;
  // The answer:
  U32 gid = 0;
  std::vector<U32> groups;
};

// 0, or a negative errno; -EACCES: no such user.
int ask(void* argument) {
  auto& q = *static_cast<Question*>(argument);
  passwd entry;
  passwd* found = nullptr;
  std::vector<char> text(16384);
  int error;
  while (true) {
    error = q.uid == kNoNumericUid
                ? ::getpwnam_r(q.name.c_str(), &entry, text.data(), text.size(), &found)
                : ::getpwuid_r(q.uid, &entry, text.data(), text.size(), &found);
    if (error != ERANGE || text.size() > (1 << 20)) break;
    text.resize(text.size() * 2);
  }
  if (!found) {
    if (q.uid == kNoNumericUid) return -EACCES;
    q.gid = q.uid;
    return 0;
  }
  q.uid = entry.pw_uid;
  q.gid = entry.pw_gid;
  int count = 64;
  q.groups.resize(64);
  while (::getgrouplist(entry.pw_name, entry.pw_gid, q.groups.data(), &count) < 0) {
    if (count > kGroupsMax) return -EACCES;
    q.groups.resize(static_cast<std::size_t>(count));
  }
  q.groups.resize(static_cast<std::size_t>(count));
  return 0;
}

bool may_act_as_others() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  const U32 needed = 1u << CAP_SETUID | 1u << CAP_SETGID;
  return (data[0].effective & needed) == needed;
}

}  // namespace

Users::Users() : acts_as_others_(may_act_as_others()) {}

io::Task<Result<fs::User>> Users::find(io::Loop& loop, Str uname, U32 n_uname) {
  if (!acts_as_others_) co_return fs::User();
  if (uname.contains('\0')) co_return fail(EACCES);
  Question question{.name = std::string(uname), .uid = n_uname};
  const std::string key = n_uname == kNoNumericUid ? "@" + question.name : std::to_string(n_uname);
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(key);
    if (known != known_.end() && known->second.until > std::chrono::steady_clock::now())
      co_return known->second.user;
  }
  const int failed = co_await loop.run(io::ops::call(ask, &question));
  if (failed < 0) co_return fail(-failed);
  fs::User user = io::Identity::make(question.uid, question.gid, std::move(question.groups));
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownMax) known_.clear();
  known_[key] = {user, std::chrono::steady_clock::now() + kRemembered};
  co_return user;
}

}  // namespace ninep::server
