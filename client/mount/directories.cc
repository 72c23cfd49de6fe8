// Listings.
#include <algorithm>

#include <dirent.h>
#include <sys/stat.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::Entry;
using client::error;
using client::Expected;
using client::is;
using client::Node;

namespace {

constexpr std::size_t kNameMax = 1024;    // of an entry's
constexpr std::size_t kEntryLeast = 152;  // an entry with attributes takes no less

Work open_directory(Tree& tree, Request& request, InodeRef inode, fuse_file_info info) {
  const NodeRef node = inode->node;
  auto directory = co_await of_inode(tree, [&] { return node->open_directory(); });
  NINEP_CO_RETURN_IF_WRONG(directory);
  info.fh = tree.next_handle++;
  tree.directories[info.fh] = std::make_shared<OpenDirectory>(std::move(*directory), inode);
  if (request.answer(fuse_reply_open, &info) == -ENOENT) tree.directories.erase(info.fh);
  co_return Done();
}
void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  start(request, number, open_directory, *info);
}

asio::awaitable<void> known_of(Tree& tree, InodeRef in, std::string name,
                               Expected<fuse_entry_param>& known) {
  const NodeRef directory = in->node;
  auto node = co_await with_room(tree, [&] { return directory->walk(name); });
  if (!node) {
    known = std::unexpected(node.error());
    co_return;
  }
  known = co_await entry_of(tree, std::move(*node), in, name);
}
/// Entries from `offset` on, as many as there is room for; none: the end. Where it fails with
/// nothing, it is the next call that says so.
Work list_in_turn(Tree& tree, Request& request, std::shared_ptr<OpenDirectory> open,
                  std::size_t size, U64 offset, bool with_attributes) {
  const auto filled = co_await open->fill(offset);
  NINEP_CO_RETURN_IF_WRONG(filled);
  std::vector<Expected<fuse_entry_param>> known;
  if (with_attributes) {
    const std::size_t count = std::min(open->entries.size() - open->next, size / kEntryLeast + 1);
    known.resize(count);
    std::vector<asio::awaitable<void>> all;
    for (std::size_t i = 0; i < count; ++i)
      all.push_back(known_of(tree, open->inode, open->entries[open->next + i].name, known[i]));
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
    if (one && one->ino != 0) tree.inodes.forget(one->ino, 1);
  for (const U64 number : told)
    if (!is_told) tree.inodes.forget(number, 1);
  co_return Done();
}
Work list(Tree& tree, Request& request, std::shared_ptr<OpenDirectory> open, std::size_t size,
          U64 offset, bool with_attributes) {
  if (!co_await open->turn.enter()) co_return error(ECANCELED, "read a directory");
  const client::Turn turn(open->turn);
  co_return co_await list_in_turn(tree, request, open, size, offset, with_attributes);
}
void readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  start_in(Interrupt::kWhenKilled, request, info, list, std::min<std::size_t>(size, kTransferMax),
           static_cast<U64>(offset), false);
}
void readdirplus(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                 fuse_file_info* info) {
  start_in(Interrupt::kWhenKilled, request, info, list, std::min<std::size_t>(size, kTransferMax),
           static_cast<U64>(offset), true);
}
void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  tree_of(request).directories.erase(info->fh);
  fuse_reply_err(request, 0);
}
Work sync_directory(Tree&, Request& request, std::shared_ptr<OpenDirectory> open) {
  auto synced = co_await open->directory.fsync();
  // A server that has no such thing syncs by its own rules.
  if (!synced && (is(synced.error(), EOPNOTSUPP) || is(synced.error(), EINVAL))) synced = Done();
  NINEP_CO_RETURN_IF_WRONG(synced);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  start_in(Interrupt::kWhenKilled, request, info, sync_directory);
}

}  // namespace

void add_directories(fuse_lowlevel_ops& ops) {
  ops.opendir = opendir;
  ops.readdir = readdir;
  ops.readdirplus = readdirplus;
  ops.releasedir = releasedir;
  ops.fsyncdir = fsyncdir;
}

}  // namespace ninep::mount
