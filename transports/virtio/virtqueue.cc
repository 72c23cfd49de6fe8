#include "transports/virtio/virtqueue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "proto/check.h"

namespace ninep::virtio {
namespace {

static_assert(std::endian::native == std::endian::little,
              "virtio is; so are the hosts we serve on");

// Descriptor flags.
constexpr U16 kNext = 1;
constexpr U16 kWrite = 2;
constexpr U16 kTable = 4;
// The rings: flags[2] idx[2] entries, then one index for event suppression.
constexpr std::size_t kFlagsAt = 0;
constexpr std::size_t kIndexAt = 2;
constexpr std::size_t kEntriesAt = 4;
constexpr U16 kSuppress = 1;  // in the flags: no kicks, no interrupts, please

std::size_t available_size(U32 size) { return kEntriesAt + 2 * std::size_t{size} + 2; }
std::size_t used_size(U32 size) { return kEntriesAt + 8 * std::size_t{size} + 2; }

bool aligned(const std::byte* at, std::size_t to) {
  return reinterpret_cast<std::uintptr_t>(at) % to == 0;
}

}  // namespace

U16 Virtqueue::load(const std::byte* at) const {
  auto* const number = reinterpret_cast<U16*>(const_cast<std::byte*>(at));
  return std::atomic_ref<U16>(*number).load(std::memory_order_acquire);
}

void Virtqueue::store(std::byte* at, U16 value) const {
  std::atomic_ref<U16>(*reinterpret_cast<U16*>(at)).store(value, std::memory_order_release);
}

Status Virtqueue::start(std::shared_ptr<const Memory> memory, const RingPlace& place, U64 features,
                        U16 next) {
  if (!std::has_single_bit(place.size) || place.size > kSizeMax) return fail(EINVAL);
  const auto located = locate(std::move(memory), place);
  NINEP_RETURN_IF_ERROR(located);
  size_ = place.size;
  features_ = features;
  next_ = next;
  used_index_ = load(used_ + kIndexAt);
  told_ = used_index_;
  out_ = 0;
  heads_out_.assign(size_, false);
  return {};
}

Status Virtqueue::move(std::shared_ptr<const Memory> memory, const RingPlace& place) {
  if (place.size != size_) return fail(EINVAL);
  return locate(std::move(memory), place);
}

Status Virtqueue::locate(std::shared_ptr<const Memory> memory, const RingPlace& place) {
  std::byte* const descriptors =
      memory->whole(place.descriptors, sizeof(Descriptor) * U64{place.size});
  std::byte* const available = memory->whole(place.available, available_size(place.size));
  std::byte* const used = memory->whole(place.used, used_size(place.size));
  if (!descriptors || !available || !used) return fail(EFAULT);
  if (!aligned(descriptors, 16) || !aligned(available, 2) || !aligned(used, 4)) return fail(EFAULT);
  memory_ = std::move(memory);
  place_ = place;
  descriptors_ = descriptors;
  available_ = available;
  used_ = used;
  return {};
}

void Virtqueue::stop() {
  out_ = 0;
  memory_ = nullptr;
}

Virtqueue::Take Virtqueue::take(Chain& chain) {
  const U16 waiting = static_cast<U16>(load(available_ + kIndexAt) - next_);
  if (waiting == 0) return Take::kEmpty;
  if (waiting > size_) return Take::kBroken;
  const U16 head = load(available_ + kEntriesAt + 2 * std::size_t{next_ & (size_ - 1)});
  const Take taken = take_chain(head, chain);
  if (taken == Take::kChain) ++next_;
  return taken;
}

Virtqueue::Take Virtqueue::take_chain(U16 head, Chain& chain) {
  chain.out.clear();
  chain.in.clear();
  chain.steps = 0;
  chain.head = head;
  if (chain.head >= size_ || heads_out_[chain.head]) return Take::kBroken;
  U16 at = chain.head;
  for (std::size_t seen = 1;; ++seen) {
    if (seen > std::min<std::size_t>(size_, kChainMax)) return Take::kBroken;
    Descriptor descriptor;
    std::memcpy(&descriptor, descriptors_ + sizeof descriptor * at, sizeof descriptor);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the copy is what is used
    if (descriptor.flags & kTable) {
      // The last one, if not the only one; "MUST NOT set both" it and kNext.
      if (!(features_ & kIndirect) || (descriptor.flags & (kNext | kWrite))) return Take::kBroken;
      if (!collect_table(descriptor, seen, chain)) return Take::kBroken;
      break;
    }
    if (!collect(descriptor, chain)) return Take::kBroken;
    if (!(descriptor.flags & kNext)) break;
    if (descriptor.next >= size_) return Take::kBroken;
    at = descriptor.next;
  }
  ++out_;
  heads_out_[chain.head] = true;
  return Take::kChain;
}

bool Virtqueue::collect(const Descriptor& descriptor, Chain& chain) const {
  const bool write = (descriptor.flags & kWrite) != 0;
  if (!write && !chain.in.empty())
    return false;  // "any device-writable ... after any device-readable"
  return memory_->pieces(descriptor.address, descriptor.length,
                         write ? Access::kWrite : Access::kRead, kChainMax,
                         write ? chain.in : chain.out, chain.steps);
}

bool Virtqueue::collect_table(const Descriptor& table, std::size_t seen, Chain& chain) {
  if (table.length == 0 || table.length % sizeof(Descriptor) != 0) return false;
  const std::size_t count = table.length / sizeof(Descriptor);
  if (count > kChainMax) return false;
  table_places_.clear();
  if (!memory_->pieces(table.address, table.length, Access::kRead, count, table_places_))
    return false;
  table_.resize(count);
  auto* to = reinterpret_cast<std::byte*>(table_.data());
  for (const iovec& place : table_places_) {
    std::memcpy(to, place.iov_base, place.iov_len);
    to += place.iov_len;
  }
  for (std::size_t at = 0;;) {
    const Descriptor& descriptor = table_[at];
    if (seen++ > kChainMax || (descriptor.flags & kTable) || !collect(descriptor, chain))
      return false;
    if (!(descriptor.flags & kNext)) return true;
    at = descriptor.next;
    if (at >= count) return false;
  }
}

void Virtqueue::give_back(U16 head, U32 written) {
  NINEP_CHECK(heads_out_[head]);
  heads_out_[head] = false;
  --out_;
  const U32 element[2] = {head, written};
  std::memcpy(used_ + kEntriesAt + 8 * std::size_t{used_index_ & (size_ - 1)}, element,
              sizeof element);
  store(used_ + kIndexAt, ++used_index_);
}

Virtqueue::Tell Virtqueue::tell() {
  const U16 before = told_;
  const U16 now = used_index_;
  if (before == now) return Tell::kNothing;
  told_ = now;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // the index is out before the wish is read
  if (!(features_ & kEventIndex))
    return load(available_ + kFlagsAt) & kSuppress ? Tell::kSpared : Tell::kInterrupt;
  const U16 event = load(available_ + kEntriesAt + 2 * std::size_t{size_});
  const bool passed = static_cast<U16>(now - event - 1) < static_cast<U16>(now - before);
  return passed ? Tell::kInterrupt : Tell::kSpared;
}

bool Virtqueue::ask_for_kicks() {
  if (features_ & kEventIndex) {
    store(used_ + kEntriesAt + 8 * std::size_t{size_}, next_);
  } else {
    store(used_ + kFlagsAt, 0);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return load(available_ + kIndexAt) == next_;
}

void Virtqueue::spare_kicks() {
  if (!(features_ & kEventIndex)) store(used_ + kFlagsAt, kSuppress);
}

}  // namespace ninep::virtio
