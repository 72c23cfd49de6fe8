#include "transports/vfio_user/device_server.h"

#include <algorithm>

namespace ninep::vfio_user {
namespace {

constexpr char kCapabilities[] =
    R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":65536,"max_dma_maps":1024,"pgsizes":4096}})";

}  // namespace

Answer DeviceServer::handle(Message& message) {
  Answer answer;
  const Header& header = message.header;
  if ((header.flags & kTypeMask) != 0) {
    answer.broken = true;
    answer.problem = "no command";
    return answer;
  }
  const bool first = header.command == static_cast<U16>(Command::kVersion);
  Status status = first == agreed_ ? fail(EPROTO) : carry_out(message, answer);
  if (!status) {
    answer.error = static_cast<U32>(status.error());
    answer.payload.clear();
    answer.problem = "message " + std::to_string(header.command) + ": " +
                     std::string(errno_text(status.error()));
    answer.broken = !agreed_;
  }
  return answer;
}

Status DeviceServer::carry_out(Message& message, Answer& answer) {
  const auto command = static_cast<Command>(message.header.command);
  const bool takes_descriptors = command == Command::kDmaMap || command == Command::kSetIrqs;
  if (!takes_descriptors && !message.descriptors.empty()) return fail(EINVAL);
  switch (command) {
    case Command::kVersion:
      return version(message.payload, answer);
    case Command::kDmaMap:
      return map(message);
    case Command::kDmaUnmap:
      return unmap(message.payload, answer);
    case Command::kDeviceInfo:
      answer.payload =
          bytes_of(DeviceInfo{sizeof(DeviceInfo), kDeviceReset | kDevicePci, kRegions, kIrqs});
      return {};
    case Command::kRegionInfo:
      return region_info(message.payload, answer);
    case Command::kIrqInfo:
      return irq_info(message.payload, answer);
    case Command::kSetIrqs:
      return set_irqs(message);
    case Command::kRegionRead:
      return region_read(message.payload, answer);
    case Command::kRegionWrite:
      return region_write(message.payload, answer);
    case Command::kReset:
      pci_.reset();
      return {};
    case Command::kRegionIoFds:  // kicks come as messages
    case Command::kDmaRead:
    case Command::kDmaWrite:
      break;
  }
  return fail(EOPNOTSUPP);
}

Status DeviceServer::version(Bytes payload, Answer& answer) {
  Version wanted;
  if (!read(payload, wanted)) return fail(EINVAL);
  if (wanted.major != 0) return fail(ENOTSUP);
  agreed_ = true;
  answer.payload = bytes_of(Version{0, 0});
  const auto text = std::as_bytes(std::span(kCapabilities));  // with its NUL
  answer.payload.insert(answer.payload.end(), text.begin(), text.end());
  return {};
}

// ------------------------------------------------------------------ memory

Status DeviceServer::map(Message& message) {
  DmaMap map;
  if (!read(message.payload, map) || message.descriptors.size() > 1) return fail(EINVAL);
  if (map.size == 0 || map.address + (map.size - 1) < map.address) return fail(EINVAL);
  const bool writable = map.flags & kDmaWritable;
  virtio::Memory memory = pci_.shared();
  std::vector<Shadow::Part> not_shared = pci_.not_shared();
  const auto overlaps = [&](const auto& part) {
    return map.address <= part.guest + (part.size - 1) &&
           part.guest <= map.address + (map.size - 1);
  };
  if (std::ranges::any_of(not_shared, overlaps) || std::ranges::any_of(memory.regions(), overlaps))
    return fail(EEXIST);
  if (message.descriptors.empty()) {
    if (not_shared.size() >= virtio::Memory::kRegionsMax) return fail(ENOSPC);
    not_shared.push_back({map.address, map.size, writable});
  } else {
    auto mapping = virtio::Mapping::make(std::move(message.descriptors[0]), map.offset, map.size,
                                         writable, transport::memory_of(party_));
    NINEP_RETURN_IF_ERROR(mapping);
    const auto added = memory.add({.guest = map.address,
                                   .size = map.size,
                                   .mapping = std::move(*mapping),
                                   .writable = writable});
    NINEP_RETURN_IF_ERROR(added);
  }
  return pci_.set_memory(std::move(memory), std::move(not_shared));
}

// Requests under way keep what they use; it is the client's memory, not the guest's address, that
// they end in. The protocol wants them to be over: but QEMU unmaps all of a guest's memory and maps
// it again when a part of it changes, as firmware does, and the guest waits for its replies.
Status DeviceServer::unmap(Bytes payload, Answer& answer) {
  DmaUnmap unmap;
  if (!read(payload, unmap)) return fail(EINVAL);
  if (unmap.flags & ~kDmaUnmapAll) return fail(EOPNOTSUPP);
  const bool all = unmap.flags & kDmaUnmapAll;
  const U64 last = unmap.address + (unmap.size - 1);
  if (!all && (unmap.size == 0 || last < unmap.address)) return fail(EINVAL);
  const auto within = [&](U64 address, U64 size) {
    return all || (address >= unmap.address && address + (size - 1) <= last);
  };
  const virtio::Memory shared = pci_.shared();
  virtio::Memory rest;
  for (const virtio::Region& region : shared.regions())
    if (!within(region.guest, region.size)) NINEP_CHECK(rest.add(region));
  std::vector<Shadow::Part> not_shared = pci_.not_shared();
  std::erase_if(not_shared, [&](const auto& part) { return within(part.guest, part.size); });
  if (!all && rest.size() + not_shared.size() == shared.size() + pci_.not_shared().size())
    return fail(ENOENT);
  answer.payload.assign(payload.begin(), payload.begin() + sizeof unmap);
  return pci_.set_memory(std::move(rest), std::move(not_shared));
}

// ------------------------------------------------------------------ interrupts

U32 DeviceServer::irq_count(U32 index) const {
  if (index == kMsix) return pci_.has_msix() ? PciDevice::kVectors : 0;
  return index == kIntx || index == kErrorIrq || index == kRequestIrq ? 1 : 0;
}

Status DeviceServer::irq_info(Bytes payload, Answer& answer) {
  IrqInfo info;
  if (!read(payload, info) || info.index >= kIrqs) return fail(EINVAL);
  info.argsz = sizeof info;
  info.count = irq_count(info.index);
  info.flags = kIrqEventfd;
  if (info.index == kIntx) info.flags |= kIrqMaskable | kIrqAutomasked;
  if (info.index == kMsix) info.flags |= kIrqNoResize;
  answer.payload = bytes_of(info);
  return {};
}

Status DeviceServer::set_irqs(Message& message) {
  SetIrqs set;
  if (!read(message.payload, set) || set.index >= kIrqs) return fail(EINVAL);
  const U32 count = irq_count(set.index);
  if (set.start > count || set.count > count - set.start) return fail(EINVAL);
  const U32 action = set.flags & kIrqActionMask;
  const U32 data = set.flags & kIrqDataMask;
  if (set.index == kErrorIrq || set.index == kRequestIrq) return {};  // there is nothing to tell
  if (action == kIrqMask || action == kIrqUnmask) {
    if (data != kIrqDataNone) return fail(EOPNOTSUPP);  // QEMU sends messages then
    if (set.index == kIntx) pci_.mask_intx(action == kIrqMask);
    return {};
  }
  if (action != kIrqTrigger) return fail(EINVAL);
  const auto change = [&](U32 vector, virtio::Signal signal) {
    if (set.index == kIntx) {
      pci_.set_intx(std::move(signal));
    } else {
      pci_.set_msix(vector, std::move(signal));
    }
  };
  if (data == kIrqDataNone && set.count == 0) {  // none of them any more
    for (U32 i = 0; i < count; ++i) change(i, {});
    return {};
  }
  if (data == kIrqDataNone) {
    for (U32 i = set.start; i < set.start + set.count; ++i)
      if (set.index == kIntx) {
        pci_.send_intx();
      } else {
        pci_.send_msix(i);
      }
    return {};
  }
  if (data != kIrqDataEventfd) return fail(EOPNOTSUPP);
  if (message.descriptors.size() > set.count) return fail(EINVAL);
  std::vector<virtio::Signal> signals;
  for (io::OwnedFd& fd : message.descriptors) {
    auto signal = virtio::Signal::make(std::move(fd));
    NINEP_RETURN_IF_ERROR(signal);
    signals.push_back(std::move(*signal));
  }
  signals.resize(set.count);  // those without a descriptor
  for (U32 i = 0; i < set.count; ++i) change(set.start + i, std::move(signals[i]));
  return {};
}

// ------------------------------------------------------------------ regions

Status DeviceServer::region_info(Bytes payload, Answer& answer) {
  RegionInfo info;
  if (!read(payload, info) || info.index >= kRegions) return fail(EINVAL);
  info = {.argsz = sizeof info,
          .flags = 0,
          .index = info.index,
          .capabilities = 0,
          .size = pci_.region_size(info.index),
          .offset = 0};
  if (info.size != 0) info.flags = kRegionReadable | kRegionWritable;
  answer.payload = bytes_of(info);
  return {};
}

Status DeviceServer::region_read(Bytes payload, Answer& answer) {
  RegionAccess access;
  if (!read(payload, access) || access.count > kTransferMax) return fail(EINVAL);
  answer.payload = bytes_of(access);
  answer.payload.resize(sizeof access + access.count);
  return pci_.read(access.region, access.offset, std::span(answer.payload).subspan(sizeof access));
}

Status DeviceServer::region_write(Bytes payload, Answer& answer) {
  RegionAccess access;
  if (!read(payload, access) || access.count != payload.size() - sizeof access) return fail(EINVAL);
  answer.payload = bytes_of(access);
  return pci_.write(access.region, access.offset, payload.subspan(sizeof access));
}

}  // namespace ninep::vfio_user
