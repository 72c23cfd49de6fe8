// Open files.
#include <algorithm>
#include <span>

#include <fcntl.h>
#include <sys/stat.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::Change;
using client::error;
using client::Expected;
using client::File;
using client::is;

namespace {

/// Linux's flags for open(2) as 9P2000.L has them: the same on x86, and the kernel's own are left.
U32 flags_of(int flags) {
  constexpr U32 kTaken = lopen::kAccessMode | lopen::kTruncate | lopen::kAppend | lopen::kSync |
                         lopen::kDsync | lopen::kNoAtime;
  return static_cast<U32>(flags) & kTaken;
}

/// Takes the file into the table; whether what the kernel has kept of it is what the server has.
/// What is appended to isn't kept: where the kernel takes the end to be is another client's by
/// then.
std::shared_ptr<OpenFile> opened(Tree& tree, File file, InodeRef inode, U32 flags,
                                 fuse_file_info& info) {
  const Qid& qid = file.qid();
  info.keep_cache = qid.version != 0 && inode->cached_version == qid.version;
  info.direct_io = tree.options.direct || (flags & lopen::kAppend) != 0;
  info.fh = tree.next_handle++;
  const U32 version = qid.version;
  const auto open = std::make_shared<OpenFile>(std::move(file), std::move(inode), flags);
  if (!info.keep_cache) open->new_version = version;
  return open;
}
/// What the kernel takes to have a name still may be gone from there, or another file: what would
/// be written to it is lost. ESTALE then.
asio::awaitable<Expected<File>> open_named(Tree& tree, InodeRef inode, U32 flags) {
  const NodeRef node = inode->node;
  const InodeRef in = tree.inodes.find(inode->in);
  if (!in || tree.options.attribute_timeout == 0) co_return co_await node->open(flags);
  const NodeRef directory = in->node;
  auto named = co_await directory->walk(inode->name);
  if (!named) {
    // It may have another name, where it is found.
    for (const int why : {ENOENT, ENOTDIR, EACCES, EPERM})
      if (is(named.error(), why)) named.error().code = Errno{ESTALE};
    co_return std::unexpected(named.error());
  }
  const Qid found = named->qid(), wanted = node->qid();
  if (found.path != wanted.path) co_return error(ESTALE, "open", "another file has its name");
  if (found.version != 0 && found.version == wanted.version) named->learn_from(*node);
  co_return co_await named->open_itself(flags);
}
Work open_it(Tree& tree, Request& request, InodeRef inode, fuse_file_info info) {
  const NodeRef node = inode->node;
  const U32 flags = flags_of(info.flags);
  const bool is_second = tree.refused.takes(request.thread(), inode->number);
  auto file = co_await of_inode(
      tree, [&] { return is_second ? node->open(flags) : open_named(tree, inode, flags); });
  if (!file && is(file.error(), ESTALE)) tree.refused.add(request.thread(), *inode);
  NINEP_CO_RETURN_IF_WRONG(file);
  const auto open = opened(tree, std::move(*file), inode, flags, info);
  // Before the answer, for then it may be used at once.
  tree.files[info.fh] = open;
  // Whoever wanted it has gone: nobody will release it.
  if (request.answer(fuse_reply_open, &info) == -ENOENT) tree.files.erase(info.fh);
  co_return Done();
}
void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  start(request, number, open_it, *info);
}
/// For several users a file that has come meanwhile is not opened here: it is for the kernel to
/// say whether the caller may, and it looks again after ESTALE.
Work create_it(Tree& tree, Request& request, InodeRef in, std::string name, U32 mode,
               fuse_file_info info) {
  tree.refused.found(request.thread(), name, 0);
  const auto gets = co_await heritage(tree, request, in, mode);
  NINEP_CO_RETURN_IF_WRONG(gets);
  mode = gets->mode;
  const NodeRef directory = in->node;
  const U32 flags = flags_of(info.flags);
  const bool is_exclusive = (info.flags & O_EXCL) != 0;
  const U32 exclusive = is_exclusive || tree.options.allow_other ? lopen::kExclusive : U32{0};
  auto file = co_await with_room(
      tree, [&] { return directory->create(name, flags | exclusive, mode & 07777, gets->gid); });
  if (!file && is(file.error(), EEXIST) && !is_exclusive) file.error().code = Errno{ESTALE};
  NINEP_CO_RETURN_IF_WRONG(file);
  if (exclusive != 0) {
    auto given = co_await give(tree, request, *file, mode);
    NINEP_CO_RETURN_IF_WRONG(given);
  }
  auto node = co_await with_room(tree, [&] { return directory->walk(name); });
  NINEP_CO_RETURN_IF_WRONG(node);
  if (node->qid().path != file->qid().path)
    co_return error(ESTALE, "create " + name, "another file has its name already");
  const auto entry = co_await entry_of(tree, std::move(*node), in, name);
  NINEP_CO_RETURN_IF_WRONG(entry);
  const InodeRef inode = tree.inodes.find(entry->ino);
  file->learn_from(*inode->node);
  const auto open = opened(tree, std::move(*file), inode, flags, info);
  tree.files[info.fh] = open;
  if (request.answer(fuse_reply_create, &*entry, &info) == -ENOENT) {
    tree.files.erase(info.fh);
    tree.inodes.forget(entry->ino, 1);
  }
  co_return Done();
}
void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* info) {
  start(request, parent, create_it, std::string(name), U32{mode}, *info);
}

