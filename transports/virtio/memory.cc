#include "transports/virtio/memory.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::virtio {

/// SIGBUS is how the system says that a page of a mapping is gone. The handler may use atomics and
/// mmap(2), nothing else: hence a table that doesn't move.
struct BusErrors {
  static constexpr std::size_t kSlots = 65536;
  static inline std::array<std::atomic<Mapping*>, kSlots> slots{};
  static inline std::mutex mutex;  // guards the hint and who writes to slots
  static inline std::size_t hint = 0;
  static inline struct sigaction before = {};

  static void handle(int number, siginfo_t* info, void*) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (auto& slot : slots) {
      Mapping* const mapping = slot.load(std::memory_order_acquire);
      if (!mapping) continue;
      const auto begin = reinterpret_cast<std::uintptr_t>(mapping->data_);
      if (at < begin || at - begin >= mapping->size_) continue;
      mapping->broken_.store(true, std::memory_order_relaxed);
      Mapping::breaks_.fetch_add(1, std::memory_order_relaxed);
      const auto page = at & ~std::uintptr_t{4095};
      if (::mmap(reinterpret_cast<void*>(page), 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
        return;
    }
    ::sigaction(number, &before, nullptr);  // not ours: happens again, and ends the program
  }

  static bool add(Mapping* mapping) {
    const std::lock_guard lock(mutex);
    static const bool installed = [] {
      struct sigaction action = {};
      action.sa_sigaction = handle;
      action.sa_flags = SA_SIGINFO | SA_NODEFER;
      return ::sigaction(SIGBUS, &action, &before) == 0;
    }();
    NINEP_CHECK(installed);
    for (std::size_t i = 0; i < kSlots; ++i) {
      auto& slot = slots[(hint + i) % kSlots];
      if (slot.load(std::memory_order_relaxed)) continue;
      slot.store(mapping, std::memory_order_release);
      hint = (hint + i + 1) % kSlots;
      return true;
    }
    return false;
  }
  static void remove(const Mapping* mapping) {
    const std::lock_guard lock(mutex);
    for (auto& slot : slots)
      if (slot.load(std::memory_order_relaxed) == mapping) return slot.store(nullptr);
  }
};

namespace {

// [from, from + size) with no wrap.
bool fits(U64 from, U64 size) { return size != 0 && from <= ~U64{0} - (size - 1); }

}  // namespace

Mapping::~Mapping() {
  BusErrors::remove(this);
  ::munmap(data_, size_);
}

Result<std::shared_ptr<Mapping>> Mapping::make(io::OwnedFd fd, U64 offset, U64 size,
                                               bool writable) {
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return fail(errno);
  if (!fits(offset, size) || offset % 4096 != 0 || size % 4096 != 0) return fail(EINVAL);
  const bool sized = S_ISREG(status.st_mode);
  if (!sized || offset + size > static_cast<U64>(status.st_size)) return fail(EINVAL);
  void* const data = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                            MAP_SHARED | MAP_NORESERVE, fd.get(), static_cast<off_t>(offset));
  if (data == MAP_FAILED) return fail(errno);
  ::madvise(data, size, MADV_DONTDUMP);
  std::shared_ptr<Mapping> mapping(new Mapping(static_cast<std::byte*>(data), size));
  if (!BusErrors::add(mapping.get())) return fail(ENOSPC);
  mapping->fd_ = std::move(fd);
  mapping->offset_ = offset;
  mapping->writable_ = writable;
  return mapping;
}

Result<std::shared_ptr<Mapping>> Mapping::make_private(U64 size) {
  if (size == 0) return fail(EINVAL);
  void* const data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return fail(errno);
  return std::shared_ptr<Mapping>(new Mapping(static_cast<std::byte*>(data), size));
}

Result<std::shared_ptr<Mapping>> Mapping::again() const {
  if (!fd_) return make_private(size_);
  io::OwnedFd fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return fail(errno);
  return make(std::move(fd), offset_, size_, writable_);
}

void Mapping::drop() {
  if (own()) ::madvise(data_, size_, MADV_DONTNEED);
}

// Pages that were never written here come from the file, the others are copies.
bool Mapping::cut_off() {
  const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
  return !fd_ || ::mmap(data_, size_, PROT_READ | PROT_WRITE, flags, fd_.get(),
                        static_cast<off_t>(offset_)) != MAP_FAILED;
}

Status Memory::add(Region region) {
  if (!fits(region.guest, region.size) || !fits(region.user, region.size)) return fail(EINVAL);
  if (!region.mapping || region.offset > region.mapping->size() ||
      region.size > region.mapping->size() - region.offset)
    return fail(EINVAL);
  if (regions_.size() >= kRegionsMax) return fail(ENOSPC);
  const auto next = std::ranges::upper_bound(regions_, region.guest, {}, &Region::guest);
  if (next != regions_.end() && next->guest - region.guest < region.size) return fail(EINVAL);
  if (next != regions_.begin() && region.guest - std::prev(next)->guest < std::prev(next)->size)
    return fail(EINVAL);
  regions_.insert(next, std::move(region));
  return {};
}

Status Memory::remove(U64 guest, U64 size) {
  const auto at = std::ranges::lower_bound(regions_, guest, {}, &Region::guest);
  if (at == regions_.end() || at->guest != guest || at->size != size) return fail(ENOENT);
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

bool Memory::pieces(U64 guest, U64 size, Access access, std::size_t max,
                    std::vector<iovec>& pieces) const {
  if (size != 0 && !fits(guest, size)) return false;
  while (size != 0) {
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
