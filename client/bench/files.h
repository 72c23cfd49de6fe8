// Where the workloads' files are, made before the load and looked at behind it.
#pragma once

#include <memory>

#include "client/bench/content.h"
#include "client/client.h"

namespace ninep::bench {

/// What can be done there. Errors are LoadErrors.
class Files {
 public:
  virtual ~Files() = default;

  /// The names that lead there from the root of the tree that options say.
  virtual std::vector<std::string> names() const = 0;
  /// Makes what is needed; what is there already, and cannot have been changed, is kept.
  virtual asio::awaitable<void> prepare(Need need, const Options& options) = 0;
  /// A write-N has to be what was written to it.
  virtual asio::awaitable<void> check_written(U32 connection, const Written& written) = 0;
  /// Nothing must be left in new/.
  virtual asio::awaitable<void> check_nothing_new() = 0;
  /// Removes what it made; nothing is called behind it.
  virtual asio::awaitable<void> remove() = 0;
};

/// In the attached tree's root, which is `dir` on this host: there they are made and looked at, and
/// stay. The server has no part in it.
std::unique_ptr<Files> host_files(std::string dir);

/// In a directory of their own in `in`, made and looked at through the server.
asio::awaitable<std::unique_ptr<Files>> server_files(client::Node in);

}  // namespace ninep::bench
