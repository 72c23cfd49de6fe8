// What files are like, in the terms of Linux, whatever the dialect says of them. Owned values, any
// thread. Source: Rgetattr, Tsetattr, Rreaddir and Tlock of 9P2000.L; stat(5) for the older
// dialects.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <time.h>

#include "proto/fields.h"
#include "proto/types.h"

namespace ninep::client {

/// What stat(2) tells.
struct Attributes {
  U64 valid = 0;  // ninep::getattr: what of `attr` the server has told
  Attr attr{};
  // Of the older dialects; empty in .L.
  std::string user, group, last_user;
  std::string target;  // .u: of a symbolic link

  /// `what`: of ninep::getattr; all of it.
  bool has(U64 what) const { return (valid & what) == what; }
  bool is_directory() const;
  bool is_symlink() const;
  bool is_regular() const;
};

/// From Rstat, and an old directory's entries.
Attributes attributes_of(const Stat& stat, Dialects dialect);

/// What tells a file from others of its qid.path, as far as the server has told it.
struct Mark {
  std::optional<U64> generation;
  std::optional<std::pair<U64, U64>> born;  // seconds, nanoseconds
  bool is_none() const { return !generation && !born; }
};
Mark mark_of(const Attributes& is);

enum class Same { kYes, kNo, kUnknown };
/// By what both have; kUnknown: that is nothing.
Same compare(const Mark& a, const Mark& b);

/// What is to be changed of a file: what is given. Times: as utimensat(2), UTIME_NOW included: the
/// server's now.
struct Change {
  std::optional<U32> mode;  // permissions; no file type
  std::optional<U32> uid;
  std::optional<U32> gid;
  std::optional<U64> size;  // bytes
  std::optional<timespec> atime;
  std::optional<timespec> mtime;
};

/// One of a directory's.
struct Entry {
  std::string name;  // never "", ".", "..", nor with a "/": those are dropped, as no file's
  Qid qid{};
  U8 type = 0;                           // DT_REG, ... of readdir(3); DT_UNKNOWN
  U64 offset = 0;                        // to go on behind it
  std::optional<Attributes> attributes;  // of the older dialects, which tell all in a directory
};

/// A record lock (fcntl(2)), of (client_id, proc_id): those of one owner are never in each other's
/// way.
struct Lock {
  U8 type = 0;     // ninep::lock
  U64 start = 0;   // bytes
  U64 length = 0;  // bytes; 0: to the end
  U32 proc_id = 0;
  std::string client_id;
};

}  // namespace ninep::client
