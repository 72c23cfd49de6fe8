// The field types that 9P needs beyond integers, strings and byte runs.
#pragma once

#include <array>

#include "proto/describe.h"
#include "proto/types.h"

namespace ninep {

/// A field that only the dialects of `set` have. In those of `lax` it is the last one and old
/// programs leave it out: decode takes that, encode always writes it. Where it isn't on the wire,
/// it keeps the value that its message gives it; T{} if none.
template <Dialects set, class T, Dialects lax = kNone>
struct Only {
  T value{};

  constexpr Only() = default;
  constexpr Only(T v) : value(v) {}
  constexpr operator T() const { return value; }
  friend constexpr bool operator==(const Only&, const Only&) = default;
};

/// A last field that every dialect has and old programs leave out.
template <class T>
using Optional = Only<kAny, T, kAny>;

/// count[2] and that many T, at most N. What lies behind `count` isn't initialized: a walk of one
/// name must not pay for sixteen.
template <class T, U16 N>
struct List {
  U16 count;
  union {
    std::array<T, N> items;
  };

  constexpr List() : count(0) {}
  constexpr List(std::initializer_list<T> list) : count(0) {
    for (const T& item : list) push_back(item);
  }
  constexpr const T* begin() const { return items.data(); }
  constexpr const T* end() const { return items.data() + count; }
  constexpr U16 size() const { return count; }
  constexpr bool full() const { return count == N; }
  constexpr const T& operator[](std::size_t i) const { return items[i]; }
  /// The caller makes sure that it is not full().
  constexpr void push_back(const T& item) { items[count++] = item; }
  friend constexpr bool operator==(const List& a, const List& b) {
    if (a.count != b.count) return false;
    for (U16 i = 0; i < a.count; ++i)
      if (!(a.items[i] == b.items[i])) return false;
    return true;
  }
};

/// What the server says a file is. Equal paths mean the same file; intro(5).
struct Qid {
  U8 type;      // QidType
  U32 version;  // changes with the content; 0: do not cache
  U64 path;     // unique among the server's files
};
NINEP_RECORD(Qid, type, version, path);

/// A file's attributes as 9P2000 and .u have them: Rstat, Twstat, directory reads. stat(5).
/// On the wire a size[2] that does not count itself stands before it; what is behind the last field
/// within that size is padding.
struct Stat {
  U16 type;  // for the server's kernel: 0
  U32 dev;
  Qid qid;
  U32 mode;  // permissions and the DM bits
  U32 atime;
  U32 mtime;
  U64 length;
  Str name;
  Str uid;
  Str gid;
  Str muid;
  Only<kDotU, Str> extension;
  Only<kDotU, U32> n_uid;
  Only<kDotU, U32> n_gid;
  Only<kDotU, U32> n_muid;
};
NINEP_RECORD(Stat, type, dev, qid, mode, atime, mtime, length, name, uid, gid, muid, extension,
             n_uid, n_gid, n_muid);

/// nstat[2] and a Stat with its own size[2]: Rstat and Twstat say the length twice. Twstat's must
/// agree (stat(5)); QEMU 7.2 sends nstat 0 in Rstat, and clients go by the inner one.
template <bool must_agree>
struct Counted {
  Stat stat;
  friend bool operator==(const Counted& a, const Counted& b) { return a.stat == b.stat; }
};

/// An entry of a .L directory: Rreaddir's data is a row of them.
struct Dirent {
  Qid qid;
  U64 offset;  // a cookie: give it to Treaddir to get the entry after this one
  U8 type;     // DT_* of Linux
  Str name;
};
NINEP_RECORD(Dirent, qid, offset, type, name);

/// Attributes of .L, as Rgetattr has them. `valid` there says which count; others are 0.
struct Attr {
  Qid qid;
  U32 mode;  // Linux st_mode, file type included
  U32 uid;
  U32 gid;
  U64 nlink;
  U64 rdev;
  U64 size;
  U64 blksize;
  U64 blocks;  // of 512 bytes
  U64 atime_sec;
  U64 atime_nsec;
  U64 mtime_sec;
  U64 mtime_nsec;
  U64 ctime_sec;
  U64 ctime_nsec;
  U64 btime_sec;
  U64 btime_nsec;
  U64 gen;
  U64 data_version;
};
NINEP_RECORD(Attr, qid, mode, uid, gid, nlink, rdev, size, blksize, blocks, atime_sec, atime_nsec,
             mtime_sec, mtime_nsec, ctime_sec, ctime_nsec, btime_sec, btime_nsec, gen,
             data_version);

/// Bytes with their count[4] before them; always the last field: it fills the frame.
struct Payload {
  Bytes bytes;
  constexpr Payload() = default;
  constexpr Payload(Bytes b) : bytes(b) {}
  constexpr std::size_t size() const { return bytes.size(); }
  friend bool operator==(const Payload& a, const Payload& b) {
    return as_str(a.bytes) == as_str(b.bytes);
  }
};

using Names = List<Str, kWalkNamesMax>;
using Qids = List<Qid, kWalkNamesMax>;

}  // namespace ninep
