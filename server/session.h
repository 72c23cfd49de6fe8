// Session: the state of one connection between Tversion and its end, and the handling of requests.
//
// session.cc has the session itself (version, tags, flush); handlers/*.cc one function for each
// T-message. A request is a coroutine; most of them end before the next request is looked at. What
// has to wait is found by its tag (Tflush, the connection's end).
#pragma once

#include <deque>
#include <optional>

#include <absl/container/flat_hash_map.h>

#include "server/fs/fs.h"
#include "server/locks.h"
#include "server/users.h"
#include "transports/transport.h"

namespace ninep::server {

/// A tree and how it is shown.
struct Export {
  std::shared_ptr<fs::Tree> tree;
  bool read_only = false;
};

/// What all sessions of a server share.
struct Shared {
  U32 msize_max = 1 << 20;
  bool trace = false;             // log each message as text
  U64 descriptors_max = 100'000;  // of one session, for its fids: EMFILE
  LockTable locks;
  Users users;
};

/// Limits of one session.
inline constexpr U32 kMsizeMin = 4096;                // Linux asks for as much
inline constexpr std::size_t kFidsMax = 100'000;      // EMFILE
inline constexpr U64 kXattrSizeMax = 65536;           // E2BIG; XATTR_SIZE_MAX of Linux
inline constexpr U64 kXattrBytesMax = U64{64} << 20;  // of values held by fids: ENOSPC

/// What a fid stands for. It outlives its number while requests use it.
struct FidState : RefCounted {
  enum class Kind : U8 { kFile, kXattrRead, kXattrWrite };
  FidState() = default;
  ~FidState() {
    if (xattr) *xattr->held -= xattr->value.size();
    if (file) --*open_files;
  }
  /// `count` is the session's, of such.
  void set_file(Ref<fs::File> opened, U64& count) {
    file = std::move(opened);
    open_files = &count;
    ++count;
  }

  Kind kind = Kind::kFile;
  bool opening = false;  // Tlopen or Tlcreate is under way
  bool locked = false;   // may hold locks
  U32 open_flags = 0;
  Ref<fs::Node> node;  // another one after Twalk or Tlcreate: whoever waits holds it on its own
  Ref<fs::File> file;  // open; set once, by set_file()
  U64* open_files = nullptr;
  fs::User user;
  struct Xattr {
    std::string name;
    std::vector<std::byte> value;
    U64 written = 0;  // kXattrWrite: bytes of value that have come
    U32 flags = 0;
    U64* held;  // the session's count of such bytes
  };
  std::unique_ptr<Xattr> xattr;
};

class Call;

/// How a handler's reply gets back: its message, or for Rread and Rreaddir the count of bytes that
/// are in the reply's room already.
template <class R>
using Reply = io::Task<Result<R>>;
struct Filled {
  U32 count;
};

class Session final : public transport::Handler {
 public:
  Session(io::Loop& loop, Shared& shared, Export exported, std::string peer);
  ~Session() override;

  void request(transport::Request& request) override;
  U32 msize() const override { return msize_; }
  io::Task<void> close() override;

 private:
  friend class Call;

  void dispatch(transport::Request& request);
  template <class M>
  io::Task<void> serve(transport::Request& request, M m);
  template <class R>
  void finish(Call& call, const Result<R>& result);
  void refuse(transport::Request& request, Errno error);
  void trace(Bytes frame) const;
  io::Task<void> abandon_calls();
  void clunk_all();

  // Fids. From a look-up on, the call acts as the fid's user.
  Result<Ref<FidState>> file_fid(Call& call, Fid number);  // of a file, not of an attribute
  Result<Ref<FidState>> open_fid(Call& call, Fid number);  // of an open file
  /// A directory, for a name that comes into being or goes in it.
  Result<Ref<fs::Node>> directory(Call& call, Fid number, Str name);
  Status may_be_new(Fid number) const;
  Status may_open() const;
  Status add_fid(Fid number, Ref<FidState> state);
  Result<Ref<FidState>> take_fid(Fid number);  // out of the table
  void release_locks(FidState& state);
  LockedFile locked_file(const FidState& state) const;
  Status hold_xattr(FidState& state, std::string name, std::vector<std::byte> value);

