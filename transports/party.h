// Party: those who come by one listener, which is whoever can reach its socket. What they have of
// this process they have together, so that others keep theirs; and what one of them keeps waiting
// keeps nobody else.
#pragma once

#include "transports/io/aside.h"
#include "transports/virtio/memory.h"

namespace ninep::transport {

/// Any thread.
struct Party {
  /// Closes what they have handed over, which may take as long as they like: a file below a FUSE
  /// mount of their own, a socket that lingers.
  io::Aside closing;
  virtio::Allowance memory;
};

/// A new one if there is none.
inline std::shared_ptr<Party> known(std::shared_ptr<Party> party) {
  return party ? std::move(party) : std::make_shared<Party>();
}

/// Lives as long as the party.
inline std::shared_ptr<virtio::Allowance> memory_of(const std::shared_ptr<Party>& party) {
  return {party, &party->memory};
}

}  // namespace ninep::transport
