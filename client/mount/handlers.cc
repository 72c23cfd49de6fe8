// What the kernel asks for, in the order of fuse_lowlevel.h. A handler copies what it is given (it
// is the kernel's only until it returns) and starts a coroutine.
#include <algorithm>
#include <cstring>
#include <span>

#include <asio/post.hpp>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/mount/mount.h"
#include "client/mount/open.h"

namespace ninep::mount {

using client::Attributes;
using client::Change;
using client::Entry;
using client::error;
using client::Expected;
using client::File;
using client::is;
using client::Lock;
using client::Node;

namespace {

using Done = Expected<void>;
using NodeRef = std::shared_ptr<Node>;
using Clock = Inode::Clock;
constexpr std::size_t kTransferMax = 1 << 20;  // of one read or write of the kernel's
constexpr std::size_t kLinkMax = 4095;         // of a symbolic link's text that the kernel takes
constexpr std::size_t kNameMax = 1024;         // of an entry's
constexpr std::size_t kEntryLeast = 152;       // an entry with attributes takes no less

struct stat stat_of(const Attr& a, const Inode& inode) {
  struct stat s{};
  const U64 path = inode.node->qid().path;
  s.st_ino = path == 0 ? inode.number : path;
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

/// What the kernel doesn't take, and gives the inode up for.
Done check(const Attributes& is) {
  const U32 type = is.attr.mode & S_IFMT;
  const bool is_type = type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR ||
                       type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
  if (!is_type || is.attr.size > INT64_MAX)
    return error(EIO, "stat", "the server tells attributes that no file has");
  return {};
}

/// Linux's flags for open(2) as 9P2000.L has them: the same on x86, and the kernel's own are left.
U32 flags_of(int flags) {
  constexpr U32 kTaken = lopen::kAccessMode | lopen::kTruncate | lopen::kAppend | lopen::kSync |
                         lopen::kDsync | lopen::kNoAtime;
  return static_cast<U32>(flags) & kTaken;
}

Clock::time_point until(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

struct Handlers {
  static Mount& of(fuse_req_t request) { return *static_cast<Mount*>(fuse_req_userdata(request)); }
  /// Starts `work(mount, request, inode, ...)`; ESTALE: the kernel has forgotten the inode.
  template <class Start, class... Arguments>
  static void start(fuse_req_t request, fuse_ino_t number, Start work, Arguments... arguments) {
    start_as(Interrupt::kWhenKilled, request, number, work, std::move(arguments)...);
  }
  template <class Start, class... Arguments>
  static void start_as(Interrupt interrupt, fuse_req_t request, fuse_ino_t number, Start work,
                       Arguments... arguments) {
    Mount& mount = of(request);
    const auto asked = std::make_shared<Request>(request, interrupt);
    const InodeRef inode = mount.inodes_.find(number);
    if (!inode)
      asked->answer(fuse_reply_err, ESTALE);
    else
      mount.start(asked, work(mount, *asked, inode, std::move(arguments)...));
  }
  /// The same, of an open file: `work(mount, request, open, ...)`.
  template <class Start, class... Arguments>
  static void start_with(Interrupt interrupt, fuse_req_t request, const fuse_file_info* info,
                         Start work, Arguments... arguments) {
    Mount& mount = of(request);
    const auto asked = std::make_shared<Request>(request, interrupt);
    const auto file = file_of(mount, info);
    if (!file)
      asked->answer(fuse_reply_err, EBADF);
    else
      mount.start(asked, work(mount, *asked, file, std::move(arguments)...));
  }
  static std::shared_ptr<OpenFile> file_of(const Mount& mount, const fuse_file_info* info) {
    const auto at = info ? mount.files_.find(info->fh) : mount.files_.end();
    return at == mount.files_.end() ? nullptr : at->second;
  }

  /// Does `call()`, which takes fids; where the server has no more, some are given back, and it is
  /// done again: it fails before it does anything.
  template <class Call>
  static std::invoke_result_t<Call&> with_room(Mount& mount, Call call) {
    const std::size_t most = mount.inodes_.awake_max();
    auto result = co_await call();
    if (result || !is(result.error(), EMFILE)) co_return result;
    // Others that found so meanwhile have seen to it.
    if (mount.inodes_.awake_max() == most) mount.inodes_.halve();
    // Behind those that give fids back, which are in line by the next turn.
    co_await asio::post(mount.executor_, asio::use_awaitable);
    co_return co_await call();
  }

  // ---------------------------------------------------------------- names

  /// What the kernel is to know of a file that it asked for by name. With no attributes to be had
  /// it isn't known at all.
  static asio::awaitable<Expected<fuse_entry_param>> entry(Mount& mount, Node node) {
    const auto is = co_await node.stat();
    NINEP_CO_RETURN_IF_WRONG(is);
    auto checked = check(*is);
    NINEP_CO_RETURN_IF_WRONG(checked);
    const InodeRef inode = mount.inodes_.looked_up(std::move(node), is->attr.mode & S_IFMT);
    learn(mount, *inode, *is);
    fuse_entry_param entry{};
    entry.ino = inode->number;
    entry.attr = stat_of(is->attr, *inode);
    entry.attr_timeout = entry.entry_timeout = mount.options_.attribute_timeout;
    co_return entry;
  }
  static void reply(Mount& mount, Request& request, const fuse_entry_param& entry) {
    if (request.answer(fuse_reply_entry, &entry) == -ENOENT) mount.inodes_.forget(entry.ino, 1);
  }
  static Work look_up(Mount& mount, Request& request, InodeRef in, std::string name) {
    const NodeRef directory = in->node;
    auto node = co_await with_room(mount, [&] { return directory->walk(name); });
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

  /// Linux's rule, which is the client's to apply: a folder may hand its group on. That is looked
  /// at as often as the kernel looks at attributes.
  static asio::awaitable<Expected<U32>> group_of_new(Mount& mount, Request& request, InodeRef in) {
    if (Clock::now() >= in->group_until) {
      const NodeRef node = in->node;
      const auto is = co_await node->stat();
      NINEP_CO_RETURN_IF_WRONG(is);
      learn(mount, *in, *is);
    }
    co_return in->group.value_or(request.gid());
  }
  static void learn(Mount& mount, Inode& inode, const Attributes& is) {
    if (inode.type != S_IFDIR) return;
    inode.group = is.attr.mode & S_ISGID ? std::optional(is.attr.gid) : std::nullopt;
    inode.group_until = until(mount.options_.attribute_timeout);
  }
  /// What was made belongs to the mount's user at the server. It becomes the caller's, if the
  /// server lets us: nobody but root may, and not everywhere.
  static asio::awaitable<Done> give(Mount& mount, Request& request, Node& made, U32 mode) {
    if (!mount.options_.gives_away || request.uid() == 0) co_return Done();
    Change change;
    change.uid = request.uid();
    if (!S_ISDIR(mode) && (mode & (S_ISUID | S_ISGID)) != 0) change.mode = mode & 07777;
    const auto given = co_await made.change(change);
    if (!given && !is(given.error(), EPERM)) co_return given;
    co_return Done();
  }
  /// Tells the kernel of what was made just now, which nobody has replaced meanwhile.
  static Work tell_made(Mount& mount, Request& request, InodeRef in, std::string name, Qid made,
                        U32 mode) {
    const NodeRef directory = in->node;
    auto node = co_await with_room(mount, [&] { return directory->walk(name); });
    NINEP_CO_RETURN_IF_WRONG(node);
    if (node->qid().path == made.path) {
      auto given = co_await give(mount, request, *node, mode);
      NINEP_CO_RETURN_IF_WRONG(given);
    }
    const auto entry = co_await Handlers::entry(mount, std::move(*node));
    NINEP_CO_RETURN_IF_WRONG(entry);
    reply(mount, request, *entry);
    co_return Done();
  }
  static Work make_node(Mount& mount, Request& request, InodeRef in, std::string name, U32 mode,
                        U64 rdev) {
    const auto group = co_await group_of_new(mount, request, in);
    NINEP_CO_RETURN_IF_WRONG(group);
    const NodeRef directory = in->node;
    Expected<Qid> made;
    if (S_ISDIR(mode))
      made = co_await directory->mkdir(name, mode & 07777, *group);
    else
      made = co_await directory->mknod(name, mode, rdev, *group);
    NINEP_CO_RETURN_IF_WRONG(made);
    co_return co_await tell_made(mount, request, in, name, *made, mode);
  }
  static void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
                    dev_t rdev) {
    start(request, parent, make_node, std::string(name), U32{mode}, U64{rdev});
  }
  static void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    start(request, parent, make_node, std::string(name), U32{mode} | U32{S_IFDIR}, U64{0});
  }
  static Work make_link(Mount& mount, Request& request, InodeRef in, std::string name,
                        std::string target) {
    const auto group = co_await group_of_new(mount, request, in);
    NINEP_CO_RETURN_IF_WRONG(group);
    const NodeRef directory = in->node;
    const auto made = co_await directory->symlink(name, target, *group);
    NINEP_CO_RETURN_IF_WRONG(made);
    co_return co_await tell_made(mount, request, in, name, *made, 0);
  }
  static void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    start(request, parent, make_link, std::string(name), std::string(target));
  }
  static Work name_again(Mount& mount, Request& request, InodeRef in, InodeRef file,
                         std::string name) {
    const NodeRef directory = in->node;
    const NodeRef node = file->node;
    const auto linked = co_await directory->link(name, *node);
    NINEP_CO_RETURN_IF_WRONG(linked);
    co_return co_await look_up(mount, request, in, name);
  }
  static void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
    InodeRef file = of(request).inodes_.find(number);
    if (!file) {
      fuse_reply_err(request, ESTALE);
      return;
    }
    start(request, parent, name_again, std::move(file), std::string(name));
  }

