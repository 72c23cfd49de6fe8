// Who a file operation is done as: the ids of the thread that makes the call (setfsuid(2)).
#pragma once

#include <memory>
#include <vector>

#include "proto/result.h"

namespace ninep::io {

inline constexpr U32 kNoId = 0xFFFFFFFF;

/// A user as the kernel checks permissions for it. Immutable, shared by all threads.
struct Identity {
  U32 uid = 0;
  U32 gid = 0;
  std::vector<U32> groups;  // supplementary
  U64 serial = 0;           // tells identities apart, also over time; never 0

  /// `groups` may be in any order.
  static std::shared_ptr<const Identity> make(U32 uid, U32 gid, std::vector<U32> groups);
};

/// The server's own ids, where it has the rights to act as others; else null: it never does.
const Identity* own_identity();

/// Makes the calling thread act as `who`, with `gid` instead of who's own if it isn't kNoId. Costs
/// nothing if it does so already. Needs CAP_SETUID and CAP_SETGID. Other threads are not touched.
Status assume(const Identity& who, U32 gid = kNoId);

}  // namespace ninep::io
