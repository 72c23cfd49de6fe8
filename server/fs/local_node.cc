#include "server/fs/local_node.h"

#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace ninep::fs {
namespace {

namespace ops = io::ops;

constexpr int kPathFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
constexpr U64 kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
constexpr std::size_t kXattrMax = 65536;  // XATTR_SIZE_MAX, XATTR_LIST_MAX
constexpr std::size_t kXattrFirst = 256;  // most are short, or absent

Status done(int result) {
  if (result < 0) return fail(-result);
  return {};
}

// open(2)'s flags of this machine for those of the wire. O_CREAT and O_EXCL are dealt with by the
// callers; O_DIRECT is between the client and its cache.
int host_flags(U32 flags) {
  int host = static_cast<int>(flags & lopen::kAccessMode) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  if (flags & lopen::kTruncate) host |= O_TRUNC;
  if (flags & lopen::kAppend) host |= O_APPEND;
  if (flags & lopen::kDsync) host |= O_DSYNC;
  if (flags & lopen::kSync) host |= O_SYNC;
  if (flags & lopen::kDirectory) host |= O_DIRECTORY;
  if (flags & lopen::kNoAtime) host |= O_NOATIME;
  return host;
}

bool writes(U32 flags) { return (flags & lopen::kAccessMode) != lopen::kReadOnly; }

io::Task<void> close_on(io::Loop& loop, int fd) {
  co_await loop.run(ops::close(io::Sleep::kMay, fd));
}

// Whether the end of this descriptor may be that of a large file without a name.
bool frees_much(int fd) {
  constexpr U64 kMuch = (U64{1} << 20) / 512;
  struct statx status;
  return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_BLOCKS, &status) ==
             0 &&
         status.stx_nlink == 0 && status.stx_blocks > kMuch;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ < 0) return;
  // It may have to write back what is cached, or to give back a removed file's blocks.
  if (sleep_ == io::Sleep::kMay || (sleep_ == io::Sleep::kCold && frees_much(fd_))) {
    loop_->detach(close_on(*loop_, fd_));
  } else {
    ::close(fd_);
  }
}

ProcPath::ProcPath(int fd) { std::snprintf(text_, sizeof text_, "/proc/self/fd/%d", fd); }

Name::Name(Str name) {
  NINEP_CHECK(name.size() < sizeof text_);
  std::memcpy(text_, name.data(), name.size());
  text_[name.size()] = '\0';
}

// ------------------------------------------------------------------ walking

Task<Result<Descriptor>> LocalNode::step(Context& ctx, const char* name) {
  return open_path(ctx, name, kResolve);
}

// Where something is mounted, nothing may be asked of it on the loop before it is known what it is.
Task<Result<Descriptor>> LocalNode::open_path(Context& ctx, const char* name, U64 resolve) {
  open_how how{.flags = kPathFlags, .mode = 0, .resolve = resolve | RESOLVE_NO_XDEV};
  io::Sleep there = sleep();
  int fd = co_await ctx.run_as_user(ops::open(there, fd_.get(), name, how));
  if (fd == -EXDEV) {
    there = io::Sleep::kMay;
    how.resolve = resolve;
    fd = co_await ctx.run_as_user(ops::open(there, fd_.get(), name, how));
  }
  if (fd < 0) co_return fail(-fd);
  co_return Descriptor(ctx.loop(), there, fd);
}

Task<Result<Ref<LocalNode>>> make_local_node(Context& ctx, Ref<LocalRoot> root, Descriptor fd,
                                             const FileSystem& likely) {
  struct statx status;
  const int failed = co_await ctx.run(ops::statx(fd.sleep(), fd.get(), kStatxMask, status));
  if (failed < 0) co_return fail(-failed);
  const FileSystem* fs = &likely;
  if (likely.device != device_number(status)) {  // another one is mounted here
    struct statfs about;
    const int unknown = co_await ctx.run(ops::statfs(io::Sleep::kMay, fd.get(), about));
    if (unknown < 0) about = {};
    fs = &root->file_systems->find(status, about);
  }
  fd.set_sleep(fs->sleep);
  const auto path = root->file_systems->path(*fs, status.stx_ino);
  NINEP_CO_RETURN_IF_ERROR(path);
  co_return make_ref<LocalNode>(std::move(fd), std::move(root), *fs, status, *path);
}

