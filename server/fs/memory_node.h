// MemoryTree's nodes and open files: one session's handles on what the store keeps.
#pragma once

#include "server/fs/memory_store.h"

namespace ninep::fs::memory {

/// Keeps an inode alive. Made with the store's mutex held, destroyed without.
class Held {
 public:
  Held(Store& store, Inode& inode) : store_(store), inode_(inode) { ++inode_.holds; }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    const std::lock_guard lock(store_.mutex);
    --inode_.holds;
    store_.collect(inode_);
  }
  Inode& operator*() const { return inode_; }
  Inode* operator->() const { return &inode_; }

 private:
  Store& store_;
  Inode& inode_;
};

Qid to_qid(const Inode& inode);

class MemoryFile final : public File {
 public:
  MemoryFile(Store& store, Inode& inode, Inode& root, U32 flags)
      : store_(store),
        inode_(store, inode),
        root_(store, root),
        flags_(flags),
        end_(inode.next_cookie) {}

  Task<Result<U32>> read(Context&, std::span<const iovec> to, U64 offset) override;
  Task<Result<U32>> write(Context&, std::span<const iovec> from, U64 offset) override;
  Task<Result<U32>> readdir(Context&, Room room, U64 offset) override;

 private:
  Store& store_;
  const Held inode_;
  const Held root_;  // of the attach
  const U32 flags_;  // ninep::lopen
  U64 end_;          // cookies from here on are not listed: newer than the last rewind
};

class MemoryNode final : public Node {
 public:
  /// With the store's mutex held.
  MemoryNode(Store& store, EntryRef entry, Inode& root)
      : store_(store),
        inode_(store, *entry->inode),
        root_(store, root),
        entry_(std::move(entry)),
        qid_(to_qid(*inode_)) {}

  Qid qid() const override { return qid_; }
  FileKey key() const override { return {reinterpret_cast<U64>(&store_), qid_.path}; }
  Task<Result<Ref<Node>>> walk(Context&, Str name) override;
  Task<Result<Rgetattr>> getattr(Context&, U64 request_mask, File* open) override;
  Task<Status> setattr(Context&, const Tsetattr& to, File* open) override;
  Task<Result<Rstatfs>> statfs(Context&) override;
  Task<Result<std::string>> readlink(Context&) override;
  Task<Result<Ref<File>>> open(Context&, U32 flags) override;
  Task<Result<Created>> create(Context&, Str name, U32 flags, U32 mode, U32 gid) override;
  Task<Result<Qid>> mkdir(Context&, Str name, U32 mode, U32 gid) override;
  Task<Result<Qid>> mknod(Context&, Str name, U32 mode, U32 major, U32 minor, U32 gid) override;
  Task<Result<Qid>> symlink(Context&, Str name, Str target, U32 gid) override;
  Task<Status> link(Context&, Node& file, Str name) override;
  Task<Status> unlink(Context&, Str name, bool directory) override;
  Task<Status> rename(Context&, Str name, Node& to_dir, Str to) override;
  Task<Status> remove_self(Context&) override;
  Task<Status> rename_self(Context&, Node& to_dir, Str to) override;
  Task<Result<std::vector<std::byte>>> getxattr(Context&, Str name) override;
  Task<Result<std::vector<std::byte>>> listxattr(Context&) override;
  Task<Status> setxattr(Context&, Str name, Bytes value, U32 flags) override;
  Task<Status> removexattr(Context&, Str name) override;

 private:
  // All with the store's mutex held:

  /// Whether `name` can be entered here.
  Status free(Str name) const;
  /// A new file of this name, the user's.
  Result<EntryRef> add(Context&, Str name, U32 mode, U32 gid);
  Result<Ref<File>> open_inode(Inode& inode, U32 flags) const;
  /// Whether the name that this file has now is one for this session to change.
  Status own_name() const;

  Store& store_;
  const Held inode_;
  const Held root_;  // of the attach
  const EntryRef entry_;
  Qid qid_;
};

}  // namespace ninep::fs::memory
