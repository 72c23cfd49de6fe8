// Operations in 9P2000 and 9P2000.u: what Plan 9 has no message for is said in open(5), stat(5)
// and, of .u, in the mode and extension of Tcreate.
//
// What is other than in .L: links, devices, pipes and numbers of users are .u's alone, and so are
// set-id and sticky bits, which 9P2000 is not told. Times are whole seconds from 1970 to 2106. A
// file stays in its directory (EOPNOTSUPP); what has its new name there is removed first, where the
// server doesn't replace it. Exclusive creation is a look before Tcreate, which some servers let
// open what is there. Appending is only to files that are append-only for everybody (EOPNOTSUPP).
#pragma once

#include <map>

#include "client/operations.h"

namespace ninep::client {

class OperationsOld final : public Operations {
 public:
  OperationsOld(std::shared_ptr<Session> session, std::shared_ptr<FidNumbers> fids)
      : Operations(std::move(session), std::move(fids)) {}

  asio::awaitable<Expected<Opened>> open(Fid fid, U32 flags) override;
  asio::awaitable<Expected<Opened>> create(Fid fid, std::string name, U32 flags, U32 mode,
                                           U32 gid) override;
  asio::awaitable<Expected<Qid>> mkdir(Fid directory, std::string name, U32 mode, U32 gid) override;
  asio::awaitable<Expected<Qid>> symlink(Fid directory, std::string name, std::string target,
                                         U32 gid) override;
  asio::awaitable<Expected<Qid>> mknod(Fid directory, std::string name, U32 mode, U64 rdev,
                                       U32 gid) override;
  asio::awaitable<Expected<void>> link(Fid directory, std::string name, Fid file) override;
  asio::awaitable<Expected<void>> remove(Fid directory, std::string name,
                                         bool is_directory) override;
  asio::awaitable<Expected<void>> rename(Fid from, std::string name, Fid to,
                                         std::string to_name) override;
  asio::awaitable<Expected<Attributes>> stat(Fid fid) override;
  asio::awaitable<Expected<void>> change(Fid fid, Change change) override;
  asio::awaitable<Expected<std::string>> readlink(Fid fid) override;
  asio::awaitable<Expected<std::vector<Entry>>> readdir(Fid fid, U64 offset) override;
  asio::awaitable<Expected<void>> fsync(Fid fid, bool data_only) override;

 private:
  asio::awaitable<Expected<Qid>> make(Fid directory, std::string name, U32 perm,
                                      std::string extension);
  asio::awaitable<Expected<Qid>> make_in_dot_u(Fid directory, std::string name, U32 perm,
                                               std::string extension);
  asio::awaitable<Expected<void>> set_name(Fid fid, std::string name);
  asio::awaitable<Expected<bool>> make_way(Fid directory, std::string name, Qid what);

  std::map<Fid, U64> reached_;  // in open directories: the one offset but 0 that may be read next
};

}  // namespace ninep::client
