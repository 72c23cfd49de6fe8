// BackEnd: what a front end's messages do to the device. No sockets: messages come in, answers go
// out.
#pragma once

#include <string>

#include "transports/io/owned_fd.h"
#include "transports/party.h"
#include "transports/vhost_user/message.h"
#include "transports/virtio/device.h"
#include "transports/virtio/signal.h"

namespace ninep::vhost_user {

struct Message {
  Header header{};
  Bytes payload;  // header.size bytes
  std::vector<io::OwnedFd> descriptors;
};

struct Answer {
  bool reply = false;  // `payload` goes back
  std::vector<std::byte> payload;
  std::string problem;  // what was wrong, for the log
  bool broken = false;  // the conversation can't go on
};

class BackEnd final : public virtio::Bus {
 public:
  BackEnd(io::Loop& loop, std::string_view tag, const transport::Peer& peer,
          const transport::MakeHandler& make_handler);
  ~BackEnd();

  /// Carries a message out. One at a time. Waits only where the ring is stopped, and not for long:
  /// virtio::Device::stop(). Descriptors that stay in the message are not needed.
  io::Task<Answer> handle(Message& message);
  /// The front end is gone: ends everything.
  io::Task<void> close();

  const virtio::Device& device() const { return device_; }

  void raise_interrupt() override;
  void queue_broken() override;

 private:
  struct Ring {
    U32 size = 0;
    VringAddress address{};
    bool has_address = false;
    U16 next = 0;
    bool has_kick = false;  // by descriptor or in messages
    bool enabled = false;
  };

  io::Task<Status> carry_out(Message& message, Answer& answer);
  Status set_features(U64 features);
  Status start_if_ready();
  io::Task<void> stop_ring();
  Status set_memory_table(Message& message);
  Status set_memory(virtio::Memory memory);
  bool place_ring(const virtio::Memory& memory, virtio::RingPlace& place) const;
  Status add_region(virtio::Memory& memory, const MemoryRegion& region, io::OwnedFd&& fd) const;
  io::Task<void> set_kick(io::OwnedFd fd);
  io::Task<void> watch_kick();
  io::Task<void> reset();

  io::Loop& loop_;
  const std::shared_ptr<transport::Party> party_;
  virtio::Device device_;
  U64 features_ = 0;
  U64 protocol_features_ = 0;
  Ring ring_;
  io::OwnedFd kick_;
  virtio::Signal call_;
  virtio::Signal error_;
  io::OwnedFd backend_channel_;
  io::Op kick_reading_;
  bool kick_under_way_ = false;
  bool kick_changes_ = false;
  U64 kick_count_ = 0;
  io::Scope watching_;
};

}  // namespace ninep::vhost_user
