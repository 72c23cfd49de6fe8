// The back ends that the acceptance suite runs on.
#include <cstdlib>
#include <cstring>

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "server/fs/local.h"
#include "server/fs/memory.h"
#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

constexpr U32 kSomebody = 65534;

struct LocalExport final : Export {
  ~LocalExport() override {
    tree.reset();
    if (::geteuid() == 0) NINEP_CHECK(io::assume(*io::Identity::make(0, 0, {})));
    std::error_code ignored;
    if (!host.empty()) std::filesystem::remove_all(host.parent_path(), ignored);
  }
};

std::unique_ptr<Export> memory(std::string&) {
  auto made = std::make_unique<Export>();
  made->tree = std::make_shared<fs::MemoryTree>();
  return made;
}

/// Below `base`, in a directory of its own, with space beside it for what is not exported.
std::unique_ptr<Export> local(const std::string& base, std::string& why_not,
                              std::optional<io::Sleep> sleep = {}) {
  std::string place = base + "/ninep-test-XXXXXX";
  if (!::mkdtemp(place.data())) {
    why_not = "cannot make a directory in " + base + ": " + std::strerror(errno);
    return nullptr;
  }
  ::chmod(place.c_str(), 0755);
  auto made = std::make_unique<LocalExport>();
  made->host = place + "/export";
  std::filesystem::create_directory(made->host);
  made->privileged = ::geteuid() == 0;
  made->tree = fs::make_local_tree(made->host, sleep).value();
  return made;
}

/// Of the kind where nothing sleeps.
std::unique_ptr<Export> tmpfs(std::string& why_not) {
  static constexpr char kBase[] = "/dev/shm";
  struct statfs status;
  if (::statfs(kBase, &status) != 0 || status.f_type != TMPFS_MAGIC) {
    why_not = "/dev/shm is no tmpfs here";
    return nullptr;
  }
  return local(kBase, why_not);
}

std::unique_ptr<Export> disk(std::string& why_not) { return local("/var/tmp", why_not); }

/// As if any call could take any time: a network's file system.
std::unique_ptr<Export> remote(std::string& why_not) {
  return local("/var/tmp", why_not, io::Sleep::kMay);
}

/// The same for a user whose ids each call is made with; the export is theirs.
template <auto make, U32 uid>
std::unique_ptr<Export> as(std::string& why_not) {
  if (::geteuid() != 0) {
    why_not = "needs root, to act as others";
    return nullptr;
  }
  auto made = make(why_not);
  if (!made) return nullptr;
  NINEP_CHECK(::chown(made->host.c_str(), uid, uid) == 0);
  made->user = io::Identity::make(uid, uid, {});
  made->privileged = uid == 0;
  return made;
}

}  // namespace

std::vector<Backend> backends() {
  using io::Choice;
  return {
      {"Memory", Choice::kPortable, memory},
      {"TmpfsUring", Choice::kUring, tmpfs},
      {"TmpfsPortable", Choice::kPortable, tmpfs},
      {"TmpfsUser", Choice::kUring, as<tmpfs, kSomebody>},
      {"DiskUring", Choice::kUring, disk},
      {"DiskPortable", Choice::kPortable, disk},
      {"DiskRoot", Choice::kUring, as<disk, 0>},
      {"DiskUserUring", Choice::kUring, as<disk, kSomebody>},
      {"DiskUserPortable", Choice::kPortable, as<disk, kSomebody>},
      {"RemoteUring", Choice::kUring, remote},
      {"RemoteUserUring", Choice::kUring, as<remote, kSomebody>},
      {"RemoteUserPortable", Choice::kPortable, as<remote, kSomebody>},
  };
}

}  // namespace ninep::test
