// A guest's memory as a device outside the VMM sees it: regions of guest addresses that are mapped
// here. The guest, and the VMM, are hostile: no address is used but by these look-ups.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "proto/result.h"
#include "transports/io/owned_fd.h"

namespace ninep::virtio {

/// What one party may have mapped; all of them together have kShares times as much, at most. Any
/// thread.
class Allowance {
 public:
  static constexpr unsigned kShares = 4;
  static constexpr U64 kBytesMax = U64{1} << 44;

  Allowance() = default;
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  /// A mapping of so many bytes. False: that is too much.
  bool take(U64 bytes);
  void give_back(U64 bytes);

 private:
  static Allowance all_;  // of those that are nobody's alone, too
  bool take_of(U64 bytes, unsigned shares);
  std::atomic<U64> bytes_{0};
  std::atomic<U64> mappings_{0};
};

/// A part of a file mapped shared. The file may be made shorter by whoever else has it: then the
/// page that was touched becomes an ordinary one of ours, and the mapping is broken.
class Mapping {
 public:
  /// `of`: whose it is, if it is one party's. EINVAL: no file in memory (memfd, tmpfs, huge pages),
  /// not whole pages, or more than it has; ENOSPC: more than is allowed. Then `fd` stays the
  /// caller's.
  static Result<std::shared_ptr<Mapping>> make(io::OwnedFd&& fd, U64 offset, U64 size,
                                               bool writable,
                                               std::shared_ptr<Allowance> of = nullptr);
  /// Memory of our own, zero until it is written: a copy of what can't be mapped.
  static Result<std::shared_ptr<Mapping>> make_private(U64 size,
                                                       std::shared_ptr<Allowance> of = nullptr);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  /// What may be the last of a guest's memory is given back aside.
  ~Mapping();

  std::byte* data() const { return data_; }
  U64 size() const { return size_; }
  bool broken() const;
  /// How often any mapping became broken: while it stays the same, none did.
  static unsigned breaks() { return breaks_.load(std::memory_order_relaxed); }

  /// Another mapping of the same; of memory of our own, new memory.
  Result<std::shared_ptr<Mapping>> again() const;
  /// Memory of our own becomes zeros, and costs nothing any more.
  void drop();
  bool own() const { return !fd_; }
  /// From now on nothing that is written here gets to the file, whoever is writing. What was there
  /// is still read, and so is what others write there meanwhile, to pages that are not written here
  /// (keep()). False: the system can't do that just now.
  bool cut_off();
  /// Of a mapping that is cut off: these bytes stay as they are now.
  static void keep(std::span<const iovec> pieces);

 private:
  Mapping(std::byte* data, U64 size, std::shared_ptr<Allowance> of)
      : data_(data), size_(size), of_(std::move(of)) {}
  static Result<std::shared_ptr<Mapping>> map(std::shared_ptr<Allowance> of, U64 size,
                                              int protection, int flags, int fd, U64 offset);
  friend struct BusErrors;

  std::byte* const data_;
  const U64 size_;
  const std::shared_ptr<Allowance> of_;
  io::OwnedFd fd_;  // none: memory of our own
  U64 offset_ = 0;
  bool writable_ = true;
  bool cut_ = false;
  std::optional<std::size_t> slot_;  // among those that may break
  static inline std::atomic<unsigned> breaks_{0};
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
  static constexpr std::size_t kRegionsMax = 1024;  // each holds a descriptor
  static constexpr U64 kBytesMax = U64{1} << 42;    // no guest has so much

  /// EINVAL: empty, wraps around, or is not all in its mapping; EEXIST: overlaps another one;
  /// ENOSPC.
  Status add(Region region);
  /// ENOENT: there is no region of just this place and size.
  Status remove(U64 guest, U64 size);
  std::size_t size() const { return regions_.size(); }
  std::span<const Region> regions() const { return regions_; }
  /// Somebody has made a mapping's file shorter.
  bool broken() const;
  /// The same by mappings of its own; a region that can't be mapped again isn't there.
  Memory again() const;
  bool cut_off() const;

  /// Adds the pieces of memory that [guest, guest + size) is, at most until `pieces` has `max`.
  /// `steps` counts the regions that it went through, also of pieces that are one in the end: twice
  /// `max` at most. False: a part of it isn't there, isn't writable, or it would be too many.
  bool pieces(U64 guest, U64 size, Access access, std::size_t max, std::vector<iovec>& pieces,
              std::size_t& steps) const;
  bool pieces(U64 guest, U64 size, Access access, std::size_t max,
              std::vector<iovec>& pieces) const {
    std::size_t steps = 0;
    return this->pieces(guest, size, access, max, pieces, steps);
  }
  /// [guest, guest + size) if it is writable and in one region; else null. Size 0: null.
  std::byte* whole(U64 guest, U64 size) const;
  /// The same for an address of the front end's; by its place, the guest's address. False: nowhere.
  bool guest_address(U64 user, U64& guest) const;

 private:
  const Region* find(U64 guest) const;

  std::vector<Region> regions_;  // by guest address
  U64 bytes_ = 0;                // of all of them
};

}  // namespace ninep::virtio
