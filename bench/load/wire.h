// A blocking 9P2000.L conversation: what a connection does before the load begins.
#pragma once

#include <string>
#include <vector>

#include "bench/load/options.h"
#include "proto/dispatch.h"

namespace ninep::load {

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

/// Connects to tcp:HOST:PORT (numeric) or unix:PATH. Blocking; a receive gives up after 10 s.
Socket connect_to(const std::string& address);

inline constexpr Fid kRootFid{0};

/// Tversion and Tattach; kRootFid is the tree's root then. Returns the msize agreed.
U32 shake_hands(const Socket& socket, const Options& options);

/// Whether the server knows Tunlinkat: asks it to remove what isn't there. Linux falls back to
/// walk and Tremove if it doesn't, and so do the workloads.
bool knows_unlinkat(const Socket& socket);

/// Ends the run: `frame` isn't the reply that was due. `asked` says to what.
[[noreturn]] void unexpected_reply(Bytes frame, Str asked);

}  // namespace ninep::load
