// Link: one peer, whatever it speaks: a stream of frames, or a virtio device.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "transports/ends.h"
#include "transports/io/loop.h"

namespace ninep::transport {

struct Party;

/// Who is at the other end.
struct Peer {
  std::string name;              // for logs: "tcp:127.0.0.1:40412"
  std::shared_ptr<Party> party;  // a device's front end: one of those; null: one alone
};

/// Is told what a peer did wrong.
using Report = std::function<void(const std::string& problem)>;

/// Made and used on its loop.
class Link {
 public:
  virtual ~Link() = default;
  /// Serves until the peer leaves, breaks the protocol, or stop(); everything is released then.
  virtual io::Task<void> serve() = 0;
  /// No more requests are taken; what is under way is finished first.
  virtual void stop() = 0;
  /// Doesn't wait for anything any more.
  virtual void abort() = 0;
  virtual const Peer& peer() const = 0;
  /// What it has done, for the log; may be empty.
  virtual std::string account() const { return ""; }
};

}  // namespace ninep::transport
