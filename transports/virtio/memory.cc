#include "transports/virtio/memory.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <mutex>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proto/check.h"
#include "transports/io/aside.h"

namespace ninep::virtio {

/// SIGBUS is how the system says that a page of a mapping is gone. The handler may use atomics and
/// mmap(2), nothing else: hence a table that doesn't move, each place with a version that is odd
/// while it changes. The mapping that is touched stays; others come and go meanwhile.
struct BusErrors {
  static constexpr std::size_t kSlots = 16384;  // a quarter of vm.max_map_count
  struct Slot {
    std::atomic<U32> version;
    std::atomic<std::uintptr_t> begin;  // 0: free
    std::atomic<U64> size;
    std::atomic<U64> page;
    std::atomic<bool> broken;

    void change(std::uintptr_t new_begin, U64 new_size, U64 new_page) {
      version.fetch_add(1);
      begin = new_begin;
      size = new_size;
      page = new_page;
      broken = false;
      version.fetch_add(1);
    }
  };
  static inline std::array<Slot, kSlots> slots{};
  static inline std::mutex mutex;  // guards what follows, and who changes slots
  static inline std::size_t hint = 0;
  static inline struct sigaction before = {};

  static void handle(int number, siginfo_t* info, void*) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
      const std::uintptr_t begin = slot.begin;
      if (begin == 0 || at < begin) continue;
      const U32 version = slot.version;
      const U64 size = slot.size;
      const U64 page = slot.page;
      if (at - begin >= size || version % 2 != 0 || slot.begin != begin || slot.version != version)
        continue;
      slot.broken = true;
      Mapping::breaks_.fetch_add(1, std::memory_order_relaxed);
      // From here to its end, since that is how a file becomes shorter: one piece, however often.
      const std::uintptr_t from = at & ~(page - 1);
      if (::mmap(reinterpret_cast<void*>(from), begin + size - from, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        return;
    }
    ::sigaction(number, &before, nullptr);  // not ours: happens again, and ends the program
  }

  // Each holds a descriptor, and is two mappings when it is broken: what one VMM may have of them
  // must leave some for all others.
  static std::size_t limit() {
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    return std::min<std::size_t>(kSlots, descriptors.rlim_cur / 4);
  }

