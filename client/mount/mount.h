// Mount: a server's tree as a file system of this host's, by FUSE. 9P2000.L.
//
// The kernel's requests are read on the executor, one after the other, and each is a coroutine from
// then on: many are under way at once. What an interrupted caller waited for is cancelled.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <string>
#include <vector>

#include <asio/posix/stream_descriptor.hpp>

#include "client/mount/inodes.h"
#include "client/together.h"

namespace ninep::mount {

struct Options {
  std::string source;                // as /proc/mounts shows it
  double attribute_timeout = 1;      // seconds that the kernel takes attributes and names for true
  bool allow_other = false;          // other users of this host too: as the one who mounted it
  bool read_only = false;
  bool direct = false;               // nothing is kept in the kernel's cache
  std::vector<std::string> options;  // more of FUSE's: "max_read=..."
};

class Mount {
 public:
  /// The root, as a node.
  Mount(client::Node root, Options options);
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  ~Mount();

  /// Mounts it. EINVAL, and others, with what libfuse has printed.
  client::Expected<void> mount(const std::string& directory);
  /// Serves it until it is unmounted, or end() is called; then what is under way is waited for.
  asio::awaitable<void> serve();
  void end();

 private:
  friend struct Handlers;
  struct Interrupts;

  using Work = asio::awaitable<client::Expected<void>>;
  /// Runs `work`, which answers `request`, unless it gives an error: then that is the answer.
  void start(fuse_req_t request, Work work);
  asio::awaitable<void> run(fuse_req_t request, std::shared_ptr<Interrupts> interrupts, Work work);

  const asio::any_io_executor executor_;
  const Options options_;
  Inodes inodes_;
  client::Group group_;
  fuse_session* session_ = nullptr;
  std::optional<asio::posix::stream_descriptor> device_;
  bool ending_ = false;
};

/// The kernel's requests: handlers.cc.
extern const fuse_lowlevel_ops kHandlers;

}  // namespace ninep::mount
