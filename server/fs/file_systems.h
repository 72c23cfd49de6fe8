// The file systems below an export: how their calls behave, and how their inode numbers become
// qid paths that are unique over all of them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "proto/result.h"
#include "transports/io/op.h"

namespace ninep::fs {

/// One mounted file system. Lives as long as its table.
struct FileSystem {
  U64 device = 0;
  io::Sleep sleep = io::Sleep::kMay;
  /// Of qid paths; 0: the export's own, whose paths are the inode numbers; kNoPrefix: none is left.
  U32 prefix = 0;
  static constexpr U32 kNoPrefix = 0x10000;
};

/// A number for a device as statx(2) tells it.
inline U64 device_number(const struct statx& status) {
  return U64{status.stx_dev_major} << 32 | status.stx_dev_minor;
}

/// Shared by all sessions of a tree; safe from any thread.
class FileSystems {
 public:
  /// `sleep`: of all of them; by default, what the mount table tells of each.
  explicit FileSystems(std::optional<io::Sleep> sleep = {}) : sleep_(sleep) {}

  /// The file system of a file, from what statx(2) with STATX_MNT_ID and statfs(2) tell of it. The
  /// first one found is the export's own.
  const FileSystem& find(const struct statx& file, const struct statfs& about);

  /// The qid path of a file: the inode number on the export's own file system; on others a number
  /// for the file system in the upper 16 bits. That is made from its fsid (a disk's is the same
  /// after a restart) or, where there is none, from its device number. If two below one export
  /// would have the same, the one found later gets another. EOVERFLOW: the inode number does not
  /// fit beside that, or is one that another file system's files could have; or 65535 others were
  /// found.
  Result<U64> path(const FileSystem& fs, U64 inode);

 private:
  /// Device number and fsid: the system gives the number of what was unmounted to others.
  using Key = std::pair<U64, U64>;

  const std::optional<io::Sleep> sleep_;
  std::mutex mutex_;  // guards both tables
  absl::flat_hash_map<Key, std::unique_ptr<const FileSystem>> known_;
  absl::flat_hash_set<U16> prefixes_;
  const FileSystem one_too_many_{.prefix = FileSystem::kNoPrefix};
  std::atomic<bool> foreign_{false};  // there are prefixes
};

/// How calls to the file system of that name, as /proc/self/mountinfo has it, behave.
io::Sleep sleep_of(std::string_view type);

}  // namespace ninep::fs
