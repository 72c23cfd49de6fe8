// Shadow: memory of the guest's that the client has not shared, by messages. Ring and buffers are
// copied here before the device looks at them, and what it has written is copied back.
//
// It is slow, and it is for VMs whose memory can't be shared: where the ring lies in shared memory,
// nothing of this is used.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "transports/virtio/device.h"

namespace ninep::vfio_user {

/// The client's memory, by guest addresses. Errors: what the client says; EIO: it is gone.
class Dma {
 public:
  /// Bytes of one transfer.
  static constexpr std::size_t kSizeMax = 65536;

  // Of a Shadow two are under way at once at most: one that pulls, one that pushes.
  virtual io::Task<Status> read(U64 address, Room room) = 0;
  /// `bytes` are copied at once.
  virtual io::Task<Status> write(U64 address, Bytes bytes) = 0;

 protected:
  ~Dma() = default;
};

class Shadow {
 public:
  /// Guest addresses that can't be mapped here.
  struct Part {
    U64 guest;
    U64 size;
    bool writable;
  };
  /// What is copied of one chain; no frame is larger.
  static constexpr U64 kChainBytesMax = 8 << 20;
  /// Copies that are kept before all is dropped, in a moment when nothing is under way.
  static constexpr U64 kBytesMax = 32 << 20;

  /// `pushed` is called when replies have got to the guest; `broken` when they can't.
  Shadow(Dma& dma, virtio::Device& device, std::shared_ptr<virtio::Allowance> allowance,
         std::function<void()> pushed, std::function<void()> broken)
      : dma_(dma),
        device_(device),
        allowance_(std::move(allowance)),
        pushed_(std::move(pushed)),
        broken_(std::move(broken)) {}

  /// Whether the ring is here.
  bool in_use() const { return in_use_; }
  /// Adds room for the parts, which is what the device gets for its memory. What it has of them
  /// already stays.
  Status add(const std::vector<Part>& parts, virtio::Memory& memory) const;
  /// A ring at `place` of the device's memory is about to start, from its entry 0.
  void begin(const virtio::RingPlace& place);
  /// It has stopped.
  void end();
  /// Nothing of the device's is left: copies cost nothing any more.
  void drop_all();
  /// Whether `next` lacks copies of the device's memory in which the ring is, or a chain that is
  /// under way; or its table, shared or not.
  bool is_cut_by(const virtio::Memory& next) const;

  void kicked();
  void given_back();
  io::Task<void> all_done() { return scope_.all_done(); }

 private:
  struct Descriptor {
    U64 address;
    U32 length;
    U16 flags;
    U16 next;
  };
  struct Copy {
    U64 guest;
    const virtio::Mapping* of;
    Room room;
  };
  using Mappings = std::set<const virtio::Mapping*>;

  std::span<const virtio::Region> regions(U64 guest, U64 size) const;
  std::vector<Copy> copies(U64 guest, U64 size) const;
  void add_mappings(U64 guest, U64 size, Mappings& mappings) const;
  bool is_too_much(const Descriptor& descriptor, std::size_t& steps) const;
  io::Task<void> pull();
  io::Task<Status> pull_some();
  io::Task<Status> pull_chain(U16 head);
  io::Task<void> push();
  io::Task<Status> push_all();
  io::Task<Status> push_chain(U16 head, U32 written);
  io::Task<Status> fetch(U64 guest, U64 size);
  io::Task<Status> bring(U64 guest, U64 size);
  bool make_room();
  void drop();

  std::vector<iovec> here(U64 guest, U64 size) const;
  template <class T>
  T load(U64 guest) const;
  bool table_of(U16 head, Descriptor& table) const;
  std::vector<Descriptor> chain_of(U16 head) const;
  U64 available_index() const { return place_.available + 2; }
  U64 used_index() const { return place_.used + 2; }
  U64 available_size() const { return 6 + 2 * U64{place_.size}; }
  U64 used_size() const { return 6 + 8 * U64{place_.size}; }
  U64 table_size() const { return 16 * U64{place_.size}; }

  Dma& dma_;
  virtio::Device& device_;
  const std::shared_ptr<virtio::Allowance> allowance_;
  const std::function<void()> pushed_;
  const std::function<void()> broken_;
  bool in_use_ = false;
  unsigned generation_ = 0;  // of begin(): what belongs to an earlier one stops
  virtio::RingPlace place_;
  U16 seen_ = 0;      // of the available ring
  U16 sent_ = 0;      // of the used ring
  U64 bytes_ = 0;     // copied here, or what the device may write, since all was dropped
  Mappings of_ring_;  // that it lies in
  std::map<U16, Mappings> of_chains_;  // that those under way lie in, by their heads
  // One pull and one push at a time: those of a later ring wait until what an earlier one has asked
  // for is answered.
  bool pulling_ = false;
  bool pull_again_ = false;
  bool full_ = false;  // pulling waits until nothing is under way
  bool pushing_ = false;
  io::Scope scope_;
};

}  // namespace ninep::vfio_user
