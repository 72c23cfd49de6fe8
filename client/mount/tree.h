// Tree: the server's tree as the kernel has it, and what is under way in it for the kernel.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/mount/inodes.h"
#include "client/mount/open.h"
#include "client/mount/request.h"
#include "client/together.h"

namespace ninep::mount {

struct Options {
  std::string source;            // as /proc/mounts shows it
  double attribute_timeout = 1;  // seconds that the kernel takes attributes and names for true
  bool allow_other = false;      // other users of this host too: by the modes of the files
  bool gives_away = false;       // what others make is given to them: the server lets us
  bool read_only = false;
  bool direct = false;               // nothing is kept in the kernel's cache
  std::vector<std::string> options;  // more of FUSE's: "max_idle_threads=..."
};

/// Bytes of one read or write: the kernel has no larger ones.
inline constexpr std::size_t kTransferMax = 1 << 20;

struct Tree {
  Tree(client::Node root, Options with);
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  /// Runs `work`, which answers `request`, unless it gives an error: then that is the answer.
  void start(RequestRef request, Work work);

  const std::shared_ptr<client::Attachment> attachment;
  fuse_session* session = nullptr;  // while it is mounted
  const asio::any_io_executor executor;
  const Options options;
  const std::size_t transfer_max;  // that the kernel is told
  Inodes inodes;
  Refused refused;
  std::unordered_map<U64, std::shared_ptr<OpenFile>> files;  // by fuse_file_info.fh
  std::unordered_map<U64, std::shared_ptr<OpenDirectory>> directories;
  U64 next_handle = 1;
  bool owners_by_proc_id = false;  // of locks: the server doesn't take others (locks.cc)
  client::Group under_way;
  client::Group waiting;  // for what may take forever: locks

 private:
  asio::awaitable<void> run(RequestRef request, Work work);
};

}  // namespace ninep::mount
