// Device: the virtio-9p device, whatever bus it is attached by. VIRTIO has no
// chapter on it; what Linux's driver and QEMU's device do counts (docs/vm.md).
//
// One queue; one chain of descriptors is one request with the room for its reply. A front end
// (vhost or vfio) says where the ring is, passes kicks on and raises interrupts.
//
// Nothing here waits for a file longer than kPatience: what is under way when the ring is stopped,
// and doesn't come back by then, goes on in copies of the guest's pages. Should the ring be started
// where it was, its replies get there after all.
#pragma once

#include <optional>
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
  /// Something is in the used ring since the last call, interrupt or not.
  virtual void given_back() {}
  /// The ring breaks the rules: nothing is taken from it until the next start().
  virtual void queue_broken() = 0;

 protected:
  ~Bus() = default;
};

/// Where requests and their signals went.
struct DeviceCounters {
  U64 requests = 0;
  U64 kicks = 0;  // by the driver, which may spare itself one while we look at the ring anyway
  U64 interrupts = 0;
  U64 interrupts_spared = 0;  // turns whose replies the driver didn't want to hear of

  std::string text() const;
};

class Device final : public io::TurnEnd {
 public:
  static constexpr U64 kFeatures = kMountTag | kIndirect | kEventIndex | kVersion1;
  /// Requests under way at once; the rest waits in the ring.
  static constexpr unsigned kRequestsMax = 512;
  static constexpr U64 kPatienceNs = 500'000'000;
  /// Sessions that have ended but for a file that doesn't answer. With more none begins.
  static constexpr unsigned kEndingMax = 4;

  /// `tag` has 1 to kTagMax bytes.
  Device(io::Loop& loop, Bus& bus, std::string_view tag, transport::Peer peer,
         const transport::MakeHandler& make_handler);
  ~Device();

  /// kConfigSize bytes.
  Bytes config() const { return config_; }
  const DeviceCounters& counters() const { return counters_; }

  /// The guest's memory. Another table may come at any time, and with it another place of the ring:
  /// requests under way end in the one that they began with. A ring that isn't there is broken.
  const Memory& memory() const { return *memory_; }
  std::shared_ptr<const Memory> hold_memory() const { return memory_; }
  void set_memory(Memory memory, const RingPlace& place);
  void set_memory(Memory memory) { set_memory(std::move(memory), place()); }

  /// Begins to take requests; if it isn't where the ring was stopped, for a new session, since then
  /// the guest has booted again: all that some front ends tell. Not while it runs. Errors:
  /// Virtqueue::start(); EBUSY: kEndingMax.
  Status start(const RingPlace& place, U64 features, U16 next);
  /// Between start() and the end of stop() or reset().
  bool running() const { return queue_.started(); }
  /// Nothing is under way.
  bool idle() const { return queue_.out() == 0; }
  /// There may be something in the ring.
  void kicked();
  /// Takes no more requests; done when those under way have been given back, or kPatience is over.
  io::Task<void> stop();
  /// The next entry of the available ring that start() would begin with.
  U16 next() const { return queue_.next(); }
  enum class Patience { kSome, kNone };
  /// Stops, and ends the session: the next start() is another guest's, or another boot's. Without
  /// patience nothing more is written to the guest from the call on.
  io::Task<void> reset(Patience patience = Patience::kSome);
  /// The front end is gone. Waits for all that is under way.
  io::Task<void> close();

  void turn_end() override;

 private:
  class QueueRequest;
  friend class QueueRequest;

  const RingPlace& place() const { return queue_.place(); }
  void take_requests();
  bool overloaded() const;
  bool memory_lost();
  void begin(Chain& chain);
  void finished(QueueRequest& request, std::size_t size);
  void give_back(QueueRequest& request, std::size_t size);
  void break_queue();
  bool cut_off();
  void come_back();
  void forget_cut_off();
  void forget(QueueRequest& request);
  void recycle(QueueRequest& request);
  void end_session();
  io::Task<void> ending(std::unique_ptr<transport::Handler> handler);
  bool settled() const { return queue_.out() == 0 && (!resetting_ || ending_ == 0); }
  io::Task<void> settle(Patience patience);
  io::Task<void> lose_patience();

  io::Loop& loop_;
  Bus& bus_;
  std::vector<std::byte> config_;
  const transport::Peer peer_;
  const transport::MakeHandler make_handler_;
  std::unique_ptr<transport::Handler> handler_;
  std::shared_ptr<const Memory> memory_ = std::make_shared<const Memory>();
  unsigned breaks_seen_ = 0;  // Mapping::breaks() when memory_ was last known to be whole
  Virtqueue queue_;
  Chain chain_;
  bool used_ = false;    // the session, since it was made
  bool taking_ = false;  // requests from the ring
  bool more_ = false;    // there may be some that capacity, or the others' turn, has kept back
  std::vector<QueueRequest*> under_way_;  // the device's; by QueueRequest::index_
  std::vector<QueueRequest*> cut_off_;    // what a ring that was stopped has left
  unsigned forgotten_ = 0;                // under way, and nobody waits for them
  std::vector<std::unique_ptr<QueueRequest>> spare_;
  std::size_t copied_bytes_ = 0;  // of under_way_
  unsigned ending_ = 0;           // sessions
  bool resetting_ = false;
  bool waiting_ = false;  // in settle(), or close()
  bool patient_ = false;
  io::Op patience_;
  io::Event changed_;
  io::Scope scope_;
  DeviceCounters counters_;
};

}  // namespace ninep::virtio
