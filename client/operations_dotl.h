// Operations in 9P2000.L: each is a message of its own.
#pragma once

#include "client/operations.h"

namespace ninep::client {

class OperationsDotL final : public Operations {
 public:
  OperationsDotL(std::shared_ptr<Session> session, std::shared_ptr<FidNumbers> fids)
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
  // Trenameat came when servers had learnt to keep fids.
  bool forgets_renamed() const override { return !has_renameat_; }
  asio::awaitable<Expected<Attributes>> stat(Fid fid) override;
  asio::awaitable<Expected<void>> change(Fid fid, Change change) override;
  asio::awaitable<Expected<std::string>> readlink(Fid fid) override;
  asio::awaitable<Expected<std::vector<Entry>>> readdir(Fid fid, U64 offset) override;
  asio::awaitable<Expected<void>> fsync(Fid fid, bool data_only) override;
  asio::awaitable<Expected<Rstatfs>> statfs(Fid fid) override;
  asio::awaitable<Expected<std::string>> read_xattr(Fid fid, std::string name) override;
  asio::awaitable<Expected<void>> write_xattr(Fid fid, std::string name, std::string value,
                                              U32 flags) override;
  asio::awaitable<Expected<void>> remove_xattr(Fid fid, std::string name) override;
  asio::awaitable<Expected<U8>> lock(Fid fid, Lock lock, U32 flags) override;
  asio::awaitable<Expected<Lock>> getlock(Fid fid, Lock lock) override;

 private:
  asio::awaitable<Expected<void>> rename_by_fid(Fid from, std::string name, Fid to,
                                                std::string to_name);

  bool has_unlinkat_ = true;  // until the server said that it hasn't
  bool has_renameat_ = true;
};

}  // namespace ninep::client
