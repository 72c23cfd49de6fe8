// Users: from what Tattach says to the ids that the server acts with.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include <absl/container/flat_hash_map.h>

#include "server/fs/fs.h"

namespace ninep::server {

/// The system's user database, asked on pool threads (it may be on the network), remembered for a
/// while. Shared by all sessions; safe from any thread.
class Users {
 public:
  /// Whether this process may act as others at all: root with CAP_SETUID, CAP_SETGID.
  Users();

  /// The user that `n_uname`, or if that is kNoNumericUid `uname`, stands for. Null if the server
  /// acts as itself for everybody. EACCES: no user of that name. A numeric id that the database
  /// doesn't know gets the group of the same number and no others.
  io::Task<Result<fs::User>> find(io::Loop& loop, Str uname, U32 n_uname);

  bool acts_as_others() const { return acts_as_others_; }

 private:
  struct Known {
    fs::User user;
    std::chrono::steady_clock::time_point until;
  };

  bool acts_as_others_ = false;
  std::mutex mutex_;  // guards known_
  absl::flat_hash_map<std::string, Known> known_;
};

}  // namespace ninep::server
