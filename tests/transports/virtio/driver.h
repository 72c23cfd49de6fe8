// The driver's side of a split ring, for tests: it builds right chains, and wrong ones word by
// word.
#pragma once

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/check.h"
#include "proto/types.h"
#include "transports/virtio/virtqueue.h"

namespace ninep::test {

/// A descriptor of the same, for somebody else to own.
inline io::OwnedFd another(int fd) { return io::OwnedFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

/// A guest's memory: a file in memory, mapped here, that begins at a guest address of its own.
class GuestRam {
 public:
  explicit GuestRam(U64 size = 16 << 20, U64 guest = 0x10000000)
      : size_(size), guest_(guest), fd_(::memfd_create("guest", MFD_CLOEXEC)) {
    NINEP_CHECK(fd_ >= 0 && ::ftruncate(fd_, static_cast<off_t>(size)) == 0);
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    NINEP_CHECK(at != MAP_FAILED);
    data_ = static_cast<std::byte*>(at);
  }
  GuestRam(const GuestRam&) = delete;
  GuestRam& operator=(const GuestRam&) = delete;
  ~GuestRam() {
    ::munmap(data_, size_);
    ::close(fd_);
  }

  int fd() const { return fd_; }
  U64 guest() const { return guest_; }
  U64 size() const { return size_; }
  U64 user() const { return reinterpret_cast<U64>(data_); }
  std::byte* at(U64 guest) const { return data_ + (guest - guest_); }
  /// `size` bytes nobody else has; a guest address.
  U64 take(U64 size, U64 align = 16) {
    next_ = (next_ + align - 1) / align * align;
    const U64 at = guest_ + next_;
    next_ += size;
    NINEP_CHECK(next_ <= size_);
    return at;
  }
  U64 put(Bytes bytes) {
    const U64 to = take(std::max<std::size_t>(bytes.size(), 1));
    std::memcpy(at(to), bytes.data(), bytes.size());
    return to;
  }
  template <class T>
  void write(U64 guest, T value) {
    std::memcpy(at(guest), &value, sizeof value);
  }
  template <class T>
  T read(U64 guest) const {
    T value;
    std::memcpy(&value, at(guest), sizeof value);
    return value;
  }
  /// As the device maps it.
  virtio::Region region(bool writable = true) const {
    auto mapping = virtio::Mapping::make(another(fd_), 0, size_, writable);
    NINEP_CHECK(mapping);
    return {
        .guest = guest_, .size = size_, .user = user(), .mapping = *mapping, .writable = writable};
  }

 private:
  const U64 size_;
  const U64 guest_;
  const int fd_;
  std::byte* data_;
  U64 next_ = 0;
};

/// Descriptor flags.
inline constexpr U16 kNext = 1;
inline constexpr U16 kWrite = 2;
inline constexpr U16 kTable = 4;

struct Piece {
  U64 guest;
  U32 length;
  U16 flags = 0;  // kNext is added where another one follows
};

class Driver {
 public:
  struct Used {
    U32 head;
    U32 length;
  };

  explicit Driver(GuestRam& ram, U16 size = 128)
      : ram_(ram),
        size_(size),
        place_{.descriptors = ram.take(16 * U64{size}, 4096),
               .available = ram.take(6 + 2 * U64{size}, 2),
               .used = ram.take(6 + 8 * U64{size}, 4),
               .size = size} {
    for (U16 i = 0; i < size; ++i) free_.push_back(static_cast<U16>(size - 1 - i));
    chains_.resize(size);
  }

  const virtio::RingPlace& place() const { return place_; }
  U16 size() const { return size_; }

  void descriptor(U16 index, U64 address, U32 length, U16 flags, U16 next = 0) {
    write_descriptor(place_.descriptors + 16 * U64{index}, address, length, flags, next);
  }
  /// Puts a head into the available ring.
  void offer(U16 head) {
    ram_.write<U16>(place_.available + 4 + 2 * U64{static_cast<U16>(offered_ & (size_ - 1))}, head);
    set_index(++offered_);
  }
  void set_index(U16 index) {
    offered_ = index;
    std::atomic_ref<U16>(*reinterpret_cast<U16*>(ram_.at(place_.available + 2))).store(index);
  }
  /// A chain of descriptors in the ring, offered; its head.
  U16 chain(const std::vector<Piece>& pieces) {
    std::vector<U16> taken;
    for (std::size_t i = 0; i < pieces.size(); ++i) taken.push_back(take());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool more = i + 1 < pieces.size();
      descriptor(taken[i], pieces[i].guest, pieces[i].length,
                 static_cast<U16>(pieces[i].flags | (more ? kNext : 0)),
                 more ? taken[i + 1] : U16{0});
    }
    chains_[taken[0]] = taken;
    offer(taken[0]);
    return taken[0];
  }
  /// The same in an indirect table.
  U16 indirect(const std::vector<Piece>& pieces) {
    return chain({{table(pieces), static_cast<U32>(16 * pieces.size()), kTable}});
  }
  /// The guest address of a table of descriptors, each leading to the next.
  U64 table(const std::vector<Piece>& pieces) {
    const U64 at = ram_.take(16 * pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool more = i + 1 < pieces.size();
      write_descriptor(at + 16 * i, pieces[i].guest, pieces[i].length,
                       static_cast<U16>(pieces[i].flags | (more ? kNext : 0)),
                       static_cast<U16>(more ? i + 1 : 0));
    }
    return at;
  }
  void write_descriptor(U64 at, U64 address, U32 length, U16 flags, U16 next) {
    ram_.write<U64>(at, address);
    ram_.write<U32>(at + 8, length);
    ram_.write<U16>(at + 12, flags);
    ram_.write<U16>(at + 14, next);
  }

  U16 used_index() const {
    return std::atomic_ref<U16>(*reinterpret_cast<U16*>(ram_.at(place_.used + 2))).load();
  }
  /// What came back next.
  std::optional<Used> used() {
    if (used_index() == seen_) return {};
    const U64 at = place_.used + 4 + 8 * U64{static_cast<U16>(seen_ & (size_ - 1))};
    ++seen_;
    const Used used{ram_.read<U32>(at), ram_.read<U32>(at + 4)};
    for (const U16 index : chains_.at(used.head)) free_.push_back(index);
    chains_[used.head].clear();
    return used;
  }
  // Event suppression.
  void set_available_flags(U16 flags) { ram_.write<U16>(place_.available, flags); }
  U16 used_flags() const { return ram_.read<U16>(place_.used); }
  void set_used_event(U16 index) { ram_.write<U16>(place_.available + 4 + 2 * U64{size_}, index); }
  U16 available_event() const { return ram_.read<U16>(place_.used + 4 + 8 * U64{size_}); }

 private:
  U16 take() {
    NINEP_CHECK(!free_.empty());
    const U16 index = free_.back();
    free_.pop_back();
    return index;
  }

  GuestRam& ram_;
  const U16 size_;
  const virtio::RingPlace place_;
  std::vector<U16> free_;
  std::vector<std::vector<U16>> chains_;  // by head
  U16 offered_ = 0;
  U16 seen_ = 0;
};

}  // namespace ninep::test