Task<Result<Ref<Node>>> LocalNode::adopt(Context& ctx, Descriptor fd) {
  auto making = make_local_node(ctx, root_, std::move(fd), fs_);
  auto made = co_await making;
  NINEP_CO_RETURN_IF_ERROR(made);
  co_return Ref<Node>(std::move(*made));
}

Task<Result<Ref<Node>>> LocalNode::walk(Context& ctx, Str name) {
  if (name == "..") return parent(ctx);
  struct Steps {
    static Task<Result<Ref<Node>>> go(Context& c, LocalNode& from, Str to) {
      const Name text(to);
      auto stepping = from.step(c, text.c_str());
      auto fd = co_await stepping;
      NINEP_CO_RETURN_IF_ERROR(fd);
      auto adopting = from.adopt(c, std::move(*fd));
      co_return co_await adopting;
    }
  };
  return Steps::go(ctx, *this, name);
}

// ".." of a directory, unless that is the root. The directory may have been moved out of the
// export since it was walked to: then its parents don't lead to the root, and there is no way up.
Task<Result<Ref<Node>>> LocalNode::parent(Context& ctx) {
  if (type_ != S_IFDIR) co_return fail(ENOTDIR);
  if (is_root()) co_return Ref<Node>(this);
  auto stepping = open_path(ctx, "..", 0);
  auto up = co_await stepping;
  NINEP_CO_RETURN_IF_ERROR(up);
  // Climb from there until the root is met.
  open_how how{.flags = kPathFlags | O_DIRECTORY, .mode = 0, .resolve = 0};
  int at = up->get();
  std::optional<Descriptor> climbing;
  U64 last_inode = inode_;
  U64 last_device = fs_.device;
  while (true) {
    struct statx status;
    const int failed = co_await ctx.run(ops::statx(io::Sleep::kMay, at, STATX_INO, status));
    if (failed < 0) co_return fail(-failed);
    const U64 device = device_number(status);
    if (device == root_->device && status.stx_ino == root_->inode) break;
    if (device == last_device && status.stx_ino == last_inode) co_return fail(ESTALE);  // "/"
    last_device = device;
    last_inode = status.stx_ino;
    const int next = co_await ctx.run_as_server(ops::open(io::Sleep::kMay, at, "..", how));
    if (next < 0) co_return fail(-next);
    climbing.emplace(ctx.loop(), io::Sleep::kMay, next);
    at = next;
  }
  auto adopting = adopt(ctx, std::move(*up));
  co_return co_await adopting;
}

Task<Result<Qid>> LocalNode::qid_of(Context& ctx, const char* name) {
  auto stepping = step(ctx, name);
  auto fd = co_await stepping;
  NINEP_CO_RETURN_IF_ERROR(fd);
  auto adopting = adopt(ctx, std::move(*fd));
  auto node = co_await adopting;
  NINEP_CO_RETURN_IF_ERROR(node);
  co_return (*node)->qid();
}

// ------------------------------------------------------------------ opening and creating

