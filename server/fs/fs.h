// The back end's interface: a Tree of Nodes, and Files that are open.
//
// A back end derives from Node, overrides what it supports and leaves the rest, which answers
// EOPNOTSUPP. Nodes and Files belong to one session and are used on its loop only; a Tree is shared
// by all sessions and must be safe to use from several threads.
//
// Every call is made for a user, under ctx. Arguments stay valid until the task is done. Calls on
// one Node may overlap. Names are single components that the session has checked: not empty, not
// "." or "..", no "/" and no NUL, at most 255 bytes.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/messages.h"
#include "proto/result.h"
#include "transports/io/loop.h"
#include "transports/io/ref.h"

namespace ninep::fs {

using io::Task;
using User = std::shared_ptr<const io::Identity>;  // null: the server's own ids

/// The request that a call is made for: on which loop, as whom, and whether it is still wanted.
class Context {
 public:
  Context(io::Loop& loop, User user) : loop_(loop), user_(std::move(user)) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  io::Loop& loop() const { return loop_; }
  const User& user() const { return user_; }
  void set_user(User user) { user_ = std::move(user); }

  /// `co_await ctx.run(op)`: an operation for which it doesn't matter who asks.
  auto run(io::Op op) { return Running{*this, op}; }
  /// The same with the user's rights; what it creates is the user's, and of group `gid` if given.
  auto run_as_user(io::Op op) {
    op.as = user_.get();
    return Running{*this, op};
  }
  /// The same with the server's own rights, whoever asks.
  auto run_as_server(io::Op op) {
    op.as = io::own_identity();
    return Running{*this, op};
  }
  auto create_as_user(io::Op op, U32 gid) {
    op.as = user_.get();
    op.gid = gid;
    return Running{*this, op};
  }

  /// What was done can't be undone: from here on the request is carried to its end.
  void commit() { committed_ = true; }
  /// The client doesn't want it any more (Tflush, hang-up): ends the operation that it waits for.
  void cancel() {
    if (waiting_ && !committed_) loop_.cancel(*waiting_);
  }

 private:
  struct Running {
    Context& ctx;
    io::Op op;
    bool await_ready() { return ctx.loop_.start(op); }
    void await_suspend(std::coroutine_handle<> waiter) {
      op.waiter = waiter;
      ctx.waiting_ = &op;
    }
    int await_resume() {
      ctx.waiting_ = nullptr;
      return op.result == -ECANCELED ? -EINTR : op.result;
    }
  };

  io::Loop& loop_;
  User user_;
  io::Op* waiting_ = nullptr;
  bool committed_ = false;
};

/// A file opened by Tlopen or Tlcreate. Closed when the last Ref goes.
class File : public RefCounted {
 public:
  virtual ~File() = default;

  /// Reads at `offset` into `to`. Bytes read; 0 at the end of file. read(5).
  virtual Task<Result<U32>> read(Context&, std::span<const iovec> to, U64 offset);
  /// Writes at `offset`, or at the end if the file was opened with lopen::kAppend.
  virtual Task<Result<U32>> write(Context&, std::span<const iovec> from, U64 offset);
  /// Fills the front of `room` with whole Dirents, "." and ".." among them, from `offset` on (0, or
  /// the offset of an entry: what follows it). Bytes used; 0 at the end. EINVAL if not even the
  /// first one fits.
  virtual Task<Result<U32>> readdir(Context&, Room room, U64 offset);
  virtual Task<Status> sync(Context&, bool data_only);
};

/// Which file it is, among all that the server shows: the same in every tree that has the file.
using FileKey = std::pair<U64, U64>;

class Node;
struct Created {
  Ref<Node> node;
  Ref<File> file;
};

/// A file that a fid refers to; it stays the same file when it is renamed or unlinked.
class Node : public RefCounted {
 public:
  virtual ~Node() = default;

  /// As of when the node was made or last opened; type and path never change.
  virtual Qid qid() const = 0;
  /// What locks are held on. By default the qid's path alone.
  virtual FileKey key() const { return {0, qid().path}; }

  /// What a fid with no names walked from this one refers to: by default this node itself.
  virtual Task<Result<Ref<Node>>> clone(Context&);
  /// One step: a name, or ".." (the root of the attach is its own parent). Symbolic links are not
  /// followed. ENOTDIR unless this is a directory.
  virtual Task<Result<Ref<Node>>> walk(Context&, Str name);

  /// `open`: the fid's open file, or null. May fill in more or less than asked for: valid says.
  virtual Task<Result<Rgetattr>> getattr(Context&, U64 request_mask, File* open);
  virtual Task<Status> setattr(Context&, const Tsetattr& to, File* open);
  virtual Task<Result<Rstatfs>> statfs(Context&);
  virtual Task<Result<std::string>> readlink(Context&);

  /// flags: ninep::lopen. Regular files and directories only.
  virtual Task<Result<Ref<File>>> open(Context&, U32 flags);
  virtual Task<Result<Created>> create(Context&, Str name, U32 flags, U32 mode, U32 gid);
  virtual Task<Result<Qid>> mkdir(Context&, Str name, U32 mode, U32 gid);
  virtual Task<Result<Qid>> mknod(Context&, Str name, U32 mode, U32 major, U32 minor, U32 gid);
  virtual Task<Result<Qid>> symlink(Context&, Str name, Str target, U32 gid);
  /// Gives `file`, a node of the same tree, a further name in this directory.
  virtual Task<Status> link(Context&, Node& file, Str name);

  virtual Task<Status> unlink(Context&, Str name, bool directory);
  /// `to_dir` is a node of the same tree.
  virtual Task<Status> rename(Context&, Str name, Node& to_dir, Str to);
  /// By the name that this file has now: Tremove, Trename.
  virtual Task<Status> remove_self(Context&);
  virtual Task<Status> rename_self(Context&, Node& to_dir, Str to);

  virtual Task<Result<std::vector<std::byte>>> getxattr(Context&, Str name);
  /// The names, each ended by a NUL.
  virtual Task<Result<std::vector<std::byte>>> listxattr(Context&);
  /// flags: kXattrCreate, kXattrReplace.
  virtual Task<Status> setxattr(Context&, Str name, Bytes value, U32 flags);
  virtual Task<Status> removexattr(Context&, Str name);
};

/// What is exported.
class Tree {
 public:
  virtual ~Tree() = default;
  /// The node that `aname` stands for, which becomes the root of an attach.
  virtual Task<Result<Ref<Node>>> attach(Context&, Str aname) = 0;
};

}  // namespace ninep::fs
