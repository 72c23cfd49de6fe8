#include "server/fs/file_systems.h"

#include <cstring>

#include <linux/magic.h>

namespace ninep::fs {
namespace {

constexpr unsigned kInodeBits = 48;

io::Sleep sleep_of(decltype(statfs::f_type) type) {
  switch (static_cast<U64>(type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return io::Sleep::kNever;
    case EXT4_SUPER_MAGIC:  // ext2 and ext3 too
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
      return io::Sleep::kCold;
    default:
      return io::Sleep::kMay;
  }
}

U64 mix(U64 x) {  // splitmix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

const FileSystem& FileSystems::find(const struct statx& file, const struct statfs& about) {
  const U64 device = device_number(file);
  U64 fsid = 0;
  std::memcpy(&fsid, &about.f_fsid, sizeof about.f_fsid);
  const std::lock_guard lock(mutex_);
  const bool first = known_.empty();
  auto& known = known_[Key{device, fsid}];
  if (known) return *known;
  U16 prefix = 0;
  if (!first) {
    prefix = static_cast<U16>(mix(fsid != 0 ? fsid : device));  // FUSE and others have none
    while (prefix == 0 || !prefixes_.insert(prefix).second) ++prefix;
    foreign_ = true;
  }
  known =
      std::make_unique<const FileSystem>(device, sleep_.value_or(sleep_of(about.f_type)), prefix);
  return *known;
}

Result<U64> FileSystems::path(const FileSystem& fs, U64 inode) {
  const U64 upper = inode >> kInodeBits;
  if (fs.prefix != 0) {
    if (upper != 0) return fail(EOVERFLOW);
    return U64{fs.prefix} << kInodeBits | inode;
  }
  if (upper != 0 && foreign_) {
    const std::lock_guard lock(mutex_);
    if (prefixes_.contains(static_cast<U16>(upper))) return fail(EOVERFLOW);
  }
  return inode;
}

}  // namespace ninep::fs
