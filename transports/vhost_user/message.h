// The messages of vhost-user: header, payloads, which descriptors come along. The specification is
// docs/interop/vhost-user.rst of QEMU; all numbers are in the host's order.
#pragma once

#include <cstring>
#include <vector>

#include "proto/types.h"

namespace ninep::vhost_user {

enum class Request : U32 {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kResetOwner = 4,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kSetBackendReqFd = 21,
  kGetConfig = 24,
  kSetConfig = 25,
  kResetDevice = 34,
  kVringKick = 35,
  kGetMaxMemSlots = 36,
  kAddMemReg = 37,
  kRemMemReg = 38,
};
/// From the back end, on the channel of kSetBackendReqFd.
enum class BackendRequest : U32 { kVringCall = 4 };

struct Header {
  U32 request;
  U32 flags;
  U32 size;  // of the payload
};
inline constexpr U32 kVersion = 1;  // flags, the two lowest bits
inline constexpr U32 kVersionMask = 3;
inline constexpr U32 kReply = 1 << 2;
inline constexpr U32 kNeedReply = 1 << 3;
inline constexpr U32 kPayloadMax = 4096;

/// Feature bit of VIRTIO that says that the protocol has features of its own.
inline constexpr U64 kProtocolFeatures = U64{1} << 30;
namespace feature {
inline constexpr U64 kMq = 1 << 0;
inline constexpr U64 kReplyAck = 1 << 3;
inline constexpr U64 kBackendReq = 1 << 5;
inline constexpr U64 kConfig = 1 << 9;
inline constexpr U64 kResetDevice = 1 << 13;
inline constexpr U64 kInbandNotifications = 1 << 14;
inline constexpr U64 kConfigureMemSlots = 1 << 15;
inline constexpr U64 kAll = kMq | kReplyAck | kBackendReq | kConfig | kResetDevice |
                            kInbandNotifications | kConfigureMemSlots;
}  // namespace feature

struct VringState {
  U32 index;
  U32 number;
};
struct VringAddress {
  U32 index;
  U32 flags;
  U64 descriptors;  // the front end's own addresses
  U64 used;
  U64 available;
  U64 log;
};
/// kSetVringKick, -Call, -Err: the queue, and whether there is no descriptor.
inline constexpr U64 kVringIndexMask = 0xFF;
inline constexpr U64 kNoDescriptor = 1 << 8;

struct MemoryRegion {
  U64 guest;
  U64 size;
  U64 user;
  U64 offset;  // into the descriptor's file
};
inline constexpr U32 kTableRegionsMax = 8;  // of one kSetMemTable
inline constexpr U64 kSlotsMax = 509;       // of kAddMemReg in all, as QEMU's own back ends have it
/// kSetMemTable: count[4] padding[4], then regions.
inline constexpr std::size_t kTableHeadSize = 8;
/// kAddMemReg, kRemMemReg: padding[8], then a region.
inline constexpr std::size_t kSingleHeadSize = 8;

struct ConfigHead {
  U32 offset;
  U32 size;
  U32 flags;
};

/// Reads a T at `at` of a payload; false: it ends before.
template <class T>
bool read(Bytes payload, std::size_t at, T& value) {
  if (payload.size() < at || payload.size() - at < sizeof value) return false;
  std::memcpy(&value, payload.data() + at, sizeof value);
  return true;
}
template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  return {at, at + sizeof value};
}

}  // namespace ninep::vhost_user
