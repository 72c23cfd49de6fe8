// A blocking conversation: what a connection does before the load begins.
#pragma once

#include <string>
#include <vector>

#include "client/bench/options.h"
#include "proto/dispatch.h"

namespace ninep::bench {

/// A socket that closes itself.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket& operator=(Socket&&) = delete;
  ~Socket();
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// Blocking; what takes longer than `patience` fails, with EAGAIN where it receives.
Socket connect_to(const Endpoint& server, std::chrono::milliseconds patience);

/// Where the workloads' files are.
inline constexpr Fid kRootFid{0};

/// Tversion and Tattach, and Twalk where there are names to go from the tree's root: kRootFid is
/// there then. Returns the msize agreed.
U32 shake_hands(const Socket& socket, const Options& options,
                const std::vector<std::string>& names);

/// Whether the server knows Tunlinkat: asks it to remove what isn't there. Linux falls back to
/// walk and Tremove if it doesn't, and so do the workloads.
bool knows_unlinkat(const Socket& socket);

/// The type of a reply. nfs-ganesha's errors have another one (proto/dispatch.h).
inline U8 reply_code(Bytes frame, Dialects dialect) {
  const U8 code = read_header(frame).type;
  return code == Describe<Rerror>::code && dialect == kDotL ? Describe<Rlerror>::code : code;
}

/// Ends the run: `frame` isn't the reply that was due. `asked` says to what.
[[noreturn]] void unexpected_reply(Bytes frame, Dialects dialect, Str asked);

}  // namespace ninep::bench
