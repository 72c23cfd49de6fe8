// Virtqueue: the device's side of a split ring. VIRTIO 1.2, section 2.7.
//
// The ring lies in the guest's memory and changes while it is read: what is read is copied first,
// checked, and the copy used. A ring that breaks a rule is given up as a whole.
#pragma once

#include <vector>

#include "transports/virtio/memory.h"

namespace ninep::virtio {

/// Feature bits of VIRTIO that concern the ring.
inline constexpr U64 kIndirect = U64{1} << 28;
inline constexpr U64 kEventIndex = U64{1} << 29;
inline constexpr U64 kVersion1 = U64{1} << 32;

/// Where a ring is, in guest addresses.
struct RingPlace {
  U64 descriptors = 0;
  U64 available = 0;
  U64 used = 0;
  U32 size = 0;  // entries: a power of two

  bool operator==(const RingPlace&) const = default;
};

/// A message from the driver and the room for its answer.
struct Chain {
  U16 head = 0;
  std::vector<iovec> out;  // the driver's bytes
  std::vector<iovec> in;   // to be written
  std::size_t steps = 0;   // that it took to find them
};

class Virtqueue {
 public:
  static constexpr U32 kSizeMax = 32768;
  /// Descriptors of one chain, those of its indirect table included, whatever the ring's size; and
  /// the pieces of memory that they come to. No more than one readv(2) takes.
  static constexpr std::size_t kChainMax = 1024;

  Virtqueue() = default;

  /// Begins at entry `next` of the available ring. EINVAL: the size is no power of two up to
  /// kSizeMax; EFAULT: the ring isn't all in writable memory, or not aligned.
  Status start(std::shared_ptr<const Memory> memory, const RingPlace& place, U64 features,
               U16 next);
  /// Goes on in another table of memory, the ring at `place` there. Chains that are out stay in the
  /// one that they came from. EFAULT: the ring isn't there; it stays where it was.
  Status move(std::shared_ptr<const Memory> memory, const RingPlace& place);
  /// Forgets the ring, and chains that are out.
  void stop();
  bool started() const { return memory_ != nullptr; }
  const std::shared_ptr<const Memory>& memory() const { return memory_; }
  const RingPlace& place() const { return place_; }
  /// The next entry of the available ring, for a start later on.
  U16 next() const { return next_; }
  /// Chains taken and not given back.
  unsigned out() const { return out_; }

  enum class Take { kChain, kEmpty, kBroken };
  /// Takes the next chain. What it points at stays mapped as long as memory() of now is held.
  /// kBroken: the ring must not be used any more.
  Take take(Chain& chain);
  /// The chain that begins at `head`, which take() gave before a stop() and a start().
  Take take_chain(U16 head, Chain& chain);
  /// Gives a chain back with `written` bytes of its `in` filled.
  void give_back(U16 head, U32 written);

  enum class Tell { kNothing, kSpared, kInterrupt };
  /// Whether something was given back since the last call, and the driver wants to hear of it.
  Tell tell();
  /// Asks the driver to kick for what comes from now on. False: something has come already.
  bool ask_for_kicks();
  /// The driver needn't kick: take() is going to be called anyway.
  void spare_kicks();

 private:
  Status locate(std::shared_ptr<const Memory> memory, const RingPlace& place);

  struct Descriptor {
    U64 address;
    U32 length;
    U16 flags;
    U16 next;
  };
  static_assert(sizeof(Descriptor) == 16);

  bool collect(const Descriptor& descriptor, Chain& chain) const;
  bool collect_table(const Descriptor& table, std::size_t seen, Chain& chain);

  U16 load(const std::byte* at) const;
  void store(std::byte* at, U16 value) const;
  std::byte* available(std::size_t offset) const { return available_ + offset; }
  std::byte* used(std::size_t offset) const { return used_ + offset; }

  std::shared_ptr<const Memory> memory_;
  RingPlace place_;
  std::byte* descriptors_ = nullptr;
  std::byte* available_ = nullptr;
  std::byte* used_ = nullptr;
  U32 size_ = 0;
  U64 features_ = 0;
  U16 next_ = 0;
  U16 used_index_ = 0;
  U16 told_ = 0;  // used_index_ at the last tell()
  unsigned out_ = 0;
  std::vector<bool> heads_out_;
  std::vector<Descriptor> table_;  // a copy of the indirect table at hand
  std::vector<iovec> table_places_;
};

}  // namespace ninep::virtio
