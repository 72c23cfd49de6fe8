// Modes and open modes of 9P2000 and 9P2000.u, and those of Linux. intro(5), open(5), stat(5); for
// .u what Linux's client does.
#pragma once

#include <sys/stat.h>

#include "proto/types.h"

namespace ninep::client::old_modes {

inline constexpr U32 kDir = 0x80000000;
inline constexpr U32 kSymlink = 0x02000000;  // this and what follows: .u
inline constexpr U32 kLink = 0x01000000;
inline constexpr U32 kDevice = 0x00800000;
inline constexpr U32 kNamedPipe = 0x00200000;
inline constexpr U32 kSocket = 0x00100000;
inline constexpr U32 kSetuid = 0x00080000;
inline constexpr U32 kSetgid = 0x00040000;
inline constexpr U32 kSticky = 0x00010000;

/// What else a mode has is the file's kind, and stays as it is.
inline constexpr U32 kPermissions = 0777;
inline constexpr U32 kPermissionsDotU = kPermissions | kSetuid | kSetgid | kSticky;

/// `extension`: of a device, its kind and number. 9P2000 gives no meaning to the bits of .u.
inline U32 to_linux(U32 mode, Str extension, Dialects dialect) {
  if (dialect != kDotU) mode &= kDir | kPermissions;
  const U32 type = mode & kDir         ? S_IFDIR
                   : mode & kSymlink   ? S_IFLNK
                   : mode & kNamedPipe ? S_IFIFO
                   : mode & kSocket    ? S_IFSOCK
                   : mode & kDevice    ? (extension.starts_with('c') ? S_IFCHR : S_IFBLK)
                                       : S_IFREG;
  return type | (mode & kPermissions) | (mode & kSetuid ? S_ISUID : 0) |
         (mode & kSetgid ? S_ISGID : 0) | (mode & kSticky ? S_ISVTX : 0);
}

/// The permissions of a Linux mode; what the dialect lacks is left out.
inline U32 permissions(U32 mode, Dialects dialect) {
  U32 old = mode & kPermissions;
  if (dialect != kDotU) return old;
  if (mode & S_ISUID) old |= kSetuid;
  if (mode & S_ISGID) old |= kSetgid;
  if (mode & S_ISVTX) old |= kSticky;
  return old;
}

/// Topen's mode, of Tlopen's flags.
inline U8 open_mode(U32 flags) {
  constexpr U8 kTruncate = 0x10;
  const U32 access = flags & lopen::kAccessMode;  // 0, 1, 2 are the same
  return static_cast<U8>(access | (flags & lopen::kTruncate ? kTruncate : 0));
}

}  // namespace ninep::client::old_modes
