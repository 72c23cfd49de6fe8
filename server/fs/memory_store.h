// What MemoryTree keeps: inodes, the names that lead to them, and how much of both there is.
//
// All of it is guarded by Store::mutex, which the callers take; nothing here knows of sessions,
// tasks or the wire.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/stat.h>
#include <sys/uio.h>

#include "proto/result.h"
#include "server/fs/memory.h"

namespace ninep::fs::memory {

inline constexpr U64 kPageSize = 4096;
inline constexpr U64 kFileSizeMax = 0x7FFF'FFFF'FFFF'FFFF;
inline constexpr U64 kFirstCookie = 3;  // 1 and 2 are "." and ".."

struct Inode;

/// A name of a file. The nodes that came by this name share it, and see it renamed or gone.
struct Entry {
  Inode* dir = nullptr;  // null: the name is gone, or is the root's
  std::string name;
  Inode* inode = nullptr;
  U64 cookie = 0;
};
using EntryRef = std::shared_ptr<Entry>;

struct Time {
  U64 sec = 0;
  U64 nsec = 0;
};

using Page = std::array<std::byte, kPageSize>;
using Value = std::vector<std::byte>;

/// Any file. Only the part of its type is used.
struct Inode {
  U64 number = 0;
  U32 mode = 0;  // st_mode
  U32 uid = 0;
  U32 gid = 0;
  U64 rdev = 0;
  U64 nlink = 0;
  U64 holds = 0;  // by nodes and files; it goes when neither these nor names are left
  U64 size = 0;
  U32 version = 1;
  Time atime, mtime, ctime, btime;
  std::map<std::string, Value, std::less<>> xattrs;

  std::map<U64, std::unique_ptr<Page>> pages;  // a regular file's, by number; none: zeros
  std::string target;                          // a symbolic link's

  EntryRef entry;  // a directory's own name
  std::map<std::string, EntryRef, std::less<>> by_name;
  std::map<U64, Entry*> by_cookie;  // in the order in which they are listed
  U64 next_cookie = kFirstCookie;

  bool is(U32 type) const { return (mode & S_IFMT) == type; }
  bool is_dir() const { return is(S_IFDIR); }
  bool is_file() const { return is(S_IFREG); }
};

class Store {
 public:
  explicit Store(const MemoryTree::Options& options);

  std::mutex mutex;

  Inode& root() { return *root_; }
  const MemoryTree::Options& options() const { return options_; }
  U64 size() const { return size_; }
  U64 inode_count() const { return inodes_.size(); }
  Time now();

  // ---- life

  /// An inode without a name, which must be entered or collected. ENOSPC.
  Result<Inode*> make(U32 mode, U32 uid, U32 gid);
  /// Lets go of an inode that nothing refers to any more.
  void collect(Inode& inode);

  // ---- names

  /// Null: there is none.
  EntryRef find(const Inode& dir, Str name) const;
  /// Gives `inode` a name that `dir` doesn't have yet. ENOSPC; ENOENT if dir was removed.
  Result<EntryRef> enter(Inode& dir, Str name, Inode& inode);
  /// What stands in the way of removing this name, as a directory or not.
  Status removable(const Entry& entry, bool directory) const;
  void remove(const EntryRef& entry);
  /// rename(2): replaces what has the name already.
  Status rename(const EntryRef& entry, Inode& to_dir, Str to);
  /// Whether `dir` is `top` or below it.
  static bool inside(const Inode& dir, const Inode& top);

  // ---- content

  U32 read(Inode& file, std::span<const iovec> to, U64 offset);
  /// Fewer bytes than given if the tree is full in between; ENOSPC if it was so at once.
  Result<U32> write(Inode& file, std::span<const iovec> from, U64 offset);
  void truncate(Inode& file, U64 size);
  Status set_target(Inode& symlink, Str target);
  /// A null `value` removes the attribute, which is there. ENOSPC.
  Status set_xattr(Inode& inode, Str name, const Bytes* value);
  /// The content has changed, or only what is said about it.
  void changed(Inode& inode);
  void touched(Inode& inode) { inode.ctime = now(); }

 private:
  bool charge(U64 size);
  void link(const EntryRef& entry, Inode& dir, Str name, U64 cookie);
  void unlink(Entry& entry);

  const MemoryTree::Options options_;
  U64 size_ = 0;
  U64 next_number_ = 1;
  U64 ticks_ = 0;
  std::unordered_map<U64, std::unique_ptr<Inode>> inodes_;  // owns all, flat: any depth may go
  Inode* root_;
};

}  // namespace ninep::fs::memory
