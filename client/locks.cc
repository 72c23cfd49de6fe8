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
void take_out(std::vector<Lock>& held, const Lock& gone, std::optional<U8> spared = {}) {
  std::vector<Lock> left;
  std::erase_if(held, [&](const Lock& lock) {
    if (!meet(lock, gone) || lock.type == spared) return false;
    if (lock.start < gone.start) set_range(left.emplace_back(lock), lock.start, gone.start - 1);
    if (last_of(gone) < last_of(lock))
      set_range(left.emplace_back(lock), last_of(gone) + 1, last_of(lock));
    return true;
  });
  held.insert(held.end(), left.begin(), left.end());
}

// What touches becomes one. fcntl(2).
void put_in(std::vector<Lock>& held, Lock lock) {
  take_out(held, lock);
  std::erase_if(held, [&](const Lock& one) {
    if (one.type != lock.type || !same_owner(one, lock)) return false;
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
  const bool has = !handle.is_closed() && handle.has_locks();
  if (has && at == end) locked_.emplace(handle.qid_.path, &handle);
  if (!has && at != end) locked_.erase(at);
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
  const auto ask = [&](Operations& o, Fid) { return locking(handle, o, lock, flags); };
  const auto status = co_await repeat(handle, ask);
  if (!status || *status != lock::kSuccess) co_return status;
  // With its fid it has gone.
  if (handle.is_closed()) co_return error(EBADF, "lock", "it is closed");
  (void)forget_lock(handle, lock, lock.type);
  if (!handle.has_locks()) handle.locked_on_ = handle.connection_;
  put_in(handle.locks_, std::move(lock));
  handle.had_locks_ = true;
  update_locked(handle);
  find_locked();
  co_return status;
}

// Behind those who had some before.
asio::awaitable<Expected<U8>> Attachment::locking(const Handle& handle, Operations& operations,
                                                  Lock lock, U32 flags) {
  const auto found = co_await found_its_locks(handle, operations);
  NINEP_CO_RETURN_IF_WRONG(found);
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

bool Attachment::lacks_its_locks(const Handle& handle) const {
  return handle.locked_on_ != connection_ && handle.gone_on_ != connection_;
}

bool Attachment::are_pending(const Handle& file) const {
  return is_finding_ && std::ranges::any_of(locked_of(file), [this](const Handle* one) {
           return lacks_its_locks(*one);
         });
}

Expected<void> Attachment::has_its_locks(const Handle& handle) const {
  for (const Handle* const one : locked_of(handle)) {
    const bool may_have = is_finding_ && lacks_its_locks(*one);
    if (one->lost_locks_.empty() && (one->locked_on_ == connection_ || may_have)) continue;
    return error(EIO, "use " + handle.place_.text(),
                 "a lock on it was lost with the connection, and somebody else may have had it");
  }
  return {};
}

// Within a call of repeat() or once(), which comes again where the fid is another one's by now.
asio::awaitable<Expected<void>> Attachment::found_its_locks(const Handle& handle,
                                                            const Operations& operations) {
  const std::string doing = "use " + handle.place_.text();
  const auto end = Clock::now() + options_.reconnect_patience;
  while (!operations.session().lost() && are_pending(handle) && Clock::now() < end) {
    Signal found(executor_);
    const auto at = waiting_.insert(waiting_.end(), &found);
    const Finally over([kept = shared_from_this(), at] { kept->waiting_.erase(at); });
    if (!co_await wait_for(found, end)) co_return error(ECANCELED, doing);
  }
  if (handle.is_closed()) co_return error(EBADF, doing, "it is closed");
  if (operations.session().lost() || handle.connection_ != connection_)
    co_return std::unexpected(Error{Errno{ECONNRESET}, doing, "", Fate::kUnsent});
  if (are_pending(handle))
    co_return error(ETIMEDOUT, doing, "locks on it were lost, and are still being taken again");
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> Attachment::may_use(Handle& handle, const Operations& operations) {
  const auto found = co_await found_its_locks(handle, operations);
  NINEP_CO_RETURN_IF_WRONG(found);
  auto has = has_its_locks(handle);
  if (has || !wants_identity(handle)) co_return has;
  // It may be another file, which came to the number since.
  const auto is = co_await stat(handle);
  NINEP_CO_RETURN_IF_WRONG(is);
  co_return co_await may_use(handle, operations);
}

void Attachment::tell_waiting() {
  for (Signal* const one : waiting_) one->set();
}

void Attachment::find_locked() {
  if (locked_.empty() || is_finding_ || !again_ || is_over_) return;
  const bool is_needed = std::ranges::any_of(
      locked_, [this](const auto& one) { return lacks_its_locks(*one.second); });
  if (is_lost() ? is(operations_->session().why_lost(), EPROTO) : !is_needed) return;
  is_finding_ = true;
  asio::co_spawn(executor_, finding_locked(shared_from_this()),
                 asio::bind_cancellation_slot(stop_finding_.slot(), asio::detached));
}

// For as long as there is somebody who has one. Whoever waits for his is told when it is there, and
// after each round.
asio::awaitable<void> Attachment::finding_locked(std::shared_ptr<Attachment> self) {
  const Finally over([&self] {
    self->is_finding_ = false;
    self->tell_waiting();
  });
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  co_await asio::post(self->executor_, asio::use_awaitable);
  Pauses pauses(std::chrono::milliseconds(20), std::chrono::milliseconds(1000));
  while (!co_await self->has_found_locked()) {
    self->tell_waiting();
    if (!co_await pauses.next()) break;
  }
  // Somebody else may have some by now.
  if (cancellation.cancelled() != asio::cancellation_type::none)
    asio::post(self->executor_, [self] { self->find_locked(); });
}

// False: some may yet be found.
asio::awaitable<bool> Attachment::has_found_locked() {
  const auto there = co_await connected();
  if (!there) co_return is_over_ || is(there.error(), ECANCELED) || is(there.error(), EPROTO);
  const U64 connection = connection_;
  std::vector<asio::awaitable<void>> all;
  for (const auto& [path, handle] : locked_)
    if (lacks_its_locks(*handle)) all.push_back(find(handle->shared_from_this()));
  co_await together(std::move(all));
  co_return connection == connection_ && !is_lost() &&
      std::ranges::none_of(locked_, [this](const auto& o) { return lacks_its_locks(*o.second); });
}

asio::awaitable<void> Attachment::find(std::shared_ptr<Handle> handle) {
  const auto operations = co_await ready(*handle);
  if (operations) co_await take_again(*handle, **operations);
  tell_waiting();
}

// Where the connection is lost meanwhile, and where a request doesn't say what became of a lock,
// that is done once more.
asio::awaitable<void> Attachment::take_again(Handle& handle, Operations& operations) {
  const U64 connection = handle.connection_;
  const auto end = Clock::now() + options_.reconnect_patience;  // for all of them
  const std::vector<Lock> locks = handle.locks_;
  for (const Lock& lock : locks) {
    const auto taken = co_await take_one_again(handle, operations, lock, end);
    if (!taken) co_return;
    if (*taken) continue;
    // What its owner has of it yet.
    std::erase_if(handle.locks_, [&](const Lock& one) {
      if (!meet(one, lock)) return false;
      handle.lost_locks_.push_back(one);
      return true;
    });
  }
  if (handle.connection_ == connection) handle.locked_on_ = connection;
}

// True: it has it, or its owner has given it up. A server may wait for those who had locks before
// it began anew; to another one the connection that was lost still has them.
asio::awaitable<Expected<bool>> Attachment::take_one_again(Handle& handle, Operations& operations,
                                                           Lock lock, Clock::time_point end) {
  Pauses pauses(std::chrono::milliseconds(50), std::chrono::milliseconds(500));
  const U64 connection = handle.connection_;
  for (;;) {
    if (handle.is_closed() || handle.connection_ != connection)
      co_return error(EBADF, "lock", "its fid has gone");
    if (std::ranges::none_of(handle.locks_, [&](const Lock& one) { return meet(one, lock); }))
      co_return true;
    const auto status = co_await asking(handle, operations, lock);
    if (status && *status == lock::kSuccess) {
      // It may be more than its owner has yet.
      std::vector<Lock> given_up{lock};
      for (const Lock& one : handle.locks_) take_out(given_up, one);
      for (Lock& one : given_up) {
        if (handle.is_closed()) break;  // all goes with its fid
        one.type = lock::kUnlock;
        (void)co_await operations.lock(handle.fid_, one, 0);
      }
      co_return true;
    }
    // What ends for the caller's sake says nothing of the lock.
    if (!status && !says_no(status.error())) co_return std::unexpected(status.error());
    bool may_come = status && *status == lock::kGrace;
    if (status && *status == lock::kBlocked) {
      const auto there = co_await operations.getlock(handle.fid_, lock);
      if (!there && !says_no(there.error())) co_return std::unexpected(there.error());
      may_come = there && (there->type == lock::kUnlock || same_owner(*there, lock));
    }
    if (!may_come || Clock::now() >= end) co_return false;
    if (!co_await pauses.next()) co_return error(ECANCELED, "lock");
  }
}

// Whoever gives it up, or closes the file, waits for that one request.
asio::awaitable<Expected<U8>> Attachment::asking(Handle& handle, Operations& operations,
                                                 Lock lock) {
  const auto asking = handle.asking_ = std::make_shared<Signal>(executor_);
  const Finally over([&handle, asking] {
    handle.asking_ = nullptr;
    asking->set();
  });
  co_return co_await operations.lock(handle.fid_, lock, 0);
}

asio::awaitable<void> Attachment::until_asked(const Handle& handle) {
  while (const auto asking = handle.asking_) (void)co_await asking->wait();
}

}  // namespace ninep::client
