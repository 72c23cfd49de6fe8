#include "server/fs/file_systems.h"

#include <cstring>

#include <linux/magic.h>
#include <sys/vfs.h>

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

const FileSystem& FileSystems::find(int fd, const struct statx& status) {
  const U64 device = device_number(status);
  const std::lock_guard lock(mutex_);
  const auto known = by_device_.find(device);
  return known != by_device_.end() ? *known->second : add(fd, device);
}

const FileSystem& FileSystems::add(int fd, U64 device) {
  struct statfs status{};
  ::fstatfs(fd, &status);
  auto fs = std::make_unique<FileSystem>();
  fs->device = device;
  fs->sleep = sleep_.value_or(sleep_of(status.f_type));
  if (!by_device_.empty()) {  // the first is the export's own
    U64 fsid = 0;
    std::memcpy(&fsid, &status.f_fsid, sizeof status.f_fsid);
    if (fsid == 0) fsid = device;  // FUSE and others have none
    auto prefix = static_cast<U16>(mix(fsid));
    while (prefix == 0 || !prefixes_.try_emplace(prefix, device).second) ++prefix;
    fs->prefix = prefix;
    foreign_ = true;
  }
  return *(by_device_[device] = std::move(fs));
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