Task<Result<Ref<File>>> LocalNode::open(Context& ctx, U32 flags) {
  if (type_ == S_IFLNK) co_return fail(ELOOP);
  // Opening a fifo waits for its other end, opening a device does whatever its driver likes.
  if (type_ != S_IFREG && type_ != S_IFDIR) co_return fail(ENXIO);
  if ((flags & lopen::kAccessMode) == lopen::kAccessMode) co_return fail(EINVAL);
  int host = host_flags(flags);
  int fd = co_await ctx.run_as_user(ops::reopen(sleep(), fd_.get(), host));
  if (fd == -EPERM && (host & O_NOATIME)) {  // that is for the owner; reading is not
    host &= ~O_NOATIME;
    fd = co_await ctx.run_as_user(ops::reopen(sleep(), fd_.get(), host));
  }
  if (fd < 0) co_return fail(-fd);
  Descriptor opened(ctx.loop(), sleep(), fd);
  struct statx status;  // it may have changed since it was walked to
  if (co_await ctx.run(ops::statx(sleep(), fd, kStatxMask, status)) == 0)
    qid_ = to_qid(status, qid_.path);
  co_return Ref<File>(make_ref<LocalFile>(std::move(opened), root_, fs_, writes(flags), inode_));
}

// A name that exists must not be opened before it is known to be a file (a fifo would hang), so
// creating is tried exclusively first.
Task<Result<Created>> LocalNode::create(Context& ctx, Str name, U32 flags, U32 mode, U32 gid) {
  if ((flags & lopen::kAccessMode) == lopen::kAccessMode) co_return fail(EINVAL);
  const Name text(name);
  for (int attempt = 0; attempt < 8; ++attempt) {
    open_how how{.flags = static_cast<U64>(host_flags(flags & ~lopen::kDirectory) | O_CREAT |
                                           O_EXCL | O_NOFOLLOW),
                 .mode = mode & 07777,
                 .resolve = kResolve | RESOLVE_NO_XDEV};
    how.flags &= ~U64{O_TRUNC | O_NOATIME};
    int fd = co_await ctx.create_as_user(ops::open(sleep(), fd_.get(), text.c_str(), how), gid);
    if (fd == -EXDEV) fd = -EEXIST;  // something is mounted there
    if (fd >= 0) {
      ctx.commit();
      Descriptor opened(ctx.loop(), sleep(), fd);
      // The node has an O_PATH descriptor of its own: clones of the fid don't keep the file open.
      const int held = co_await ctx.run(ops::reopen(sleep(), fd, O_PATH | O_CLOEXEC));
      if (held < 0) co_return fail(-held);
      auto adopting = adopt(ctx, Descriptor(ctx.loop(), sleep(), held));
      auto node = co_await adopting;
      NINEP_CO_RETURN_IF_ERROR(node);
      const U64 inode = static_cast<LocalNode&>(**node).inode_;
      auto file = make_ref<LocalFile>(std::move(opened), root_, fs_, writes(flags), inode);
      co_return Created{std::move(*node), std::move(file)};
    }
    if (fd != -EEXIST || (flags & lopen::kExclusive)) co_return fail(-fd);
    auto walking = walk(ctx, name);
    auto node = co_await walking;
    if (!node && node.error() == Errno{ENOENT}) continue;  // removed in between
    NINEP_CO_RETURN_IF_ERROR(node);
    if ((*node)->qid().type == kQtDir) co_return fail(EISDIR);
    auto opening = (*node)->open(ctx, flags & ~lopen::kDirectory);
    auto file = co_await opening;
    NINEP_CO_RETURN_IF_ERROR(file);
    co_return Created{std::move(*node), std::move(*file)};
  }
  co_return fail(EAGAIN);
}

Task<Result<Qid>> LocalNode::mkdir(Context& ctx, Str name, U32 mode, U32 gid) {
  const Name text(name);
  const int result =
      co_await ctx.create_as_user(ops::mkdir(sleep(), fd_.get(), text.c_str(), mode & 07777), gid);
  if (result < 0) co_return fail(-result);
  ctx.commit();
  auto asking = qid_of(ctx, text.c_str());
  co_return co_await asking;
}

Task<Result<Qid>> LocalNode::mknod(Context& ctx, Str name, U32 mode, U32 major, U32 minor,
                                   U32 gid) {
  const Name text(name);
  const int result = co_await ctx.create_as_user(
      ops::mknod(sleep(), fd_.get(), text.c_str(), mode & (S_IFMT | 07777), makedev(major, minor)),
      gid);
  if (result < 0) co_return fail(-result);
  ctx.commit();
  auto asking = qid_of(ctx, text.c_str());
  co_return co_await asking;
}

