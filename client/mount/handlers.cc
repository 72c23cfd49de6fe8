#include "client/mount/handlers.h"

namespace ninep::mount {
namespace {

/// Not asked for: that the kernel keeps writes back (FUSE_CAP_WRITEBACK_CACHE), for others would
/// see them late, and its idea of a file's end would be ours alone.
void init(void* self, fuse_conn_info* connection) {
  const Tree& tree = *static_cast<const Tree*>(self);
  const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                          FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
                          FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
                          FUSE_CAP_ASYNC_DIO | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_DONT_MASK;
  connection->want = connection->capable & wanted;
  // Where the kernel says who may, it goes by access lists too.
  if (tree.options.allow_other) connection->want |= connection->capable & FUSE_CAP_POSIX_ACL;
  connection->max_write = static_cast<unsigned>(tree.transfer_max);
  connection->max_read = connection->max_write;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
}

}  // namespace

const fuse_lowlevel_ops kHandlers = [] {
  fuse_lowlevel_ops ops{};
  ops.init = init;
  add_names(ops);
  add_attributes(ops);
  add_files(ops);
  add_locks(ops);
  add_directories(ops);
  return ops;
}();

}  // namespace ninep::mount
