// What the kernel asks for, in the order of fuse_lowlevel.h. A handler copies what it is given (it is
// the kernel's only until it returns) and starts the coroutine of the same name.
#include <algorithm>
#include <span>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/mount/mount.h"

namespace ninep::mount {

using client::Attributes;
using client::Change;
using client::Directory;
using client::Entry;
using client::error;
using client::Expected;
using client::File;
using client::Lock;
using client::Node;

namespace {

using Done = Expected<void>;
using NodeRef = std::shared_ptr<Node>;
constexpr U32 kTransferMax = 1 << 20;  // of one read or write of the kernel's

/// An open file or directory of the kernel's: fuse_file_info.fh.
struct OpenFile {
  OpenFile(File opened, InodeRef of, bool appending)
      : file(std::move(opened)),
        inode(std::move(of)),
        appends(appending),
        turn(file.attachment()->executor(), 1) {}
  File file;
  const InodeRef inode;
  const bool appends;
  client::Gate turn;  // to append: one after the other
};
struct OpenDirectory {
  Directory directory;
  InodeRef inode;
  std::vector<Entry> entries;  // that were read; the next is at `next`
  std::size_t next = 0;
  U64 offset = 0;  // of the entry before it
};

OpenFile& file_of(const fuse_file_info& info) { return *reinterpret_cast<OpenFile*>(info.fh); }
OpenDirectory& directory_of(const fuse_file_info& info) {
  return *reinterpret_cast<OpenDirectory*>(info.fh);
}

struct stat stat_of(const Attributes& is, U64 number) {
  struct stat s{};
  const Attr& a = is.attr;
  s.st_ino = a.qid.path == 0 ? number : a.qid.path;
  s.st_mode = a.mode;
  s.st_nlink = a.nlink;
  s.st_uid = a.uid;
  s.st_gid = a.gid;
  s.st_rdev = a.rdev;
  s.st_size = static_cast<off_t>(a.size);
  s.st_blksize = static_cast<blksize_t>(a.blksize);
  s.st_blocks = static_cast<blkcnt_t>(a.blocks);
  s.st_atim = {static_cast<time_t>(a.atime_sec), static_cast<long>(a.atime_nsec)};
  s.st_mtim = {static_cast<time_t>(a.mtime_sec), static_cast<long>(a.mtime_nsec)};
  s.st_ctim = {static_cast<time_t>(a.ctime_sec), static_cast<long>(a.ctime_nsec)};
  return s;
}

/// Linux's flags for open(2) as 9P2000.L has them: the same on x86, and the kernel's own are left.
U32 flags_of(int flags) {
  constexpr U32 kTaken = lopen::kAccessMode | lopen::kTruncate | lopen::kAppend | lopen::kSync |
                         lopen::kDsync | lopen::kNoAtime;
  return static_cast<U32>(flags) & kTaken;
}

}  // namespace

struct Handlers {
  static Mount& of(fuse_req_t request) {
    return *static_cast<Mount*>(fuse_req_userdata(request));
  }
  static NodeRef node_of(Mount& mount, fuse_ino_t number) {
    const InodeRef inode = mount.inodes_.find(number);
    return inode ? inode->node : nullptr;
  }
  /// Starts `work(mount, request, node of the inode, ...)`; ESTALE: the kernel has forgotten it.
  template <class Work, class... Arguments>
  static void start(fuse_req_t request, fuse_ino_t number, Work work, Arguments... arguments) {
    Mount& mount = of(request);
    const NodeRef node = node_of(mount, number);
    if (!node) {
      fuse_reply_err(request, ESTALE);
      return;
    }
    mount.start(request, work(mount, request, node, std::move(arguments)...));
  }

  // ---------------------------------------------------------------- names

