#include "server/fs/fs.h"

namespace ninep::fs {

// Defaults: what a back end doesn't say it can do, it can't.

Task<Result<U32>> File::read(Context&, std::span<const iovec>, U64) { return fail(EOPNOTSUPP); }
Task<Result<U32>> File::write(Context&, std::span<const iovec>, U64) { return fail(EOPNOTSUPP); }
Task<Result<U32>> File::readdir(Context&, Room, U64) { return fail(ENOTDIR); }
Task<Status> File::sync(Context&, bool) { return Status{}; }

Task<Result<Ref<Node>>> Node::clone(Context&) { return Result<Ref<Node>>(Ref<Node>(this)); }
Task<Result<Ref<Node>>> Node::walk(Context&, Str) { return fail(ENOTDIR); }
Task<Result<Rgetattr>> Node::getattr(Context&, U64, File*) { return fail(EOPNOTSUPP); }
Task<Status> Node::setattr(Context&, const Tsetattr&, File*) { return fail(EOPNOTSUPP); }
Task<Result<Rstatfs>> Node::statfs(Context&) { return fail(EOPNOTSUPP); }
Task<Result<std::string>> Node::readlink(Context&) { return fail(EINVAL); }
Task<Result<Ref<File>>> Node::open(Context&, U32) { return fail(EOPNOTSUPP); }
Task<Result<Created>> Node::create(Context&, Str, U32, U32, U32) { return fail(EOPNOTSUPP); }
Task<Result<Qid>> Node::mkdir(Context&, Str, U32, U32) { return fail(EOPNOTSUPP); }
Task<Result<Qid>> Node::mknod(Context&, Str, U32, U32, U32, U32) { return fail(EOPNOTSUPP); }
Task<Result<Qid>> Node::symlink(Context&, Str, Str, U32) { return fail(EOPNOTSUPP); }
Task<Status> Node::link(Context&, Node&, Str) { return fail(EOPNOTSUPP); }
Task<Status> Node::unlink(Context&, Str, bool) { return fail(EOPNOTSUPP); }
Task<Status> Node::rename(Context&, Str, Node&, Str) { return fail(EOPNOTSUPP); }
Task<Status> Node::remove_self(Context&) { return fail(EOPNOTSUPP); }
Task<Status> Node::rename_self(Context&, Node&, Str) { return fail(EOPNOTSUPP); }
Task<Result<std::vector<std::byte>>> Node::getxattr(Context&, Str) { return fail(EOPNOTSUPP); }
Task<Result<std::vector<std::byte>>> Node::listxattr(Context&) { return fail(EOPNOTSUPP); }
Task<Status> Node::setxattr(Context&, Str, Bytes, U32) { return fail(EOPNOTSUPP); }
Task<Status> Node::removexattr(Context&, Str) { return fail(EOPNOTSUPP); }

}  // namespace ninep::fs
