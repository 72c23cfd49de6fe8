// Place: a directory, local or on a server, and what is done in it when files are copied.
//
// `name` is always one name that client::is_name() takes, or, where that is said, "": the directory
// itself. Nothing here follows a symbolic link, so that nothing is reached but what is in the
// directory. Errors say which file.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "client/client.h"

namespace ninep::tool {

using client::Attributes;
using client::Change;
using client::Expected;
template <class T>
using Awaitable = asio::awaitable<T>;

using Xattrs = std::vector<std::pair<std::string, std::string>>;

/// A file to read.
class Source {
 public:
  virtual ~Source() = default;
  /// Fills `into`; fewer bytes only at the end of the file.
  virtual Awaitable<Expected<std::size_t>> read(U64 offset, Room into) = 0;
  /// Where data come next, from `offset` on; what is between is a hole. The end of the file, if
  /// nothing does. A server doesn't tell: `offset`.
  virtual U64 data_from(U64 offset) = 0;
  /// A file that says that it is longer than it is, as those of /sys, and ends where a read ended.
  virtual bool says_too_much() { return false; }
};

/// A file to write: it has a name of its own until it is whole.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Bytes that it has from an earlier attempt, all of them right.
  virtual U64 begins_at() const = 0;
  virtual Awaitable<Expected<void>> write(U64 offset, Bytes data) = 0;
  /// It is whole: it gets its size (the end may be a hole) and its attributes. `xattrs`: of access
  /// control lists it has these alone, whatever the directory hands on; none: as it is. What is
  /// given back is why it has not all of them.
  virtual Awaitable<Expected<std::optional<client::Error>>> finish(
      U64 size, Change change, std::optional<Xattrs> xattrs) = 0;
  /// And then its name.
  virtual Awaitable<Expected<void>> take_name() = 0;
  /// What was written is of no use.
  virtual Awaitable<void> discard() = 0;
};

/// What gives each of its files a number of its own: a server, or a file system of this host.
struct FileSystem {
  const void* server = nullptr;
  U64 device = 0;
  auto operator<=>(const FileSystem&) const = default;
};
/// Tells a file from all others.
struct Identity {
  FileSystem of;
  U64 path = 0;  // qid.path
  auto operator<=>(const Identity&) const = default;
};

struct Found {
  std::string name;
  U8 type = 0;                     // DT_*
  std::optional<U64> number = {};  // qid.path, of a server's
};

class Place {
 public:
  virtual ~Place() = default;

  /// Bytes of a file that are best read or written as one.
  virtual std::size_t block() const = 0;
  /// Bytes of a file that are worth having under way.
  virtual std::size_t depth() const = 0;
  /// The directory itself; its file system is that of what is in it.
  virtual Identity identity() const = 0;
  /// For people.
  virtual std::string path_of(const std::string& name) const = 0;

  /// Some more of what is in it; none: the end.
  virtual Awaitable<Expected<std::vector<Found>>> next() = 0;
  /// `name` may be "", here and with xattrs(), change() and set_xattrs().
  virtual Awaitable<Expected<Attributes>> stat(std::string name) = 0;
  virtual Awaitable<Expected<std::unique_ptr<Place>>> enter(std::string name) = 0;
  virtual Awaitable<Expected<std::unique_ptr<Source>>> read(std::string name) = 0;
  virtual Awaitable<Expected<std::string>> readlink(std::string name) = 0;
  /// Those that belong to the file's content and permissions; with `all` also the system's own, as
  /// capabilities.
  /// None: there are no such things here.
  virtual Awaitable<Expected<std::optional<Xattrs>>> xattrs(std::string name, bool all) = 0;

