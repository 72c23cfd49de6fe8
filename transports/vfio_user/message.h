// The messages of vfio-user: header and payloads. The specification is docs/interop/vfio-user.rst
// of QEMU; numbers of regions and interrupts are those of linux/vfio.h. All are in the host's
// order.
#pragma once

#include <cstring>
#include <vector>

#include "proto/types.h"

namespace ninep::vfio_user {

enum class Command : U16 {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kDeviceInfo = 4,
  kRegionInfo = 5,
  kRegionIoFds = 6,
  kIrqInfo = 7,
  kSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   // ours
  kDmaWrite = 12,  // ours
  kReset = 13,
};

struct Header {
  U16 id;
  U16 command;
  U32 size;  // header included
  U32 flags;
  U32 error;  // errno, in a reply with kError
};
static_assert(sizeof(Header) == 16);
inline constexpr U32 kTypeMask = 15;  // flags: 0 a command, 1 a reply
inline constexpr U32 kReply = 1;
inline constexpr U32 kNoReply = 1 << 4;
inline constexpr U32 kError = 1 << 5;
/// The largest transfer that is agreed on: a region has 16 KiB.
inline constexpr U32 kTransferMax = 65536;
inline constexpr U32 kPayloadMax = kTransferMax + 64;

struct Version {
  U16 major;
  U16 minor;
};  // then JSON, NUL-terminated
struct DmaMap {
  U32 argsz;
  U32 flags;
  U64 offset;  // into the descriptor's file, if one comes along
  U64 address;
  U64 size;
};
inline constexpr U32 kDmaWritable = 2;
struct DmaUnmap {
  U32 argsz;
  U32 flags;
  U64 address;
  U64 size;
};
inline constexpr U32 kDmaUnmapAll = 2;
struct DeviceInfo {
  U32 argsz;
  U32 flags;
  U32 regions;
  U32 irqs;
};
inline constexpr U32 kDeviceReset = 1;
inline constexpr U32 kDevicePci = 2;
struct RegionInfo {
  U32 argsz;
  U32 flags;
  U32 index;
  U32 capabilities;
  U64 size;
  U64 offset;
};
inline constexpr U32 kRegionReadable = 1;
inline constexpr U32 kRegionWritable = 2;
struct IrqInfo {
  U32 argsz;
  U32 flags;
  U32 index;
  U32 count;
};
inline constexpr U32 kIrqEventfd = 1;
inline constexpr U32 kIrqMaskable = 2;
inline constexpr U32 kIrqAutomasked = 4;
inline constexpr U32 kIrqNoResize = 8;
struct SetIrqs {
  U32 argsz;
  U32 flags;
  U32 index;
  U32 start;
  U32 count;
};  // then a byte for each, with kIrqDataBool
inline constexpr U32 kIrqDataNone = 1;
inline constexpr U32 kIrqDataBool = 2;
inline constexpr U32 kIrqDataEventfd = 4;
inline constexpr U32 kIrqDataMask = 7;
inline constexpr U32 kIrqMask = 8;
inline constexpr U32 kIrqUnmask = 16;
inline constexpr U32 kIrqTrigger = 32;
inline constexpr U32 kIrqActionMask = 56;
struct RegionAccess {
  U64 offset;
  U32 region;
  U32 count;
};  // then the data

/// kDmaRead, kDmaWrite: then the data, of a write's command or a read's reply.
struct DmaAccess {
  U64 address;
  U64 count;
};

/// Regions: BARs are 0 to 5.
inline constexpr U32 kConfigRegion = 7;
inline constexpr U32 kRegions = 9;
/// Interrupts.
inline constexpr U32 kIntx = 0;
inline constexpr U32 kMsix = 2;
inline constexpr U32 kErrorIrq = 3;
inline constexpr U32 kRequestIrq = 4;
inline constexpr U32 kIrqs = 5;

/// Reads a T from a payload's start; false: it is shorter.
template <class T>
bool read(Bytes payload, T& value) {
  if (payload.size() < sizeof value) return false;
  std::memcpy(&value, payload.data(), sizeof value);
  return true;
}
template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  return {at, at + sizeof value};
}

}  // namespace ninep::vfio_user