  static Work remove(Mount&, Request& request, InodeRef in, std::string name, bool is_directory) {
    const NodeRef directory = in->node;
    const auto removed = co_await directory->remove(name, is_directory);
    NINEP_CO_RETURN_IF_WRONG(removed);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, parent, remove, std::string(name), false);
  }
  static void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, parent, remove, std::string(name), true);
  }
  static Work move(Mount&, Request& request, InodeRef from, InodeRef to, std::string name,
                   std::string to_name) {
    const NodeRef source = from->node;
    const NodeRef target = to->node;
    const auto renamed = co_await source->rename(name, *target, to_name);
    NINEP_CO_RETURN_IF_WRONG(renamed);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to,
                     const char* to_name, unsigned flags) {
    InodeRef target = of(request).inodes_.find(to);
    if (flags != 0 || !target) {  // 9P has no RENAME_NOREPLACE, RENAME_EXCHANGE
      fuse_reply_err(request, flags != 0 ? EINVAL : ESTALE);
      return;
    }
    start(request, parent, move, std::move(target), std::string(name), std::string(to_name));
  }

  // ---------------------------------------------------------------- attributes

  static Work tell(Mount& mount, Request& request, InodeRef inode, std::shared_ptr<OpenFile> file) {
    const NodeRef node = inode->node;
    Expected<Attributes> is;
    if (file)
      is = co_await file->file.stat();
    else
      is = co_await node->stat();
    // Without a name it is found by its open file alone.
    if (!file && !is && client::is(is.error(), ESTALE) && !inode->files.empty()) {
      const auto open = inode->files.front()->shared_from_this();
      is = co_await open->file.stat();
    }
    NINEP_CO_RETURN_IF_WRONG(is);
    auto checked = check(*is);
    NINEP_CO_RETURN_IF_WRONG(checked);
    if ((is->attr.mode & S_IFMT) != inode->type)
      co_return error(ESTALE, "stat", "it has become another file");
    learn(mount, *inode, *is);
    const struct stat status = stat_of(is->attr, *inode);
    request.answer(fuse_reply_attr, &status, mount.options_.attribute_timeout);
    co_return Done();
  }
  static void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, tell, file_of(of(request), info));
  }
  static Work alter(Mount& mount, Request& request, InodeRef inode, Change change,
                    std::shared_ptr<OpenFile> file) {
    // By the open file, if it is one: it may be one that nobody else could change.
    const NodeRef node = inode->node;
    Done changed;
    if (file)
      changed = co_await file->file.change(change);
    else
      changed = co_await node->change(change);
    NINEP_CO_RETURN_IF_WRONG(changed);
    co_return co_await tell(mount, request, inode, file);
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
    start(request, number, alter, change, file_of(of(request), info));
  }
  static Work read_link(Mount&, Request& request, InodeRef inode) {
    const NodeRef node = inode->node;
    const auto target = co_await node->readlink();
    NINEP_CO_RETURN_IF_WRONG(target);
    if (target->size() > kLinkMax) co_return error(ENAMETOOLONG, "read a symbolic link");
    request.answer(fuse_reply_readlink, target->c_str());
    co_return Done();
  }
  static void readlink(fuse_req_t request, fuse_ino_t number) { start(request, number, read_link); }
  static Work tell_room(Mount&, Request& request, InodeRef inode) {
    const NodeRef node = inode->node;
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
    request.answer(fuse_reply_statfs, &status);
    co_return Done();
  }
  static void statfs(fuse_req_t request, fuse_ino_t number) { start(request, number, tell_room); }

  // ---------------------------------------------------------------- files

  /// Takes the file into the table; whether what the kernel has kept of it is what the server has.
  /// What is appended to isn't kept: where the kernel takes the end to be is another client's by
  /// then.
  static std::shared_ptr<OpenFile> opened(Mount& mount, File file, InodeRef inode, U32 flags,
                                          fuse_file_info& info) {
    const Qid& qid = file.qid();
    info.keep_cache = qid.version != 0 && inode->cached_version == qid.version;
    info.direct_io = mount.options_.direct || (flags & lopen::kAppend) != 0;
    inode->cached_version = qid.version;
    info.fh = mount.next_handle_++;
    return std::make_shared<OpenFile>(std::move(file), std::move(inode), flags);
  }
  static Work open_it(Mount& mount, Request& request, InodeRef inode, fuse_file_info info) {
    const NodeRef node = inode->node;
    const U32 flags = flags_of(info.flags);
    auto file = co_await with_room(mount, [&] { return node->open(flags); });
    NINEP_CO_RETURN_IF_WRONG(file);
    const auto open = opened(mount, std::move(*file), inode, flags, info);
    // Before the answer, for then it may be used at once.
    mount.files_[info.fh] = open;
    // Whoever wanted it has gone: nobody will release it.
    if (request.answer(fuse_reply_open, &info) == -ENOENT) mount.files_.erase(info.fh);
    co_return Done();
  }
  static void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, open_it, *info);
  }
  /// For several users a file that has come meanwhile is not opened here: it is for the kernel to
  /// say whether the caller may, and it looks again after ESTALE.
  static Work create_it(Mount& mount, Request& request, InodeRef in, std::string name, U32 mode,
                        fuse_file_info info) {
    const auto group = co_await group_of_new(mount, request, in);
    NINEP_CO_RETURN_IF_WRONG(group);
    const NodeRef directory = in->node;
    const U32 flags = flags_of(info.flags);
    const bool is_exclusive = (info.flags & O_EXCL) != 0;
    const U32 exclusive = is_exclusive || mount.options_.allow_other ? lopen::kExclusive : U32{0};
    auto file = co_await with_room(
        mount, [&] { return directory->create(name, flags | exclusive, mode & 07777, *group); });
    if (!file && is(file.error(), EEXIST) && !is_exclusive) file.error().code = Errno{ESTALE};
    NINEP_CO_RETURN_IF_WRONG(file);
    if (exclusive != 0) {
      auto given = co_await give(mount, request, *file, mode);
      NINEP_CO_RETURN_IF_WRONG(given);
    }
    auto node = co_await with_room(mount, [&] { return directory->walk(name); });
    NINEP_CO_RETURN_IF_WRONG(node);
    if (node->qid().path != file->qid().path)
      co_return error(ESTALE, "create " + name, "another file has its name already");
    const auto entry = co_await Handlers::entry(mount, std::move(*node));
    NINEP_CO_RETURN_IF_WRONG(entry);
    const InodeRef inode = mount.inodes_.find(entry->ino);
    const auto open = opened(mount, std::move(*file), inode, flags, info);
    mount.files_[info.fh] = open;
    if (request.answer(fuse_reply_create, &*entry, &info) == -ENOENT) {
      mount.files_.erase(info.fh);
      mount.inodes_.forget(entry->ino, 1);
    }
    co_return Done();
  }
  static void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
                     fuse_file_info* info) {
    start(request, parent, create_it, std::string(name), U32{mode}, *info);
  }

  static Work read_it(Mount&, Request& request, std::shared_ptr<OpenFile> open, std::size_t size,
                      U64 offset) {
    const auto room = std::make_unique_for_overwrite<std::byte[]>(size);
    const auto got = co_await open->file.read(offset, Room(room.get(), size));
    NINEP_CO_RETURN_IF_WRONG(got);
    request.answer(fuse_reply_buf, reinterpret_cast<const char*>(room.get()), *got);
    co_return Done();
  }
  static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                   fuse_file_info* info) {
    start_with(Interrupt::kWhenKilled, request, info, read_it,
               std::min<std::size_t>(size, kTransferMax), static_cast<U64>(offset));
  }
  /// Whether it is appended is said of each write: a program may change its mind (F_SETFL), and the
  /// kernel writes mapped pages by any of a file's descriptors.
  static Work write_it(Mount&, Request& request, std::shared_ptr<OpenFile> open,
                       std::vector<std::byte> data, U64 offset, bool appends) {
    auto file = co_await open->for_writes(appends);
    NINEP_CO_RETURN_IF_WRONG(file);
    Done written;
    if (!appends) {
      written = co_await (*file)->write(offset, data);
    } else {
      if (!co_await open->turn.enter()) co_return error(ECANCELED, "append");
      written = co_await (*file)->append(data);
      open->turn.leave();
    }
    NINEP_CO_RETURN_IF_WRONG(written);
    request.answer(fuse_reply_write, data.size());
    co_return Done();
  }
  static void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size,
                    off_t offset, fuse_file_info* info) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const bool appends = (info->flags & O_APPEND) != 0 && !info->writepage;
    start_with(Interrupt::kWhenKilled, request, info, write_it,
               std::vector<std::byte>(bytes.begin(), bytes.end()), static_cast<U64>(offset),
               appends);
  }

  static Work flush_it(Mount&, Request& request, std::shared_ptr<OpenFile> open, U64 owner) {
    const Lock all{.type = lock::kUnlock};
    const auto unlocked = co_await unlock(open->inode, all, owner);
    std::erase_if(open->inode->lock_owners,
                  [owner](const Inode::LockOwner& one) { return one.owner == owner; });
    NINEP_CO_RETURN_IF_WRONG(unlocked);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    start_with(Interrupt::kNever, request, info, flush_it, U64{info->lock_owner});
  }
  static Work release_it(Mount&, Request& request, std::shared_ptr<OpenFile> open) {
    co_await open->close();
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    const U64 handle = info->fh;
    Mount& mount = of(request);
    start_with(Interrupt::kNever, request, info, release_it);
    mount.files_.erase(handle);
  }
  static Work sync_it(Mount&, Request& request, std::shared_ptr<OpenFile> open, bool data_only) {
    const auto synced = co_await open->file.fsync(data_only);
    NINEP_CO_RETURN_IF_WRONG(synced);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
    start_with(Interrupt::kWhenKilled, request, info, sync_it, data_only != 0);
  }

  // ---------------------------------------------------------------- locks

  /// Who has a lock: the kernel's number for it, on this host, in this mount. flock(2)'s owners are
  /// others than fcntl(2)'s, and the locks are of one kind: 9P has no more.
  static std::string owner_name(U64 owner, bool is_flock) {
    static const std::string host = [] {
      char name[256] = {};
      ::gethostname(name, sizeof name - 1);
      return std::string(name) + "/" + std::to_string(::getpid());
    }();
    return host + (is_flock ? "/flock/" : "/") + std::to_string(owner);
  }
  /// The owner's process, as it was called when the first of his locks was taken.
  static U32 process_of(const Inode& inode, U64 owner, U32 pid) {
    const auto known = std::ranges::find(inode.lock_owners, owner, &Inode::LockOwner::owner);
    return known == inode.lock_owners.end() ? pid : known->pid;
  }
  /// A process's locks are the file's, by whichever descriptor they were taken.
  static asio::awaitable<Done> unlock(InodeRef inode, Lock range, U64 owner) {
    Done unlocked;
    const std::vector<Inode::LockOwner> owners = inode->lock_owners;
    for (const Inode::LockOwner& one : owners) {
      const auto file = one.file.lock();
      if (one.owner != owner || !file) continue;
      range.proc_id = one.pid;
      range.client_id = owner_name(owner, false);
      const auto done = co_await file->file.unlock(range);
      if (!done && unlocked) unlocked = done;
    }
    co_return unlocked;
  }
  static Lock lock_of(const struct flock& wanted) {
    const U8 type = wanted.l_type == F_RDLCK   ? lock::kRead
                    : wanted.l_type == F_WRLCK ? lock::kWrite
                                               : lock::kUnlock;
    return {type, static_cast<U64>(wanted.l_start), static_cast<U64>(wanted.l_len),
            static_cast<U32>(wanted.l_pid), ""};
  }
  static Work test_lock(Mount&, Request& request, std::shared_ptr<OpenFile> open, Lock wanted,
                        U64 owner) {
    wanted.proc_id = process_of(*open->inode, owner, wanted.proc_id);
    wanted.client_id = owner_name(owner, false);
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
    request.answer(fuse_reply_lock, &told);
    co_return Done();
  }
  static void getlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted) {
    start_with(Interrupt::kWhenKilled, request, info, test_lock, lock_of(*wanted),
               U64{info->lock_owner});
  }
  static Work lock_it(Mount&, Request& request, std::shared_ptr<OpenFile> open, Lock wanted,
                      bool waits) {
    const auto locked = co_await open->file.lock(wanted, waits);
    NINEP_CO_RETURN_IF_WRONG(locked);
    if (!*locked) co_return error(EAGAIN, "lock");
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static Work lock_range(Mount& mount, Request& request, std::shared_ptr<OpenFile> open,
                         Lock wanted, U64 owner, bool waits) {
    const InodeRef inode = open->inode;
    wanted.proc_id = process_of(*inode, owner, wanted.proc_id);
    wanted.client_id = owner_name(owner, false);
    const bool is_known = std::ranges::any_of(inode->lock_owners, [&](const auto& one) {
      return one.owner == owner && one.file.lock() == open;
    });
    // Known from the start, for it may be had before the answer is here.
    if (!is_known) inode->lock_owners.push_back({owner, wanted.proc_id, open});
    co_return co_await lock_it(mount, request, open, wanted, waits);
  }
  static Work unlock_range(Mount&, Request& request, std::shared_ptr<OpenFile> open, Lock range,
                           U64 owner) {
    const auto unlocked = co_await unlock(open->inode, range, owner);
    NINEP_CO_RETURN_IF_WRONG(unlocked);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void setlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted,
                    int waits) {
    const Lock range = lock_of(*wanted);
    if (range.type == lock::kUnlock)
      start_with(Interrupt::kNever, request, info, unlock_range, range, U64{info->lock_owner});
    else
      start_with(waits ? Interrupt::kAlways : Interrupt::kWhenKilled, request, info, lock_range,
                 range, U64{info->lock_owner}, waits != 0);
  }
  static Work unlock_whole(Mount&, Request& request, std::shared_ptr<OpenFile> open, Lock range) {
    const auto unlocked = co_await open->file.unlock(range);
    NINEP_CO_RETURN_IF_WRONG(unlocked);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void flock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, int how) {
    const int kind = how & ~LOCK_NB;
    const bool waits = (how & LOCK_NB) == 0;
    const U8 type = kind == LOCK_SH ? lock::kRead : kind == LOCK_EX ? lock::kWrite : lock::kUnlock;
    const Lock wanted{type, 0, 0, 0, owner_name(info->lock_owner, true)};
    if (type == lock::kUnlock)
      start_with(Interrupt::kNever, request, info, unlock_whole, wanted);
    else
      start_with(waits ? Interrupt::kAlways : Interrupt::kWhenKilled, request, info, lock_it,
                 wanted, waits);
  }

  // ---------------------------------------------------------------- directories

  static Work open_directory(Mount& mount, Request& request, InodeRef inode, fuse_file_info info) {
    const NodeRef node = inode->node;
    auto directory = co_await with_room(mount, [&] { return node->open_directory(); });
    NINEP_CO_RETURN_IF_WRONG(directory);
    info.fh = mount.next_handle_++;
    mount.directories_[info.fh] = std::make_shared<OpenDirectory>(std::move(*directory), inode);
    if (request.answer(fuse_reply_open, &info) == -ENOENT) mount.directories_.erase(info.fh);
    co_return Done();
  }
  static void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, number, open_directory, *info);
  }

  static asio::awaitable<void> known_of(Mount& mount, Node& in, std::string name,
                                        Expected<fuse_entry_param>& known) {
    auto node = co_await with_room(mount, [&] { return in.walk(name); });
    if (!node) {
      known = std::unexpected(node.error());
      co_return;
    }
    known = co_await entry(mount, std::move(*node));
  }
  /// Entries from `offset` on, as many as there is room for; none: the end. Where it fails with
  /// nothing, it is the next call that says so.
  static Work list_in_turn(Mount& mount, Request& request, std::shared_ptr<OpenDirectory> open,
                           std::size_t size, U64 offset, bool with_attributes) {
    const auto filled = co_await open->fill(offset);
    NINEP_CO_RETURN_IF_WRONG(filled);
    std::vector<Expected<fuse_entry_param>> known;
    if (with_attributes) {
      const NodeRef node = open->inode->node;
      const std::size_t count = std::min(open->entries.size() - open->next, size / kEntryLeast + 1);
      known.resize(count);
      std::vector<asio::awaitable<void>> all;
      for (std::size_t i = 0; i < count; ++i)
        all.push_back(known_of(mount, *node, open->entries[open->next + i].name, known[i]));
      co_await client::together(std::move(all));
    }
    std::vector<char> room(size);
    std::size_t used = 0;
    const auto add = [&](const std::string& name, const fuse_entry_param& is, U64 next) {
      const std::size_t left = size - used;
      const std::size_t needed =
          with_attributes ? fuse_add_direntry_plus(nullptr, room.data() + used, left, name.c_str(),
                                                   &is, static_cast<off_t>(next))
                          : fuse_add_direntry(nullptr, room.data() + used, left, name.c_str(),
                                              &is.attr, static_cast<off_t>(next));
      if (needed > left) return false;
      used += needed;
      open->offset = next;
      return true;
    };
    for (; open->dots < 2; ++open->dots) {
      fuse_entry_param is{};
      is.attr.st_mode = S_IFDIR;
      is.attr.st_ino = open->inode->node->qid().path;
      if (!add(open->dots == 0 ? "." : "..", is, open->dots + 1)) break;
    }
    std::vector<U64> told;  // inodes
    for (std::size_t i = 0; open->next < open->entries.size(); ++open->next, ++i) {
      const Entry& entry = open->entries[open->next];
      if (with_attributes && i == known.size()) break;
      if (entry.name.size() > kNameMax) continue;  // the kernel would take none of them
      // One that is gone meanwhile, or can't be asked for, is a name without an inode.
      fuse_entry_param is{};
      if (with_attributes && known[i]) is = *known[i];
      if (is.ino == 0) {
        is.attr.st_mode = static_cast<mode_t>(DTTOIF(entry.type));
        is.attr.st_ino = entry.qid.path;
      }
      if (!add(entry.name, is, entry.offset)) break;
      if (is.ino != 0) {
        told.push_back(is.ino);
        known[i] = fuse_entry_param{};
      }
    }
    const bool is_told = request.answer(fuse_reply_buf, room.data(), used) != -ENOENT;
    // What was asked for and isn't told is not known to the kernel.
    for (const Expected<fuse_entry_param>& one : known)
      if (one && one->ino != 0) mount.inodes_.forget(one->ino, 1);
    for (const U64 number : told)
      if (!is_told) mount.inodes_.forget(number, 1);
    co_return Done();
  }
  static Work list(Mount& mount, Request& request, std::shared_ptr<OpenDirectory> open,
                   std::size_t size, U64 offset, bool with_attributes) {
    if (!co_await open->turn.enter()) co_return error(ECANCELED, "read a directory");
    const auto listed = co_await list_in_turn(mount, request, open, size, offset, with_attributes);
    open->turn.leave();
    co_return listed;
  }
  template <class Start, class... Arguments>
  static void start_in(Interrupt interrupt, fuse_req_t request, const fuse_file_info* info,
                       Start work, Arguments... arguments) {
    Mount& mount = of(request);
    const auto asked = std::make_shared<Request>(request, interrupt);
    const auto at = mount.directories_.find(info->fh);
    if (at == mount.directories_.end())
      asked->answer(fuse_reply_err, EBADF);
    else
      mount.start(asked, work(mount, *asked, at->second, std::move(arguments)...));
  }
  static void readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                      fuse_file_info* info) {
    start_in(Interrupt::kWhenKilled, request, info, list, std::min<std::size_t>(size, kTransferMax),
             static_cast<U64>(offset), false);
  }
  static void readdirplus(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                          fuse_file_info* info) {
    start_in(Interrupt::kWhenKilled, request, info, list, std::min<std::size_t>(size, kTransferMax),
             static_cast<U64>(offset), true);
  }
  static void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    of(request).directories_.erase(info->fh);
    fuse_reply_err(request, 0);
  }
  static Work sync_directory(Mount&, Request& request, std::shared_ptr<OpenDirectory> open) {
    auto synced = co_await open->directory.fsync();
    // A server that has no such thing syncs by its own rules.
    if (!synced && (is(synced.error(), EOPNOTSUPP) || is(synced.error(), EINVAL))) synced = Done();
    NINEP_CO_RETURN_IF_WRONG(synced);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
    start_in(Interrupt::kWhenKilled, request, info, sync_directory);
  }

  // ---------------------------------------------------------------- extended attributes

  /// A size of 0 asks for how much there is.
  static void reply_value(Request& request, Str value, std::size_t size) {
    if (size == 0)
      request.answer(fuse_reply_xattr, value.size());
    else if (size < value.size())
      request.answer(fuse_reply_err, ERANGE);
    else
      request.answer(fuse_reply_buf, value.data(), value.size());
  }
  static Work get_xattr(Mount& mount, Request& request, InodeRef inode, std::string name,
                        std::size_t size) {
    const bool is_capability = name == "security.capability";
    if (is_capability && Clock::now() < inode->no_capability_until)
      co_return error(ENODATA, "read an attribute");
    const NodeRef node = inode->node;
    const auto value = co_await with_room(mount, [&] { return node->xattr(name); });
    if (is_capability && !value && (is(value.error(), ENODATA) || is(value.error(), EOPNOTSUPP)))
      inode->no_capability_until = until(mount.options_.attribute_timeout);
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
  static Work set_xattr(Mount& mount, Request& request, InodeRef inode, std::string name,
                        std::string value, U32 flags) {
    const NodeRef node = inode->node;
    inode->no_capability_until = {};
    const auto set = co_await with_room(mount, [&] { return node->set_xattr(name, value, flags); });
    inode->no_capability_until = {};
    NINEP_CO_RETURN_IF_WRONG(set);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void setxattr(fuse_req_t request, fuse_ino_t number, const char* name, const char* value,
                       std::size_t size, int flags) {
    start(request, number, set_xattr, std::string(name), std::string(value, size),
          static_cast<U32>(flags));
  }
  static Work remove_xattr(Mount& mount, Request& request, InodeRef inode, std::string name) {
    const NodeRef node = inode->node;
    const auto removed = co_await with_room(mount, [&] { return node->remove_xattr(name); });
    NINEP_CO_RETURN_IF_WRONG(removed);
    request.answer(fuse_reply_err, 0);
    co_return Done();
  }
  static void removexattr(fuse_req_t request, fuse_ino_t number, const char* name) {
    start(request, number, remove_xattr, std::string(name));
  }

  /// Not asked for: that the kernel keeps writes back (FUSE_CAP_WRITEBACK_CACHE), for others would
  /// see them late, and its idea of a file's end would be ours alone.
  static void init(void* self, fuse_conn_info* connection) {
    const Mount& mount = *static_cast<Mount*>(self);
    const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                            FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
                            FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
                            FUSE_CAP_ASYNC_DIO | FUSE_CAP_AUTO_INVAL_DATA;
    connection->want = connection->capable & wanted;
    connection->max_write = static_cast<unsigned>(mount.transfer_max());
    connection->max_read = connection->max_write;
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
