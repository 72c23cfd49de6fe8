// Files by name.
#include <algorithm>

#include <sys/stat.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::Change;
using client::Expected;
using client::is;
using client::Node;

namespace {

using Clock = Inode::Clock;

void reply(Tree& tree, Request& request, const fuse_entry_param& entry) {
  if (request.answer(fuse_reply_entry, &entry) == -ENOENT) tree.inodes.forget(entry.ino, 1);
}

Work look_up(Tree& tree, Request& request, InodeRef in, std::string name) {
  const NodeRef directory = in->node;
  auto node = co_await with_room(tree, [&] { return directory->walk(name); });
  Expected<fuse_entry_param> entry;
  if (node)
    entry = co_await entry_of(tree, std::move(*node), in, name);
  else
    entry = std::unexpected(node.error());
  tree.refused.found(request.thread(), name, entry ? entry->ino : 0);
  NINEP_CO_RETURN_IF_WRONG(entry);
  reply(tree, request, *entry);
  co_return Done();
}
void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  start(request, parent, look_up, std::string(name));
}
void forget(fuse_req_t request, fuse_ino_t number, U64 lookups) {
  tree_of(request).inodes.forget(number, lookups);
  fuse_reply_none(request);
}
void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* which) {
  for (const fuse_forget_data& one : std::span(which, count))
    tree_of(request).inodes.forget(one.ino, one.nlookup);
  fuse_reply_none(request);
}

/// Tells the kernel of what was made just now, which nobody has replaced meanwhile.
Work tell_made(Tree& tree, Request& request, InodeRef in, std::string name, Qid made, U32 mode) {
  const NodeRef directory = in->node;
  auto node = co_await with_room(tree, [&] { return directory->walk(name); });
  NINEP_CO_RETURN_IF_WRONG(node);
  if (node->qid().path == made.path) {
    auto given = co_await give(tree, request, *node, mode);
    NINEP_CO_RETURN_IF_WRONG(given);
  }
  const auto entry = co_await entry_of(tree, std::move(*node), in, name);
  NINEP_CO_RETURN_IF_WRONG(entry);
  reply(tree, request, *entry);
  co_return Done();
}
Work make_node(Tree& tree, Request& request, InodeRef in, std::string name, U32 mode, U64 rdev) {
  const auto gets = co_await heritage(tree, request, in, mode);
  NINEP_CO_RETURN_IF_WRONG(gets);
  mode = gets->mode;
  const NodeRef directory = in->node;
  Expected<Qid> made;
  if (S_ISDIR(mode))
    made =
        co_await with_room(tree, [&] { return directory->mkdir(name, mode & 07777, gets->gid); });
  else
    made = co_await with_room(tree, [&] { return directory->mknod(name, mode, rdev, gets->gid); });
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return co_await tell_made(tree, request, in, name, *made, mode);
}
void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  start(request, parent, make_node, std::string(name), U32{mode}, U64{rdev});
}
void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  start(request, parent, make_node, std::string(name), U32{mode} | U32{S_IFDIR}, U64{0});
}
Work make_link(Tree& tree, Request& request, InodeRef in, std::string name, std::string target) {
  const auto gets = co_await heritage(tree, request, in, 0);
  NINEP_CO_RETURN_IF_WRONG(gets);
  const NodeRef directory = in->node;
  const auto made =
      co_await with_room(tree, [&] { return directory->symlink(name, target, gets->gid); });
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return co_await tell_made(tree, request, in, name, *made, 0);
}
void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  start(request, parent, make_link, std::string(name), std::string(target));
}
Work name_again(Tree& tree, Request& request, InodeRef in, InodeRef file, std::string name) {
  const NodeRef directory = in->node;
  const NodeRef node = file->node;
  const auto linked = co_await with_room(tree, [&] { return directory->link(name, *node); });
  NINEP_CO_RETURN_IF_WRONG(linked);
  co_return co_await look_up(tree, request, in, name);
}
void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
  InodeRef file = tree_of(request).inodes.find(number);
  if (!file) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  start(request, parent, name_again, std::move(file), std::string(name));
}