Task<Result<Qid>> LocalNode::symlink(Context& ctx, Str name, Str target, U32 gid) {
  if (target.size() >= PATH_MAX) co_return fail(ENAMETOOLONG);
  const Name text(name);
  const std::string to(target);
  const int result =
      co_await ctx.create_as_user(ops::symlink(sleep(), to.c_str(), fd_.get(), text.c_str()), gid);
  if (result < 0) co_return fail(-result);
  ctx.commit();
  auto asking = qid_of(ctx, text.c_str());
  co_return co_await asking;
}

Task<Status> LocalNode::link(Context& ctx, Node& file, Str name) {
  const Name text(name);
  const ProcPath path(static_cast<LocalNode&>(file).fd());
  co_return done(
      co_await ctx.run_as_user(ops::link(sleep_with(file), path.c_str(), fd_.get(), text.c_str())));
}

// ------------------------------------------------------------------ names

// A file whose name goes is held meanwhile: freeing a large one takes a disk's time, and is left to
// the descriptor's end.
Task<std::optional<Descriptor>> LocalNode::hold(Context& ctx, const char* name) {
  if (sleep() != io::Sleep::kCold) co_return std::nullopt;
  auto stepping = step(ctx, name);
  auto held = co_await stepping;
  if (!held) co_return std::nullopt;
  co_return std::optional<Descriptor>(std::move(*held));
}

Task<Status> LocalNode::unlink(Context& ctx, Str name, bool directory) {
  const Name text(name);
  auto holding = hold(ctx, text.c_str());
  const auto held = co_await holding;
  co_return done(co_await ctx.run_as_user(
      ops::unlink(sleep(), fd_.get(), text.c_str(), directory ? AT_REMOVEDIR : 0)));
}

Task<Status> LocalNode::rename(Context& ctx, Str name, Node& to_dir, Str to) {
  const Name from_text(name);
  const Name to_text(to);
  auto holding = static_cast<LocalNode&>(to_dir).hold(ctx, to_text.c_str());
  const auto held = co_await holding;
  co_return done(
      co_await ctx.run_as_user(ops::rename(sleep_with(to_dir), fd_.get(), from_text.c_str(),
                                           static_cast<LocalNode&>(to_dir).fd(), to_text.c_str())));
}

struct LocalNode::Place {
  Descriptor directory;
  std::string name;
};

// The kernel knows the name by which the descriptor's file goes now. The way there is walked from
// the export's directory like any other, and must lead to the same file.
Task<Result<LocalNode::Place>> LocalNode::place(Context& ctx) {
  if (is_root()) co_return fail(EBUSY);
  char paths[2][PATH_MAX];
  const int fds[2] = {root_->export_fd, fd_.get()};
  for (int i = 0; i < 2; ++i) {
    const ProcPath link(fds[i]);
    const ssize_t size = ::readlink(link.c_str(), paths[i], PATH_MAX);
    if (size < 0) co_return fail(errno);
    if (size == PATH_MAX) co_return fail(ENAMETOOLONG);
    paths[i][size] = '\0';
  }
  Str root = paths[0];
  if (root == "/") root = "";
  Str path = paths[1];
  if (!path.starts_with(root) || path.substr(root.size(), 1) != "/") co_return fail(ENOENT);
  path.remove_prefix(root.size() + 1);
  const std::size_t slash = path.rfind('/');
  const std::string directory(slash == path.npos ? "." : path.substr(0, slash));
  std::string name(path.substr(slash + 1));

  // Other file systems may lie on the way.
  constexpr io::Sleep there = io::Sleep::kMay;
  open_how how{.flags = kPathFlags | O_DIRECTORY, .mode = 0, .resolve = kResolve};
  const int fd =
      co_await ctx.run_as_user(ops::open(there, root_->export_fd, directory.c_str(), how));
  // Of a removed file it is where it was: something else may be in the way there by now.
  if (fd == -ENOTDIR || fd == -ELOOP) co_return fail(ENOENT);
  if (fd < 0) co_return fail(-fd);
  Descriptor dir(ctx.loop(), there, fd);
  how.flags = kPathFlags;
  const int file = co_await ctx.run_as_user(ops::open(there, fd, name.c_str(), how));
  if (file < 0) co_return fail(-file);
  const Descriptor held(ctx.loop(), there, file);
  struct statx status;
  const int failed = co_await ctx.run(ops::statx(there, file, STATX_INO, status));
  if (failed < 0) co_return fail(-failed);
  if (status.stx_ino != inode_ || device_number(status) != fs_.device) co_return fail(ENOENT);
  co_return Place{std::move(dir), std::move(name)};
}

