// Connection: a front end on a socket.
#pragma once

#include "transports/message_socket.h"
#include "transports/vhost_user/back_end.h"

namespace ninep::vhost_user {

class Connection final : public transport::Link {
 public:
  /// `fd`: a connected UNIX socket; owned from now on. `tag`: the device's, 1 to kTagMax bytes.
  Connection(io::Loop& loop, int fd, std::string_view tag, transport::Peer peer,
             const transport::MakeHandler& make_handler, transport::Report report);

  io::Task<void> serve() override;
  /// What is under way is given back to the guest before the conversation ends.
  void stop() override { socket_.stop(); }
  void abort() override { socket_.abort(); }
  const transport::Peer& peer() const override { return peer_; }
  std::string account() const override { return back_end_.device().counters().text(); }

 private:
  const transport::Peer peer_;
  const transport::Report report_;
  transport::MessageSocket socket_;
  BackEnd back_end_;
};

}  // namespace ninep::vhost_user
