// DeviceServer: what a client's messages do to the PCI device. No sockets: messages come in,
// answers go out, and none waits for anything.
#pragma once

#include <string>

#include "transports/vfio_user/message.h"
#include "transports/vfio_user/pci_device.h"

namespace ninep::vfio_user {

struct Message {
  Header header{};
  Bytes payload;  // header.size less the header
  std::vector<io::OwnedFd> descriptors;
};

struct Answer {
  U32 error = 0;  // errno
  std::vector<std::byte> payload;
  std::string problem;  // what was wrong, for the log
  bool broken = false;  // the conversation can't go on
};

class DeviceServer {
 public:
  DeviceServer(io::Loop& loop, Dma& dma, std::string_view tag, bool msix,
               const transport::Peer& peer, const transport::MakeHandler& make_handler)
      : party_(transport::known(peer.party)),
        pci_(loop, dma, tag, msix, party_, peer, make_handler) {}

  /// Descriptors that stay in the message are not needed.
  Answer handle(Message& message);
  /// The client is gone: ends everything.
  io::Task<void> close() { return pci_.close(); }
  const PciDevice& pci() const { return pci_; }

 private:
  Status carry_out(Message& message, Answer& answer);
  Status version(Bytes payload, Answer& answer);
  Status map(Message& message);
  Status unmap(Bytes payload, Answer& answer);
  Status region_info(Bytes payload, Answer& answer);
  Status irq_info(Bytes payload, Answer& answer);
  Status set_irqs(Message& message);
  Status region_read(Bytes payload, Answer& answer);
  Status region_write(Bytes payload, Answer& answer);
  U32 irq_count(U32 index) const;

  const std::shared_ptr<transport::Party> party_;
  PciDevice pci_;
  bool agreed_ = false;  // on a version
};

}  // namespace ninep::vfio_user
