#include "server/fs/memory_store.h"

#include <algorithm>
#include <cstring>

#include <time.h>

namespace ninep::fs::memory {
namespace {

constexpr U64 kEntrySize = 512;  // what a name is charged, of any length: renaming costs nothing
constexpr U64 kTransferMax = 0x7FFF'F000;  // MAX_RW_COUNT
constexpr std::size_t kXattrListMax = 65536;

U64 total_size(std::span<const iovec> pieces) {
  U64 size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  return std::min(size, kTransferMax);
}

/// Calls visit(bytes, page number, start within the page) until it gives false; returns how many
/// bytes were visited. `offset + size` doesn't overflow.
template <class Visit>
U64 each_piece(std::span<const iovec> pieces, U64 offset, U64 size, Visit&& visit) {
  U64 done = 0;
  for (const iovec& piece : pieces) {
    Room room(static_cast<std::byte*>(piece.iov_base), piece.iov_len);
    while (!room.empty() && done < size) {
      const U64 start = (offset + done) % kPageSize;
      const U64 step = std::min({U64{room.size()}, kPageSize - start, size - done});
      if (!visit(room.first(step), (offset + done) / kPageSize, start)) return done;
      room = room.subspan(step);
      done += step;
    }
  }
  return done;
}

}  // namespace

Store::Store(const MemoryTree::Options& options) : options_(options) {
  auto made = make(S_IFDIR | 0755, 0, 0);
  NINEP_CHECK(made);
  root_ = *made;
  root_->entry = std::make_shared<Entry>();
  root_->entry->inode = root_;
  root_->nlink = 2;
}

Time Store::now() {
  if (options_.counted_time) return {.sec = ++ticks_, .nsec = 0};
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return {.sec = static_cast<U64>(now.tv_sec), .nsec = static_cast<U64>(now.tv_nsec)};
}

bool Store::charge(U64 size) {
  if (size > options_.size_max - size_) return false;
  size_ += size;
  return true;
}

void Store::changed(Inode& inode) {
  inode.mtime = inode.ctime = now();
  if (++inode.version == 0) inode.version = 1;  // 0 would mean: don't cache
}

// ------------------------------------------------------------------ life

Result<Inode*> Store::make(U32 mode, U32 uid, U32 gid) {
  if (inodes_.size() >= options_.inodes_max) return fail(ENOSPC);
  auto inode = std::make_unique<Inode>();
  inode->number = next_number_++;
  inode->mode = mode;
  inode->uid = uid;
  inode->gid = gid;
  inode->atime = inode->mtime = inode->ctime = inode->btime = now();
  Inode* made = inode.get();
  inodes_.emplace(made->number, std::move(inode));
  return made;
}

void Store::collect(Inode& inode) {
  if (inode.nlink != 0 || inode.holds != 0) return;
  size_ -= inode.pages.size() * kPageSize + inode.target.size();
  for (const auto& [name, value] : inode.xattrs) size_ -= name.size() + value.size();
  inodes_.erase(inode.number);
}

// ------------------------------------------------------------------ names

EntryRef Store::find(const Inode& dir, Str name) const {
  const auto found = dir.by_name.find(name);
  return found == dir.by_name.end() ? nullptr : found->second;
}

void Store::link(const EntryRef& entry, Inode& dir, Str name, U64 cookie) {
  entry->dir = &dir;
  entry->name = name;
  entry->cookie = cookie;
  dir.by_name.emplace(entry->name, entry);
  dir.by_cookie.emplace(cookie, entry.get());
  if (entry->inode->is_dir()) ++dir.nlink;  // its ".."
  changed(dir);
  touched(*entry->inode);
}

void Store::unlink(Entry& entry) {
  Inode& dir = *entry.dir;
  if (entry.inode->is_dir()) --dir.nlink;
  changed(dir);
  touched(*entry.inode);
  entry.dir = nullptr;
  dir.by_cookie.erase(entry.cookie);
  dir.by_name.erase(dir.by_name.find(entry.name));
}

Result<EntryRef> Store::enter(Inode& dir, Str name, Inode& inode) {
  if (dir.nlink == 0) return fail(ENOENT);
  if (!charge(kEntrySize)) return fail(ENOSPC);
  auto entry = std::make_shared<Entry>();
  entry->inode = &inode;
  inode.nlink += inode.is_dir() ? 2 : 1;
  link(entry, dir, name, dir.next_cookie++);
  if (inode.is_dir()) inode.entry = entry;
  return entry;
}

Status Store::removable(const Entry& entry, bool directory) const {
  const Inode& inode = *entry.inode;
  if (inode.is_dir() != directory) return fail(directory ? ENOTDIR : EISDIR);
  if (directory && !inode.by_name.empty()) return fail(ENOTEMPTY);
  return {};
}

void Store::remove(const EntryRef& entry) {
  Inode& inode = *entry->inode;
  const EntryRef kept = entry;  // the argument may be the directory's own
  unlink(*kept);
  size_ -= kEntrySize;
  inode.nlink -= inode.is_dir() ? 2 : 1;
  collect(inode);
}

bool Store::inside(const Inode& dir, const Inode& top) {
  for (const Inode* at = &dir; at; at = at->entry->dir)
    if (at == &top) return true;
  return false;
}

Status Store::rename(const EntryRef& entry, Inode& to_dir, Str to) {
  if (!to_dir.is_dir()) return fail(ENOTDIR);
  if (to_dir.nlink == 0) return fail(ENOENT);
  const EntryRef moved = entry;
  const Inode& inode = *moved->inode;
  if (inode.is_dir() && inside(to_dir, inode)) return fail(EINVAL);
  U64 cookie = 0;
  if (const EntryRef old = find(to_dir, to)) {
    if (old->inode == &inode) return {};  // two names of one file: "shall do nothing"
    if (old->inode->is_dir() && inside(*moved->dir, *old->inode)) return fail(ENOTEMPTY);
    auto allowed = removable(*old, inode.is_dir());
    NINEP_RETURN_IF_ERROR(allowed);
    cookie = old->cookie;  // the name was there all the time, and is listed once
    remove(old);
  }
  unlink(*moved);
  link(moved, to_dir, to, cookie ? cookie : to_dir.next_cookie++);
  return {};
}

// ------------------------------------------------------------------ content

U32 Store::read(Inode& file, std::span<const iovec> to, U64 offset) {
  if (offset >= file.size) return 0;
  const U64 size = std::min(total_size(to), file.size - offset);
  return static_cast<U32>(each_piece(to, offset, size, [&](Room room, U64 number, U64 start) {
    const auto page = file.pages.find(number);
    if (page == file.pages.end()) {
      std::memset(room.data(), 0, room.size());
    } else {
      std::memcpy(room.data(), page->second->data() + start, room.size());
    }
    return true;
  }));
}

Result<U32> Store::write(Inode& file, std::span<const iovec> from, U64 offset) {
  const U64 size = total_size(from);
  if (size == 0) return 0;
  if (offset >= kFileSizeMax) return fail(EFBIG);
  const U64 fits = std::min(size, kFileSizeMax - offset);
  const U64 done = each_piece(from, offset, fits, [&](Room bytes, U64 number, U64 start) {
    auto& page = file.pages[number];
    if (!page) {
      if (!charge(kPageSize)) {
        file.pages.erase(number);
        return false;
      }
      page = std::make_unique<Page>();
    }
    std::memcpy(page->data() + start, bytes.data(), bytes.size());
    return true;
  });
  if (done == 0) return fail(ENOSPC);
  file.size = std::max(file.size, offset + done);
  changed(file);
  return static_cast<U32>(done);
}

void Store::truncate(Inode& file, U64 size) {
  if (size < file.size) {
    const auto last = file.pages.find(size / kPageSize);
    if (last != file.pages.end())
      std::fill(last->second->begin() + static_cast<std::ptrdiff_t>(size % kPageSize),
                last->second->end(), std::byte{0});
    const auto rest = file.pages.lower_bound((size + kPageSize - 1) / kPageSize);
    size_ -= kPageSize * static_cast<U64>(std::distance(rest, file.pages.end()));
    file.pages.erase(rest, file.pages.end());
  }
  file.size = size;
  changed(file);
}

Status Store::set_target(Inode& symlink, Str target) {
  if (!charge(target.size())) return fail(ENOSPC);
  symlink.target = target;
  symlink.size = target.size();
  return {};
}

Status Store::set_xattr(Inode& inode, Str name, const Bytes* value) {
  const auto old = inode.xattrs.find(name);
  const bool had = old != inode.xattrs.end();
  if (value) {
    std::size_t list_size = name.size() + 1;
    for (const auto& [other, _] : inode.xattrs) list_size += other.size() + 1;
    if (!had && list_size > kXattrListMax) return fail(ENOSPC);
    if (!charge(name.size() + value->size())) return fail(ENOSPC);
  }
  if (had) {
    size_ -= name.size() + old->second.size();
    inode.xattrs.erase(old);
  }
  if (value) inode.xattrs.emplace(name, Value(value->begin(), value->end()));
  touched(inode);
  return {};
}

}  // namespace ninep::fs::memory
