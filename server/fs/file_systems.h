// The file systems below an export: how their calls behave, and how their inode numbers become
// qid paths that are unique over all of them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include <absl/container/flat_hash_map.h>
#include <sys/stat.h>

#include "proto/result.h"
#include "transports/io/op.h"

namespace ninep::fs {

/// One mounted file system. Lives as long as its table.
struct FileSystem {
  U64 device = 0;
  io::Sleep sleep = io::Sleep::kMay;
  U16 prefix = 0;  // of qid paths; 0: the export's own, whose paths are the inode numbers
};

/// A number for a device as statx(2) tells it.
inline U64 device_number(const struct statx& status) {
  return U64{status.stx_dev_major} << 32 | status.stx_dev_minor;
}

/// Shared by all sessions of a tree; safe from any thread.
class FileSystems {
 public:
  /// `sleep`: of all of them; by default, what statfs(2) tells of each.
  explicit FileSystems(std::optional<io::Sleep> sleep = {}) : sleep_(sleep) {}

  /// The file system that `fd`, of this status, is on; `own` is the export's own.
  const FileSystem& find(int fd, const struct statx& status);

  /// The qid path of a file: the inode number on the export's own file system; on others a number
  /// for the file system, made from its fsid and thus the same after a restart, in the upper 16
  /// bits. EOVERFLOW: the inode number does not fit beside that, or is one that another file
  /// system's files could have.
  Result<U64> path(const FileSystem& fs, U64 inode);

 private:
  const FileSystem& add(int fd, U64 device);

  const std::optional<io::Sleep> sleep_;
  std::mutex mutex_;  // guards both maps
  absl::flat_hash_map<U64, std::unique_ptr<const FileSystem>> by_device_;
  absl::flat_hash_map<U16, U64> prefixes_;  // to the fsid that has it
  std::atomic<bool> foreign_{false};        // there are prefixes
};

}  // namespace ninep::fs
