// MemoryTree: attributes, open files, extended attributes.
#include <sys/xattr.h>

#include "proto/codec.h"
#include "server/fs/memory_node.h"

namespace ninep::fs::memory {
namespace {

constexpr U64 kNsecPerSec = 1'000'000'000;
constexpr std::size_t kXattrNameMax = 255;
constexpr std::size_t kXattrValueMax = 65536;

/// Linux's rules: a namespace and a name within, user.* for regular files and directories only.
Status check_xattr(const Inode& inode, Str name, int not_for_this_type) {
  if (name.empty() || name.size() > kXattrNameMax) return fail(ERANGE);
  for (const Str space : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(space)) continue;
    if (name.size() == space.size()) return fail(EINVAL);
    const bool fits = space != "user." || inode.is_file() || inode.is_dir();
    return fits ? Status{} : fail(not_for_this_type);
  }
  return fail(EOPNOTSUPP);
}

}  // namespace

Qid to_qid(const Inode& inode) {
  const QidType type = inode.is_dir() ? kQtDir : inode.is(S_IFLNK) ? kQtSymlink : kQtFile;
  return {.type = type, .version = inode.version, .path = inode.number};
}

// ------------------------------------------------------------------ attributes

Task<Result<Rgetattr>> MemoryNode::getattr(Context&, U64, File*) {
  const std::lock_guard lock(store_.mutex);
  const Inode& i = *inode_;
  Rgetattr r{};
  r.valid = getattr::kBasic | getattr::kBtime | getattr::kDataVersion;
  r.attr = {.qid = to_qid(i),
            .mode = i.mode,
            .uid = i.uid,
            .gid = i.gid,
            .nlink = i.nlink,
            .rdev = i.rdev,
            .size = i.is_dir() ? kPageSize : i.size,
            .blksize = kPageSize,
            .blocks = i.pages.size() * (kPageSize / 512),
            .atime_sec = i.atime.sec,
            .atime_nsec = i.atime.nsec,
            .mtime_sec = i.mtime.sec,
            .mtime_nsec = i.mtime.nsec,
            .ctime_sec = i.ctime.sec,
            .ctime_nsec = i.ctime.nsec,
            .btime_sec = i.btime.sec,
            .btime_nsec = i.btime.nsec,
            .gen = 0,
            .data_version = i.version};
  return r;
}

Task<Status> MemoryNode::setattr(Context&, const Tsetattr& to, File*) {
  const std::lock_guard lock(store_.mutex);
  const auto has = [&](U32 bit) { return (to.valid & bit) != 0; };
  if ((has(setattr::kUid) && to.uid == io::kNoId) || (has(setattr::kGid) && to.gid == io::kNoId))
    return fail(EINVAL);
  if (has(setattr::kSize)) {
    if (inode_->is_dir()) return fail(EISDIR);
    if (!inode_->is_file()) return fail(EINVAL);
    if (to.size > kFileSizeMax) return fail(EFBIG);
  }
  if (has(setattr::kMode) && inode_->is(S_IFLNK)) return fail(EOPNOTSUPP);
  const bool atime_given = has(setattr::kAtimeSet);
  const bool mtime_given = has(setattr::kMtimeSet);
  if ((atime_given && to.atime_nsec >= kNsecPerSec) ||
      (mtime_given && to.mtime_nsec >= kNsecPerSec))
    return fail(EINVAL);

  Inode& i = *inode_;
  if (has(setattr::kSize)) store_.truncate(i, to.size);
  if (has(setattr::kUid)) i.uid = to.uid;
  if (has(setattr::kGid)) i.gid = to.gid;
  if ((has(setattr::kUid) || has(setattr::kGid)) && !i.is_dir()) {
    // As chown(2). A set-group-id bit without x means mandatory locking, and stays.
    i.mode &= ~(i.mode & S_IXGRP ? U32{S_ISUID | S_ISGID} : U32{S_ISUID});
  }
  if (has(setattr::kMode)) i.mode = (i.mode & S_IFMT) | (to.mode & 07777);
  if (has(setattr::kAtime))
    i.atime = atime_given ? Time{to.atime_sec, to.atime_nsec} : store_.now();
  if (has(setattr::kMtime))
    i.mtime = mtime_given ? Time{to.mtime_sec, to.mtime_nsec} : store_.now();
  store_.touched(i);
  return Status{};
}

Task<Result<Rstatfs>> MemoryNode::statfs(Context&) {
  const std::lock_guard lock(store_.mutex);
  const U64 free = (store_.options().size_max - store_.size()) / kPageSize;
  return Rstatfs{.type = kStatfsMagic,
                 .bsize = kPageSize,
                 .blocks = store_.options().size_max / kPageSize,
                 .bfree = free,
                 .bavail = free,
                 .files = store_.options().inodes_max,
                 .ffree = store_.options().inodes_max - store_.inode_count(),
                 .fsid = 0,
                 .namelen = 255};
}

