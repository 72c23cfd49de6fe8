// A guest's memory as a device outside the VMM sees it: regions of guest addresses that are mapped
// here. The guest, and the VMM, are hostile: no address is used but by these look-ups.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "proto/result.h"

namespace ninep::virtio {

/// A part of a file mapped shared. What is mapped may be cut off by whoever else has the file: then
/// the page that was touched becomes an ordinary one of ours, and the mapping is broken.
class Mapping {
 public:
  /// `fd` stays the caller's. EINVAL: nothing, not whole pages, or more than the file has.
  static Result<std::shared_ptr<Mapping>> make(int fd, U64 offset, U64 size, bool writable);
  /// Memory of our own, zero until it is written: a copy of what can't be mapped.
  static Result<std::shared_ptr<Mapping>> make_private(U64 size);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::byte* data() const { return data_; }
  U64 size() const { return size_; }
  bool broken() const { return broken_.load(std::memory_order_relaxed); }

 private:
  Mapping(std::byte* data, U64 size);
  friend struct BusErrors;

  std::byte* const data_;
  const U64 size_;
  std::atomic<bool> broken_{false};
};

/// Guest addresses [guest, guest + size), found in `mapping` from `offset` on.
struct Region {
  U64 guest = 0;
  U64 size = 0;
  U64 user = 0;  // vhost-user: the front end's own address of the same bytes
  std::shared_ptr<Mapping> mapping;
  U64 offset = 0;
  bool writable = true;
};

/// Which way a buffer goes, as the device sees it.
enum class Access { kRead, kWrite };

/// A table of regions. A value: requests under way keep the one that they began with.
class Memory {
 public:
  static constexpr std::size_t kRegionsMax = 4096;

  /// EINVAL: empty, wraps around, overlaps another one, or is not all in its mapping; ENOSPC.
  Status add(Region region);
  /// ENOENT: there is no region of just this place and size.
  Status remove(U64 guest, U64 size);
  std::size_t size() const { return regions_.size(); }
  std::span<const Region> regions() const { return regions_; }
  /// Somebody has cut a mapping short.
  bool broken() const;

  /// Adds the pieces of memory that [guest, guest + size) is, at most until `pieces` has `max`.
  /// False: a part of it isn't there, isn't writable, or there are too many pieces.
  bool pieces(U64 guest, U64 size, Access access, std::size_t max,
              std::vector<iovec>& pieces) const;
  /// [guest, guest + size) if it is writable and in one region; else null. Size 0: null.
  std::byte* whole(U64 guest, U64 size) const;
  /// The same for an address of the front end's; by its place, the guest's address. False: nowhere.
  bool guest_address(U64 user, U64& guest) const;

 private:
  const Region* find(U64 guest) const;

  std::vector<Region> regions_;  // by guest address
};

}  // namespace ninep::virtio
