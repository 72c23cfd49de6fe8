// Mount: a server's tree as a file system of this host's, by FUSE. 9P2000.L.
//
// The kernel's requests are read on the executor, one after the other, and each is a coroutine from
// then on: many are under way at once. All here is on that executor, which runs no two of its
// handlers at once. Source: libfuse's fuse_lowlevel.h, fuse(4).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <asio/posix/stream_descriptor.hpp>

#include "client/mount/fuse.h"
#include "client/mount/tree.h"

namespace ninep::mount {

class Mount {
 public:
  /// The root, as a node.
  Mount(client::Node root, Options options);
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  /// Unmounts, if that has not been done. Whoever still has files open gets errors from then on.
  ~Mount();

  /// Mounts it. `directory`: an absolute path. EINVAL, and others, with what libfuse has printed.
  client::Expected<void> mount(const std::string& directory);
  /// Serves it until it is unmounted, or given up; then what is under way is waited for, a little.
  /// `began`: called when the kernel has agreed with us. Errors: it has not: libfuse has said why.
  asio::awaitable<client::Expected<void>> serve(std::function<void()> began);
  /// Unmounts it. What is open then is not served any more, once its data are with the server.
  /// Called again: at once, whatever is under way.
  void end();

 private:
  void began();
  bool is_ours() const;
  bool is_serving() const { return state_ == State::kServing || state_ == State::kUnmounting; }
  asio::awaitable<void> unmount();
  asio::awaitable<void> give_up_the_lost();
  void give_up();
  void close();

  const asio::any_io_executor executor_;
  const std::shared_ptr<client::Attachment> attachment_;
  Tree tree_;
  client::Group ending_;
  std::string directory_;
  dev_t number_ = 0;  // of the file system; 0: not known
  fuse_session* session_ = nullptr;
  std::optional<asio::posix::stream_descriptor> device_;
  bool is_detached_ = false;  // unmounted, though something is open
  enum class State { kNew, kServing, kUnmounting, kGivenUp, kUnmounted } state_ = State::kNew;
};

}  // namespace ninep::mount