Task<Result<std::string>> MemoryNode::readlink(Context&) {
  if (!inode_->is(S_IFLNK)) return fail(EINVAL);  // neither this nor the target ever changes
  return inode_->target;
}

// ------------------------------------------------------------------ open files

Task<Result<U32>> MemoryFile::read(Context&, std::span<const iovec> to, U64 offset) {
  const std::lock_guard lock(store_.mutex);
  if ((flags_ & lopen::kAccessMode) == lopen::kWriteOnly) return fail(EBADF);
  if (inode_->is_dir()) return fail(EISDIR);
  if (offset > kFileSizeMax) return fail(EINVAL);
  return store_.read(*inode_, to, offset);
}

Task<Result<U32>> MemoryFile::write(Context&, std::span<const iovec> from, U64 offset) {
  const std::lock_guard lock(store_.mutex);
  if ((flags_ & lopen::kAccessMode) == lopen::kReadOnly) return fail(EBADF);
  return store_.write(*inode_, from, flags_ & lopen::kAppend ? inode_->size : offset);
}

// A cookie is the number of a name, counted up per directory: what goes leaves a gap, and what is
// added comes behind the end, so that a listing ends however fast others add.
Task<Result<U32>> MemoryFile::readdir(Context&, Room room, U64 offset) {
  const std::lock_guard lock(store_.mutex);
  if (!inode_->is_dir()) return fail(ENOTDIR);
  if (inode_->nlink == 0) return fail(ENOENT);
  const std::size_t size = room.size();
  const auto put = [&](Str name, const Inode& inode, U64 cookie) {
    const Dirent entry{.qid = to_qid(inode),
                       .offset = cookie,
                       .type = static_cast<U8>(inode.mode >> 12),
                       .name = name};
    return encode_front(entry, kDotL, room);
  };
  if (offset == 0) end_ = inode_->next_cookie;
  const Inode* parent = inode_->entry->dir;
  if (&*inode_ == &*root_ || !parent || !Store::inside(*parent, *root_)) parent = &*inode_;
  bool fits = true;
  if (offset < 1) fits = put(".", *inode_, 1);
  if (fits && offset < 2) fits = put("..", *parent, 2);
  const auto& entries = inode_->by_cookie;
  for (auto at = entries.upper_bound(offset); fits && at != entries.end() && at->first < end_; ++at)
    fits = put(at->second->name, *at->second->inode, at->first);
  if (!fits && room.size() == size) return fail(EINVAL);  // an empty reply would be the end
  return static_cast<U32>(size - room.size());
}

// ------------------------------------------------------------------ extended attributes

Task<Result<Value>> MemoryNode::getxattr(Context&, Str name) {
  const std::lock_guard lock(store_.mutex);
  auto allowed = check_xattr(*inode_, name, ENODATA);
  NINEP_RETURN_IF_ERROR(allowed);
  const auto found = inode_->xattrs.find(name);
  if (found == inode_->xattrs.end()) return fail(ENODATA);
  return Result<Value>(found->second);
}

Task<Result<Value>> MemoryNode::listxattr(Context&) {
  const std::lock_guard lock(store_.mutex);
  Value list;
  for (const auto& [name, value] : inode_->xattrs) {
    const Bytes bytes = as_bytes(name);
    list.insert(list.end(), bytes.begin(), bytes.end());
    list.push_back(std::byte{0});
  }
  return Result<Value>(std::move(list));
}

Task<Status> MemoryNode::setxattr(Context&, Str name, Bytes value, U32 flags) {
  const std::lock_guard lock(store_.mutex);
  if (flags & ~(kXattrCreate | kXattrReplace)) return fail(EINVAL);
  if (value.size() > kXattrValueMax) return fail(E2BIG);
  auto allowed = check_xattr(*inode_, name, EPERM);
  NINEP_RETURN_IF_ERROR(allowed);
  const bool exists = inode_->xattrs.contains(name);
  if (exists && flags & kXattrCreate) return fail(EEXIST);
  if (!exists && flags & kXattrReplace) return fail(ENODATA);
  return store_.set_xattr(*inode_, name, &value);
}

Task<Status> MemoryNode::removexattr(Context&, Str name) {
  const std::lock_guard lock(store_.mutex);
  auto allowed = check_xattr(*inode_, name, EPERM);
  NINEP_RETURN_IF_ERROR(allowed);
  if (!inode_->xattrs.contains(name)) return fail(ENODATA);
  return store_.set_xattr(*inode_, name, nullptr);
}

}  // namespace ninep::fs::memory
