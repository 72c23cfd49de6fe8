// Operations: what is done to files, as messages of the session's dialect.
//
// One session's; on its executor. Fids are numbers here: who calls has them from `fids` and knows
// what they stand for. Errors: those of Session::call(); EOPNOTSUPP: the dialect has no way to do
// it. Where a fid has to be made for a moment, it is gone again in any case. What is given back is
// owned. Room and data are the caller's, and stay until the call returns. Source: section 5 of Plan
// 9's manual, and docs/protocol.md for .u and .L.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "client/attributes.h"
#include "client/session.h"

namespace ninep::client {

/// Numbers for fids. They outlive sessions: who has one makes it mean something again. One thread
/// at a time.
class FidNumbers {
 public:
  explicit FidNumbers(std::size_t max) : max_(max) {}
  /// EMFILE: there are `max`.
  Expected<Fid> take();
  /// It is taken again behind those that were given back before, and not at once: a server may have
  /// its own mind of what was clunked.
  void give_back(Fid fid) { free_.push_back(static_cast<U32>(fid)); }
  /// Taken now.
  std::size_t count() const { return next_ - free_.size(); }

 private:
  static constexpr std::size_t kResting = 16;

  const std::size_t max_;
  U32 next_ = 0;
  std::deque<U32> free_;
};

/// A request that was flushed: some servers have done it all the same, and the fid that it makes
/// may be there.
inline bool is_given_up(const Error& wrong) {
  return wrong.fate != Fate::kNotSent && (is(wrong, ECANCELED) || is(wrong, ETIMEDOUT));
}

/// What an opened fid is.
struct Opened {
  Qid qid{};
  U32 iounit = 0;  // bytes that a read or write carries; never 0
};

/// Who attaches to what (attach(5)).
struct User {
  std::string uname;        // a name; may be empty where the uid says it
  std::string aname;        // which of the server's trees; empty: the one that it has
  U32 uid = kNoNumericUid;  // n_uname, of .u and .L
};

class Operations {
 public:
  static std::shared_ptr<Operations> make(std::shared_ptr<Session> session,
                                          std::shared_ptr<FidNumbers> fids);
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  virtual ~Operations() = default;

  Session& session() const { return *session_; }

  // In every dialect the same.
  /// `fid` becomes the root of what the user is shown; its qid. Without authentication.
  asio::awaitable<Expected<Qid>> attach(Fid fid, const User& user,
                                        std::chrono::milliseconds patience = {});
  /// Any number of names. The last one's qid; `from`'s is not asked for: without names there is
  /// none. Where the walk ends early: the error of the name that isn't there, and `to` is no fid.
  asio::awaitable<Expected<Qid>> walk(Fid from, Fid to, std::vector<std::string> names);
  /// What has that name; none: nothing.
  asio::awaitable<Expected<std::optional<Qid>>> find(Fid directory, std::string name);
  /// One Tread or Twrite of as many bytes as fit: bytes transferred; of a read 0: the end.
  asio::awaitable<Expected<U32>> read(Fid fid, U64 offset, Room into);
  asio::awaitable<Expected<U32>> write(Fid fid, U64 offset, Bytes data);
  /// It is no fid any more, whatever the server says of it (clunk(5)).
  asio::awaitable<Expected<void>> clunk(Fid fid);

