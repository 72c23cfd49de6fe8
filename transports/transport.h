// What a transport and what serves its requests know of each other.
//
// A transport is a source of requests and a place for their replies: a stream (TCP, UNIX, ...) or a
// virtqueue. It owns the frames, gives room for each reply and keeps the limits of its peer. What
// handles the requests (server/session.h) knows no sockets and no queues.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proto/frame.h"
#include "transports/io/loop.h"
#include "transports/link.h"
#include "transports/pieces.h"

namespace ninep::transport {

/// One T-message on its way. It and its frame live until finish(). Loop thread only.
class Request {
 public:
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// The whole T-frame, at least a header; but of a Twrite whose data are elsewhere, what stands
  /// before them.
  Bytes frame() const { return frame_; }
  /// A Twrite's data, if they are not in frame(): memory that the peer may write to at any time.
  Pieces payload() const { return payload_; }
  Header header() const { return read_header(frame_); }

  /// Room for a reply of up to `size` bytes, in pieces; fewer bytes in all if the transport has no
  /// more for this reply (never fewer than an Rlerror takes). Stays valid, also while the kernel
  /// reads or writes it, until finish(). May be asked for again, with another size; what was
  /// written is lost then.
  virtual Pieces room(std::size_t size) = 0;

  /// The reply is in the first `size` bytes of the room. 0: there is no reply (flushed). Ends the
  /// request's life.
  virtual void finish(std::size_t size) = 0;

 protected:
  Request() = default;
  ~Request() = default;
  Bytes frame_;
  Pieces payload_;
};

/// What handles the requests of one connection. Made and called on the connection's loop.
class Handler {
 public:
  virtual ~Handler() = default;

  /// Takes a request; finishes it now or later. The order of requests is the order of the calls.
  virtual void request(Request& request) = 0;
  /// The largest frame that the peer may send now.
  virtual U32 msize() const = 0;
  /// The peer is gone. Ends what is under way, which still finishes its requests, and lets go of
  /// everything; done when the last request is finished.
  virtual io::Task<void> close() = 0;
};

using MakeHandler = std::function<std::unique_ptr<Handler>(io::Loop&, const Peer&)>;

}  // namespace ninep::transport
