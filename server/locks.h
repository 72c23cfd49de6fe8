// Byte-range locks: one table over all connections, with POSIX record lock rules (fcntl(2)).
//
// An owner is (client_id, proc_id) of one session; the server's own process never holds a lock.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "proto/messages.h"
#include "proto/result.h"
#include "server/fs/fs.h"

namespace ninep::server {

/// A file as the lock table knows it: fs::Node::key().
using LockedFile = fs::FileKey;

/// Safe from any thread.
class LockTable {
 public:
  /// Over one of these: ENOLCK. A file's locks are looked through one by one.
  static constexpr std::size_t kPerFileMax = 8192;
  static constexpr std::size_t kPerSessionMax = 16384;
  static constexpr std::size_t kMax = 65536;
  /// Bytes; longer ones: EINVAL. Linux sends its host's name, which has at most 64.
  static constexpr std::size_t kClientIdMax = 256;

  struct Owner {
    const void* session = nullptr;
    std::string client_id;
    U32 proc_id = 0;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  /// First and last byte.
  struct Range {
    U64 first = 0;
    U64 last = ~U64{0};
  };

  /// start[8] length[8] as a range; length 0: to the end. EINVAL if it wraps.
  static Result<Range> range(U64 start, U64 length);

  /// Takes, changes or gives up (type kUnlock) a lock over `range`, on behalf of `fid`. kSuccess,
  /// or kBlocked if another owner's lock is in the way. ENOLCK: one of the limits; also for giving
  /// up the middle of a lock, which makes two of it.
  Result<U8> set(const LockedFile& file, const Owner& owner, const void* fid, U8 type, Range range);

  struct Lock {
    Range range;
    U8 type = lock::kRead;
    Owner owner;
    const void* fid = nullptr;  // released with it
  };
  /// The first lock that keeps `owner` from locking `range`, if there is one.
  bool conflict(const LockedFile& file, const Owner& owner, U8 type, Range range, Lock& out) const;

  /// Gives up all that was locked by way of `fid`.
  void release(const LockedFile& file, const void* fid);

 private:
  void count(const void* session, std::size_t before, std::size_t after);

  mutable std::mutex mutex_;
  absl::flat_hash_map<LockedFile, std::vector<Lock>> files_;
  absl::flat_hash_map<const void*, std::size_t> held_;  // by session: how many
  std::size_t total_ = 0;
};

}  // namespace ninep::server
