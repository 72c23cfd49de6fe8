// The basic types and constants of 9P2000, 9P2000.u and 9P2000.L.
//
// Everything is little-endian on the wire; the types here are host order. Source of each number:
// intro(5) of Plan 9, and the Linux headers for the .u and .L additions (docs/protocol.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace ninep {

using U8 = std::uint8_t;
using U16 = std::uint16_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

/// A client's handle on a file; chosen by the client, any value but kNoFid. Per connection.
enum class Fid : U32 {};
/// Pairs a reply with its request. Per connection; at most one request in flight for each.
enum class Tag : U16 {};

inline constexpr Fid kNoFid{0xFFFFFFFF};
inline constexpr Tag kNoTag{0xFFFF};              // the tag of Tversion and Rversion
inline constexpr U32 kNoNumericUid = 0xFFFFFFFF;  // n_uname not given: uname decides

/// A view of bytes that somebody else owns: in a decoded message, the frame it was decoded from.
using Bytes = std::span<const std::byte>;
/// Room for bytes that somebody else owns.
using Room = std::span<std::byte>;
/// A string of the wire: any bytes, at most 65,535, not NUL-terminated; owned like Bytes.
using Str = std::string_view;

inline Bytes as_bytes(Str s) { return std::as_bytes(std::span(s)); }
inline Str as_str(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// A set of dialects. A connection has exactly one, agreed by Tversion.
enum class Dialects : U8 {};
inline constexpr Dialects kNone{0};
inline constexpr Dialects k9P2000{1};
inline constexpr Dialects kDotU{2};
inline constexpr Dialects kDotL{4};
inline constexpr Dialects kOld{3};   // 9P2000 and 9P2000.u
inline constexpr Dialects kUnix{6};  // 9P2000.u and 9P2000.L
inline constexpr Dialects kAny{7};

constexpr bool has(Dialects set, Dialects one) {
  return (static_cast<U8>(set) & static_cast<U8>(one)) != 0;
}

/// "9P2000", "9P2000.u" or "9P2000.L".
constexpr Str dialect_name(Dialects one) {
  return one == kDotL ? "9P2000.L" : one == kDotU ? "9P2000.u" : "9P2000";
}

// Sizes, in bytes, and other limits of the protocol.
inline constexpr U32 kHeaderSize = 7;  // size[4] type[1] tag[2]
inline constexpr U32 kReadHeaderSize =
    11;  // a header and count[4]: what stands before Rread's data
inline constexpr U32 kWriteHeaderSize = 23;
inline constexpr U32 kQidSize = 13;
inline constexpr U32 kIoHeaderSize = 24;  // IOHDRSZ: what clients keep free of msize for a header
inline constexpr U32 kWalkNamesMax = 16;  // MAXWELEM
inline constexpr U32 kStringMax = 0xFFFF;

/// qid.type; also bits 24 to 31 of a 9P2000 or .u mode.
enum QidType : U8 {
  kQtFile = 0x00,
  kQtLink = 0x01,
  kQtSymlink = 0x02,
  kQtTmp = 0x04,
  kQtAuth = 0x08,
  kQtMount = 0x10,
  kQtExcl = 0x20,
  kQtAppend = 0x40,
  kQtDir = 0x80,
};

/// Open flags of .L: these numbers on every host. open(2) of Linux on x86.
namespace lopen {
inline constexpr U32 kAccessMode = 03;
inline constexpr U32 kReadOnly = 00;
inline constexpr U32 kWriteOnly = 01;
inline constexpr U32 kReadWrite = 02;
inline constexpr U32 kCreate = 0100;
inline constexpr U32 kExclusive = 0200;
inline constexpr U32 kNoCtty = 0400;
inline constexpr U32 kTruncate = 01000;
inline constexpr U32 kAppend = 02000;
inline constexpr U32 kNonBlock = 04000;
inline constexpr U32 kDsync = 010000;
inline constexpr U32 kFasync = 020000;
inline constexpr U32 kDirect = 040000;
inline constexpr U32 kLargeFile = 0100000;
inline constexpr U32 kDirectory = 0200000;
inline constexpr U32 kNoFollow = 0400000;
inline constexpr U32 kNoAtime = 01000000;
inline constexpr U32 kCloseOnExec = 02000000;
inline constexpr U32 kSync = 04000000;
}  // namespace lopen

/// Tgetattr's request_mask, Rgetattr's valid.
namespace getattr {
inline constexpr U64 kMode = 0x1;
inline constexpr U64 kNlink = 0x2;
inline constexpr U64 kUid = 0x4;
inline constexpr U64 kGid = 0x8;
inline constexpr U64 kRdev = 0x10;
inline constexpr U64 kAtime = 0x20;
inline constexpr U64 kMtime = 0x40;
inline constexpr U64 kCtime = 0x80;
inline constexpr U64 kIno = 0x100;
inline constexpr U64 kSize = 0x200;
inline constexpr U64 kBlocks = 0x400;
inline constexpr U64 kBtime = 0x800;
inline constexpr U64 kGen = 0x1000;
inline constexpr U64 kDataVersion = 0x2000;
inline constexpr U64 kBasic = 0x7ff;
}  // namespace getattr

/// Tsetattr's valid.
namespace setattr {
inline constexpr U32 kMode = 0x1;
inline constexpr U32 kUid = 0x2;
inline constexpr U32 kGid = 0x4;
inline constexpr U32 kSize = 0x8;
inline constexpr U32 kAtime = 0x10;  // to the server's now, unless kAtimeSet comes too
inline constexpr U32 kMtime = 0x20;
inline constexpr U32 kCtime = 0x40;
inline constexpr U32 kAtimeSet = 0x80;
inline constexpr U32 kMtimeSet = 0x100;
}  // namespace setattr

/// Locks: type, flags and Rlock's status.
namespace lock {
inline constexpr U8 kRead = 0;
inline constexpr U8 kWrite = 1;
inline constexpr U8 kUnlock = 2;
inline constexpr U32 kBlock = 1;
inline constexpr U32 kReclaim = 2;
inline constexpr U8 kSuccess = 0;
inline constexpr U8 kBlocked = 1;
inline constexpr U8 kError = 2;
inline constexpr U8 kGrace = 3;
}  // namespace lock

inline constexpr U32 kUnlinkRemoveDir = 0x200;  // Tunlinkat's only flag
inline constexpr U32 kXattrCreate = 1;          // Txattrcreate's flags
inline constexpr U32 kXattrReplace = 2;
/// Rstatfs.type: V9FS_MAGIC, whatever the host's file system is. Linux passes it on, and programs
/// take from it how the client works: tail -f waits for inotify on a disk's, which tells nothing of
/// other clients, and looks every second on this one.
inline constexpr U32 kStatfsMagic = 0x01021997;

}  // namespace ninep
