#include "transports/vfio_user/shadow.h"

#include <algorithm>

namespace ninep::vfio_user {
namespace {

// Descriptor flags.
constexpr U16 kNext = 1;
constexpr U16 kWrite = 2;
constexpr U16 kTable = 4;

constexpr std::size_t kEntriesAt = 4;  // of both rings

// What bytes that are written here cost: whole pages.
U64 cost(Bytes bytes) {
  const auto from = reinterpret_cast<std::uintptr_t>(bytes.data());
  return (from + bytes.size() - 1) / 4096 * 4096 - from / 4096 * 4096 + 4096;
}

}  // namespace

Status Shadow::add(const std::vector<Part>& parts, virtio::Memory& memory) const {
  for (const Part& part : parts) {
    std::shared_ptr<virtio::Mapping> mapping;
    for (const virtio::Region& region : device_.memory().regions())
      if (region.guest == part.guest && region.size == part.size && region.mapping->own())
        mapping = region.mapping;
    if (!mapping) {
      auto fresh = virtio::Mapping::make_private(part.size, allowance_);
      NINEP_RETURN_IF_ERROR(fresh);
      mapping = std::move(*fresh);
    }
    const auto added = memory.add({.guest = part.guest,
                                   .size = part.size,
                                   .mapping = std::move(mapping),
                                   .writable = part.writable});
    NINEP_RETURN_IF_ERROR(added);
  }
  return {};
}

void Shadow::begin(const virtio::RingPlace& place) {
  in_use_ = true;
  place_ = place;
  seen_ = 0;
  sent_ = 0;
  of_ring_.clear();
  add_mappings(place.descriptors, table_size(), of_ring_);
  add_mappings(place.available, available_size(), of_ring_);
  add_mappings(place.used, used_size(), of_ring_);
  drop_all();
}

void Shadow::drop_all() {
  bytes_ = 0;
  for (const virtio::Region& region : device_.memory().regions()) region.mapping->drop();
}

void Shadow::end() {
  ++generation_;
  in_use_ = false;
  of_chains_.clear();
  pull_again_ = false;
  full_ = false;
}

// ------------------------------------------------------------------ what is here

std::vector<iovec> Shadow::here(U64 guest, U64 size) const {
  std::vector<iovec> pieces;
  if (!device_.memory().pieces(guest, size, virtio::Access::kRead, 1024, pieces)) pieces.clear();
  return pieces;
}

bool Shadow::is_cut_by(const virtio::Memory& next) const {
  Mappings there;
  for (const virtio::Region& region : next.regions()) there.insert(region.mapping.get());
  const auto are_lost = [&](const Mappings& mappings) {
    return !std::ranges::includes(there, mappings);
  };
  return are_lost(of_ring_) ||
         std::ranges::any_of(of_chains_, [&](const auto& chain) { return are_lost(chain.second); });
}

// Copies alone: buffers that are shared may go, and are held by requests.
void Shadow::add_mappings(U64 guest, U64 size, Mappings& mappings) const {
  for (const Copy& copy : copies(guest, size)) mappings.insert(copy.of);
}

// More than the device takes of a chain, of whose descriptors `steps` counts what they come to.
bool Shadow::is_too_much(const Descriptor& descriptor, std::size_t& steps) const {
  std::vector<iovec> pieces;
  return !device_.memory().pieces(descriptor.address, descriptor.length, virtio::Access::kRead,
                                  virtio::Virtqueue::kChainMax, pieces, steps);
}

template <class T>
T Shadow::load(U64 guest) const {
  T value{};
  gather(here(guest, sizeof value), std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

// Whether the chain ends in an indirect table.
bool Shadow::table_of(U16 head, Descriptor& table) const {
  U16 at = head;
  for (U32 seen = 0; seen < place_.size && at < place_.size; ++seen) {
    table = load<Descriptor>(place_.descriptors + 16 * U64{at});
    if (table.flags & kTable)
      return table.length % 16 == 0 && table.length / 16 <= virtio::Virtqueue::kChainMax;
    if (!(table.flags & kNext)) return false;
    at = table.next;
  }
  return false;
}

// As far as it makes sense: where it doesn't, the device gives the ring up.
std::vector<Shadow::Descriptor> Shadow::chain_of(U16 head) const {
  std::vector<Descriptor> chain;
  const auto walk = [&](U64 table, U32 count, U16 at) {
    while (chain.size() < virtio::Virtqueue::kChainMax && at < count) {
      const auto descriptor = load<Descriptor>(table + 16 * U64{at});
      if (descriptor.flags & kTable) return;
      chain.push_back(descriptor);
      if (!(descriptor.flags & kNext)) return;
      at = descriptor.next;
    }
  };
  walk(place_.descriptors, place_.size, head);
  if (Descriptor table; table_of(head, table)) walk(table.address, table.length / 16, 0);
  return chain;
}

// What [guest, guest + size) is part of. None: some of it is nowhere, which is the device's to
// refuse.
std::span<const virtio::Region> Shadow::regions(U64 guest, U64 size) const {
  if (here(guest, size).empty()) return {};
  const auto all = device_.memory().regions();
  const auto place = &virtio::Region::guest;
  return {std::prev(std::ranges::upper_bound(all, guest, {}, place)),
          std::ranges::upper_bound(all, guest + (size - 1), {}, place)};
}

// What of it is shadowed, in parts that one transfer takes.
std::vector<Shadow::Copy> Shadow::copies(U64 guest, U64 size) const {
  std::vector<Copy> copies;
  for (const virtio::Region& region : regions(guest, size)) {
    if (!region.mapping->own()) continue;
    U64 from = std::max(guest, region.guest);
    const U64 to = std::min(guest + size, region.guest + region.size);
    for (; from < to; from += Dma::kSizeMax)
      copies.push_back({from,
                        region.mapping.get(),
                        {region.mapping->data() + region.offset + (from - region.guest),
                         std::min<U64>(to - from, Dma::kSizeMax)}});
  }
  return copies;
}

io::Task<Status> Shadow::fetch(U64 guest, U64 size) {
  const unsigned generation = generation_;
  const auto held = device_.hold_memory();  // it may be unmapped meanwhile
  const auto wanted = copies(guest, size);
  for (const Copy& copy : wanted) {
    std::vector<std::byte> part(copy.room.size());
    auto reading = dma_.read(copy.guest, part);
    const auto read = co_await reading;
    if (!read || generation != generation_) co_return read;
    std::ranges::copy(part, copy.room.begin());
    bytes_ += cost(copy.room);
  }
  co_return Status();
}

io::Task<Status> Shadow::bring(U64 guest, U64 size) {
  const unsigned generation = generation_;
  const auto held = device_.hold_memory();  // it may be unmapped meanwhile
  const auto wanted = copies(guest, size);
  for (const Copy& copy : wanted) {
    auto writing = dma_.write(copy.guest, copy.room);
    const auto written = co_await writing;
    if (!written || generation != generation_) co_return written;
  }
  co_return Status();
}

// ------------------------------------------------------------------ from the guest

void Shadow::kicked() {
  pull_again_ = true;
  if (!std::exchange(pulling_, true)) scope_.spawn(pull());
}

io::Task<void> Shadow::pull() {
  while (std::exchange(pull_again_, false)) {
    if (!make_room()) break;
    const unsigned generation = generation_;
    auto pulling = pull_some();
    const auto pulled = co_await pulling;
    if (generation != generation_) continue;
    if (!pulled) {
      broken_();
      break;
    }
  }
  pulling_ = false;
}

// The index that the device looks at goes up when all that is before it is here.
io::Task<Status> Shadow::pull_some() {
  const unsigned generation = generation_;
  // The index before the entries: in one transfer they would come in any order.
  U16 index = 0;
  auto asking_index = dma_.read(available_index(), std::as_writable_bytes(std::span(&index, 1)));
  const auto index_came = co_await asking_index;
  if (!index_came || generation != generation_) co_return index_came;
  std::vector<std::byte> ring(available_size());
  for (std::size_t done = 0; done < ring.size();) {
    const std::size_t part = std::min(ring.size() - done, Dma::kSizeMax);
    auto reading = dma_.read(place_.available + done, std::span(ring).subspan(done, part));
    const auto read = co_await reading;
    if (!read || generation != generation_) co_return read;
    done += part;
  }
  std::memcpy(&ring[2], &seen_, sizeof seen_);
  scatter(ring, here(place_.available, ring.size()));
  if (index == seen_) co_return Status();
  if (static_cast<U16>(index - seen_) > place_.size) co_return fail(EINVAL);
  auto fetching = fetch(place_.descriptors, table_size());
  const auto fetched = co_await fetching;
  if (!fetched || generation != generation_) co_return fetched;
  for (; seen_ != index && bytes_ <= kBytesMax; ++seen_) {
    U16 head;
    std::memcpy(&head, &ring[kEntriesAt + 2 * std::size_t{seen_ & (place_.size - 1)}], sizeof head);
    auto pulling = pull_chain(head);
    const auto pulled = co_await pulling;
    if (!pulled || generation != generation_) co_return pulled;
  }
  scatter(std::as_bytes(std::span(&seen_, 1)), here(available_index(), sizeof seen_));
  device_.kicked();
  // From which request on the driver is to kick again; then what came before it knew.
  auto asking = bring(place_.used + used_size() - 2, 2);
  const auto asked = co_await asking;
  if (generation == generation_) pull_again_ = true;
  co_return asked;
}

io::Task<Status> Shadow::pull_chain(U16 head) {
  const unsigned generation = generation_;
  // What it lies in is noted before it is fetched: it may go meanwhile.
  if (Descriptor table; table_of(head, table)) {
    for (const virtio::Region& region : regions(table.address, table.length))
      of_chains_[head].insert(region.mapping.get());  // shared or not, it is read at the end, too
    auto fetching = fetch(table.address, table.length);
    const auto fetched = co_await fetching;
    if (!fetched || generation != generation_) co_return fetched;
  }
  U64 left = kChainBytesMax;
  U64 room_left = kChainBytesMax;
  std::size_t steps = 0;
  auto chain = chain_of(head);
  for (auto at = chain.begin(); at != chain.end(); ++at) {
    if (is_too_much(*at, steps)) {  // the device refuses it
      chain.erase(at, chain.end());
      break;
    }
    add_mappings(at->address, std::min<U64>(at->length, kChainBytesMax), of_chains_[head]);
  }
  for (const Descriptor& descriptor : chain) {
    if (descriptor.flags & kWrite) {  // a reply may fill it
      const U64 part = std::min<U64>(descriptor.length, room_left);
      room_left -= part;
      if (part != 0) bytes_ += (descriptor.address % 4096 + part + 4095) / 4096 * 4096;
      continue;
    }
    if (descriptor.length > left) break;
    left -= descriptor.length;
    auto fetching = fetch(descriptor.address, descriptor.length);
    const auto fetched = co_await fetching;
    if (!fetched || generation != generation_) co_return fetched;
  }
  co_return Status();
}

// False: what is under way has to end first; its end starts another pull.
bool Shadow::make_room() {
  full_ = false;
  if (bytes_ <= kBytesMax) return true;
  full_ = !device_.idle() || pushing_ || sent_ != load<U16>(used_index());
  if (full_) {
    pull_again_ = true;
    return false;
  }
  drop();
  return true;
}

// All but the ring.
void Shadow::drop() {
  std::vector<std::byte> available(available_size());
  std::vector<std::byte> used(used_size());
  gather(here(place_.available, available.size()), available);
  gather(here(place_.used, used.size()), used);
  for (const virtio::Region& region : device_.memory().regions()) region.mapping->drop();
  scatter(available, here(place_.available, available.size()));
  scatter(used, here(place_.used, used.size()));
  bytes_ = 0;
}

// ------------------------------------------------------------------ to the guest

void Shadow::given_back() {
  if (!std::exchange(pushing_, true)) scope_.spawn(push());
}

io::Task<void> Shadow::push() {
  while (in_use_ && load<U16>(used_index()) != sent_) {
    const unsigned generation = generation_;
    auto pushing = push_all();
    const auto pushed = co_await pushing;
    if (generation != generation_) continue;
    if (!pushed) {
      broken_();
      break;
    }
    pushed_();
  }
  pushing_ = false;
  if (full_) kicked();
}

// Replies, then their elements in the used ring, then its index.
io::Task<Status> Shadow::push_all() {
  const unsigned generation = generation_;
  for (U16 index; (index = load<U16>(used_index())) != sent_;) {
    for (; sent_ != index; ++sent_) {
      const U64 at = place_.used + kEntriesAt + 8 * U64{sent_ & (place_.size - 1)};
      const U32 head = load<U32>(at);
      auto chain_going = push_chain(static_cast<U16>(head), load<U32>(at + 4));
      const auto chain_gone = co_await chain_going;
      if (!chain_gone || generation != generation_) co_return chain_gone;
      auto element_going = bring(at, 8);
      const auto element_gone = co_await element_going;
      if (!element_gone || generation != generation_) co_return element_gone;
      of_chains_.erase(static_cast<U16>(head));
    }
    auto writing = dma_.write(used_index(), std::as_bytes(std::span(&index, 1)));
    const auto written = co_await writing;
    if (!written || generation != generation_) co_return written;
  }
  co_return Status();
}

io::Task<Status> Shadow::push_chain(U16 head, U32 written) {
  const unsigned generation = generation_;
  std::size_t steps = 0;
  const auto chain = chain_of(head);
  for (const Descriptor& descriptor : chain) {
    if (is_too_much(descriptor, steps)) break;
    if (!(descriptor.flags & kWrite)) continue;
    const U32 part = std::min(descriptor.length, written);
    if (part == 0) break;
    auto bringing = bring(descriptor.address, part);
    const auto brought = co_await bringing;
    if (!brought || generation != generation_) co_return brought;
    written -= part;
  }
  co_return Status();
}

}  // namespace ninep::vfio_user
