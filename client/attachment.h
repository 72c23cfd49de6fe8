// Attachment: a tree of a server's, over as many connections as it takes. Where one is lost the
// next is made when somebody asks for something, and each fid is made anew when it is asked for.
//
// On one executor that runs no two of its handlers at once, as all of client/. Source: attach(5),
// walk(5), clunk(5).
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>

#include "client/cancelled.h"
#include "client/names.h"
#include "client/operations.h"
#include "client/window.h"

namespace ninep::client {

struct Options {
  Session::Options session;
  User user;                                           // uid not given: the caller's effective one
  std::chrono::milliseconds connect_patience{10'000};  // for one connection to be made
  /// With a server that is gone: for so long calls wait for it to come back. 0: for none.
  std::chrono::milliseconds reconnect_patience{60'000};
  std::size_t fids_max = 1 << 20;     // in use; then EMFILE
  std::size_t window_max = 16 << 20;  // bytes of large reads that are under way; of writes as many
};

class Attachment;
class Group;
class Handle;

/// Who has it gives up its locks.
struct GivesUp {
  std::shared_ptr<Handle> handle;
  void operator()(Handle*) const;
};
/// A handle has one owner. The attachment keeps it besides, while it finds the file again by
/// itself.
using HandleRef = std::unique_ptr<Handle, GivesUp>;

/// A lock that is taken again where its fid has gone.
struct HeldLock : Lock {
  U64 with = 0;  // Handle::fids_had_, of the fid that has it
};

/// A fid, for as long as it is there: the server's, and what is needed to have it again. Its
/// destructor has it clunked, and waits for nothing. It keeps its attachment.
class Handle : public std::enable_shared_from_this<Handle> {
 public:
  static HandleRef make(std::shared_ptr<Attachment> attachment, Fid fid, Names::Place place,
                        Qid qid);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle();

  const Names::Place& place() const { return place_; }
  /// As it was walked to or opened.
  const Qid& qid() const { return qid_; }
  /// Means something while Attachment::repeat() or once() calls.
  Fid fid() const { return fid_; }
  const Opened& opened() const { return opened_; }
  /// It was opened with lopen::kAppend.
  bool appends() const { return is_open_ && (flags_ & lopen::kAppend) != 0; }
  /// Whether it has locks, or has lost some with a connection.
  bool has_locks() const { return !locks_.empty() || !lost_locks_.empty(); }

 private:
  friend class Attachment;
  friend struct GivesUp;

  Handle(std::shared_ptr<Attachment> attachment, Fid fid, Names::Place place, Qid qid);
  bool is_closed() const { return !attachment_ || is_given_up_; }

  std::shared_ptr<Attachment> attachment_;  // null: closed
  bool is_given_up_ = false;                // by its owner
  Fid fid_{};                               // kNoFid: none, while it rests
  U64 connection_ = 0;                      // on which the fid is known
  U64 fids_had_ = 0;                        // before
  Names::Place place_;
  U64 moved_ = 0;  // place_.moved(), when the fid was walked to
  Qid qid_{};
  bool is_open_ = false;
  U32 flags_ = 0;  // ninep::lopen: to open it again
  Opened opened_;
  bool was_found_again_ = false;
  Mark mark_;                     // as far as it is known to be this file's
  bool was_asked_ = false;        // for its mark; the server may have none
  std::vector<HeldLock> locks_;   // that it has
  std::vector<Lock> lost_locks_;  // and had
  bool had_locks_ = false;        // at some time
  U64 gone_on_ = 0;               // a connection on which the file is not to be found again
  std::shared_ptr<Signal> restoring_;
  bool is_being_found_ = false;     // with its locks
  std::shared_ptr<Signal> asking_;  // for one of them again
};

/// For Attachment::once(): what has no name yet was not made; what has one tells nothing.
template <class T>
asio::awaitable<Expected<std::optional<T>>> is_absent(Operations& operations, Fid directory,
                                                      std::string name) {
  const auto found = co_await operations.find(directory, name);
  NINEP_CO_RETURN_IF_WRONG(found);
  if (*found) co_return error(EEXIST, "look for " + name, "it is there now");
  co_return Expected<std::optional<T>>(std::nullopt);
}

/// For Attachment::once(): nothing to look for, it may be done twice on one file, if there is
/// nobody left who does it later. `Answer`: of a look.
template <class Answer>
asio::awaitable<Expected<Answer>> may_be_repeated(Operations&, Fid) {
  co_return Expected<Answer>(Answer());
}

class Attachment : public std::enable_shared_from_this<Attachment> {
 public:
  /// Makes a connection.
  using Connect =
      std::function<asio::awaitable<Expected<Stream>>(std::chrono::milliseconds patience)>;

  /// Connects, agrees on a dialect, attaches. `connect` is called again for each connection;
  /// `again`: whether it can be.
  static asio::awaitable<Expected<std::shared_ptr<Attachment>>> make(Connect connect, bool again,
                                                                     Options options);
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  const Options& options() const { return options_; }
  const asio::any_io_executor& executor() const { return executor_; }
  /// Of the last connection that there was.
  Dialects dialect() const { return dialect_; }
  U32 msize() const { return operations_->session().msize(); }
  /// The most that a read or write carries.
  U32 payload_max() const { return operations_->session().payload_max(); }
  /// Connections that there have been.
  U64 connections() const { return connection_; }

  /// Calls `what(Operations&, Fid)`, an Expected's awaitable, and again where the connection was
  /// lost meanwhile: what may be done twice, and late. The handle stays until it returns. Errors:
  /// those of `what`; ESTALE: the file is not to be found again; ETIMEDOUT: the server hasn't come
  /// back; EBADF: the handle is closed. `other`: a handle that is needed along with it; EXDEV: it
  /// is another attachment's.
  template <class What>
  auto repeat(Handle& handle, What what, Handle* other = nullptr)
      -> std::invoke_result_t<What&, Operations&, Fid> {
    return told_by_result(repeating(handle, std::move(what), other));
  }
  /// The same of what may not. Where the connection was lost and the request may have been done,
  /// `look(Operations&, Fid)` says: an awaitable of Expected<std::optional<T>>: what it gave, or
  /// that it was not done; of an Expected<bool> where it gives nothing. An error of it is EIO here:
  /// nobody knows. What was not done yet by a server that only didn't answer may come later: EIO.
  template <class What, class Look>
  auto once(Handle& handle, What what, Look look, Handle* other = nullptr)
      -> std::invoke_result_t<What&, Operations&, Fid> {
    return told_by_result(doing_once(handle, std::move(what), std::move(look), other));
  }

  /// The root. A new fid.
  asio::awaitable<Expected<HandleRef>> root();
  /// A new fid of the same file, not open, whatever `handle` is.
  asio::awaitable<Expected<HandleRef>> another(Handle& handle);
  /// A new fid: what `names` lead to from there.
  asio::awaitable<Expected<HandleRef>> walk(Handle& from, std::vector<std::string> names) {
    return told_by_result(walking(from, std::move(names)));
  }
  /// `flags`: ninep::lopen, here and of create().
  asio::awaitable<Expected<void>> open(Handle& handle, U32 flags) {
    return told_by_result(opening(handle, flags));
  }
  /// `directory` becomes the open file's. `mode`: permissions. EINVAL: `name` is no file's name.
  asio::awaitable<Expected<void>> create(Handle& directory, std::string name, U32 flags, U32 mode,
                                         U32 gid);
  /// Which also tells the file from others of its qid.path that come later, if the server has
  /// something that does. What was found again before that stays as it is: nobody knows what it
  /// was.
  asio::awaitable<Expected<Attributes>> stat(Handle& handle);
  /// The same, for that alone.
  asio::awaitable<void> identify(Handle& handle);
  /// `same` is a handle of the same file.
  void learn(Handle& handle, const Handle& same) const {
    if (wants_identity(handle)) take_mark(handle, same);
  }
  bool wants_identity(const Handle& handle) const {
    return again_ && !handle.was_asked_ && !handle.was_found_again_;
  }
  bool is_identified(const Handle& handle) const { return !handle.mark_.is_none(); }
  /// For once(): of what may be done twice on that file alone. What is found again has been
  /// compared, if it was told from others before.
  template <class Answer>
  asio::awaitable<Expected<Answer>> is_the_same(const Handle& handle) const {
    if (!is_identified(handle))
      co_return error(ESTALE, "find a file again",
                      "the server tells nothing that only this file has");
    co_return Expected<Answer>(Answer());
  }
  /// What was lost with its connection is done again on another one.
  bool goes_on() const { return again_; }

  // Locks. What was lost with a connection is taken again on the next one, which is made for that:
  // before anybody gets a new one of this attachment's.

  /// What came of it: ninep::lock. `wait`: the server may answer when it has it. ENOLCK: the file
  /// has too many. A lost connection's locks are gone with it: to give one up then needs no other
  /// one. It is given up when what was written under it is over: also what was cancelled.
  asio::awaitable<Expected<U8>> lock(Handle& handle, Lock lock, bool wait);
  /// EIO: a lock on the file, by whichever handle, was lost with a connection, and not given back
  /// yet.
  Expected<void> has_its_locks(const Handle& handle) const;
  /// Within a call of repeat() or once(): `calling`, once those that are being taken again have
  /// been; EIO as above, and ETIMEDOUT: they have not. `changes`: an unlock waits for it.
  template <class T>
  asio::awaitable<Expected<T>> under_locks(Handle& handle, const Operations& operations,
                                           asio::awaitable<Expected<T>> calling, bool changes) {
    if (locked_.empty()) return calling;
    return doing_under_locks(handle, operations, std::move(calling), changes);
  }

  /// Clunks, and says what the server says of it. Calls with it are EBADF from now on.
  asio::awaitable<Expected<void>> close(Handle& handle) { return told_by_result(closing(handle)); }
  /// Clunks on the way; the file is found again where the handle is used. Nothing, where it would
  /// not be found: it has no name any more. Not of what is open, nor with a call under way.
  void rest(Handle& handle);
  /// There is no connection now.
  bool is_lost() const { return operations_->session().lost(); }
  /// How many replies have come on it, or on the last one.
  U64 replies() const { return operations_->session().replies(); }
  /// Ends the connection, or the attempt to have the next one: what is under way fails with
  /// ECONNABORTED, and so does what comes after.
  void end();

  /// What is under way of large transfers.
  Window& reads() { return reads_; }
  Window& writes() { return writes_; }

 private:
  friend class Handle;
  friend struct GivesUp;

  /// To make a connection: others wait for its end.
  struct Attempt {
    explicit Attempt(const asio::any_io_executor& executor) : done(executor) {}
    Signal done;
    std::optional<Error> failed;
    asio::cancellation_signal* under_way = nullptr;  // a connection that is being made
  };
  using Ready = std::shared_ptr<Operations>;
  static constexpr unsigned kTriesMax = 8;  // of one request that its server does not survive

  Attachment(asio::any_io_executor executor, Connect connect, bool again, Options options);

  asio::awaitable<Expected<Ready>> connected();
  asio::awaitable<Expected<void>> reconnect(std::shared_ptr<Attempt> attempt,
                                            Session::Clock::time_point end);
  asio::awaitable<void> connect_once(Session::Clock::time_point end,
                                     std::shared_ptr<Attempt> attempt, Expected<void>& connected);
  static std::chrono::milliseconds no_longer(std::chrono::milliseconds patience,
                                             Session::Clock::time_point end);
  /// No longer than until `end`.
  asio::awaitable<Expected<std::shared_ptr<Session>>> agree(Session::Clock::time_point end);
  asio::awaitable<Expected<void>> connect(Session::Clock::time_point end);
  asio::awaitable<Expected<Ready>> ready(Handle& handle);
  asio::awaitable<Expected<Ready>> ready(Handle& handle, Handle* other);
  template <class What>
  auto repeating(Handle& handle, What what, Handle* other)
      -> std::invoke_result_t<What&, Operations&, Fid>;
  template <class What, class Look>
  auto doing_once(Handle& handle, What what, Look look, Handle* other)
      -> std::invoke_result_t<What&, Operations&, Fid>;
  asio::awaitable<Expected<HandleRef>> walking(Handle& from, std::vector<std::string> names);
  asio::awaitable<Expected<void>> opening(Handle& handle, U32 flags);
  asio::awaitable<Expected<void>> closing(Handle& handle);
  asio::awaitable<Expected<HandleRef>> made(HandleRef handle) {
    return told_by_result(making(std::move(handle)));
  }
  asio::awaitable<Expected<HandleRef>> making(HandleRef handle);
  asio::awaitable<Expected<void>> restore(Handle& handle, Operations& operations);
  void forget_fid(Handle& handle);
  /// The newest.
  static Mark mark_of_file(const Handle& handle);
  static void take_mark(Handle& handle, const Handle& same);
  static bool is_forgotten(const Handle& handle, const Operations& operations);
  static std::unexpected<Error> unknown(const Error& lost, const std::string& why) {
    return std::unexpected(
        Error{Errno{EIO}, lost.doing,
              "the connection was lost, and it is not known whether this was done: " + why,
              Fate::kUnknown});
  }
  asio::awaitable<void> open_only(Handle& handle, U32 flags, Expected<Opened>& opened);
  void drop(const Handle& handle);
  static asio::awaitable<void> clunk(std::shared_ptr<Attachment> self, Ready operations, Fid fid,
                                     std::optional<U64> written);
  // locks.cc
  /// To a file of that qid.path, for as long as it is there.
  class Writing {
   public:
    Writing(std::shared_ptr<Attachment> of, U64 path);
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing();

   private:
    const std::shared_ptr<Attachment> of_;
    const std::multimap<U64, std::shared_ptr<Signal>>::iterator at_;
  };
  template <class T>
  asio::awaitable<Expected<T>> doing_under_locks(Handle& handle, const Operations& operations,
                                                 asio::awaitable<Expected<T>> calling,
                                                 bool changes);
  asio::awaitable<void> until_written(U64 path);
  asio::awaitable<Expected<U8>> locking(const Handle& handle, Operations& operations, Lock lock,
                                        U32 flags, U64& with);
  asio::awaitable<Expected<U8>> unlocking(Handle& handle, Lock lock);
  /// Handles of that file that have, or had, some.
  std::vector<Handle*> locked_of(const Handle& file) const;
  void update_locked(Handle& handle);
  bool has_room_for(const Handle& file, const Lock& lock) const;
  void forget_locks(Handle& handle);
  std::vector<std::shared_ptr<Handle>> forget_lock(const Handle& file, const Lock& lock,
                                                   std::optional<U8> spared = {});
  /// By the fid that it has.
  bool holds_its_locks(const Handle& handle) const;
  /// They are to be taken again on the connection that there is.
  bool lacks_its_locks(const Handle& handle) const;
  bool do_all_hold_theirs() const;
  bool are_pending(const Handle& file, bool asked_too) const;
  asio::awaitable<Expected<void>> found_its_locks(const Handle& handle,
                                                  const Operations& operations, bool asked_too);
  asio::awaitable<Expected<void>> may_use(Handle& handle, const Operations& operations);
  Session::Clock::time_point locks_end() const;
  /// Whoever waits for something of locks looks again.
  void tell_waiting();
  asio::awaitable<bool> told(Session::Clock::time_point end = Session::Clock::time_point::max());
  void find_locked();
  static asio::awaitable<void> finding_locked(std::shared_ptr<Attachment> self);
  asio::awaitable<void> find_all(Group& finds);
  asio::awaitable<void> find(std::shared_ptr<Handle> handle);
  asio::awaitable<void> take_again(Handle& handle, Operations& operations);
  enum class Again : U8 { kHas, kMayCome, kLost };
  asio::awaitable<Expected<Again>> take_one_again(Handle& handle, Operations& operations,
                                                  Lock lock);
  static asio::awaitable<void> until_asked(const Handle& handle);
  /// Whether it is worth another try.
  bool again(const Error& error, unsigned tries) const {
    // A server that doesn't answer has had its time.
    constexpr unsigned kTimeoutsMax = 2;
    return error.fate >= Fate::kUnsent && again_ && !is(error, ECANCELED) &&
           tries < (is(error, ETIMEDOUT) ? kTimeoutsMax : kTriesMax);
  }

  const asio::any_io_executor executor_;
  const Connect connect_;
  const bool has_more_;  // connections than the first one
  const bool again_;     // whether they are made when one is lost
  const Options options_;
  const std::shared_ptr<FidNumbers> fids_;
  const Fid root_;
  Dialects dialect_ = kNone;
  Qid root_qid_{};
  Names names_;
  Ready operations_;  // of the connection that there is, or was
  U64 connection_ = 0;
  std::shared_ptr<Attempt> attempt_;
  bool is_over_ = false;
  std::multimap<U64, Handle*> locked_;  // that have, or had, locks; by qid.path
  bool is_finding_ = false;             // what they have lost with a connection
  asio::cancellation_signal stop_finding_;
  std::size_t being_found_ = 0;  // handles
  std::list<Signal*> waiting_;   // told()
  /// Under way, where somebody has locks; by qid.path.
  std::multimap<U64, std::shared_ptr<Signal>> writing_;
  std::size_t lock_waits_ = 0;  // requests under way that the server answers when it likes
  Window reads_;
  Window writes_;
};

// ------------------------------------------------------------------ what templates need

template <class What>
auto Attachment::repeating(Handle& handle, What what, Handle* other)
    -> std::invoke_result_t<What&, Operations&, Fid> {
  for (unsigned tries = 1;; ++tries) {
    const auto operations = co_await ready(handle, other);
    NINEP_CO_RETURN_IF_WRONG(operations);
    auto result = co_await what(**operations, handle.fid_);
    if (result || !again(result.error(), tries)) co_return result;
  }
}

template <class T>
asio::awaitable<Expected<T>> Attachment::doing_under_locks(Handle& handle,
                                                           const Operations& operations,
                                                           asio::awaitable<Expected<T>> calling,
                                                           bool changes) {
  const auto may = co_await may_use(handle, operations);
  NINEP_CO_RETURN_IF_WRONG(may);
  std::optional<Writing> writing;
  if (changes) writing.emplace(shared_from_this(), handle.qid_.path);
  co_return co_await std::move(calling);
}

template <class What, class Look>
auto Attachment::doing_once(Handle& handle, What what, Look look, Handle* other)
    -> std::invoke_result_t<What&, Operations&, Fid> {
  for (unsigned tries = 1;; ++tries) {
    const auto operations = co_await ready(handle, other);
    NINEP_CO_RETURN_IF_WRONG(operations);
    auto result = co_await what(**operations, handle.fid_);
    if (result || !again(result.error(), tries)) co_return result;
    if (result.error().fate == Fate::kUnsent) continue;
    auto looked = co_await repeat(handle, look, other);
    if (!looked && is(looked.error(), ECANCELED))
      co_return std::unexpected(Error{Errno{ECANCELED}, result.error().doing, "", Fate::kUnknown});
    if (!looked) co_return unknown(result.error(), looked.error().text());
    if constexpr (std::is_void_v<typename decltype(result)::value_type>) {
      if (*looked) co_return decltype(result)();
    } else {
      if (*looked) co_return std::move(**looked);
    }
    if (is(result.error(), ETIMEDOUT))
      co_return unknown(result.error(), "the server didn't answer, and may do it yet");
  }
}

}  // namespace ninep::client
