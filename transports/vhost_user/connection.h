// Connection: a front end on a socket.
#pragma once

#include "transports/vhost_user/back_end.h"

namespace ninep::vhost_user {

class Connection final : public transport::Link {
 public:
  /// `fd`: a connected UNIX socket; owned from now on. `tag`: the device's, 1 to kTagMax bytes.
  Connection(io::Loop& loop, int fd, std::string_view tag, transport::Peer peer,
             const transport::MakeHandler& make_handler, transport::Report report);

  io::Task<void> serve() override;
  /// What is under way is given back to the guest before the conversation ends.
  void stop() override;
  void abort() override { stop(); }
  const transport::Peer& peer() const override { return peer_; }

 private:
  enum class Got { kAll, kEnd };
  io::Task<Got> receive(Room room, std::vector<io::OwnedFd>* descriptors);
  io::Task<Got> send(Bytes bytes);

  io::Loop& loop_;
  io::OwnedFd fd_;
  const transport::Peer peer_;
  const transport::Report report_;
  BackEnd back_end_;
  io::Op waiting_;
  bool wait_under_way_ = false;
  bool stopping_ = false;
};

}  // namespace ninep::vhost_user
