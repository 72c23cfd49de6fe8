// Connection: one peer on a stream socket or on a pair of pipes.
#pragma once

#include "transports/stream/inbox.h"
#include "transports/stream/outbox.h"
#include "transports/transport.h"

namespace ninep::transport {

/// Receives frames, hands them to a Handler, sends the replies of a turn in one go. Made and used
/// on its loop. A peer that doesn't read its replies, or has too much under way, isn't received
/// from.
class Connection final : public Link, public io::TurnEnd {
 public:
  /// Requests under way at once; a peer that sends more waits.
  static constexpr unsigned kRequestsMax = 512;

  Connection(io::Loop& loop, Ends ends, Peer peer, const MakeHandler& make_handler);
  ~Connection() override;

  io::Task<void> serve() override;
  /// What is under way is finished and sent, then the stream closed.
  void stop() override;
  void abort() override;
  const Peer& peer() const override { return peer_; }

  void turn_end() override;

 private:
  class StreamRequest;
  friend class StreamRequest;

  io::Task<void> receive();
  io::Task<void> send();
  void send_early();
  io::Task<void> close_ends();
  bool handle_frames();
  bool overloaded() const;
  void finished(StreamRequest& request, std::size_t size);

  io::Loop& loop_;
  const Ends ends_;
  const Peer peer_;
  const std::unique_ptr<Handler> handler_;
  Inbox inbox_;
  Outbox outbox_;
  io::Op receiving_;
  io::Op sending_;
  bool receive_under_way_ = false;
  bool send_under_way_ = false;
  unsigned requests_ = 0;          // under way
  std::size_t request_bytes_ = 0;  // their frames
  bool stopping_ = false;          // takes no more requests
  bool draining_ = false;          // what is under way shall finish
  bool send_failed_ = false;       // the peer takes nothing any more
  bool sending_ended_ = false;
  bool sender_waits_ = false;
  bool receiver_waits_ = false;
  io::Event to_send_;
  io::Event capacity_;
  io::Event idle_;
};

}  // namespace ninep::transport