Work read_it(Tree&, Request& request, std::shared_ptr<OpenFile> open, std::size_t size,
             U64 offset) {
  const auto room = std::make_unique_for_overwrite<std::byte[]>(size);
  const auto got = co_await open->file.read(offset, Room(room.get(), size));
  NINEP_CO_RETURN_IF_WRONG(got);
  request.answer(fuse_reply_buf, reinterpret_cast<const char*>(room.get()), *got);
  co_return Done();
}
void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  start_with(Interrupt::kWhenKilled, request, info, read_it,
             std::min<std::size_t>(size, kTransferMax), static_cast<U64>(offset));
}
/// A program's set-id bits go when somebody writes to it. The kernel sees to that, but where it
/// keeps nothing of the file; and the server doesn't for root, who writes for everybody.
asio::awaitable<Done> drop_set_id(const Tree& tree, const Request& request, OpenFile& open) {
  const bool is_ours = tree.options.direct || (open.flags & lopen::kAppend) != 0;
  Inode& inode = *open.inode;
  if (!is_ours || !tree.options.gives_away || request.uid() == 0 ||
      Inode::Clock::now() < inode.no_set_id_until)
    co_return Done();
  const auto is = co_await open.file.stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  const U32 mode = is->attr.mode & 07777;
  const U32 dropped = (mode & S_IXGRP) != 0 ? S_ISUID | S_ISGID : S_ISUID;
  if ((mode & dropped) != 0) {
    Change change;
    change.mode = mode & ~dropped;
    const auto changed = co_await open.file.change(change);
    NINEP_CO_RETURN_IF_WRONG(changed);
    look_anew(tree, inode);
  }
  inode.no_set_id_until = until_rights_change(tree);
  co_return Done();
}
/// Whether it is appended is said of each write: a program may change its mind (F_SETFL), and the
/// kernel writes mapped pages by any of a file's descriptors.
Work write_it(Tree& tree, Request& request, std::shared_ptr<OpenFile> open,
              std::vector<std::byte> data, U64 offset, bool appends) {
  const auto dropped = co_await drop_set_id(tree, request, *open);
  NINEP_CO_RETURN_IF_WRONG(dropped);
  auto file = co_await of_inode(tree, [&] { return open->for_writes(appends); });
  NINEP_CO_RETURN_IF_WRONG(file);
  if (!appends) {
    const auto written = co_await (*file)->write(offset, data);
    NINEP_CO_RETURN_IF_WRONG(written);
    request.answer(fuse_reply_write, data.size());
    co_return Done();
  }
  if (!co_await open->turn.enter()) co_return error(ECANCELED, "append");
  const client::Turn turn(open->turn);
  // What is there already is told, where the rest fails.
  std::size_t done = 0;
  while (done < data.size()) {
    const std::size_t size = std::min<std::size_t>(data.size() - done, (*file)->iounit());
    const auto appended = co_await (*file)->append(std::span(data).subspan(done, size));
    if (!appended && done == 0) co_return appended;
    if (!appended) break;
    done += size;
  }
  request.answer(fuse_reply_write, done);
  co_return Done();
}
void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size, off_t offset,
           fuse_file_info* info) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const bool appends = (info->flags & O_APPEND) != 0 && !info->writepage;
  start_with(Interrupt::kWhenKilled, request, info, write_it,
             std::vector<std::byte>(bytes.begin(), bytes.end()), static_cast<U64>(offset), appends);
}

Work release_it(Tree&, Request& request, std::shared_ptr<OpenFile> open) {
  co_await open->close();
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  const U64 handle = info->fh;
  Tree& tree = tree_of(request);
  start_with(Interrupt::kNever, request, info, release_it);
  tree.files.erase(handle);
}
Work sync_it(Tree&, Request& request, std::shared_ptr<OpenFile> open, bool data_only) {
  const auto synced = co_await open->file.fsync(data_only);
  NINEP_CO_RETURN_IF_WRONG(synced);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  start_with(Interrupt::kWhenKilled, request, info, sync_it, data_only != 0);
}

}  // namespace

void add_files(fuse_lowlevel_ops& ops) {
  ops.open = open;
  ops.create = create;
  ops.read = read;
  ops.write = write;
  ops.release = release;
  ops.fsync = fsync;
}

}  // namespace ninep::mount
