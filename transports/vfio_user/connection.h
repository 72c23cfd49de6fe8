// Connection: a vfio-user client, which is a VMM, on a socket.
#pragma once

#include "transports/message_socket.h"
#include "transports/vfio_user/device_server.h"

namespace ninep::vfio_user {

class Connection final : public transport::Link {
 public:
  /// `fd`: a connected UNIX socket; owned from now on. `protocol.tag`: 1 to kTagMax bytes.
  Connection(io::Loop& loop, int fd, const transport::Protocol& protocol, transport::Peer peer,
             const transport::MakeHandler& make_handler, transport::Report report);

  io::Task<void> serve() override;
  /// What is under way is given back to the guest before the conversation ends.
  void stop() override { socket_.stop(); }
  void abort() override { stop(); }
  const transport::Peer& peer() const override { return peer_; }
  std::string account() const override { return device_.pci().device().counters().text(); }

 private:
  const transport::Peer peer_;
  const transport::Report report_;
  transport::MessageSocket socket_;
  DeviceServer device_;
};

}  // namespace ninep::vfio_user
