// Threads for ends that may take long and that nobody waits for, the program's end neither.
#pragma once

#include <cstddef>
#include <functional>

#include "transports/io/owned_fd.h"

namespace ninep::io {

/// Each is one thread, which takes one thing after the other.
enum class Aside {
  kMemory,  // giving memory back: it takes as long as there is much of it
  kPeers,   // closing what a peer has handed over, which may take as long as the peer likes: a file
            // below a FUSE mount of its own, a socket that lingers
};

/// Any thread. Memory is given back in place where too much of it waits.
void aside(Aside which, std::function<void()> what);
void close_aside(Aside which, OwnedFd fd);
/// How much of it is not done yet.
std::size_t waiting_aside(Aside which);

}  // namespace ninep::io
