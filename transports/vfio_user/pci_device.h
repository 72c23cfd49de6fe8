// PciDevice: the virtio-9p device as a function on a PCI bus: configuration space, virtio
// registers, interrupts. VIRTIO 1.2, section 4.1; no sockets: register accesses come in, eventfds
// are written.
#pragma once

#include <array>

#include "transports/party.h"
#include "transports/vfio_user/shadow.h"
#include "transports/virtio/signal.h"

namespace ninep::vfio_user {

class PciDevice final : public virtio::Bus {
 public:
  /// BARs: the registers, and the table of MSI-X (that the client keeps itself).
  static constexpr U32 kRegistersBar = 0;
  static constexpr U32 kMsixBar = 1;
  static constexpr U32 kConfigSize = 256;
  static constexpr U32 kRegistersSize = 0x4000;
  static constexpr U32 kMsixSize = 0x1000;
  static constexpr U16 kVectors = 2;

  /// `msix`: with MSI-X, else with an interrupt line.
  PciDevice(io::Loop& loop, Dma& dma, std::string_view tag, bool msix,
            const std::shared_ptr<transport::Party>& party, const transport::Peer& peer,
            const transport::MakeHandler& make_handler);
  ~PciDevice();

  bool has_msix() const { return msix_; }
  /// Bytes of a region of vfio's numbers; 0: there is none.
  U32 region_size(U32 region) const;
  /// EINVAL: not all in the region.
  Status read(U32 region, U64 offset, Room out);
  Status write(U32 region, U64 offset, Bytes data);

  /// The guest's memory from now on: what is mapped here, and what isn't. Waits for nothing.
  virtio::Memory shared() const;
  const std::vector<Shadow::Part>& not_shared() const { return not_shared_; }
  Status set_memory(virtio::Memory shared, std::vector<Shadow::Part> not_shared);
  /// How the client hears of interrupt `vector`: INTx has one, MSI-X kVectors. Without descriptor:
  /// not at all.
  void set_intx(virtio::Signal signal);
  void set_msix(U32 vector, virtio::Signal signal);
  /// As if the device had: the client tries whether it hears it.
  void send_intx();
  void send_msix(U32 vector);
  /// An interrupt line that was heard stays quiet until it is unmasked.
  void mask_intx(bool masked);

  /// As after power-on. What is under way ends by itself; the driver sees by the status when.
  void reset();
  /// The client is gone: ends everything.
  io::Task<void> close();
  const virtio::Device& device() const { return device_; }

  void raise_interrupt() override;
  void given_back() override;
  void queue_broken() override;

 private:
  /// The registers of VIRTIO_PCI_CAP_COMMON_CFG, as they lie there.
  struct Common {
    U32 device_feature_select;
    U32 device_feature;
    U32 driver_feature_select;
    U32 driver_feature;
    U16 config_vector;
    U16 queues;
    U8 status;
    U8 generation;
    U16 queue_select;
    U16 queue_size;
    U16 queue_vector;
    U16 queue_enable;
    U16 queue_notify_offset;
    U64 descriptors;
    U64 available;
    U64 used;
  };
  static_assert(sizeof(Common) == 56);

  /// What the window in the configuration space shows.
  struct Window {
    U32 region;
    U64 offset;
    Room data;
  };

  void make_config();
  U16 command() const;
  bool touches_window(U64 offset, std::size_t size) const;
  std::optional<Window> window_at();
  Common common() const;
  void write_config(U64 offset, Bytes data);
  void write_common(U64 offset, Bytes data);
  void set_status(U8 status);
  void start();
  Status start_ring();
  void interrupt();
  void let_go(virtio::Device::Patience patience);
  io::Task<void> ending(virtio::Device::Patience patience);
  void lose_ring();
  void master_lost();
  void raise(U16 vector);
  void raise_intx();

  const bool msix_;
  std::array<std::byte, kConfigSize> config_{};
  std::array<std::byte, kConfigSize> config_writable_{};
  std::array<std::byte, kMsixSize> msix_table_{};
  U32 window_ = 0;  // where the capability is that is a window

  U32 device_feature_select_ = 0;
  U32 driver_feature_select_ = 0;
  U64 driver_features_ = 0;
  U16 config_vector_ = 0xFFFF;
  U16 queue_vector_ = 0xFFFF;
  U16 queue_select_ = 0;
  U8 status_ = 0;
  bool queue_enabled_ = false;
  virtio::RingPlace place_;
  U8 isr_ = 0;

  std::vector<Shadow::Part> not_shared_;
  virtio::Signal intx_;
  bool intx_masked_ = false;
  std::array<virtio::Signal, kVectors> vectors_;
  bool ending_ = false;  // it waits for requests under way
  bool reset_ = true;    // for a reset
  io::Scope resets_;
  virtio::Device device_;
  Shadow shadow_;
};

}  // namespace ninep::vfio_user