Work remove(Tree& tree, Request& request, InodeRef in, std::string name, bool is_directory) {
  const NodeRef directory = in->node;
  const auto removed =
      co_await with_room(tree, [&] { return directory->remove(name, is_directory); });
  NINEP_CO_RETURN_IF_WRONG(removed);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  start(request, parent, remove, std::string(name), false);
}
void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  start(request, parent, remove, std::string(name), true);
}
Work move(Tree& tree, Request& request, InodeRef from, InodeRef to, std::string name,
          std::string to_name) {
  const NodeRef source = from->node;
  const NodeRef target = to->node;
  const auto renamed =
      co_await with_room(tree, [&] { return source->rename(name, *target, to_name); });
  NINEP_CO_RETURN_IF_WRONG(renamed);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to,
            const char* to_name, unsigned flags) {
  InodeRef target = tree_of(request).inodes.find(to);
  if (flags != 0 || !target) {  // 9P has no RENAME_NOREPLACE, RENAME_EXCHANGE
    fuse_reply_err(request, flags != 0 ? EINVAL : ESTALE);
    return;
  }
  start(request, parent, move, std::move(target), std::string(name), std::string(to_name));
}

}  // namespace

namespace {

/// A file that is known may be born anew: by overlayfs, when it is changed first. By the fid that
/// we have of it, it is the same one.
asio::awaitable<void> look_again(Tree& tree, const Node& node, const client::Attributes& is) {
  const InodeRef known = tree.inodes.known(node.qid().path);
  const client::Mark mark = client::mark_of(is);
  if (!known || client::compare(known->mark, mark) != client::Same::kNo) co_return;
  const NodeRef before = known->node;
  const auto was = co_await with_room(tree, [&] { return before->stat(); });
  const bool is_same = was && was->attr.nlink > 0 && was->attr.qid.path == node.qid().path &&
                       client::compare(client::mark_of(*was), mark) == client::Same::kYes;
  if (is_same) known->mark = mark;
}

}  // namespace

asio::awaitable<Expected<fuse_entry_param>> entry_of(Tree& tree, Node node, InodeRef in,
                                                     std::string name) {
  const auto is = co_await node.stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  auto checked = check(*is);
  NINEP_CO_RETURN_IF_WRONG(checked);
  co_await look_again(tree, node, *is);
  const InodeRef inode = tree.inodes.looked_up(std::move(node), *is, *in, std::move(name));
  learn(tree, *inode, *is);
  fuse_entry_param entry{};
  entry.ino = inode->number;
  entry.attr = stat_of(is->attr, *inode);
  entry.attr_timeout = entry.entry_timeout = tree.options.attribute_timeout;
  co_return entry;
}

asio::awaitable<Expected<Heritage>> heritage(Tree& tree, Request& request, InodeRef in, U32 mode) {
  if (Clock::now() >= in->group_until) {
    const NodeRef node = in->node;
    const auto is = co_await with_room(tree, [&] { return node->stat(); });
    NINEP_CO_RETURN_IF_WRONG(is);
    learn(tree, *in, *is);
  }
  if (mode != 0 && Clock::now() >= in->list_until) {
    const NodeRef node = in->node;
    const unsigned set_before = in->lists_set;
    const auto list =
        co_await with_room(tree, [&] { return node->xattr("system.posix_acl_default"); });
    if (!list && !client::says_no(list.error())) co_return std::unexpected(list.error());
    in->hands_list_on = list && !list->empty();
    if (in->lists_set == set_before) in->list_until = until_rights_change(tree);
  }
  if (!in->hands_list_on) mode &= ~request.umask();
  co_return Heritage{in->group.value_or(request.gid()), mode};
}

asio::awaitable<Done> give(Tree& tree, Request& request, Node& made, U32 mode) {
  if (!tree.options.gives_away || request.uid() == 0) co_return Done();
  Change change;
  change.uid = request.uid();
  if (!S_ISDIR(mode) && (mode & (S_ISUID | S_ISGID)) != 0) change.mode = mode & 07777;
  const auto given = co_await made.change(change);
  if (!given && !is(given.error(), EPERM)) co_return given;
  co_return Done();
}

void add_names(fuse_lowlevel_ops& ops) {
  ops.lookup = lookup;
  ops.forget = forget;
  ops.forget_multi = forget_multi;
  ops.mknod = mknod;
  ops.mkdir = mkdir;
  ops.symlink = symlink;
  ops.link = link;
  ops.unlink = unlink;
  ops.rmdir = rmdir;
  ops.rename = rename;
}

}  // namespace ninep::mount
