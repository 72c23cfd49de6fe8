#include "server/fs/file_systems.h"

#include <charconv>
#include <cstring>
#include <fstream>

namespace ninep::fs {
namespace {

constexpr unsigned kInodeBits = 48;

// The type of a mount; empty: unknown. statfs(2) isn't asked: what it says of a 9p mount is what
// the server there has said.
std::string mount_type(U64 mount) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    U64 id = 0;
    std::from_chars(line.data(), line.data() + line.size(), id);
    if (id != mount) continue;
    const std::size_t optional_fields_end = line.find(" - ");
    if (optional_fields_end == line.npos) break;
    const std::string rest = line.substr(optional_fields_end + 3);
    return rest.substr(0, rest.find(' '));
  }
  return "";
}

U64 mix(U64 x) {  // splitmix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

io::Sleep sleep_of(std::string_view type) {
  for (const std::string_view memory : {"tmpfs", "ramfs", "rootfs"})
    if (type == memory) return io::Sleep::kNever;
  for (const std::string_view disk : {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "overlay"})
    if (type == disk) return io::Sleep::kCold;
  return io::Sleep::kMay;
}

const FileSystem& FileSystems::find(const struct statx& file, const struct statfs& about) {
  const U64 device = device_number(file);
  U64 fsid = 0;
  std::memcpy(&fsid, &about.f_fsid, sizeof about.f_fsid);
  const std::lock_guard lock(mutex_);
  if (const auto at = known_.find(Key{device, fsid}); at != known_.end()) return *at->second;
  U16 prefix = 0;
  if (!known_.empty()) {  // the first is the export's own
    if (prefixes_.size() == 0xFFFF) return one_too_many_;
    prefix = static_cast<U16>(mix(fsid != 0 ? fsid : device));  // FUSE and others have none
    while (prefix == 0 || !prefixes_.insert(prefix).second) ++prefix;
    foreign_ = true;
  }
  const bool has_mount = file.stx_mask & STATX_MNT_ID;
  const io::Sleep sleep =
      sleep_ ? *sleep_ : sleep_of(has_mount ? mount_type(file.stx_mnt_id) : std::string());
  auto& known = known_[Key{device, fsid}];
  known = std::make_unique<const FileSystem>(device, sleep, prefix);
  return *known;
}

Result<U64> FileSystems::path(const FileSystem& fs, U64 inode) {
  const U64 upper = inode >> kInodeBits;
  if (fs.prefix != 0) {
    if (upper != 0 || fs.prefix == FileSystem::kNoPrefix) return fail(EOVERFLOW);
    return U64{fs.prefix} << kInodeBits | inode;
  }
  if (upper != 0 && foreign_) {
    const std::lock_guard lock(mutex_);
    if (prefixes_.contains(static_cast<U16>(upper))) return fail(EOVERFLOW);
  }
  return inode;
}

}  // namespace ninep::fs
