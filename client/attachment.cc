#include "client/attachment.h"

#include <algorithm>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/this_coro.hpp>
#include <unistd.h>

#include "client/finally.h"
#include "client/together.h"

namespace ninep::client {
namespace {

constexpr std::size_t kDepthMax = 2048;  // names in a path: as many as PATH_MAX has room for

using Clock = Session::Clock;

/// What opens a file again that was made or emptied by its first opening.
U32 flags_again(U32 flags) {
  return flags & ~(lopen::kCreate | lopen::kExclusive | lopen::kTruncate);
}

/// Of a file that isn't found again: it isn't by asking once more either.
bool is_for_good(const Error& error) {
  for (const int passes :
       {ECANCELED, ETIMEDOUT, ENFILE, EMFILE, ENOMEM, ENOBUFS, EAGAIN, EINTR, ECONNRESET})
    if (is(error, passes)) return false;
  return error.fate == Fate::kKnown;
}

Dialects without_newest(Dialects dialects) {
  for (const Dialects newest : {kDotL, kDotU, k9P2000})
    if (has(dialects, newest))
      return Dialects{static_cast<U8>(static_cast<U8>(dialects) & ~static_cast<U8>(newest))};
  return kNone;
}

}  // namespace

// ------------------------------------------------------------------ Handle

Handle::Handle(std::shared_ptr<Attachment> attachment, Fid fid, Names::Place place, Qid qid)
    : attachment_(std::move(attachment)),
      fid_(fid),
      connection_(attachment_->connection_),
      place_(std::move(place)),
      moved_(place_.moved()),
      qid_(qid) {}

HandleRef Handle::make(std::shared_ptr<Attachment> attachment, Fid fid, Names::Place place,
                       Qid qid) {
  const std::shared_ptr<Handle> made(new Handle(std::move(attachment), fid, std::move(place), qid));
  return {made.get(), GivesUp{made}};
}

void GivesUp::operator()(Handle* of) const {
  of->is_given_up_ = true;
  if (of->attachment_) of->attachment_->forget_locks(*of);
}

Handle::~Handle() {
  if (attachment_) attachment_->drop(*this);
}

void Attachment::drop(const Handle& handle) {
  const Fid fid = handle.fid_;
  if (fid == kNoFid) return;
  if (handle.connection_ != connection_ || operations_->session().lost())
    return fids_->give_back(fid);
  std::optional<U64> written;
  if (handle.had_locks_) written = handle.qid_.path;
  asio::co_spawn(executor_, clunk(shared_from_this(), operations_, fid, written), asio::detached);
}

// Locks go with a fid: behind what was `written` under them.
asio::awaitable<void> Attachment::clunk(std::shared_ptr<Attachment> self, Ready operations, Fid fid,
                                        std::optional<U64> written) {
  if (written) co_await self->until_written(*written);
  (void)co_await operations->clunk(fid);
  self->fids_->give_back(fid);
}

void Attachment::rest(Handle& handle) {
  if (!handle.attachment_ || handle.is_open_ || handle.restoring_ || !handle.place_.path()) return;
  drop(handle);
  handle.fid_ = kNoFid;
  forget_fid(handle);
}

// What others have seen of the file while it had its fid holds for it too.
void Attachment::forget_fid(Handle& handle) {
  handle.mark_ = mark_of_file(handle);
  handle.connection_ = 0;
}

Mark Attachment::mark_of_file(const Handle& handle) {
  const auto seen = handle.place_.mark(handle.qid_.path, handle.connection_);
  return seen && !handle.mark_.is_none() ? *seen : handle.mark_;
}

void Attachment::take_mark(Handle& handle, const Handle& same) {
  handle.mark_ = mark_of_file(same);
  handle.was_asked_ = same.was_asked_;
}

asio::awaitable<Expected<void>> Attachment::closing(Handle& handle) {
  const auto self = std::exchange(handle.attachment_, nullptr);
  if (!self) co_return error(EBADF, "close", "it is closed already");
  forget_locks(handle);
  while (const auto restoring = handle.restoring_) (void)co_await restoring->wait();
  co_await self->until_asked(handle);
  const Fid fid = std::exchange(handle.fid_, kNoFid);
  if (fid == kNoFid) co_return Expected<void>();
  Expected<void> closed;
  const Ready operations = operations_;
  if (handle.connection_ == connection_) {
    if (handle.had_locks_) co_await until_written(handle.qid_.path);
    if (!operations->session().lost()) closed = co_await operations->clunk(fid);
  }
  fids_->give_back(fid);
  // With its connection a fid is gone too.
  if (!closed && closed.error().fate != Fate::kKnown) co_return Expected<void>();
  co_return closed;
}

// ------------------------------------------------------------------ connections

Attachment::Attachment(asio::any_io_executor executor, Connect connect, bool again, Options options)
    : executor_(std::move(executor)),
      connect_(std::move(connect)),
      has_more_(again),
      again_(again && options.reconnect_patience.count() > 0),
      options_(std::move(options)),
      fids_(std::make_shared<FidNumbers>(options_.fids_max)),
      root_(*fids_->take()),
      reads_(executor_, options_.window_max),
      writes_(executor_, options_.window_max) {}

asio::awaitable<Expected<std::shared_ptr<Attachment>>> Attachment::make(Connect connect, bool again,
                                                                        Options options) {
  if (options.user.uid == kNoNumericUid) options.user.uid = ::geteuid();
  const std::shared_ptr<Attachment> made(new Attachment(
      co_await asio::this_coro::executor, std::move(connect), again, std::move(options)));
  const auto connected = co_await told_by_result(made->connect(Clock::time_point::max()));
  NINEP_CO_RETURN_IF_WRONG(connected);
  co_return made;
}

std::chrono::milliseconds Attachment::no_longer(std::chrono::milliseconds patience,
                                                Clock::time_point end) {
  if (end == Clock::time_point::max()) return patience;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
  return std::clamp(left, std::chrono::milliseconds(1), patience);
}

// A server should say that it doesn't know a dialect. Some hang up: they are asked for the next one
// on another connection. What has been agreed on once stays, as all that is known of files is in
// its terms.
asio::awaitable<Expected<std::shared_ptr<Session>>> Attachment::agree(Clock::time_point end) {
  Session::Options wanted = options_.session;
  if (dialect_ != kNone) wanted.dialects = dialect_;
  const Dialects all = wanted.dialects;
  bool may_hang_up = has_more_;
  for (;;) {
    auto stream = co_await connect_(no_longer(options_.connect_patience, end));
    NINEP_CO_RETURN_IF_WRONG(stream);
    auto session =
        co_await Session::open(std::move(*stream), wanted, no_longer(wanted.patience, end));
    if (session) co_return session;
    const Error& wrong = session.error();
    const bool hung_up =
        wrong.fate == Fate::kUnknown && (is(wrong, ECONNRESET) || is(wrong, EPIPE));
    const Dialects older = without_newest(wanted.dialects);
    if (hung_up && may_hang_up && older != kNone) {
      wanted.dialects = older;
    } else if (is(wrong, EPROTONOSUPPORT) && wanted.dialects != all && may_hang_up) {
      // It knows none of the older ones: that it hung up had another reason.
      wanted.dialects = all;
      may_hang_up = false;
    } else {
      co_return session;
    }
  }
}

asio::awaitable<Expected<void>> Attachment::connect(Clock::time_point end) {
  auto session = co_await agree(end);
  NINEP_CO_RETURN_IF_WRONG(session);
  const Ready operations = Operations::make(std::move(*session), fids_);
  const auto qid =
      co_await operations->attach(root_, options_.user, no_longer(options_.session.patience, end));
  NINEP_CO_RETURN_IF_WRONG(qid);
  // A server that attaches and hangs up isn't back.
  if (operations->session().lost()) co_return std::unexpected(operations->session().why_lost());
  if (is_over_) co_return error(ECONNABORTED, "connect again", "closed");
  operations_ = operations;
  dialect_ = operations->session().dialect();
  root_qid_ = *qid;
  ++connection_;
  operations->session().when_lost([of = weak_from_this()] {
    if (const auto self = of.lock()) self->find_locked();
  });
  find_locked();
  co_return Expected<void>();
}

asio::awaitable<void> Attachment::connect_once(Clock::time_point end,
                                               std::shared_ptr<Attempt> attempt,
                                               Expected<void>& connected) {
  const Finally over([&attempt] { attempt->under_way = nullptr; });  // before its signal goes
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  const bool is_cancelled = cancellation.cancelled() != asio::cancellation_type::none;
  if (!is_over_ && !is_cancelled) connected = co_await connect(end);
}

asio::awaitable<Expected<void>> Attachment::reconnect(std::shared_ptr<Attempt> attempt,
                                                      Clock::time_point end) {
  Pauses pauses(std::chrono::milliseconds(20), std::chrono::milliseconds(1000));
  for (;;) {
    if (is_over_) co_return error(ECONNABORTED, "connect again", "closed");
    Expected<void> connected = error(ECANCELED, "connect again");
    {
      // What end() can end, whoever the caller is.
      Group group(executor_);
      attempt->under_way = &group.spawn(connect_once(end, attempt, connected));
      co_await group.all_done();
    }
    if (connected) co_return connected;
    if (is_over_) continue;
    const Error& wrong = connected.error();
    // What the server says is its answer; that it says nothing isn't.
    const bool is_answer =
        wrong.doing == "Tattach" && wrong.fate == Fate::kKnown && !is(wrong, ETIMEDOUT);
    if (is(wrong, ECANCELED) || is(wrong, EPROTO) || is(wrong, EPROTONOSUPPORT) || is_answer)
      co_return connected;
    const auto now = Clock::now();
    if (now >= end)
      co_return error(ETIMEDOUT, "connect again",
                      "the server has been gone for " +
                          std::to_string(options_.reconnect_patience.count() / 1000) +
                          " s: " + wrong.text());
    auto pausing = pauses.next(std::chrono::ceil<std::chrono::milliseconds>(end - now));
    if (!co_await std::move(pausing)) co_return error(ECANCELED, "connect again");
  }
}

void Attachment::end() {
  is_over_ = true;
  if (attempt_ && attempt_->under_way) attempt_->under_way->emit(asio::cancellation_type::terminal);
  if (is_finding_) stop_finding_.emit(asio::cancellation_type::terminal);
  operations_->session().close();
}

asio::awaitable<Expected<Attachment::Ready>> Attachment::connected() {
  const auto end = Clock::now() + options_.reconnect_patience;
  for (;;) {
    Session& session = operations_->session();
    if (!session.lost()) co_return operations_;
    Error lost = session.why_lost();
    lost.fate = Fate::kNotSent;
    if (is_over_) lost = {Errno{ECONNABORTED}, "connect again", "closed", Fate::kNotSent};
    if (is_over_ || !again_ || is(lost, EPROTO)) co_return std::unexpected(std::move(lost));
    if (const auto attempt = attempt_) {  // somebody else's
      if (!co_await wait_for(attempt->done)) co_return error(ECANCELED, "connect again");
      // One that ended because its caller did, or had no more time, says nothing to this one.
      const bool is_over = attempt->failed && !is(*attempt->failed, ECANCELED) &&
                           (!is(*attempt->failed, ETIMEDOUT) || Clock::now() >= end);
      if (is_over) co_return std::unexpected(*attempt->failed);
      continue;
    }
    const auto attempt = attempt_ = std::make_shared<Attempt>(executor_);
    const Finally over([this, attempt] {
      attempt_ = nullptr;
      attempt->done.set();
    });
    const auto connected = co_await reconnect(attempt, end);
    if (!connected) attempt->failed = connected.error();
    NINEP_CO_RETURN_IF_WRONG(connected);
  }
}

// ------------------------------------------------------------------ fids on another connection

asio::awaitable<Expected<Attachment::Ready>> Attachment::ready(Handle& handle) {
  const auto kept = handle.shared_from_this();  // while all is destroyed with the executor
  for (unsigned tries = 0;;) {
    if (handle.is_closed()) co_return error(EBADF, "use a file", "it is closed");
    const auto operations = co_await connected();
    NINEP_CO_RETURN_IF_WRONG(operations);
    if (handle.is_closed()) co_return error(EBADF, "use a file", "it is closed");
    const U64 connection = connection_;
    const bool is_known = handle.connection_ == connection;
    if (is_known && !is_forgotten(handle, **operations)) co_return *operations;
    if (const auto restoring = handle.restoring_) {
      if (!co_await wait_for(*restoring)) co_return error(ECANCELED, "find a file again");
      continue;
    }
    if (++tries > kTriesMax)
      co_return std::unexpected(Error{Errno{ECONNRESET}, "find a file again",
                                      "the server hangs up each time", Fate::kUnsent});
    const auto restoring = handle.restoring_ = std::make_shared<Signal>(executor_);
    const Finally over([&handle, restoring] {
      handle.restoring_ = nullptr;
      restoring->set();
    });
    const U64 moved = handle.place_.moved();
    forget_fid(handle);
    ++handle.fids_had_;
    find_locked();
    if (is_known) {
      (void)co_await (*operations)->clunk(handle.fid_);
    }
    const auto restored = co_await restore(handle, **operations);
    if (restored) {
      handle.connection_ = connection;
      handle.moved_ = moved;
      handle.gone_on_ = 0;
      find_locked();
    } else if (!again(restored.error(), tries)) {
      if (is_for_good(restored.error())) handle.gone_on_ = connection;
      co_return std::unexpected(restored.error());
    }
  }
}

asio::awaitable<Expected<Attachment::Ready>> Attachment::ready(Handle& handle, Handle* other) {
  for (unsigned tries = 1;; ++tries) {
    const auto first = co_await ready(handle);
    if (!other || !first) co_return first;
    if (other->attachment_ && other->attachment_.get() != this)
      co_return error(EXDEV, "use two files", "they are of two connections");
    const auto second = co_await ready(*other);
    if (!second || *first == *second || tries == kTriesMax) co_return second;
  }
}

bool Attachment::is_forgotten(const Handle& handle, const Operations& operations) {
  return operations.forgets_renamed() && handle.moved_ != handle.place_.moved() &&
         handle.place_.path();
}

asio::awaitable<Expected<void>> Attachment::restore(Handle& handle, Operations& operations) {
  const std::string doing = "find " + handle.place_.text() + " again";
  auto path = handle.place_.path();
  if (!path) co_return error(ESTALE, doing, "it was removed while it was in use");
  if (handle.fid_ == kNoFid) {
    const auto taken = fids_->take();
    NINEP_CO_RETURN_IF_WRONG(taken);
    handle.fid_ = *taken;
  }
  const bool is_root = path->empty();
  const auto walked = co_await operations.walk(root_, handle.fid_, std::move(*path));
  if (!walked && (is(walked.error(), ENOENT) || is(walked.error(), ENOTDIR)))
    co_return error(ESTALE, doing, "it is gone");
  NINEP_CO_RETURN_IF_WRONG(walked);
  const Qid qid = is_root ? root_qid_ : *walked;
  Expected<void> result;
  if (qid.path != handle.qid_.path || qid.type != handle.qid_.type)
    result = error(ESTALE, doing, "another file has its name");
  // The root is what the server says it is.
  if (result && is_identified(handle) && !is_root) {
    const auto is = co_await operations.stat(handle.fid_);
    const Same same = is ? compare(handle.mark_, mark_of(*is)) : Same::kYes;
    if (!is)
      result = std::unexpected(is.error());
    else if (same == Same::kNo)
      result = error(ESTALE, doing, "another file has its name and number");
    else if (same == Same::kUnknown)
      handle.mark_ = Mark();
  }
  if (result && handle.is_open_) {
    const auto opened = co_await operations.open(handle.fid_, handle.flags_);
    if (opened)
      handle.opened_ = *opened;
    else
      result = std::unexpected(opened.error());
  }
  if (!result) (void)co_await operations.clunk(handle.fid_);
  if (result) handle.was_found_again_ = true;
  co_return result;
}

// ------------------------------------------------------------------ fids

asio::awaitable<Expected<HandleRef>> Attachment::root() {
  const auto taken = fids_->take();
  NINEP_CO_RETURN_IF_WRONG(taken);
  co_return co_await made(Handle::make(shared_from_this(), *taken, names_.root(), root_qid_));
}

// An open fid can't be walked from: walk(5).
asio::awaitable<Expected<HandleRef>> Attachment::another(Handle& handle) {
  if (!handle.is_open_) co_return co_await walk(handle, std::vector<std::string>());
  const auto taken = fids_->take();
  NINEP_CO_RETURN_IF_WRONG(taken);
  auto other = Handle::make(shared_from_this(), *taken, handle.place_, handle.qid_);
  take_mark(*other, handle);
  co_return co_await made(std::move(other));
}

asio::awaitable<Expected<HandleRef>> Attachment::making(HandleRef handle) {
  handle->connection_ = 0;
  const auto made = co_await ready(*handle);
  NINEP_CO_RETURN_IF_WRONG(made);
  handle->was_found_again_ = false;
  co_return handle;
}

asio::awaitable<Expected<HandleRef>> Attachment::walking(Handle& from,
                                                         std::vector<std::string> names) {
  if (names.size() > kDepthMax) co_return error(ENAMETOOLONG, "walk");
  Names::Place place = from.place_;
  for (const std::string& name : names) {
    if (name == "..") {
      place = place.parent();
      continue;
    }
    if (!is_name(name)) co_return error(EINVAL, "walk", "\"" + name + "\" is no file's name");
    place = place.child(name);
  }
  if (place.depth() > kDepthMax) co_return error(ENAMETOOLONG, "walk");
  if (from.is_open_) {
    auto closed = co_await another(from);
    NINEP_CO_RETURN_IF_WRONG(closed);
    co_return co_await walk(**closed, std::move(names));
  }
  for (unsigned tries = 1;; ++tries) {
    const auto operations = co_await ready(from);
    NINEP_CO_RETURN_IF_WRONG(operations);
    const auto taken = fids_->take();
    NINEP_CO_RETURN_IF_WRONG(taken);
    const U64 connection = connection_;
    const U64 moved = place.moved();
    const auto walked = co_await (*operations)->walk(from.fid_, *taken, names);
    if (walked) {
      const Qid qid = names.empty() ? from.qid_ : *walked;
      auto handle = Handle::make(shared_from_this(), *taken, place, qid);
      handle->connection_ = connection;
      handle->moved_ = moved;
      if (names.empty())
        take_mark(*handle, from);
      else
        handle->place_.has(walked->path);
      co_return handle;
    }
    fids_->give_back(*taken);
    if (!again(walked.error(), tries)) co_return std::unexpected(walked.error());
  }
}

asio::awaitable<void> Attachment::open_only(Handle& handle, U32 flags, Expected<Opened>& opened) {
  const auto open = [flags](Operations& o, Fid fid) { return o.open(fid, flags); };
  if (flags & lopen::kTruncate)
    opened = co_await once(handle, open, may_be_repeated<std::optional<Opened>>);
  else
    opened = co_await repeat(handle, open);
  if (!opened) co_return;
  // From now on it is opened again, whoever finds it again.
  handle.is_open_ = true;
  handle.flags_ = flags_again(flags);
  handle.opened_ = *opened;
  handle.qid_ = opened->qid;
}

asio::awaitable<Expected<void>> Attachment::opening(Handle& handle, U32 flags) {
  Expected<Opened> opened;
  std::vector<asio::awaitable<void>> both;
  both.push_back(open_only(handle, flags, opened));
  // What is opened to be written to may have another time of birth from then on.
  const bool writes = (flags & lopen::kAccessMode) != lopen::kReadOnly;
  if (!writes && wants_identity(handle)) both.push_back(identify(handle));
  co_await together(std::move(both));
  NINEP_CO_RETURN_IF_WRONG(opened);
  if (writes && again_) co_await identify(handle);
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> Attachment::create(Handle& directory, std::string name, U32 flags,
                                                   U32 mode, U32 gid) {
  if (!is_name(name)) co_return error(EINVAL, "create", "\"" + name + "\" is no file's name");
  const auto create = [&](Operations& o, Fid fid) { return o.create(fid, name, flags, mode, gid); };
  Expected<Opened> created;
  if (flags & lopen::kExclusive) {
    const auto look = [&](Operations& o, Fid fid) { return is_absent<Opened>(o, fid, name); };
    created = co_await once(directory, create, look);
  } else {
    created = co_await once(directory, create, may_be_repeated<std::optional<Opened>>);
  }
  NINEP_CO_RETURN_IF_WRONG(created);
  directory.place_ = directory.place_.child(name);
  directory.moved_ = directory.place_.moved();
  directory.is_open_ = true;
  directory.flags_ = flags_again(flags);
  directory.opened_ = *created;
  directory.qid_ = created->qid;
  directory.place_.has(directory.qid_.path);
  // Whatever the directory was: this is another file.
  directory.was_found_again_ = false;
  directory.mark_ = Mark();
  directory.was_asked_ = false;
  co_return Expected<void>();
}

// As one of several, for whose caller a cancellation stays his own.
asio::awaitable<void> Attachment::identify(Handle& handle) {
  const auto ask = [](Attachment& self, Handle& of) -> asio::awaitable<void> {
    (void)co_await self.stat(of);
  };
  std::vector<asio::awaitable<void>> one;
  one.push_back(ask(*this, handle));
  co_await together(std::move(one));
}

asio::awaitable<Expected<Attributes>> Attachment::stat(Handle& handle) {
  auto is = co_await repeat(handle, [](Operations& o, Fid fid) { return o.stat(fid); });
  if (!is || !again_) co_return is;
  const Mark mark = mark_of(*is);
  handle.was_asked_ = true;
  if (is_identified(handle) || !handle.was_found_again_) handle.mark_ = mark;
  handle.place_.has(handle.qid_.path, handle.connection_, mark);
  co_return is;
}

}  // namespace ninep::client