  // One for each T-message, in handlers/.
  Reply<Rversion> handle(Call&, const Tversion&);
  Reply<Rauth> handle(Call&, const Tauth&);
  Reply<Rattach> handle(Call&, const Tattach&);
  Reply<Rflush> handle(Call&, const Tflush&);
  Reply<Rwalk> handle(Call&, const Twalk&);
  Reply<Rclunk> handle(Call&, const Tclunk&);
  Reply<Rremove> handle(Call&, const Tremove&);
  Reply<Rlopen> handle(Call&, const Tlopen&);
  Reply<Rlcreate> handle(Call&, const Tlcreate&);
  Reply<Filled> handle(Call&, const Tread&);
  Reply<Rwrite> handle(Call&, const Twrite&);
  Reply<Filled> handle(Call&, const Treaddir&);
  Reply<Rfsync> handle(Call&, const Tfsync&);
  Reply<Rgetattr> handle(Call&, const Tgetattr&);
  Reply<Rsetattr> handle(Call&, const Tsetattr&);
  Reply<Rstatfs> handle(Call&, const Tstatfs&);
  Reply<Rreadlink> handle(Call&, const Treadlink&);
  Reply<Rsymlink> handle(Call&, const Tsymlink&);
  Reply<Rmknod> handle(Call&, const Tmknod&);
  Reply<Rmkdir> handle(Call&, const Tmkdir&);
  Reply<Rlink> handle(Call&, const Tlink&);
  Reply<Rrename> handle(Call&, const Trename&);
  Reply<Rrenameat> handle(Call&, const Trenameat&);
  Reply<Runlinkat> handle(Call&, const Tunlinkat&);
  Reply<Rxattrwalk> handle(Call&, const Txattrwalk&);
  Reply<Rxattrcreate> handle(Call&, const Txattrcreate&);
  Reply<Rlock> handle(Call&, const Tlock&);
  Reply<Rgetlock> handle(Call&, const Tgetlock&);

  io::Loop& loop_;
  Shared& shared_;
  const Export exported_;
  const std::string peer_;
  Dialects dialect_ = kAny;  // kAny: no version agreed yet
  U32 msize_;
  absl::flat_hash_map<U32, Ref<FidState>> fids_;
  absl::flat_hash_map<U16, Call*> calls_;    // those that wait
  absl::flat_hash_map<U16, Call*> flushes_;  // by oldtag: the latest Tflush that waits
  Call* latest_ = nullptr;                   // the one that dispatch() has begun
  U64 xattr_bytes_ = 0;
  U64 open_files_ = 0;
  bool resetting_ = false;  // Tversion waits for what is under way; what comes behind it waits too
  bool closing_ = false;
  std::deque<transport::Request*> held_;
  io::Scope scope_;
};

/// A request under way.
class Call {
 public:
  Call(Session& session, transport::Request& request);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  fs::Context context;
  transport::Request& request;
  const Tag tag;
  bool dropped = false;  // no reply: the session is reset, or its peer is gone
  bool flushed = false;  // no reply if it was interrupted

  std::string text;  // what a reply's string points at

  /// As whom the rest is done.
  void act_as(const FidState& fid) { context.set_user(fid.user); }
  /// `co_await call.ended()`: until the reply has been given.
  auto ended() { return Ended{*this}; }

 private:
  friend class Session;
  struct Ended {
    Call& call;
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> waiter) { call.waiters_.push_back(waiter); }
    void await_resume() {}
  };
  bool listed_ = false;         // in calls_
  std::optional<U16> flushes_;  // Tflush: the tag that it waits for, in the session's flushes_
  std::vector<std::coroutine_handle<>> waiters_;
};

/// A name that a file can have or be given: one component.
Status check_name(Str name);

}  // namespace ninep::server
