#include "server/fs/memory.h"

#include <limits.h>

#include "server/fs/memory_node.h"

namespace ninep::fs {
namespace memory {

// ------------------------------------------------------------------ walking

Task<Result<Ref<Node>>> MemoryNode::walk(Context&, Str name) {
  const std::lock_guard lock(store_.mutex);
  if (!inode_->is_dir()) return fail(ENOTDIR);
  EntryRef entry;
  if (name != "..") {
    entry = store_.find(*inode_, name);
  } else if (&*inode_ == &*root_) {
    entry = inode_->entry;
  } else if (const Inode* parent = inode_->entry->dir; parent && Store::inside(*parent, *root_)) {
    entry = parent->entry;
  }
  if (!entry) return fail(ENOENT);
  return Result<Ref<Node>>(make_ref<MemoryNode>(store_, std::move(entry), *root_));
}

// ------------------------------------------------------------------ opening and creating

Result<Ref<File>> MemoryNode::open_inode(Inode& inode, U32 flags) const {
  const U32 access = flags & lopen::kAccessMode;
  if (access > lopen::kReadWrite) return fail(EINVAL);
  if (inode.is(S_IFLNK)) return fail(ELOOP);
  if (inode.is_dir()) {
    if (access != lopen::kReadOnly || flags & lopen::kTruncate) return fail(EISDIR);
  } else {
    if (!inode.is_file()) return fail(ENXIO);
    if (flags & lopen::kDirectory) return fail(ENOTDIR);
    if (flags & lopen::kTruncate) store_.truncate(inode, 0);
  }
  return Ref<File>(make_ref<MemoryFile>(store_, inode, *root_, flags));
}

Task<Result<Ref<File>>> MemoryNode::open(Context&, U32 flags) {
  const std::lock_guard lock(store_.mutex);
  auto file = open_inode(*inode_, flags);
  qid_ = to_qid(*inode_);
  return file;
}

Status MemoryNode::free(Str name) const {
  if (!inode_->is_dir()) return fail(ENOTDIR);
  if (name.size() > NAME_MAX) return fail(ENAMETOOLONG);
  if (inode_->nlink == 0) return fail(ENOENT);
  if (store_.find(*inode_, name)) return fail(EEXIST);
  return {};
}

Result<EntryRef> MemoryNode::add(Context& ctx, Str name, U32 mode, U32 gid) {
  auto allowed = free(name);
  NINEP_RETURN_IF_ERROR(allowed);
  const User& user = ctx.user();
  if (gid == io::kNoId) gid = user ? user->gid : 0;
  if (inode_->mode & S_ISGID) {
    gid = inode_->gid;
    if (S_ISDIR(mode)) mode |= S_ISGID;
  }
  auto inode = store_.make(mode, user ? user->uid : 0, gid);
  NINEP_RETURN_IF_ERROR(inode);
  auto entry = store_.enter(*inode_, name, **inode);
  if (!entry) store_.collect(**inode);
  return entry;
}

Task<Result<Created>> MemoryNode::create(Context& ctx, Str name, U32 flags, U32 mode, U32 gid) {
  const std::lock_guard lock(store_.mutex);
  EntryRef entry = inode_->is_dir() ? store_.find(*inode_, name) : nullptr;
  if (!entry) {
    auto added = add(ctx, name, S_IFREG | (mode & 07777), gid);
    NINEP_RETURN_IF_ERROR(added);
    entry = std::move(*added);
    flags &= ~lopen::kTruncate;
  } else if (flags & lopen::kExclusive) {
    return fail(EEXIST);
  } else if (entry->inode->is_dir()) {
    return fail(EISDIR);
  }
  auto file = open_inode(*entry->inode, flags);
  NINEP_RETURN_IF_ERROR(file);
  Ref<Node> node = make_ref<MemoryNode>(store_, std::move(entry), *root_);
  return Result<Created>(Created{std::move(node), std::move(*file)});
}

Task<Result<Qid>> MemoryNode::mkdir(Context& ctx, Str name, U32 mode, U32 gid) {
  const std::lock_guard lock(store_.mutex);
  auto entry = add(ctx, name, S_IFDIR | (mode & 01777), gid);
  NINEP_RETURN_IF_ERROR(entry);
  return to_qid(*(*entry)->inode);
}

Task<Result<Qid>> MemoryNode::mknod(Context& ctx, Str name, U32 mode, U32 major, U32 minor,
                                    U32 gid) {
  const std::lock_guard lock(store_.mutex);
  const U32 type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
  const bool device = type == S_IFCHR || type == S_IFBLK;
  if (type == S_IFDIR) return fail(EPERM);
  if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) return fail(EINVAL);
  if (device && (major >= 1u << 12 || minor >= 1u << 20)) return fail(EINVAL);
  auto entry = add(ctx, name, type | (mode & 07777), gid);
  NINEP_RETURN_IF_ERROR(entry);
  Inode& inode = *(*entry)->inode;
  // As Linux's client reads it: its 32-bit encoding of device numbers.
  if (device) inode.rdev = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
  return to_qid(inode);
}

Task<Result<Qid>> MemoryNode::symlink(Context& ctx, Str name, Str target, U32 gid) {
  const std::lock_guard lock(store_.mutex);
  if (target.empty()) return fail(ENOENT);
  if (target.size() >= PATH_MAX) return fail(ENAMETOOLONG);
  auto entry = add(ctx, name, S_IFLNK | 0777, gid);
  NINEP_RETURN_IF_ERROR(entry);
  Inode& inode = *(*entry)->inode;
  if (auto set = store_.set_target(inode, target); !set) {
    store_.remove(*entry);
    return fail(set.error());
  }
  return to_qid(inode);
}

// ------------------------------------------------------------------ names

Task<Status> MemoryNode::link(Context&, Node& file, Str name) {
  const std::lock_guard lock(store_.mutex);
  Inode& inode = *static_cast<MemoryNode&>(file).inode_;
  auto allowed = free(name);
  NINEP_RETURN_IF_ERROR(allowed);
  if (inode.is_dir()) return fail(EPERM);
  if (inode.nlink == 0) return fail(ENOENT);
  auto entry = store_.enter(*inode_, name, inode);
  NINEP_RETURN_IF_ERROR(entry);
  return Status{};
}

Task<Status> MemoryNode::unlink(Context&, Str name, bool directory) {
  const std::lock_guard lock(store_.mutex);
  if (!inode_->is_dir()) return fail(ENOTDIR);
  const EntryRef entry = store_.find(*inode_, name);
  if (!entry) return fail(ENOENT);
  auto allowed = store_.removable(*entry, directory);
  NINEP_RETURN_IF_ERROR(allowed);
  store_.remove(entry);
  return Status{};
}

Task<Status> MemoryNode::rename(Context&, Str name, Node& to_dir, Str to) {
  const std::lock_guard lock(store_.mutex);
  Inode& into = *static_cast<MemoryNode&>(to_dir).inode_;
  if (!inode_->is_dir() || !into.is_dir()) return fail(ENOTDIR);
  if (to.size() > NAME_MAX) return fail(ENAMETOOLONG);
  const EntryRef entry = store_.find(*inode_, name);
  if (!entry) return fail(ENOENT);
  return store_.rename(entry, into, to);
}

Status MemoryNode::own_name() const {
  if (&*inode_ == &*root_) return fail(EBUSY);
  if (!entry_->dir || !Store::inside(*entry_->dir, *root_)) return fail(ENOENT);
  return {};
}

Task<Status> MemoryNode::remove_self(Context&) {
  const std::lock_guard lock(store_.mutex);
  auto allowed = own_name();
  if (allowed) allowed = store_.removable(*entry_, inode_->is_dir());
  if (allowed) store_.remove(entry_);
  return allowed;
}

Task<Status> MemoryNode::rename_self(Context&, Node& to_dir, Str to) {
  const std::lock_guard lock(store_.mutex);
  if (to.size() > NAME_MAX) return fail(ENAMETOOLONG);
  auto allowed = own_name();
  NINEP_RETURN_IF_ERROR(allowed);
  return store_.rename(entry_, *static_cast<MemoryNode&>(to_dir).inode_, to);
}

}  // namespace memory

// ------------------------------------------------------------------ the tree

MemoryTree::MemoryTree(const Options& options) : store_(std::make_unique<memory::Store>(options)) {}

MemoryTree::~MemoryTree() = default;

Task<Result<Ref<Node>>> MemoryTree::attach(Context&, Str aname) {
  const std::lock_guard lock(store_->mutex);
  memory::EntryRef at = store_->root().entry;
  while (!aname.empty()) {
    const Str name = aname.substr(0, aname.find('/'));
    aname.remove_prefix(std::min(aname.size(), name.size() + 1));
    if (name.empty()) continue;
    at = store_->find(*at->inode, name);
    if (!at) return fail(ENOENT);
    if (!at->inode->is_dir()) return fail(ENOTDIR);
  }
  memory::Inode& root = *at->inode;
  return Result<Ref<Node>>(make_ref<memory::MemoryNode>(*store_, std::move(at), root));
}

}  // namespace ninep::fs
