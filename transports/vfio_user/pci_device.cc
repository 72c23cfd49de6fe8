#include "transports/vfio_user/pci_device.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <unistd.h>

#include "proto/check.h"
#include "transports/vfio_user/message.h"

namespace ninep::vfio_user {
namespace {

// device_status.
constexpr U8 kFeaturesOk = 8;
constexpr U8 kDriverOk = 4;
constexpr U8 kNeedsReset = 64;
constexpr U16 kNoVector = 0xFFFF;
constexpr U32 kQueueSize = 128;  // what Linux's driver asks for at most; it may take less

// isr.
constexpr U8 kIsrQueue = 1;
constexpr U8 kIsrConfig = 2;

// The registers' parts, in kRegistersBar.
constexpr U64 kPart = 0x1000;
constexpr U64 kCommonAt = 0 * kPart;
constexpr U64 kIsrAt = 1 * kPart;
constexpr U64 kDeviceAt = 2 * kPart;
constexpr U64 kNotifyAt = 3 * kPart;

// The capabilities, in the configuration space.
constexpr U32 kFirstCapability = 0x40;

}  // namespace

PciDevice::PciDevice(io::Loop& loop, Dma& dma, std::string_view tag, bool msix,
                     const std::shared_ptr<transport::Party>& party, const transport::Peer& peer,
                     const transport::MakeHandler& make_handler)
    : msix_(msix),
      device_(loop, *this, tag, peer, make_handler),
      shadow_(
          dma, device_, transport::memory_of(party), [this] { interrupt(); },
          [this] { queue_broken(); }) {
  make_config();
  reset();
}

PciDevice::~PciDevice() { NINEP_CHECK(!ending_); }

// ------------------------------------------------------------------ configuration space

void PciDevice::make_config() {
  const auto put = [this](U32 at, auto value, auto writable) {
    std::memcpy(&config_[at], &value, sizeof value);
    std::memcpy(&config_writable_[at], &writable, sizeof value);
  };
  const auto constant = [&](U32 at, auto value) { put(at, value, decltype(value){0}); };
  constant(PCI_VENDOR_ID, U16{0x1AF4});
  constant(PCI_DEVICE_ID, U16{0x1040 + virtio::kDeviceId});
  put(PCI_COMMAND, U16{0}, U16{PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE});
  constant(PCI_STATUS, U16{PCI_STATUS_CAP_LIST});
  constant(PCI_CLASS_REVISION, U32{0x08800001});  // a peripheral of no other class, revision 1
  put(PCI_BASE_ADDRESS_0, U32{0}, ~(kRegistersSize - 1));
  if (msix_) put(PCI_BASE_ADDRESS_1, U32{0}, ~(kMsixSize - 1));
  constant(PCI_SUBSYSTEM_VENDOR_ID, U16{0x1AF4});
  constant(PCI_SUBSYSTEM_ID, U16{0x1100});
  constant(PCI_CAPABILITY_LIST, U8{kFirstCapability});
  put(PCI_INTERRUPT_LINE, U8{0}, U8{0xFF});
  constant(PCI_INTERRUPT_PIN, U8{1});

  U32 at = kFirstCapability;
  U32 link = 0;
  const auto next = [&](U32 size) {
    if (link) config_[link] = static_cast<std::byte>(at);
    link = at + PCI_CAP_LIST_NEXT;
    at += (size + 3) & ~3u;
  };
  const auto virtio_part = [&](U8 type, U64 offset, U64 size, U8 length) {
    const virtio_pci_cap part{.cap_vndr = PCI_CAP_ID_VNDR,
                              .cap_next = 0,
                              .cap_len = length,
                              .cfg_type = type,
                              .bar = kRegistersBar,
                              .id = 0,
                              .padding = {},
                              .offset = static_cast<U32>(offset),
                              .length = static_cast<U32>(size)};
    std::memcpy(&config_[at], &part, sizeof part);
    next(length);
  };
  virtio_part(VIRTIO_PCI_CAP_COMMON_CFG, kCommonAt, sizeof(Common), sizeof(virtio_pci_cap));
  virtio_part(VIRTIO_PCI_CAP_ISR_CFG, kIsrAt, 1, sizeof(virtio_pci_cap));
  virtio_part(VIRTIO_PCI_CAP_DEVICE_CFG, kDeviceAt, virtio::kConfigSize, sizeof(virtio_pci_cap));
  constant(at + sizeof(virtio_pci_cap), U32{4});  // notify_off_multiplier
  virtio_part(VIRTIO_PCI_CAP_NOTIFY_CFG, kNotifyAt, 4, sizeof(virtio_pci_notify_cap));
  window_ = at;
  put(at + offsetof(virtio_pci_cap, bar), U8{0}, U8{0xFF});
  virtio_part(VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(virtio_pci_cap) + sizeof(U32));
  const U32 ones = ~U32{0};
  std::memcpy(&config_writable_[window_ + offsetof(virtio_pci_cap, offset)], &ones, sizeof ones);
  std::memcpy(&config_writable_[window_ + offsetof(virtio_pci_cap, length)], &ones, sizeof ones);
  std::memcpy(&config_writable_[window_ + sizeof(virtio_pci_cap)], &ones, sizeof ones);
  if (msix_) {
    constant(at + PCI_CAP_LIST_ID, U8{PCI_CAP_ID_MSIX});
    put(at + PCI_MSIX_FLAGS, U16{kVectors - 1},
        U16{PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL});
    constant(at + PCI_MSIX_TABLE, U32{kMsixBar});
    constant(at + PCI_MSIX_PBA, U32{kMsixBar | kMsixSize / 2});
    next(PCI_CAP_MSIX_SIZEOF);
  }
}

U16 PciDevice::command() const {
  U16 command;
  std::memcpy(&command, &config_[PCI_COMMAND], sizeof command);
  return command;
}

void PciDevice::write_config(U64 offset, Bytes data) {
  const U16 before = command();
  const U64 begin = offset;
  for (const std::byte byte : data) {
    const std::byte writable = config_writable_[offset];
    config_[offset] = (config_[offset] & ~writable) | (byte & writable);
    ++offset;
  }
  if (before & ~command() & PCI_COMMAND_MASTER) master_lost();
  if ((before & ~command() & PCI_COMMAND_INTX_DISABLE) && isr_ != 0) raise_intx();
  if (touches_window(begin, data.size())) {
    if (const auto window = window_at())
      static_cast<void>(write(window->region, window->offset, window->data));
  }
}

// VIRTIO_PCI_CAP_PCI_CFG: a window of the configuration space on the registers.
bool PciDevice::touches_window(U64 offset, std::size_t size) const {
  const U64 data = window_ + sizeof(virtio_pci_cap);
  return size != 0 && offset < data + sizeof(U32) && data < offset + size;
}

std::optional<PciDevice::Window> PciDevice::window_at() {
  virtio_pci_cap to;
  std::memcpy(&to, &config_[window_], sizeof to);
  const bool fits = to.length == 1 || to.length == 2 || to.length == 4;
  if (!fits || to.offset % to.length != 0 || to.bar != kRegistersBar) return {};
  return Window{to.bar, to.offset,
                std::span(config_).subspan(window_ + sizeof(virtio_pci_cap), to.length)};
}

// ------------------------------------------------------------------ regions

U32 PciDevice::region_size(U32 region) const {
  if (region == kRegistersBar) return kRegistersSize;
  if (region == kMsixBar && msix_) return kMsixSize;
  return region == kConfigRegion ? kConfigSize : 0;
}

Status PciDevice::read(U32 region, U64 offset, Room out) {
  const U32 size = region_size(region);
  if (offset > size || out.size() > size - offset) return fail(EINVAL);
  const auto copy = [&](Bytes from, U64 begin) {
    // A part, and zeros behind it.
    std::ranges::fill(out, std::byte{0});
    if (offset - begin < from.size()) {
      const Bytes rest = from.subspan(offset - begin);
      std::ranges::copy(rest.first(std::min(rest.size(), out.size())), out.begin());
    }
  };
  if (region == kConfigRegion) {
    if (touches_window(offset, out.size())) {
      if (const auto window = window_at())
        static_cast<void>(read(window->region, window->offset, window->data));
    }
    const U8 pending = isr_ != 0 ? PCI_STATUS_INTERRUPT : 0;
    config_[PCI_STATUS] = std::byte{static_cast<U8>(PCI_STATUS_CAP_LIST | pending)};
    copy(config_, 0);
  } else if (region == kMsixBar) {
    copy(msix_table_, 0);
  } else if (offset < kIsrAt) {
    const Common registers = common();
    copy(std::as_bytes(std::span(&registers, 1)), kCommonAt);
  } else if (offset < kDeviceAt) {
    const std::byte isr{isr_};
    copy(Bytes(&isr, 1), kIsrAt);
    if (offset == kIsrAt && !out.empty()) isr_ = 0;  // it is cleared by being read
  } else if (offset < kNotifyAt) {
    copy(device_.config(), kDeviceAt);
  } else {
    std::ranges::fill(out, std::byte{0});
  }
  return {};
}

Status PciDevice::write(U32 region, U64 offset, Bytes data) {
  const U32 size = region_size(region);
  if (offset > size || data.size() > size - offset) return fail(EINVAL);
  if (region == kConfigRegion) {
    write_config(offset, data);
  } else if (region == kMsixBar) {
    std::ranges::copy(data, msix_table_.begin() + static_cast<std::ptrdiff_t>(offset));
  } else if (offset < kIsrAt) {
    write_common(offset - kCommonAt, data);
  } else if (offset >= kNotifyAt) {
    if (shadow_.in_use()) {
      shadow_.kicked();
    } else {
      device_.kicked();
    }
  }
  return {};
}

// ------------------------------------------------------------------ virtio's registers

PciDevice::Common PciDevice::common() const {
  Common c{};
  c.device_feature_select = device_feature_select_;
  if (device_feature_select_ < 2)
    c.device_feature = static_cast<U32>(virtio::Device::kFeatures >> (32 * device_feature_select_));
  c.driver_feature_select = driver_feature_select_;
  if (driver_feature_select_ < 2)
    c.driver_feature = static_cast<U32>(driver_features_ >> (32 * driver_feature_select_));
  c.config_vector = config_vector_;
  c.queues = 1;
  c.status = status_;
  c.queue_select = queue_select_;
  if (queue_select_ != 0) return c;  // size 0: there is no such queue
  c.queue_size = static_cast<U16>(place_.size);
  c.queue_vector = queue_vector_;
  c.queue_enable = queue_enabled_;
  c.descriptors = place_.descriptors;
  c.available = place_.available;
  c.used = place_.used;
  return c;
}

void PciDevice::write_common(U64 offset, Bytes data) {
  if (offset >= sizeof(Common) || data.size() > sizeof(Common) - offset) return;
  const auto touched = [&](std::size_t at, std::size_t size) {
    return offset < at + size && at < offset + data.size();
  };
#define NINEP_TOUCHED(field) touched(offsetof(Common, field), sizeof(Common::field))
  Common c = common();
  std::memcpy(reinterpret_cast<std::byte*>(&c) + offset, data.data(), data.size());
  const auto vector = [&](U16 wanted) { return msix_ && wanted < kVectors ? wanted : kNoVector; };
  if (NINEP_TOUCHED(device_feature_select)) device_feature_select_ = c.device_feature_select;
  if (NINEP_TOUCHED(driver_feature_select)) driver_feature_select_ = c.driver_feature_select;
  if (NINEP_TOUCHED(driver_feature) && driver_feature_select_ < 2 && !(status_ & kFeaturesOk)) {
    const unsigned shift = 32 * driver_feature_select_;
    driver_features_ &= ~(U64{0xFFFFFFFF} << shift);
    driver_features_ |= U64{c.driver_feature} << shift;
  }
  if (NINEP_TOUCHED(config_vector)) config_vector_ = vector(c.config_vector);
  if (NINEP_TOUCHED(queue_select)) queue_select_ = c.queue_select;
  if (queue_select_ == 0) {
    if (NINEP_TOUCHED(queue_vector)) queue_vector_ = vector(c.queue_vector);
    if (!queue_enabled_) {  // where a ring is doesn't change while it is used
      if (NINEP_TOUCHED(queue_size)) place_.size = std::min<U32>(c.queue_size, kQueueSize);
      if (NINEP_TOUCHED(descriptors)) place_.descriptors = c.descriptors;
      if (NINEP_TOUCHED(available)) place_.available = c.available;
      if (NINEP_TOUCHED(used)) place_.used = c.used;
      if (NINEP_TOUCHED(queue_enable)) queue_enabled_ = c.queue_enable == 1;
    }
  }
  if (NINEP_TOUCHED(status)) set_status(c.status);
#undef NINEP_TOUCHED
}

void PciDevice::set_status(U8 status) {
  if (status == 0) return reset();
  if (ending_) return;  // the driver has to wait for the reset's end
  const U8 fresh = status & ~status_;
  status_ |= status;
  const bool understood =
      !(driver_features_ & ~virtio::Device::kFeatures) && (driver_features_ & virtio::kVersion1);
  if ((fresh & kFeaturesOk) && !understood) status_ &= static_cast<U8>(~kFeaturesOk);
  if ((fresh & kDriverOk) && (status_ & kFeaturesOk)) start();
}

void PciDevice::start() {
  if (!queue_enabled_ || device_.running()) return;
  if (!start_ring()) queue_broken();
}

// The ring is in shared memory, or all of the guest's memory is shadowed.
Status PciDevice::start_ring() {
  virtio::Memory all = shared();
  device_.set_memory(all);
  if (const auto started = device_.start(place_, driver_features_, 0);
      started || started.error() != Errno{EFAULT})
    return started;
  const auto added = shadow_.add(not_shared_, all);
  NINEP_RETURN_IF_ERROR(added);
  device_.set_memory(std::move(all));
  shadow_.begin(place_);
  const auto started = device_.start(place_, driver_features_, 0);
  if (started) {
    shadow_.kicked();
  } else {
    shadow_.end();
  }
  return started;
}

// What the device has, less copies.
virtio::Memory PciDevice::shared() const {
  virtio::Memory shared;
  for (const virtio::Region& region : device_.memory().regions())
    if (!region.mapping->own()) NINEP_CHECK(shared.add(region));
  return shared;
}

Status PciDevice::set_memory(virtio::Memory shared, std::vector<Shadow::Part> not_shared) {
  if (shadow_.in_use()) {
    const auto added = shadow_.add(not_shared, shared);
    NINEP_RETURN_IF_ERROR(added);
    if (shadow_.is_cut_by(shared)) {
      queue_broken();
      lose_ring();
    }
  }
  device_.set_memory(std::move(shared));
  not_shared_ = std::move(not_shared);
  return {};
}

void PciDevice::reset() {
  device_feature_select_ = 0;
  driver_feature_select_ = 0;
  driver_features_ = 0;
  config_vector_ = kNoVector;
  queue_vector_ = kNoVector;
  queue_select_ = 0;
  queue_enabled_ = false;
  place_ = {.size = kQueueSize};
  isr_ = 0;
  reset_ = true;
  let_go(virtio::Device::Patience::kSome);
}

// The status of a reset device is 0 when it has let go of the ring.
void PciDevice::let_go(virtio::Device::Patience patience) {
  shadow_.end();
  if (!device_.running()) {
    if (reset_) status_ = 0;
  } else if (!ending_) {
    ending_ = true;
    resets_.spawn(ending(patience));
  }
}

io::Task<void> PciDevice::ending(virtio::Device::Patience patience) {
  auto resetting = device_.reset(patience);
  co_await resetting;
  shadow_.drop_all();
  ending_ = false;
  if (reset_) status_ = 0;
}

// The ring is of no use until a reset; nothing is read or written from now on.
void PciDevice::lose_ring() {
  reset_ = false;
  let_go(virtio::Device::Patience::kNone);
}

// Whoever takes it from a device at work (a kernel that starts another one does) is to find the
// guest's memory as it leaves it, and no interrupt.
void PciDevice::master_lost() {
  if (!device_.running() || ending_) return;
  status_ |= kNeedsReset;
  lose_ring();
}

io::Task<void> PciDevice::close() {
  reset();
  auto resetting = resets_.all_done();
  co_await resetting;
  auto closing = device_.close();
  co_await closing;
  auto shadow_ending = shadow_.all_done();
  co_await shadow_ending;
}

// ------------------------------------------------------------------ interrupts

void PciDevice::set_intx(virtio::Signal signal) {
  intx_ = std::move(signal);
  intx_masked_ = false;
  if (isr_ != 0) raise_intx();
}

void PciDevice::set_msix(U32 vector, virtio::Signal signal) {
  vectors_[vector] = std::move(signal);
}

void PciDevice::send_intx() { intx_.send(); }
void PciDevice::send_msix(U32 vector) { vectors_[vector].send(); }

void PciDevice::mask_intx(bool masked) {
  intx_masked_ = masked;
  if (!masked && isr_ != 0) raise_intx();  // the line is still up
}

void PciDevice::raise(U16 vector) {
  if (std::ranges::any_of(vectors_, [](const virtio::Signal& signal) { return bool(signal); })) {
    if (vector != kNoVector) vectors_[vector].send();
  } else {
    raise_intx();
  }
}

void PciDevice::raise_intx() {
  if (!intx_ || intx_masked_ || (command() & PCI_COMMAND_INTX_DISABLE)) return;
  intx_masked_ = true;  // as the line stays up, until the client has seen to it
  intx_.send();
}

// Replies that are still here are told of when they are there.
void PciDevice::raise_interrupt() {
  if (!shadow_.in_use()) interrupt();
}

void PciDevice::given_back() {
  if (shadow_.in_use()) shadow_.given_back();
}

void PciDevice::interrupt() {
  if (ending_) return;  // whoever is to hear of it has gone
  isr_ |= kIsrQueue;
  raise(queue_vector_);
}

void PciDevice::queue_broken() {
  if (ending_) return;
  status_ |= kNeedsReset;
  isr_ |= kIsrConfig;
  if (status_ & kDriverOk) raise(config_vector_);
}

}  // namespace ninep::vfio_user
