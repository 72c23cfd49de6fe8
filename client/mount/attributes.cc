// Attributes of files, extended ones too.
#include <fcntl.h>
#include <sys/stat.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::Attributes;
using client::Change;
using client::error;
using client::Expected;
using client::is;

namespace {

constexpr std::size_t kLinkMax = 4095;  // of a symbolic link's text that the kernel takes

Work tell(Tree& tree, Request& request, InodeRef inode, std::shared_ptr<OpenFile> file) {
  const NodeRef node = inode->node;
  Expected<Attributes> is;
  if (file)
    is = co_await file->file.stat();
  else
    is = co_await of_inode(tree, [&] { return node->stat(); });
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
  learn(tree, *inode, *is);
  const struct stat status = stat_of(is->attr, *inode);
  request.answer(fuse_reply_attr, &status, tree.options.attribute_timeout);
  co_return Done();
}
void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  start(request, number, tell, file_of(tree_of(request), info));
}
Work alter(Tree& tree, Request& request, InodeRef inode, Change change,
           std::shared_ptr<OpenFile> file) {
  // By the open file, if it is one: it may be one that nobody else could change.
  const NodeRef node = inode->node;
  inode->no_set_id_until = {};
  Done changed;
  if (file)
    changed = co_await file->file.change(change);
  else
    changed = co_await of_inode(tree, [&] { return node->change(change); });
  NINEP_CO_RETURN_IF_WRONG(changed);
  co_return co_await tell(tree, request, inode, file);
}
void setattr(fuse_req_t request, fuse_ino_t number, struct stat* to, int which,
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
  start(request, number, alter, change, file_of(tree_of(request), info));
}
Work read_link(Tree& tree, Request& request, InodeRef inode) {
  const NodeRef node = inode->node;
  const auto target = co_await of_inode(tree, [&] { return node->readlink(); });
  NINEP_CO_RETURN_IF_WRONG(target);
  if (target->size() > kLinkMax) co_return error(ENAMETOOLONG, "read a symbolic link");
  request.answer(fuse_reply_readlink, target->c_str());
  co_return Done();
}
void readlink(fuse_req_t request, fuse_ino_t number) { start(request, number, read_link); }
Work tell_room(Tree& tree, Request& request, InodeRef inode) {
  const NodeRef node = inode->node;
  const auto got = co_await of_inode(tree, [&] { return node->statfs(); });
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
void statfs(fuse_req_t request, fuse_ino_t number) { start(request, number, tell_room); }

// ------------------------------------------------------------------ extended

/// A size of 0 asks for how much there is.
void reply_value(Request& request, Str value, std::size_t size) {
  if (size == 0)
    request.answer(fuse_reply_xattr, value.size());
  else if (size < value.size())
    request.answer(fuse_reply_err, ERANGE);
  else
    request.answer(fuse_reply_buf, value.data(), value.size());
}
Work get_xattr(Tree& tree, Request& request, InodeRef inode, std::string name, std::size_t size) {
  const bool is_capability = name == "security.capability";
  if (is_capability && Inode::Clock::now() < inode->no_capability_until)
    co_return error(ENODATA, "read an attribute");
  const NodeRef node = inode->node;
  auto value = co_await of_inode(tree, [&] { return node->xattr(name); });
  // To the kernel, where it goes by lists, anything else is an error of whatever is done.
  const bool is_list = name.starts_with("system.posix_acl_");
  if (tree.options.allow_other && is_list && !value && client::says_no(value.error()))
    value = error(ENODATA, "read an attribute");
  if (is_capability && !value && (is(value.error(), ENODATA) || is(value.error(), EOPNOTSUPP)))
    inode->no_capability_until = until(tree.options.attribute_timeout);
  NINEP_CO_RETURN_IF_WRONG(value);
  reply_value(request, *value, size);
  co_return Done();
}
void getxattr(fuse_req_t request, fuse_ino_t number, const char* name, std::size_t size) {
  start(request, number, get_xattr, std::string(name), size);
}
void listxattr(fuse_req_t request, fuse_ino_t number, std::size_t size) {
  start(request, number, get_xattr, std::string(), size);
}
/// An access list changes the mode, of which the kernel knows nothing then.
void forget_mode(const Tree& tree, Inode& inode, Str xattr) {
  inode.list_until = {};
  ++inode.lists_set;
  if (xattr == "system.posix_acl_access") look_anew(tree, inode);
}
Work set_xattr(Tree& tree, Request& request, InodeRef inode, std::string name, std::string value,
               U32 flags) {
  const NodeRef node = inode->node;
  inode->no_capability_until = {};
  const auto set = co_await of_inode(tree, [&] { return node->set_xattr(name, value, flags); });
  inode->no_capability_until = {};
  NINEP_CO_RETURN_IF_WRONG(set);
  forget_mode(tree, *inode, name);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void setxattr(fuse_req_t request, fuse_ino_t number, const char* name, const char* value,
              std::size_t size, int flags) {
  start(request, number, set_xattr, std::string(name), std::string(value, size),
        static_cast<U32>(flags));
}
Work remove_xattr(Tree& tree, Request& request, InodeRef inode, std::string name) {
  const NodeRef node = inode->node;
  const auto removed = co_await of_inode(tree, [&] { return node->remove_xattr(name); });
  NINEP_CO_RETURN_IF_WRONG(removed);
  forget_mode(tree, *inode, name);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void removexattr(fuse_req_t request, fuse_ino_t number, const char* name) {
  start(request, number, remove_xattr, std::string(name));
}

}  // namespace

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

Done check(const Attributes& is) {
  const U32 type = is.attr.mode & S_IFMT;
  const bool is_type = type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR ||
                       type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
  if (!is_type || is.attr.size > INT64_MAX)
    return error(EIO, "stat", "the server tells attributes that no file has");
  return {};
}

void learn(const Tree& tree, Inode& inode, const Attributes& is) {
  if (inode.type != S_IFDIR) return;
  inode.group = is.attr.mode & S_ISGID ? std::optional(is.attr.gid) : std::nullopt;
  inode.group_until = until(tree.options.attribute_timeout);
}

void add_attributes(fuse_lowlevel_ops& ops) {
  ops.getattr = getattr;
  ops.setattr = setattr;
  ops.readlink = readlink;
  ops.statfs = statfs;
  ops.getxattr = getxattr;
  ops.listxattr = listxattr;
  ops.setxattr = setxattr;
  ops.removexattr = removexattr;
}

}  // namespace ninep::mount
