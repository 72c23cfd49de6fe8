// Locks of an attachment's files, over as many connections as it takes.
#include <algorithm>
#include <limits>
#include <optional>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "client/attachment.h"
#include "client/finally.h"
#include "client/together.h"

namespace ninep::client {
namespace {

using Clock = Session::Clock;

constexpr std::size_t kLocksMax = 4096;  // of one file, by one Handle
constexpr U64 kNoFidOfIt = ~U64{0};      // HeldLock::with: it is to be taken again

// The last byte; a length of 0 is to the end of the file, however long that becomes.
U64 last_of(const Lock& lock) {
  constexpr U64 kEnd = std::numeric_limits<U64>::max();
  return lock.length == 0 || lock.length - 1 > kEnd - lock.start ? kEnd
                                                                 : lock.start + (lock.length - 1);
}
void set_range(Lock& lock, U64 first, U64 last) {
  lock.start = first;
  lock.length = last == std::numeric_limits<U64>::max() ? 0 : last - first + 1;
}

bool same_owner(const Lock& a, const Lock& b) {
  return a.proc_id == b.proc_id && a.client_id == b.client_id;
}
/// Some of `one` is `other`'s owner's, and in its range.
bool meet(const Lock& one, const Lock& other) {
  return same_owner(one, other) && one.start <= last_of(other) && other.start <= last_of(one);
}

// Takes out of `held` what its owner has of the range of `gone`, but for what is of `spared` type.
// fcntl(2).
template <class Some>
void take_out(std::vector<Some>& held, const Lock& gone, std::optional<U8> spared = {}) {
  std::vector<Some> left;
  std::erase_if(held, [&](const Some& lock) {
    if (!meet(lock, gone) || lock.type == spared) return false;
    if (lock.start < gone.start) set_range(left.emplace_back(lock), lock.start, gone.start - 1);
    if (last_of(gone) < last_of(lock))
      set_range(left.emplace_back(lock), last_of(gone) + 1, last_of(lock));
    return true;
  });
  held.insert(held.end(), left.begin(), left.end());
}

// What touches becomes one. fcntl(2).
void put_in(std::vector<HeldLock>& held, HeldLock lock) {
  take_out(held, lock);
  std::erase_if(held, [&](const HeldLock& one) {
    if (one.type != lock.type || one.with != lock.with || !same_owner(one, lock)) return false;
    const bool is_before = last_of(one) < lock.start && last_of(one) + 1 == lock.start;
    const bool is_behind = last_of(lock) < one.start && last_of(lock) + 1 == one.start;
    if (is_before) set_range(lock, one.start, last_of(lock));
    if (is_behind) set_range(lock, lock.start, last_of(one));
    return is_before || is_behind;
  });
  held.push_back(std::move(lock));
}

}  // namespace

// ------------------------------------------------------------------ who has some

std::vector<Handle*> Attachment::locked_of(const Handle& file) const {
  std::vector<Handle*> all;
  const auto [begin, end] = locked_.equal_range(file.qid_.path);
  for (auto at = begin; at != end; ++at) {
    // Numbers come again.
    const bool is_another =
        at->second != &file && compare(mark_of_file(*at->second), mark_of_file(file)) == Same::kNo;
    if (!is_another) all.push_back(at->second);
  }
  return all;
}

void Attachment::update_locked(Handle& handle) {
  const auto [begin, end] = locked_.equal_range(handle.qid_.path);
  const auto at = std::find_if(begin, end, [&](const auto& o) { return o.second == &handle; });
  const bool has = !handle.is_closed() && (handle.has_locks() || handle.asking_);
  if (has && at == end) locked_.emplace(handle.qid_.path, &handle);
  if (!has && at != end) locked_.erase(at);
  tell_waiting();
  // Nobody looks for them any more, or its executor has been destroyed.
  if (locked_.empty() && is_finding_) stop_finding_.emit(asio::cancellation_type::terminal);
}

// Taking one out of the middle of another leaves two.
bool Attachment::has_room_for(const Handle& file, const Lock& lock) const {
  const auto is_full = [](const Handle& handle) {
    return handle.locks_.size() + handle.lost_locks_.size() >= kLocksMax;
  };
  const auto is_inside = [&](const Lock& one) {
    return same_owner(one, lock) && one.start < lock.start && last_of(lock) < last_of(one);
  };
  if (lock.type != lock::kUnlock && is_full(file)) return false;
  return std::ranges::none_of(locked_of(file), [&](const Handle* one) {
    return is_full(*one) && (std::ranges::any_of(one->locks_, is_inside) ||
                             std::ranges::any_of(one->lost_locks_, is_inside));
  });
}

void Attachment::forget_locks(Handle& handle) {
  handle.locks_.clear();
  handle.lost_locks_.clear();
  update_locked(handle);
}

// An owner's locks of a file are his by whichever handle. fcntl(2). Those that had some of it.
std::vector<std::shared_ptr<Handle>> Attachment::forget_lock(const Handle& file, const Lock& lock,
                                                             std::optional<U8> spared) {
  std::vector<std::shared_ptr<Handle>> had;
  for (Handle* const handle : locked_of(file)) {
    const auto is_of_it = [&](const Lock& one) { return meet(one, lock); };
    if (std::ranges::any_of(handle->locks_, is_of_it)) had.push_back(handle->shared_from_this());
    take_out(handle->locks_, lock, spared);
    take_out(handle->lost_locks_, lock);
    update_locked(*handle);
  }
  return had;
}

// ------------------------------------------------------------------ to lock

asio::awaitable<Expected<U8>> Attachment::lock(Handle& handle, Lock lock, bool wait) {
  const auto kept = shared_from_this();
  if (handle.is_closed()) co_return error(EBADF, "lock", "it is closed");
  if (!has_room_for(handle, lock)) co_return error(ENOLCK, "lock", "the file has too many");
  if (lock.type == lock::kUnlock) co_return co_await told_by_result(unlocking(handle, lock));
  // Half of what may be under way is for others: for those who unlock.
  const bool may_wait = wait && lock_waits_ < options_.session.requests_max / 2;
  const U32 flags = may_wait ? lock::kBlock : U32{0};
  lock_waits_ += may_wait ? 1 : 0;
  const Finally over([this, may_wait] { lock_waits_ -= may_wait ? 1 : 0; });
  U64 with = 0;
  const auto ask = [&](Operations& o, Fid) { return locking(handle, o, lock, flags, with); };
  const auto status = co_await repeat(handle, ask);
  if (!status || *status != lock::kSuccess) co_return status;
  // With its fid it has gone.
  if (handle.is_closed()) co_return error(EBADF, "lock", "it is closed");
  (void)forget_lock(handle, lock, lock.type);
  put_in(handle.locks_, {std::move(lock), with});
  handle.had_locks_ = true;
  update_locked(handle);
  find_locked();
  co_return status;
}

// Behind those who had some before, and what was asked for them. `with`: which fid has it.
asio::awaitable<Expected<U8>> Attachment::locking(const Handle& handle, Operations& operations,
                                                  Lock lock, U32 flags, U64& with) {
  const auto found = co_await found_its_locks(handle, operations, true);
  NINEP_CO_RETURN_IF_WRONG(found);
  with = handle.fids_had_;
  co_return co_await operations.lock(handle.fid_, lock, flags);
}

asio::awaitable<Expected<U8>> Attachment::unlocking(Handle& handle, Lock lock) {
  // What its owner has given up is not taken again, whatever becomes of the requests.
  auto had = forget_lock(handle, lock);
  if (std::ranges::find(had, &handle, &std::shared_ptr<Handle>::get) == had.end())
    had.push_back(handle.shared_from_this());
  co_await until_written(handle.qid_.path);
  Expected<U8> result = lock::kSuccess;
  for (const auto& one : had) {
    co_await until_asked(*one);
    const Ready operations = operations_;
    // With its connection, or its fid, it has gone.
    if (operations->session().lost() || one->connection_ != connection_ || one->is_closed())
      continue;
    const auto given = co_await operations->lock(one->fid_, lock, 0);
    const bool is_gone = !given && given.error().fate >= Fate::kUnsent;
    if (!is_gone && (!given || *given != lock::kSuccess)) result = given;
  }
  if (handle.is_closed()) co_return error(EBADF, "unlock", "it is closed");
  co_return result;
}

// ------------------------------------------------------------------ what is written under them

Attachment::Writing::Writing(std::shared_ptr<Attachment> of, U64 path)
    : of_(std::move(of)),
      at_(of_->writing_.emplace(path, std::make_shared<Signal>(of_->executor_))) {}

Attachment::Writing::~Writing() {
  at_->second->set();
  of_->writing_.erase(at_);
}

// Also what was given up, which its server may yet do. This is not cancelled.
asio::awaitable<void> Attachment::until_written(U64 path) {
  std::vector<std::shared_ptr<Signal>> all;
  const auto [begin, end] = writing_.equal_range(path);
  for (auto at = begin; at != end; ++at) all.push_back(at->second);
  for (const auto& one : all)
    while (!one->is_set()) (void)co_await one->wait();
}

// ------------------------------------------------------------------ on another connection

bool Attachment::holds_its_locks(const Handle& handle) const {
  return std::ranges::all_of(handle.locks_, [&](const HeldLock& one) {
    return handle.connection_ == connection_ && one.with == handle.fids_had_;
  });
}

bool Attachment::lacks_its_locks(const Handle& handle) const {
  return handle.gone_on_ != connection_ && !holds_its_locks(handle);
}

bool Attachment::are_pending(const Handle& file, bool asked_too) const {
  return std::ranges::any_of(locked_of(file), [&](const Handle* one) {
    return (is_finding_ && lacks_its_locks(*one)) || (asked_too && one->asking_);
  });
}

Expected<void> Attachment::has_its_locks(const Handle& handle) const {
  for (const Handle* const one : locked_of(handle)) {
    const bool may_have = is_finding_ && lacks_its_locks(*one);
    if (one->lost_locks_.empty() && (holds_its_locks(*one) || may_have)) continue;
    return error(EIO, "use " + handle.place_.text(),
                 "a lock on it was lost with the connection, and somebody else may have had it");
  }
  return {};
}

// As long as for a server that is gone; where that isn't waited for, as for an answer.
Clock::time_point Attachment::locks_end() const {
  return Clock::now() + (again_ ? options_.reconnect_patience : options_.session.patience);
}

void Attachment::tell_waiting() {
  for (Signal* const one : waiting_) one->set();
}

asio::awaitable<bool> Attachment::told(Clock::time_point end) {
  Signal changed(executor_);
  const auto at = waiting_.insert(waiting_.end(), &changed);
  const Finally over([kept = shared_from_this(), at] { kept->waiting_.erase(at); });
  co_return co_await wait_for(changed, end);
}

// Within a call of repeat() or once(), which comes again where the fid is another one's by now.
asio::awaitable<Expected<void>> Attachment::found_its_locks(const Handle& handle,
                                                            const Operations& operations,
                                                            bool asked_too) {
  const std::string doing = "use " + handle.place_.text();
  const auto end = locks_end();
  while (!operations.session().lost() && are_pending(handle, asked_too) && Clock::now() < end)
    if (!co_await told(end)) co_return error(ECANCELED, doing);
  if (handle.is_closed()) co_return error(EBADF, doing, "it is closed");
  if (operations.session().lost() || handle.connection_ != connection_)
    co_return std::unexpected(Error{Errno{ECONNRESET}, doing, "", Fate::kUnsent});
  if (are_pending(handle, asked_too))
    co_return error(ETIMEDOUT, doing, "locks on it were lost, and are still being taken again");
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> Attachment::may_use(Handle& handle, const Operations& operations) {
  const auto found = co_await found_its_locks(handle, operations, false);
  NINEP_CO_RETURN_IF_WRONG(found);
  auto has = has_its_locks(handle);
  if (has || !wants_identity(handle)) co_return has;
  // It may be another file, which came to the number since.
  const auto is = co_await stat(handle);
  NINEP_CO_RETURN_IF_WRONG(is);
  co_return co_await may_use(handle, operations);
}

bool Attachment::do_all_hold_theirs() const {
  return !is_lost() && std::ranges::none_of(
                           locked_, [this](const auto& o) { return lacks_its_locks(*o.second); });
}

void Attachment::find_locked() {
  if (is_finding_) return tell_waiting();
  if (locked_.empty() || is_over_) return;
  if (is_lost() ? !again_ || is(operations_->session().why_lost(), EPROTO) : do_all_hold_theirs())
    return;
  is_finding_ = true;
  asio::co_spawn(executor_, finding_locked(shared_from_this()),
                 asio::bind_cancellation_slot(stop_finding_.slot(), asio::detached));
}

// For as long as somebody lacks some; each file for itself.
asio::awaitable<void> Attachment::finding_locked(std::shared_ptr<Attachment> self) {
  const Finally over([&self] {
    self->is_finding_ = false;
    self->tell_waiting();
  });
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  const auto is_stopped = [&] { return cancellation.cancelled() != asio::cancellation_type::none; };
  co_await asio::post(self->executor_, asio::use_awaitable);
  Group finds(self->executor_);
  Pauses pauses(std::chrono::milliseconds(20), std::chrono::milliseconds(1000));
  for (;;) {
    const auto there = co_await self->connected();
    if (there) {
      co_await self->find_all(finds);
    } else {
      const Error& wrong = there.error();
      if (self->is_over_ || !self->again_ || is(wrong, ECANCELED) || is(wrong, EPROTO)) break;
    }
    if (is_stopped()) break;
    if (self->being_found_ == 0 && self->do_all_hold_theirs()) {
      co_await finds.all_done();
      if (self->do_all_hold_theirs()) break;  // nobody has lost his meanwhile
    }
    if (!co_await pauses.next()) break;
  }
  co_await finds.all_done();
  // Somebody else may have some by now, or have made a connection.
  if (is_stopped() || !self->is_lost())
    asio::post(self->executor_, [self] { self->find_locked(); });
}

// On this connection.
asio::awaitable<void> Attachment::find_all(Group& finds) {
  const U64 connection = connection_;
  while (connection == connection_ && !is_lost()) {
    for (const auto& [path, handle] : locked_) {
      if (handle->is_being_found_ || !lacks_its_locks(*handle)) continue;
      handle->is_being_found_ = true;
      ++being_found_;
      finds.spawn(find(handle->shared_from_this()));
    }
    if (being_found_ == 0) co_return;
    if (!co_await told()) co_return;
  }
}

// A request that fails in passing says nothing of a lock.
asio::awaitable<void> Attachment::find(std::shared_ptr<Handle> handle) {
  const Finally over([kept = shared_from_this(), &handle] {
    handle->is_being_found_ = false;
    --kept->being_found_;
    kept->tell_waiting();
  });
  const U64 connection = connection_;
  Pauses pauses(std::chrono::milliseconds(20), std::chrono::milliseconds(1000));
  for (;;) {
    const auto operations = co_await ready(*handle);
    if (operations) co_await take_again(*handle, **operations);
    if (connection != connection_ || is_lost()) co_return;
    if (handle->is_closed() || !lacks_its_locks(*handle)) co_return;
    if (!co_await pauses.next()) co_return;
  }
}

// Until it has, or has lost, what its owners have not given up meanwhile; or until a request
// doesn't say what became of it. A server may wait for those who had locks before it began anew; to
// another one the connection that was lost still has them.
asio::awaitable<void> Attachment::take_again(Handle& handle, Operations& operations) {
  const U64 connection = connection_;
  const U64 with = handle.fids_had_;
  const auto end = locks_end();  // for all of them
  Pauses pauses(std::chrono::milliseconds(50), std::chrono::milliseconds(500));
  while (!handle.is_closed() && connection == connection_ && handle.fids_had_ == with) {
    const auto next =
        std::ranges::find_if(handle.locks_, [&](const HeldLock& one) { return one.with != with; });
    if (next == handle.locks_.end()) co_return;
    const Lock lock = *next;
    const auto there = co_await take_one_again(handle, operations, lock);
    if (!there) co_return;
    if (*there == Again::kMayCome && Clock::now() < end) {
      if (!co_await pauses.next()) co_return;
      continue;
    }
    if (*there == Again::kHas) continue;
    // What its owner has of it yet.
    std::erase_if(handle.locks_, [&](const HeldLock& one) {
      if (one.with == with || !meet(one, lock)) return false;
      handle.lost_locks_.push_back(one);
      return true;
    });
  }
}

// Whoever gives it up, or locks the file, or closes it, waits for that.
asio::awaitable<Expected<Attachment::Again>> Attachment::take_one_again(Handle& handle,
                                                                        Operations& operations,
                                                                        Lock lock) {
  const U64 with = handle.fids_had_;
  const auto asking = handle.asking_ = std::make_shared<Signal>(executor_);
  const Finally over([kept = shared_from_this(), &handle, asking] {
    handle.asking_ = nullptr;
    asking->set();
    kept->update_locked(handle);
  });
  const auto status = co_await operations.lock(handle.fid_, lock, 0);
  if (status && *status == lock::kSuccess) {
    // It may be more than its owner has yet.
    std::vector<Lock> given_up{lock};
    for (Handle* const other : locked_of(handle))
      for (HeldLock& one : other->locks_) {
        if (!meet(one, lock)) continue;
        // What it has got by another File meanwhile has become this one.
        if (other == &handle)
          one.with = with;
        else if (one.type != lock.type)
          one.with = kNoFidOfIt;
        take_out(given_up, one);
      }
    find_locked();
    for (Lock& one : given_up) {
      if (handle.is_closed()) break;  // all goes with its fid
      one.type = lock::kUnlock;
      (void)co_await operations.lock(handle.fid_, one, 0);
    }
    co_return Again::kHas;
  }
  // What ends for the caller's sake says nothing of the lock.
  if (!status && !says_no(status.error())) co_return std::unexpected(status.error());
  if (!status) co_return Again::kLost;
  if (*status == lock::kGrace) co_return Again::kMayCome;
  if (*status != lock::kBlocked) co_return Again::kLost;
  const auto there = co_await operations.getlock(handle.fid_, lock);
  if (!there && !says_no(there.error())) co_return std::unexpected(there.error());
  const bool may_come = there && (there->type == lock::kUnlock || same_owner(*there, lock));
  co_return may_come ? Again::kMayCome : Again::kLost;
}

asio::awaitable<void> Attachment::until_asked(const Handle& handle) {
  while (const auto asking = handle.asking_) (void)co_await asking->wait();
}

}  // namespace ninep::client
