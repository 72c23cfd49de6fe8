// Connection: a vfio-user client, which is a VMM, on a socket.
#pragma once

#include <deque>
#include <map>

#include "transports/message_socket.h"
#include "transports/vfio_user/device_server.h"

namespace ninep::vfio_user {

class Connection final : public transport::Link, private Dma {
 public:
  /// `fd`: a connected UNIX socket; owned from now on. `protocol.tag`: 1 to kTagMax bytes.
  Connection(io::Loop& loop, int fd, const transport::Protocol& protocol, transport::Peer peer,
             const transport::MakeHandler& make_handler, transport::Report report);

  io::Task<void> serve() override;
  /// What is under way is given back to the guest before the conversation ends.
  void stop() override { socket_.stop(); }
  void abort() override { socket_.abort(); }
  const transport::Peer& peer() const override { return peer_; }
  std::string account() const override { return device_.pci().device().counters().text(); }

 private:
  /// A command of ours whose reply has not come.
  struct Asked {
    Command command;
    Status status = {};
    std::vector<std::byte> payload;
    io::Event answered;
  };

  io::Task<void> converse(Message& message);
  bool answer(const Header& header, Bytes payload);
  io::Task<Status> read(U64 address, Room room) override;
  io::Task<Status> write(U64 address, Bytes bytes) override;
  io::Task<Status> ask(Asked& asked, DmaAccess access, Bytes data);
  void post(Header header, Bytes payload, Bytes more = {});
  io::Task<void> send_all();

  const transport::Peer peer_;
  const transport::Report report_;
  transport::MessageSocket socket_;
  std::deque<std::vector<std::byte>> outgoing_;  // a reply, and a Shadow's transfers, at most
  bool sending_ = false;
  bool gone_ = false;
  io::Event sent_;
  U16 last_id_ = 0;
  std::map<U16, Asked*> asked_;
  io::Scope scope_;
  DeviceServer device_;
};

}  // namespace ninep::vfio_user