  /// `flags`: ninep::lopen.
  virtual asio::awaitable<Expected<Opened>> open(Fid fid, U32 flags) = 0;
  /// `fid`, a directory's, becomes the open file's. `mode`: permissions; `gid`: of the new file, .L
  /// only.
  virtual asio::awaitable<Expected<Opened>> create(Fid fid, std::string name, U32 flags, U32 mode,
                                                   U32 gid) = 0;
  virtual asio::awaitable<Expected<Qid>> mkdir(Fid directory, std::string name, U32 mode,
                                               U32 gid) = 0;
  virtual asio::awaitable<Expected<Qid>> symlink(Fid directory, std::string name,
                                                 std::string target, U32 gid) = 0;
  /// `mode` with the file's type.
  virtual asio::awaitable<Expected<Qid>> mknod(Fid directory, std::string name, U32 mode, U64 rdev,
                                               U32 gid) = 0;
  virtual asio::awaitable<Expected<void>> link(Fid directory, std::string name, Fid file) = 0;
  virtual asio::awaitable<Expected<void>> remove(Fid directory, std::string name,
                                                 bool is_directory) = 0;
  virtual asio::awaitable<Expected<void>> rename(Fid from, std::string name, Fid to,
                                                 std::string to_name) = 0;
  /// The server takes a fid for a path: what was renamed has to be walked to again.
  virtual bool forgets_renamed() const { return false; }
  virtual asio::awaitable<Expected<Attributes>> stat(Fid fid) = 0;
  virtual asio::awaitable<Expected<void>> change(Fid fid, Change change) = 0;
  virtual asio::awaitable<Expected<std::string>> readlink(Fid fid) = 0;
  /// From `offset`: 0, or an entry's. None: the end. "." and ".." are left out, and what is no
  /// file's name.
  virtual asio::awaitable<Expected<std::vector<Entry>>> readdir(Fid fid, U64 offset) = 0;
  virtual asio::awaitable<Expected<void>> fsync(Fid fid, bool data_only) = 0;

  // .L alone has the rest.
  virtual asio::awaitable<Expected<Rstatfs>> statfs(Fid fid);
  /// At most kXattrMax bytes, otherwise E2BIG. An empty name: the list of names, each with a NUL.
  virtual asio::awaitable<Expected<std::string>> read_xattr(Fid fid, std::string name);
  /// `flags`: XATTR_CREATE, XATTR_REPLACE.
  virtual asio::awaitable<Expected<void>> write_xattr(Fid fid, std::string name, std::string value,
                                                      U32 flags);
  virtual asio::awaitable<Expected<void>> remove_xattr(Fid fid, std::string name);
  /// What came of it: ninep::lock. `flags`: lock::kBlock: the server may answer when it has it.
  virtual asio::awaitable<Expected<U8>> lock(Fid fid, Lock lock, U32 flags);
  /// What is in the way of `lock`; of type lock::kUnlock: nothing.
  virtual asio::awaitable<Expected<Lock>> getlock(Fid fid, Lock lock);

  /// Bytes of a directory that are asked for at once: as entries they need several times as much.
  static constexpr U32 kReaddirMax = 128 << 10;
  static constexpr std::size_t kXattrMax = 1 << 20;  // bytes

 protected:
  Operations(std::shared_ptr<Session> session, std::shared_ptr<FidNumbers> fids)
      : session_(std::move(session)), fids_(std::move(fids)) {}

  Dialects dialect() const { return session_->dialect(); }
  FidNumbers& fids() const { return *fids_; }
  template <Message T>
  auto call(const T& request, std::chrono::milliseconds patience = {}) {
    return session_->call(request, patience);
  }
  /// By Tremove, which every dialect has.
  asio::awaitable<Expected<void>> remove_by_fid(Fid directory, std::string name, bool is_directory);
  U32 iounit(U32 told) const {
    return told == 0 ? session_->payload_max() : std::min(told, session_->payload_max());
  }

 private:
  std::size_t names_in_one(std::span<const std::string> names) const;
  asio::awaitable<Expected<Rwalk>> walk_some(Fid from, Fid to, std::span<const std::string> names);
  asio::awaitable<Error> why_not(Fid from, std::span<const std::string> reached,
                                 const std::string& next);

  const std::shared_ptr<Session> session_;
  const std::shared_ptr<FidNumbers> fids_;
};

/// Whether a file can be called that: a server may say anything.
bool is_name(Str name);

}  // namespace ninep::client