Task<Status> LocalNode::remove_self(Context& ctx) {
  auto finding = place(ctx);
  auto found = co_await finding;
  NINEP_CO_RETURN_IF_ERROR(found);
  co_return done(co_await ctx.run_as_user(ops::unlink(
      sleep(), found->directory.get(), found->name.c_str(), type_ == S_IFDIR ? AT_REMOVEDIR : 0)));
}

Task<Status> LocalNode::rename_self(Context& ctx, Node& to_dir, Str to) {
  auto finding = place(ctx);
  auto found = co_await finding;
  NINEP_CO_RETURN_IF_ERROR(found);
  const Name text(to);
  co_return done(co_await ctx.run_as_user(
      ops::rename(sleep_with(to_dir), found->directory.get(), found->name.c_str(),
                  static_cast<LocalNode&>(to_dir).fd(), text.c_str())));
}

// ------------------------------------------------------------------ extended attributes

Task<Result<std::vector<std::byte>>> LocalNode::getxattr(Context& ctx, Str name) {
  const ProcPath path(fd_.get());
  const Name text(name);
  std::vector<std::byte> value(kXattrFirst);
  int size = co_await ctx.run_as_user(ops::getxattr(sleep(), path.c_str(), text.c_str(), value));
  if (size == -ERANGE) {
    value.resize(kXattrMax);
    size = co_await ctx.run_as_user(ops::getxattr(sleep(), path.c_str(), text.c_str(), value));
  }
  if (size < 0) co_return fail(-size);
  value.resize(static_cast<std::size_t>(size));
  value.shrink_to_fit();  // it may be held for long
  co_return value;
}

Task<Result<std::vector<std::byte>>> LocalNode::listxattr(Context& ctx) {
  const ProcPath path(fd_.get());
  std::vector<std::byte> names(kXattrFirst);
  int size = co_await ctx.run_as_user(ops::listxattr(sleep(), path.c_str(), names));
  if (size == -ERANGE) {
    names.resize(kXattrMax);
    size = co_await ctx.run_as_user(ops::listxattr(sleep(), path.c_str(), names));
  }
  if (size < 0) co_return fail(-size);
  names.resize(static_cast<std::size_t>(size));
  names.shrink_to_fit();
  co_return names;
}

Task<Status> LocalNode::setxattr(Context& ctx, Str name, Bytes value, U32 flags) {
  static_assert(kXattrCreate == 1 && kXattrReplace == 2, "as setxattr(2) has them");
  const ProcPath path(fd_.get());
  const Name text(name);
  co_return done(co_await ctx.run_as_user(
      ops::setxattr(sleep(), path.c_str(), text.c_str(), value, static_cast<int>(flags))));
}

Task<Status> LocalNode::removexattr(Context& ctx, Str name) {
  const ProcPath path(fd_.get());
  const Name text(name);
  co_return done(co_await ctx.run_as_user(ops::removexattr(sleep(), path.c_str(), text.c_str())));
}

}  // namespace ninep::fs