  /// What the kernel is to know of a file that it asked for by name. With no attributes to be had it
  /// isn't known at all.
  static asio::awaitable<Expected<fuse_entry_param>> entry(Mount& mount, Node node) {
    const auto is = co_await node.stat();
    NINEP_CO_RETURN_IF_WRONG(is);
    const InodeRef inode = mount.inodes_.looked_up(std::move(node));
    fuse_entry_param entry{};
    entry.ino = inode->number;
    entry.attr = stat_of(*is, inode->number);
    entry.attr_timeout = entry.entry_timeout = mount.options_.attribute_timeout;
    co_return entry;
  }
  static void reply(Mount& mount, fuse_req_t request, const fuse_entry_param& entry) {
    if (fuse_reply_entry(request, &entry) == -ENOENT) mount.inodes_.forget(entry.ino, 1);
  }
  static Mount::Work look_up(Mount& mount, fuse_req_t request, NodeRef in, std::string name) {
    auto node = co_await in->walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    const auto entry = co_await Handlers::entry(mount, std::move(*node));
    NINEP_CO_RETURN_IF_WRONG(entry);
    reply(mount, request, *entry);
    co_return Done();
  }
  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, parent, look_up, std::string(name));
  }
  static void forget(fuse_req_t request, fuse_ino_t number, U64 lookups) {
    of(request).inodes_.forget(number, lookups);
    fuse_reply_none(request);
  }
  static void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* which) {
    for (const fuse_forget_data& one : std::span(which, count))
      of(request).inodes_.forget(one.ino, one.nlookup);
    fuse_reply_none(request);
  }

  static Mount::Work make_node(Mount& mount, fuse_req_t request, NodeRef in, std::string name,
                               U32 mode, U64 rdev) {
    if (S_ISDIR(mode)) {
      const auto made = co_await in->mkdir(name, mode & 07777);
      NINEP_CO_RETURN_IF_WRONG(made);
    } else {
      const auto made = co_await in->mknod(name, mode, rdev);
      NINEP_CO_RETURN_IF_WRONG(made);
    }
    co_return co_await look_up(mount, request, in, name);
  }
  static void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
                    dev_t rdev) {
    start(request, parent, make_node, std::string(name), U32{mode}, U64{rdev});
  }
  static void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    start(request, parent, make_node, std::string(name), U32{mode} | U32{S_IFDIR}, U64{0});
  }
  static Mount::Work make_link(Mount& mount, fuse_req_t request, NodeRef in, std::string name,
                               std::string target) {
    const auto made = co_await in->symlink(name, target);
    NINEP_CO_RETURN_IF_WRONG(made);
    co_return co_await look_up(mount, request, in, name);
  }
  static void symlink(fuse_req_t request, const char* target, fuse_ino_t parent,
                      const char* name) {
    start(request, parent, make_link, std::string(name), std::string(target));
  }
  static Mount::Work name_again(Mount& mount, fuse_req_t request, NodeRef in, NodeRef file,
                                std::string name) {
    const auto linked = co_await in->link(name, *file);
    NINEP_CO_RETURN_IF_WRONG(linked);
    co_return co_await look_up(mount, request, in, name);
  }
  static void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
    const NodeRef file = node_of(of(request), number);
    if (!file) {
      fuse_reply_err(request, ESTALE);
      return;
    }
    start(request, parent, name_again, file, std::string(name));
  }

  static Mount::Work remove(Mount&, fuse_req_t request, NodeRef in, std::string name,
                            bool is_directory) {
    const auto removed = co_await in->remove(name, is_directory);
    NINEP_CO_RETURN_IF_WRONG(removed);
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, parent, remove, std::string(name), false);
  }
  static void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, parent, remove, std::string(name), true);
  }
  static Mount::Work move(Mount&, fuse_req_t request, NodeRef from, NodeRef to, std::string name,
                          std::string to_name) {
    const auto renamed = co_await from->rename(name, *to, to_name);
    NINEP_CO_RETURN_IF_WRONG(renamed);
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to,
                     const char* to_name, unsigned flags) {
    const NodeRef target = node_of(of(request), to);
    if (flags != 0 || !target) {  // 9P has no RENAME_NOREPLACE, RENAME_EXCHANGE
      fuse_reply_err(request, flags != 0 ? EINVAL : ESTALE);
      return;
    }
    start(request, parent, move, target, std::string(name), std::string(to_name));
  }

  // ---------------------------------------------------------------- attributes

  static Mount::Work tell(Mount& mount, fuse_req_t request, NodeRef node, U64 number) {
    const auto is = co_await node->stat();
    NINEP_CO_RETURN_IF_WRONG(is);
    const struct stat status = stat_of(*is, number);
    fuse_reply_attr(request, &status, mount.options_.attribute_timeout);
    co_return Done();
  }
  static void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
    start(request, number, tell, U64{number});
  }
  static Mount::Work alter(Mount& mount, fuse_req_t request, NodeRef node, Change change,
                           OpenFile* file, U64 number) {
    // By the open file, if it is one: it may be one that nobody else could change.
    Done changed;
    if (file)
      changed = co_await file->file.change(change);
    else
      changed = co_await node->change(change);
    NINEP_CO_RETURN_IF_WRONG(changed);
    co_return co_await tell(mount, request, node, number);
  }
  static void setattr(fuse_req_t request, fuse_ino_t number, struct stat* to, int which,
                      fuse_file_info* info) {
    Change change;
    if (which & FUSE_SET_ATTR_MODE) change.mode = to->st_mode & 07777;
    if (which & FUSE_SET_ATTR_UID) change.uid = to->st_uid;
    if (which & FUSE_SET_ATTR_GID) change.gid = to->st_gid;
    if (which & FUSE_SET_ATTR_SIZE) change.size = static_cast<U64>(to->st_size);
    if (which & FUSE_SET_ATTR_ATIME) change.atime = to->st_atim;
    if (which & FUSE_SET_ATTR_MTIME) change.mtime = to->st_mtim;
    const timespec now{0, UTIME_NOW};
    if (which & FUSE_SET_ATTR_ATIME_NOW) change.atime = now;
    if (which & FUSE_SET_ATTR_MTIME_NOW) change.mtime = now;
    start(request, number, alter, change, info ? &file_of(*info) : nullptr, U64{number});
  }
  static Mount::Work read_link(Mount&, fuse_req_t request, NodeRef node) {
    const auto target = co_await node->readlink();
    NINEP_CO_RETURN_IF_WRONG(target);
    fuse_reply_readlink(request, target->c_str());
    co_return Done();
  }
  static void readlink(fuse_req_t request, fuse_ino_t number) {
    start(request, number, read_link);
  }
  static Mount::Work tell_room(Mount&, fuse_req_t request, NodeRef node) {
    const auto got = co_await node->statfs();
    NINEP_CO_RETURN_IF_WRONG(got);
    struct statvfs status{};
    status.f_bsize = status.f_frsize = got->bsize;
    status.f_blocks = got->blocks;
    status.f_bfree = got->bfree;
    status.f_bavail = got->bavail;
    status.f_files = got->files;
    status.f_ffree = got->ffree;
    status.f_favail = got->ffree;
    status.f_namemax = got->namelen;
    fuse_reply_statfs(request, &status);
    co_return Done();
  }
  static void statfs(fuse_req_t request, fuse_ino_t number) { start(request, number, tell_room); }

  // ---------------------------------------------------------------- files

  /// Whether what the kernel has kept of the file is what the server has.
  static void set_cache(Mount& mount, Inode& inode, const Qid& qid, fuse_file_info& info) {
    info.keep_cache = qid.version != 0 && inode.cached_version == qid.version;
    info.direct_io = mount.options_.direct;
    inode.cached_version = qid.version;
  }
  static Mount::Work open_it(Mount& mount, fuse_req_t request, NodeRef node, InodeRef inode,
                             fuse_file_info info) {
    auto file = co_await node->open(flags_of(info.flags));
    NINEP_CO_RETURN_IF_WRONG(file);
    set_cache(mount, *inode, file->qid(), info);
    auto open = std::make_unique<OpenFile>(std::move(*file), inode, (info.flags & O_APPEND) != 0);
    info.fh = reinterpret_cast<U64>(open.get());
    // Whoever wanted it has gone: nobody will release it.
    if (fuse_reply_open(request, &info) != -ENOENT) (void)open.release();
    co_return Done();
  }
  static void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, open_it, of(request).inodes_.find(number), *info);
  }
  static Mount::Work create_it(Mount& mount, fuse_req_t request, NodeRef in, std::string name,
                               U32 mode, fuse_file_info info) {
    const U32 exclusive = info.flags & O_EXCL ? lopen::kExclusive : U32{0};
    auto file = co_await in->create(name, flags_of(info.flags) | exclusive, mode & 07777);
    NINEP_CO_RETURN_IF_WRONG(file);
    auto node = co_await file->walk("");
    NINEP_CO_RETURN_IF_WRONG(node);
    const auto entry = co_await Handlers::entry(mount, std::move(*node));
    NINEP_CO_RETURN_IF_WRONG(entry);
    const InodeRef inode = mount.inodes_.find(entry->ino);
    set_cache(mount, *inode, file->qid(), info);
    auto open = std::make_unique<OpenFile>(std::move(*file), inode, (info.flags & O_APPEND) != 0);
    info.fh = reinterpret_cast<U64>(open.get());
    if (fuse_reply_create(request, &*entry, &info) != -ENOENT)
      (void)open.release();
    else
      mount.inodes_.forget(entry->ino, 1);
    co_return Done();
  }
  static void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
                     fuse_file_info* info) {
    start(request, parent, create_it, std::string(name), U32{mode}, *info);
  }

  static Mount::Work read_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open, std::size_t size,
                             U64 offset) {
    std::vector<std::byte> room(size);
    const auto got = co_await open->file.read(offset, room);
    NINEP_CO_RETURN_IF_WRONG(got);
    fuse_reply_buf(request, reinterpret_cast<const char*>(room.data()), *got);
    co_return Done();
  }
  static void read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                   fuse_file_info* info) {
    start(request, number, read_it, &file_of(*info), std::min<std::size_t>(size, kTransferMax),
          static_cast<U64>(offset));
  }
  static Mount::Work write_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open,
                              std::vector<std::byte> data, U64 offset) {
    Done written;
    if (!open->appends) {
      written = co_await open->file.write(offset, data);
    } else {
      if (!co_await open->turn.enter()) co_return error(ECANCELED, "append");
      written = co_await open->file.append(data);
      open->turn.leave();
    }
    NINEP_CO_RETURN_IF_WRONG(written);
    fuse_reply_write(request, data.size());
    co_return Done();
  }
  static void write(fuse_req_t request, fuse_ino_t number, const char* data, std::size_t size,
                    off_t offset, fuse_file_info* info) {
    const auto bytes = std::as_bytes(std::span(data, size));
    start(request, number, write_it, &file_of(*info),
          std::vector<std::byte>(bytes.begin(), bytes.end()), static_cast<U64>(offset));
  }

  static Lock whole(U64 owner, bool is_flock) {
    return {lock::kUnlock, 0, 0, 0, owner_name(owner, is_flock)};
  }
  /// flock(2)'s and fcntl(2)'s are not in each other's way in Linux, and here they are: 9P has one
  /// kind. Their owners differ all the same.
  static std::string owner_name(U64 owner, bool is_flock) {
    static const std::string host = [] {
      char name[256] = {};
      ::gethostname(name, sizeof name - 1);
      return std::string(name) + "/" + std::to_string(::getpid());
    }();
    return host + (is_flock ? "/flock/" : "/") + std::to_string(owner);
  }
  static Mount::Work flush_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open, U64 owner) {
    if (open->file.has_locks()) (void)co_await open->file.unlock(whole(owner, false));
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void flush(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, flush_it, &file_of(*info), U64{info->lock_owner});
  }
  static Mount::Work release_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open) {
    const std::unique_ptr<OpenFile> last(open);
    const auto closed = co_await last->file.close();
    fuse_reply_err(request, closed ? 0 : static_cast<int>(closed.error().code));
    co_return Done();
  }
  static void release(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, release_it, &file_of(*info));
  }
  static Mount::Work sync_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open, bool data_only) {
    const auto synced = co_await open->file.fsync(data_only);
    NINEP_CO_RETURN_IF_WRONG(synced);
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void fsync(fuse_req_t request, fuse_ino_t number, int data_only, fuse_file_info* info) {
    start(request, number, sync_it, &file_of(*info), data_only != 0);
  }

  // ---------------------------------------------------------------- locks

  static Lock lock_of(const fuse_file_info& info, const struct flock& wanted) {
    const U8 type = wanted.l_type == F_RDLCK   ? lock::kRead
                    : wanted.l_type == F_WRLCK ? lock::kWrite
                                               : lock::kUnlock;
    return {type, static_cast<U64>(wanted.l_start), static_cast<U64>(wanted.l_len),
            static_cast<U32>(wanted.l_pid), owner_name(info.lock_owner, false)};
  }
  static Mount::Work test_lock(Mount&, fuse_req_t request, NodeRef, OpenFile* open, Lock wanted) {
    const auto there = co_await open->file.test_lock(wanted);
    NINEP_CO_RETURN_IF_WRONG(there);
    struct flock told{};
    told.l_type = there->type == lock::kRead    ? F_RDLCK
                  : there->type == lock::kWrite ? F_WRLCK
                                                : F_UNLCK;
    told.l_whence = SEEK_SET;
    told.l_start = static_cast<off_t>(there->start);
    told.l_len = static_cast<off_t>(there->length);
    told.l_pid = static_cast<pid_t>(there->proc_id);
    fuse_reply_lock(request, &told);
    co_return Done();
  }
  static void getlk(fuse_req_t request, fuse_ino_t number, fuse_file_info* info,
                    struct flock* wanted) {
    start(request, number, test_lock, &file_of(*info), lock_of(*info, *wanted));
  }
  static Mount::Work lock_it(Mount&, fuse_req_t request, NodeRef, OpenFile* open, Lock wanted,
                             bool waits) {
    if (wanted.type == lock::kUnlock) {
      const auto unlocked = co_await open->file.unlock(wanted);
      NINEP_CO_RETURN_IF_WRONG(unlocked);
    } else {
      const auto locked = co_await open->file.lock(wanted, waits);
      NINEP_CO_RETURN_IF_WRONG(locked);
      if (!*locked) co_return error(EAGAIN, "lock");
    }
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void setlk(fuse_req_t request, fuse_ino_t number, fuse_file_info* info,
                    struct flock* wanted, int waits) {
    start(request, number, lock_it, &file_of(*info), lock_of(*info, *wanted), waits != 0);
  }
  static void flock(fuse_req_t request, fuse_ino_t number, fuse_file_info* info, int how) {
    Lock wanted = whole(info->lock_owner, true);
    wanted.type = (how & ~LOCK_NB) == LOCK_SH   ? lock::kRead
                  : (how & ~LOCK_NB) == LOCK_EX ? lock::kWrite
                                                : lock::kUnlock;
    start(request, number, lock_it, &file_of(*info), wanted, (how & LOCK_NB) == 0);
  }

  // ---------------------------------------------------------------- directories

  static Mount::Work open_directory(Mount&, fuse_req_t request, NodeRef node, InodeRef inode,
                                    fuse_file_info info) {
    auto directory = co_await node->open_directory();
    NINEP_CO_RETURN_IF_WRONG(directory);
    auto open = std::make_unique<OpenDirectory>();
    open->directory = std::move(*directory);
    open->inode = inode;
    info.fh = reinterpret_cast<U64>(open.get());
    if (fuse_reply_open(request, &info) != -ENOENT) (void)open.release();
    co_return Done();
  }
  static void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, open_directory, of(request).inodes_.find(number), *info);
  }

  /// Entries from `offset` on, in `open.entries` from `open.next` on; none: the end.
  static asio::awaitable<Expected<void>> fill(OpenDirectory& open, U64 offset) {
    if (offset != open.offset) {
      open.directory.seek(offset);
      open.entries.clear();
      open.next = 0;
      open.offset = offset;
    }
    if (open.next < open.entries.size()) co_return Done();
    auto more = co_await open.directory.next();
    NINEP_CO_RETURN_IF_WRONG(more);
    open.entries = std::move(*more);
    open.next = 0;
    co_return Done();
  }
  static Mount::Work list(Mount& mount, fuse_req_t request, NodeRef node, OpenDirectory* open,
                          std::size_t size, U64 offset, bool with_attributes) {
    const auto filled = co_await fill(*open, offset);
    NINEP_CO_RETURN_IF_WRONG(filled);
    // As many as there may be room for: the least that an entry takes is that of its name.
    std::vector<char> room(size);
    std::size_t used = 0;
    std::vector<Expected<fuse_entry_param>> known;
    if (with_attributes) {
      const std::size_t least = sizeof(fuse_entry_param);
      const std::size_t count = std::min(open->entries.size() - open->next, size / least + 1);
      known.resize(count);
      std::vector<asio::awaitable<void>> all;
      for (std::size_t i = 0; i < count; ++i)
        all.push_back(known_of(mount, *node, open->entries[open->next + i].name, known[i]));
      co_await client::together(std::move(all));
    }
    std::size_t taken = 0;
    for (; open->next < open->entries.size(); ++open->next, ++taken) {
      const Entry& entry = open->entries[open->next];
      std::size_t needed;
      if (with_attributes) {
        if (taken == known.size()) break;
        // One that is gone meanwhile, or can't be asked for, is a name without an inode.
        fuse_entry_param is{};
        if (known[taken]) is = *known[taken];
        if (is.ino == 0) {
          is.attr.st_mode = static_cast<mode_t>(DTTOIF(entry.type));
          is.attr.st_ino = entry.qid.path;
        }
        needed = fuse_add_direntry_plus(request, room.data() + used, size - used,
                                        entry.name.c_str(), &is, static_cast<off_t>(entry.offset));
      } else {
        struct stat is{};
        is.st_ino = entry.qid.path;
        is.st_mode = static_cast<mode_t>(DTTOIF(entry.type));
        needed = fuse_add_direntry(request, room.data() + used, size - used, entry.name.c_str(),
                                   &is, static_cast<off_t>(entry.offset));
      }
      if (needed > size - used) break;
      used += needed;
      open->offset = entry.offset;
    }
    // What was asked for and had no room is not told, and not known.
    for (std::size_t i = taken; i < known.size(); ++i)
      if (known[i]) mount.inodes_.forget(known[i]->ino, 1);
    fuse_reply_buf(request, room.data(), used);
    co_return Done();
  }
  static asio::awaitable<void> known_of(Mount& mount, Node& in, std::string name,
                                        Expected<fuse_entry_param>& known) {
    auto node = co_await in.walk(name);
    if (!node) {
      known = std::unexpected(node.error());
      co_return;
    }
    known = co_await entry(mount, std::move(*node));
  }
  static void readdir(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                      fuse_file_info* info) {
    start(request, number, list, &directory_of(*info), std::min<std::size_t>(size, kTransferMax),
          static_cast<U64>(offset), false);
  }
  static void readdirplus(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
                          fuse_file_info* info) {
    start(request, number, list, &directory_of(*info), std::min<std::size_t>(size, kTransferMax),
          static_cast<U64>(offset), true);
  }
  static void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    delete &directory_of(*info);
    fuse_reply_err(request, 0);
  }
  static Mount::Work sync_directory(Mount&, fuse_req_t request, NodeRef, OpenDirectory*) {
    fuse_reply_err(request, 0);  // 9P has no way to say it; servers sync by their own rules
    co_return Done();
  }
  static void fsyncdir(fuse_req_t request, fuse_ino_t number, int, fuse_file_info* info) {
    start(request, number, sync_directory, &directory_of(*info));
  }

  // ---------------------------------------------------------------- extended attributes

  /// A size of 0 asks for how much there is.
  static void reply_value(fuse_req_t request, Str value, std::size_t size) {
    if (size == 0)
      fuse_reply_xattr(request, value.size());
    else if (size < value.size())
      fuse_reply_err(request, ERANGE);
    else
      fuse_reply_buf(request, value.data(), value.size());
  }
  static Mount::Work get_xattr(Mount&, fuse_req_t request, NodeRef node, std::string name,
                               std::size_t size) {
    const auto value = co_await node->xattr(name);
    NINEP_CO_RETURN_IF_WRONG(value);
    reply_value(request, *value, size);
    co_return Done();
  }
  static void getxattr(fuse_req_t request, fuse_ino_t number, const char* name, std::size_t size) {
    start(request, number, get_xattr, std::string(name), size);
  }
  static void listxattr(fuse_req_t request, fuse_ino_t number, std::size_t size) {
    start(request, number, get_xattr, std::string(), size);
  }
  static Mount::Work set_xattr(Mount&, fuse_req_t request, NodeRef node, std::string name,
                               std::string value, U32 flags) {
    const auto set = co_await node->set_xattr(name, value, flags);
    NINEP_CO_RETURN_IF_WRONG(set);
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void setxattr(fuse_req_t request, fuse_ino_t number, const char* name, const char* value,
                       std::size_t size, int flags) {
    start(request, number, set_xattr, std::string(name), std::string(value, size),
          static_cast<U32>(flags));
  }
  static Mount::Work remove_xattr(Mount&, fuse_req_t request, NodeRef node, std::string name) {
    const auto removed = co_await node->remove_xattr(name);
    NINEP_CO_RETURN_IF_WRONG(removed);
    fuse_reply_err(request, 0);
    co_return Done();
  }
  static void removexattr(fuse_req_t request, fuse_ino_t number, const char* name) {
    start(request, number, remove_xattr, std::string(name));
  }

  static void init(void*, fuse_conn_info* connection) {
    const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                            FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
                            FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
                            FUSE_CAP_ASYNC_DIO | FUSE_CAP_AUTO_INVAL_DATA;
    connection->want = connection->capable & wanted;
    connection->max_write = kTransferMax;
    connection->max_readahead = std::min(connection->max_readahead, 8u << 20);
    connection->max_background = 64;
    connection->congestion_threshold = 48;
  }
};

