// A small server of 9P2000 and 9P2000.u for tests of clients: files in memory behind the codec. As
// strict as the manual lets a server be: what a client must not do is refused, and noted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/types.h"

namespace ninep::test {

class OldServer {
 public:
  /// What it does with a version that it doesn't speak. version(5) has the first two.
  enum class Refusal { kSaysUnknown, kSaysItsOwn, kSendsAnError, kCloses };
  struct Options {
    Dialects dialect = k9P2000;  // a server of .u speaks 9P2000 as well
    U32 msize_max = 8192;
    Refusal refusal = Refusal::kSaysUnknown;
    bool sets_atime = false;      // stat(5) lets nobody do that; servers of Unix files do it
    bool opens_existing = false;  // by Tcreate, as servers of Unix files do it
  };
  /// A file as the server has it.
  struct Facts {
    U32 mode;  // with the DM bits
    U32 atime, mtime;
    U32 n_uid, n_gid;
    U64 path;
    std::string content, extension;
  };

  /// Listens at `address`, a UNIX socket's path, until it is destroyed.
  OldServer(std::string address, Options options);
  OldServer(const OldServer&) = delete;
  OldServer& operator=(const OldServer&) = delete;
  ~OldServer();

  /// Ends all connections that there are.
  void cut();
  /// The next reply of that type goes nowhere, and ends its connection.
  void lose_reply(U8 type);
  bool has_lost() const;

  /// Makes a file, or puts another in its place.
  void put(const std::string& path, U32 mode, const std::string& content,
           const std::string& extension = "");
  std::optional<Facts> facts(const std::string& path) const;

  /// The versions that were asked for, in order, on all connections.
  std::vector<std::string> versions() const;
  /// "uname n_uname" of each attach.
  std::vector<std::string> users() const;
  /// What clients did that they must not do.
  std::vector<std::string> complaints() const;
  /// Fids that clients have now.
  std::size_t fids() const;

 private:
  struct State;
  class Connection;
  void accept_all();

  const std::unique_ptr<State> state_;
};

}  // namespace ninep::test
