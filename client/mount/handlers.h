// What the kernel asks for: libfuse's fuse_lowlevel.h. A handler copies what it is given (it is the
// kernel's only until it returns) and starts a coroutine, whose parts are here.
#pragma once

#include <algorithm>

#include <asio/post.hpp>

#include "client/mount/tree.h"

namespace ninep::mount {

/// All of them; their userdata is the Tree.
extern const fuse_lowlevel_ops kHandlers;

// Each subject's, in the file that it names.
void add_names(fuse_lowlevel_ops& ops);
void add_attributes(fuse_lowlevel_ops& ops);
void add_files(fuse_lowlevel_ops& ops);
void add_locks(fuse_lowlevel_ops& ops);
void add_directories(fuse_lowlevel_ops& ops);

using Done = client::Expected<void>;
using NodeRef = std::shared_ptr<client::Node>;

// ------------------------------------------------------------------ to start a coroutine

inline Tree& tree_of(fuse_req_t request) { return *static_cast<Tree*>(fuse_req_userdata(request)); }

/// Starts `work(tree, request, inode, ...)`; ESTALE: the kernel has forgotten the inode.
template <class Start, class... Arguments>
void start_as(Interrupt interrupt, fuse_req_t request, fuse_ino_t number, Start work,
              Arguments... arguments) {
  Tree& tree = tree_of(request);
  const auto asked = std::make_shared<Request>(request, interrupt);
  const InodeRef inode = tree.inodes.find(number);
  if (!inode)
    asked->answer(fuse_reply_err, ESTALE);
  else
    tree.start(asked, work(tree, *asked, inode, std::move(arguments)...));
}
template <class Start, class... Arguments>
void start(fuse_req_t request, fuse_ino_t number, Start work, Arguments... arguments) {
  start_as(Interrupt::kWhenKilled, request, number, work, std::move(arguments)...);
}

inline std::shared_ptr<OpenFile> file_of(const Tree& tree, const fuse_file_info* info) {
  const auto at = info ? tree.files.find(info->fh) : tree.files.end();
  return at == tree.files.end() ? nullptr : at->second;
}

/// The same, of an open file: `work(tree, request, open, ...)`.
template <class Start, class... Arguments>
void start_with(Interrupt interrupt, fuse_req_t request, const fuse_file_info* info, Start work,
                Arguments... arguments) {
  Tree& tree = tree_of(request);
  const auto asked = std::make_shared<Request>(request, interrupt);
  const auto file = file_of(tree, info);
  if (!file) {
    asked->answer(fuse_reply_err, EBADF);
    return;
  }
  file->is_used();
  tree.start(asked, work(tree, *asked, file, std::move(arguments)...));
}

/// The same, of an open directory.
template <class Start, class... Arguments>
void start_in(Interrupt interrupt, fuse_req_t request, const fuse_file_info* info, Start work,
              Arguments... arguments) {
  Tree& tree = tree_of(request);
  const auto asked = std::make_shared<Request>(request, interrupt);
  const auto at = tree.directories.find(info->fh);
  if (at == tree.directories.end())
    asked->answer(fuse_reply_err, EBADF);
  else
    tree.start(asked, work(tree, *asked, at->second, std::move(arguments)...));
}

// ------------------------------------------------------------------ what several of them do

/// Does `call()`, which takes fids; where the server has no more, some are given back, and it is
/// done again: it fails before it does anything.
template <class Call>
std::invoke_result_t<Call&> with_room(Tree& tree, Call call) {
  const std::size_t most = tree.inodes.awake_max();
  auto result = co_await call();
  if (result || !client::is(result.error(), EMFILE)) co_return result;
  // Others that found so meanwhile have seen to it.
  if (tree.inodes.awake_max() == most) tree.inodes.halve();
  // Behind those that give fids back, which are in line by the next turn.
  co_await asio::post(tree.executor, asio::use_awaitable);
  co_return co_await call();
}

/// The same of what is done with a file that the kernel knows by its inode: ESTALE where it isn't
/// to be found any more by the name that it had last. The kernel looks for it anew then.
template <class Call>
std::invoke_result_t<Call&> of_inode(Tree& tree, Call call) {
  auto result = co_await with_room(tree, std::move(call));
  if (!result && client::is(result.error(), ENOENT)) result.error().code = Errno{ESTALE};
  co_return result;
}

/// The kernel asks for the file's attributes when it needs them next; if it has changed, what is
/// kept of it goes then.
inline void look_anew(const Tree& tree, const Inode& inode) {
  constexpr off_t kAttributesAlone = -1;
  fuse_lowlevel_notify_inval_inode(tree.session, inode.number, kAttributesAlone, 0);
}

/// What decides who may do what isn't taken for true as long as other things.
inline Inode::Clock::time_point until_rights_change(const Tree& tree) {
  constexpr double kLongest = 1;  // seconds
  return until(std::min(tree.options.attribute_timeout, kLongest));
}

// attributes.cc

struct stat stat_of(const Attr& a, const Inode& inode);
/// What the kernel doesn't take, and gives the inode up for.
Done check(const client::Attributes& is);
/// What the mount itself goes by.
void learn(const Tree& tree, Inode& inode, const client::Attributes& is);

// names.cc

/// What the kernel is to know of a file that it asked for by name. With no attributes to be had it
/// isn't known at all.
asio::awaitable<client::Expected<fuse_entry_param>> entry_of(Tree& tree, client::Node node,
                                                             InodeRef in, std::string name);
/// What is made in a folder: its group, and its permissions.
struct Heritage {
  U32 gid;
  U32 mode;
};
/// Linux's rules, which are the client's to apply: a folder may hand its group on, and an access
/// list, where the caller's umask counts for nothing. That is looked at as often as the kernel
/// looks at attributes. `mode`: that the caller wants.
asio::awaitable<client::Expected<Heritage>> heritage(Tree& tree, Request& request, InodeRef in,
                                                     U32 mode);
/// What was made belongs to the mount's user at the server. It becomes the caller's, if the server
/// lets us: nobody but root may, and not everywhere.
asio::awaitable<Done> give(Tree& tree, Request& request, client::Node& made, U32 mode);

}  // namespace ninep::mount