  /// `stamp`: tells this content from others, so that an attempt that broke off goes on, if nobody
  /// else can have written to what it left.
  virtual Awaitable<Expected<std::unique_ptr<Sink>>> write(std::string name, std::string stamp) = 0;
  /// A directory that is there already will do: what it is like then.
  virtual Awaitable<Expected<std::optional<Attributes>>> mkdir(std::string name) = 0;
  virtual Awaitable<Expected<void>> symlink(std::string name, std::string target) = 0;
  virtual Awaitable<Expected<void>> mknod(std::string name, U32 mode, U64 rdev) = 0;
  /// Another name for `other`, a path from the directory that open_place() gave.
  virtual Awaitable<Expected<void>> link(std::string name, std::string other) = 0;
  /// What has the other name is gone, unless both are names of one file: then they are as before.
  virtual Awaitable<Expected<void>> rename(std::string name, std::string to_name) = 0;
  /// `number`: client::Node::remove().
  virtual Awaitable<Expected<void>> remove(std::string name, bool is_directory,
                                           std::optional<U64> number) = 0;
  virtual Awaitable<Expected<void>> change(std::string name, Change change) = 0;
  virtual Awaitable<Expected<void>> set_xattrs(std::string name, Xattrs xattrs) = 0;
  /// Errors: ENODATA.
  virtual Awaitable<Expected<void>> remove_xattr(std::string name, std::string xattr) = 0;
};

/// Directories that are copied from, or to, at this moment.
class Directories {
 public:
  /// One of them, until it goes.
  class Stay {
   public:
    Stay(Directories& in, Place& directory) : in_(in), at_(&directory) { in_.all_.push_back(at_); }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;
    ~Stay() { std::erase(in_.all_, at_); }

   private:
    Directories& in_;
    Place* const at_;
  };
  /// Whether this is one, by whichever of its server's addresses.
  Awaitable<bool> have(Place& directory);

 private:
  std::vector<Place*> all_;
};

/// What a server tells may be without end.
inline client::Error too_much(const Place& in) {
  return {Errno{EOVERFLOW}, "copy what is in " + in.path_of("."), "more than there is memory for"};
}
/// Bytes, as the names of a set, which need more than those of a list.
inline std::size_t size_as_set(const std::vector<Found>& found) {
  constexpr std::size_t kOfSet = 48;
  std::size_t size = 0;
  for (const Found& one : found) size += sizeof one + kOfSet + one.name.size();
  return size;
}
/// Nobody knows what came of it: it was lost with its connection.
inline bool is_unknown(const Expected<void>& done) {
  return !done && done.error().fate == client::Fate::kUnknown;
}
inline constexpr unsigned kTriesMax = 100;  // of one file, where the server is lost each time

/// Whether an extended attribute belongs to a file's content and permissions.
inline bool is_of_content(Str xattr) {
  return xattr.starts_with("user.") || xattr.starts_with("system.posix_acl_");
}
inline constexpr const char* kAccessList = "system.posix_acl_access";
inline constexpr const char* kDefaultList = "system.posix_acl_default";  // for what is made there
inline constexpr std::array kAccessLists{kAccessList, kDefaultList};
inline bool has(const Xattrs& xattrs, Str name) {
  return std::ranges::find(xattrs, name, &Xattrs::value_type::first) != xattrs.end();
}
/// A part's name while a file isn't whole: hidden, and no longer than a name may be. `number`:
/// where something of the earlier ones is in the way.
std::string part_name(const std::string& name, const std::string& stamp, unsigned number);
inline constexpr unsigned kPartNames = 8;
bool is_part_name(Str name);
/// Whether nobody but its owner can have written to what has a part's name.
inline bool is_part(const Attributes& is) {
  return is.is_regular() && is.attr.nlink < 2 && (is.attr.mode & 0077) == 0;
}
/// So many bytes before a part's end may be missing: what was under way when it broke off.
inline constexpr U64 kPartRewind = 64 << 20;

std::unique_ptr<Place> local_place(int directory, std::string path);
Awaitable<Expected<std::unique_ptr<Place>>> remote_place(client::Node directory);

}  // namespace ninep::tool