const fuse_lowlevel_ops kHandlers = [] {
  fuse_lowlevel_ops ops{};
  ops.init = Handlers::init;
  ops.lookup = Handlers::lookup;
  ops.forget = Handlers::forget;
  ops.forget_multi = Handlers::forget_multi;
  ops.getattr = Handlers::getattr;
  ops.setattr = Handlers::setattr;
  ops.readlink = Handlers::readlink;
  ops.mknod = Handlers::mknod;
  ops.mkdir = Handlers::mkdir;
  ops.unlink = Handlers::unlink;
  ops.rmdir = Handlers::rmdir;
  ops.symlink = Handlers::symlink;
  ops.rename = Handlers::rename;
  ops.link = Handlers::link;
  ops.open = Handlers::open;
  ops.create = Handlers::create;
  ops.read = Handlers::read;
  ops.write = Handlers::write;
  ops.flush = Handlers::flush;
  ops.release = Handlers::release;
  ops.fsync = Handlers::fsync;
  ops.getlk = Handlers::getlk;
  ops.setlk = Handlers::setlk;
  ops.flock = Handlers::flock;
  ops.opendir = Handlers::opendir;
  ops.readdir = Handlers::readdir;
  ops.readdirplus = Handlers::readdirplus;
  ops.releasedir = Handlers::releasedir;
  ops.fsyncdir = Handlers::fsyncdir;
  ops.statfs = Handlers::statfs;
  ops.getxattr = Handlers::getxattr;
  ops.listxattr = Handlers::listxattr;
  ops.setxattr = Handlers::setxattr;
  ops.removexattr = Handlers::removexattr;
  return ops;
}();

}  // namespace ninep::mount
