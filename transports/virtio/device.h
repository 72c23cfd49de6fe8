// Device: the virtio-9p device, whatever bus it is attached by. VIRTIO has no
// chapter on it; what Linux's driver and QEMU's device do counts (docs/vm.md).
//
// One queue; one chain of descriptors is one request with the room for its reply. A front end
// (vhost or vfio) says where the ring is, passes kicks on and raises interrupts.
#pragma once

#include <string>

#include "transports/io/chunk.h"
#include "transports/transport.h"
#include "transports/virtio/virtqueue.h"

namespace ninep::virtio {

inline constexpr U32 kDeviceId = 9;
inline constexpr U64 kMountTag = 1;  // feature: the configuration has the tag. Linux insists on it
inline constexpr std::size_t kTagMax = 254;
inline constexpr std::size_t kConfigSize = 256;  // tag_len[2] tag, then zeros

/// How the device is attached: what a front end's side does for it. Loop thread only.
class Bus {
 public:
  virtual void raise_interrupt() = 0;
  /// The ring breaks the rules: nothing is taken from it until the next start().
  virtual void queue_broken() = 0;

 protected:
  ~Bus() = default;
};

/// Where requests and their signals went.
struct DeviceCounters {
  U64 requests = 0;
  U64 kicks = 0;
  U64 interrupts = 0;
};

class Device final : public io::TurnEnd {
 public:
  static constexpr U64 kFeatures = kMountTag | kIndirect | kEventIndex | kVersion1;
  /// Requests under way at once; the rest waits in the ring.
  static constexpr unsigned kRequestsMax = 512;

  /// `tag` has 1 to kTagMax bytes.
  Device(io::Loop& loop, Bus& bus, std::string_view tag, transport::Peer peer,
         const transport::MakeHandler& make_handler);
  ~Device();

  /// kConfigSize bytes.
  Bytes config() const { return config_; }
  const DeviceCounters& counters() const { return counters_; }

  /// Begins to take requests. Not while it runs. Errors: Virtqueue::start().
  Status start(std::shared_ptr<const Memory> memory, const RingPlace& place, U64 features,
               U16 next);
  /// Another table of memory, at any time. Requests under way end in the one that they began with.
  /// A ring that isn't in it is broken.
  void change_memory(std::shared_ptr<const Memory> memory);
  /// Between start() and the end of stop() or close().
  bool running() const { return queue_.started(); }
  /// There may be something in the ring.
  void kicked();
  /// Takes no more requests; done when all that are under way have been given back. The session
  /// stays: its fids are there at the next start(), until a Tversion comes.
  io::Task<void> stop();
  /// The next entry of the available ring that start() would begin with.
  U16 next() const { return queue_.next(); }
  /// Stops, and ends the session: the front end is gone, or has reset the device.
  io::Task<void> close();

  void turn_end() override;

 private:
  class QueueRequest;
  friend class QueueRequest;

  void take_requests();
  bool overloaded() const;
  void begin(Chain& chain);
  void finished(QueueRequest& request, std::size_t size);

  io::Loop& loop_;
  Bus& bus_;
  std::vector<std::byte> config_;
  const transport::Peer peer_;
  const transport::MakeHandler make_handler_;
  std::unique_ptr<transport::Handler> handler_;
  Virtqueue queue_;
  Chain chain_;
  bool taking_ = false;  // requests from the ring
  bool more_ = false;    // there may be some that capacity, or the others' turn, has kept back
  std::vector<std::unique_ptr<QueueRequest>> spare_;
  std::size_t copied_bytes_ = 0;  // of requests under way
  io::Event all_back_;
  bool stopping_ = false;
  DeviceCounters counters_;
};

}  // namespace ninep::virtio
