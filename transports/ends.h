// What a connection is before anything is made of it: descriptors, and what is spoken there.
#pragma once

#include <string>

namespace ninep::transport {

/// The ends of a stream: often one socket twice. Whoever gets them owns them.
struct Ends {
  int in = -1;
  int out = -1;
  bool pipe = false;  // not a socket
};

/// What is spoken on a socket.
struct Protocol {
  enum class Kind { kFrames, kVhostUser, kVfioUser };
  Kind kind = Kind::kFrames;
  std::string tag;   // a device's, by which its guest mounts it
  bool msix = true;  // a vfio-user device's interrupts; else by a line
};

}  // namespace ninep::transport