  /// The slot. No more than limit() are asked for.
  static std::size_t add(const void* data, U64 size, U64 page) {
    const std::lock_guard lock(mutex);
    static const bool installed = [] {
      struct sigaction action = {};
      action.sa_sigaction = handle;
      action.sa_flags = SA_SIGINFO | SA_NODEFER;
      return ::sigaction(SIGBUS, &action, &before) == 0;
    }();
    NINEP_CHECK(installed);
    while (slots[hint].begin != 0) hint = (hint + 1) % kSlots;
    slots[hint].change(reinterpret_cast<std::uintptr_t>(data), size, page);
    return hint;
  }
  static void remove(std::size_t at) {
    const std::lock_guard lock(mutex);
    slots[at].change(0, 0, 0);
  }
};

namespace {

// False: that would be more than `max`. Nobody sees what isn't taken.
bool add_within(std::atomic<U64>& count, U64 more, U64 max) {
  for (U64 before = count; before <= max && more <= max - before;)
    if (count.compare_exchange_weak(before, before + more)) return true;
  return false;
}

// [from, from + size) with no wrap.
bool fits(U64 from, U64 size) { return size != 0 && from <= ~U64{0} - (size - 1); }

}  // namespace

Mapping::~Mapping() {
  if (slot_) BusErrors::remove(*slot_);
  // 0.16 s for each GiB, if nobody else has it.
  io::give_back_aside([data = data_, size = size_, of = of_, fd = fd_.leak()] {
    ::munmap(data, size);
    if (fd >= 0) ::close(fd);
    of->give_back(size);
  });
}

bool Mapping::broken() const { return slot_ && BusErrors::slots[*slot_].broken; }

Allowance Allowance::all_;

bool Allowance::take_of(U64 bytes, unsigned shares) {
  if (!add_within(bytes_, bytes, shares * kBytesMax)) return false;
  if (add_within(mappings_, 1, BusErrors::limit() * shares / kShares)) return true;
  bytes_ -= bytes;
  return false;
}

bool Allowance::take(U64 bytes) {
  if (!take_of(bytes, 1)) return false;
  if (all_.take_of(bytes, kShares)) return true;
  --mappings_;
  bytes_ -= bytes;
  return false;
}

void Allowance::give_back(U64 bytes) {
  for (Allowance* const one : {this, &all_}) {
    --one->mappings_;
    one->bytes_ -= bytes;
  }
}

// Counted as long as it is there.
Result<std::shared_ptr<Mapping>> Mapping::map(std::shared_ptr<Allowance> of, U64 size,
                                              int protection, int flags, int fd, U64 offset) {
  if (!of) of = std::make_shared<Allowance>();
  if (!of->take(size)) return fail(ENOSPC);
  void* const data = ::mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
  if (data != MAP_FAILED)
    return std::shared_ptr<Mapping>(
        new Mapping(static_cast<std::byte*>(data), size, std::move(of)));
  const int error = errno;
  of->give_back(size);
  return fail(error);
}

Result<std::shared_ptr<Mapping>> Mapping::make(io::OwnedFd&& fd, U64 offset, U64 size,
                                               bool writable, std::shared_ptr<Allowance> of) {
  // Memory alone, which has seals: a file system of the VMM's own could keep us waiting.
  if (::fcntl(fd.get(), F_GET_SEALS) < 0) return fail(errno);
  struct stat status;
  struct statfs system;
  if (::fstat(fd.get(), &status) != 0 || ::fstatfs(fd.get(), &system) != 0) return fail(errno);
  const bool huge = system.f_type == HUGETLBFS_MAGIC;
  const U64 page =
      huge ? static_cast<U64>(system.f_bsize) : static_cast<U64>(::sysconf(_SC_PAGESIZE));
  if (!fits(offset, size) || offset % page != 0 || size % page != 0) return fail(EINVAL);
  const auto file_size = static_cast<U64>(status.st_size);
  if (size > file_size || offset > file_size - size) return fail(EINVAL);
  // Huge pages that there are too few of are refused now, or never.
  auto mapped = map(std::move(of), size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                    huge ? MAP_SHARED : MAP_SHARED | MAP_NORESERVE, fd.get(), offset);
  NINEP_RETURN_IF_ERROR(mapped);
  std::shared_ptr<Mapping> mapping = std::move(*mapped);
  ::madvise(mapping->data_, size, MADV_DONTDUMP);
  mapping->slot_ = BusErrors::add(mapping->data_, size, page);
  mapping->fd_ = std::move(fd);
  mapping->offset_ = offset;
  mapping->writable_ = writable;
  return mapping;
}

Result<std::shared_ptr<Mapping>> Mapping::make_private(U64 size, std::shared_ptr<Allowance> of) {
  if (size == 0) return fail(EINVAL);
  auto mapping = map(std::move(of), size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  NINEP_RETURN_IF_ERROR(mapping);
  // What it costs is counted in small pages.
  ::madvise((*mapping)->data_, size, MADV_NOHUGEPAGE);
  return mapping;
}

Result<std::shared_ptr<Mapping>> Mapping::again() const {
  if (!fd_) return make_private(size_, of_);
  io::OwnedFd fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return fail(errno);
  return make(std::move(fd), offset_, size_, writable_, of_);
}

void Mapping::drop() {
  if (own()) ::madvise(data_, size_, MADV_DONTNEED);
}

// Pages that were never written here come from the file, the others are copies: hence only once.
bool Mapping::cut_off() {
  if (!fd_ || cut_) return true;
  const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
  cut_ = ::mmap(data_, size_, PROT_READ | PROT_WRITE, flags, fd_.get(),
                static_cast<off_t>(offset_)) != MAP_FAILED;
  return cut_;
}

void Mapping::keep(std::span<const iovec> pieces) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const iovec& piece : pieces) {
    const auto begin = reinterpret_cast<std::uintptr_t>(piece.iov_base) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(piece.iov_base) + piece.iov_len;
    // Where there is no page for a copy that fails, and a write would bring zeros.
    if (::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE) == 0 ||
        errno != EINVAL)
      continue;
    for (auto at = begin; at < end; at += page) {  // before Linux 5.14
      auto* const byte = reinterpret_cast<volatile U8*>(at);
      U8 same = *byte;
      __atomic_compare_exchange_n(byte, &same, same, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
  }
}

Status Memory::add(Region region) {
  if (!fits(region.guest, region.size) || !fits(region.user, region.size)) return fail(EINVAL);
  if (!region.mapping || region.offset > region.mapping->size() ||
      region.size > region.mapping->size() - region.offset)
    return fail(EINVAL);
  if (regions_.size() >= kRegionsMax || region.size > kBytesMax - bytes_) return fail(ENOSPC);
  const auto next = std::ranges::upper_bound(regions_, region.guest, {}, &Region::guest);
  if (next != regions_.end() && next->guest - region.guest < region.size) return fail(EEXIST);
  if (next != regions_.begin() && region.guest - std::prev(next)->guest < std::prev(next)->size)
    return fail(EEXIST);
  bytes_ += region.size;
  regions_.insert(next, std::move(region));
  return {};
}

Status Memory::remove(U64 guest, U64 size) {
  const auto at = std::ranges::lower_bound(regions_, guest, {}, &Region::guest);
  if (at == regions_.end() || at->guest != guest || at->size != size) return fail(ENOENT);
  bytes_ -= size;
  regions_.erase(at);
  return {};
}

bool Memory::broken() const {
  return std::ranges::any_of(regions_, [](const Region& r) { return r.mapping->broken(); });
}

Memory Memory::again() const {
  Memory other;
  for (Region region : regions_) {
    auto mapping = region.mapping->again();
    if (!mapping) continue;
    region.mapping = std::move(*mapping);
    NINEP_CHECK(other.add(std::move(region)));
  }
  return other;
}

bool Memory::cut_off() const {
  return std::ranges::all_of(regions_, [](const Region& r) { return r.mapping->cut_off(); });
}

const Region* Memory::find(U64 guest) const {
  const auto next = std::ranges::upper_bound(regions_, guest, {}, &Region::guest);
  if (next == regions_.begin()) return nullptr;
  const Region& region = *std::prev(next);
  return guest - region.guest < region.size ? &region : nullptr;
}

bool Memory::pieces(U64 guest, U64 size, Access access, std::size_t max, std::vector<iovec>& pieces,
                    std::size_t& steps) const {
  if (size != 0 && !fits(guest, size)) return false;
  while (size != 0) {
    if (++steps > 2 * max) return false;
    const Region* const region = find(guest);
    if (!region || (access == Access::kWrite && !region->writable)) return false;
    const U64 into = guest - region->guest;
    const U64 part = std::min(size, region->size - into);
    std::byte* const at = region->mapping->data() + region->offset + into;
    iovec* const last = pieces.empty() ? nullptr : &pieces.back();
    if (last && static_cast<std::byte*>(last->iov_base) + last->iov_len == at) {
      last->iov_len += part;
    } else if (pieces.size() == max) {
      return false;
    } else {
      pieces.push_back({at, part});
    }
    guest += part;
    size -= part;
  }
  return true;
}

std::byte* Memory::whole(U64 guest, U64 size) const {
  const Region* const region = find(guest);
  if (!region || !region->writable || size == 0) return nullptr;
  const U64 into = guest - region->guest;
  if (size > region->size - into) return nullptr;
  return region->mapping->data() + region->offset + into;
}

bool Memory::guest_address(U64 user, U64& guest) const {
  for (const Region& region : regions_) {
    if (user - region.user >= region.size || user < region.user) continue;
    guest = region.guest + (user - region.user);
    return true;
  }
  return false;
}

}  // namespace ninep::virtio
