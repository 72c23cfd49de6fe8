// Locks of an attachment's files, over as many connections as it takes.
#include <algorithm>

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

constexpr std::size_t kLocksMax = 4096;  // of one file, that are taken again

bool overlaps(const Lock& a, const Lock& b) {
  const auto end = [](const Lock& l) { return l.length == 0 ? ~U64{0} : l.start + l.length - 1; };
  return a.start <= end(b) && b.start <= end(a);
}

bool same_owner(const Lock& a, const Lock& b) {
  return a.proc_id == b.proc_id && a.client_id == b.client_id;
}

// What is left of `held` when `gone` is taken out of it; fcntl(2).
void take_out(std::vector<Lock>& held, const Lock& gone) {
  std::vector<Lock> left;
  const auto end = [](const Lock& l) { return l.length == 0 ? ~U64{0} : l.start + l.length; };
  for (const Lock& lock : held) {
    if (!same_owner(lock, gone) || !overlaps(lock, gone)) {
      left.push_back(lock);
      continue;
    }
    if (lock.start < gone.start) {
      left.push_back(lock);
      left.back().length = gone.start - lock.start;
    }
    if (end(gone) < end(lock)) {
      left.push_back(lock);
      left.back().start = end(gone);
      left.back().length = lock.length == 0 ? 0 : end(lock) - end(gone);
    }
  }
  held = std::move(left);
}

}  // namespace

// ------------------------------------------------------------------ who has some

void Attachment::update_locked(Handle& handle) {
  const auto [begin, end] = locked_.equal_range(handle.qid_.path);
  const auto at = std::find_if(begin, end, [&](const auto& o) { return o.second == &handle; });
  const bool has = handle.attachment_ && handle.has_locks();
  if (has && at == end) locked_.emplace(handle.qid_.path, &handle);
  if (!has && at != end) locked_.erase(at);
  // Nobody looks for them any more, or its executor has been destroyed.
  if (locked_.empty() && finding_) stop_finding_.emit(asio::cancellation_type::terminal);
}

void Attachment::forget_locks(Handle& handle) {
  handle.locks_.clear();
  handle.lost_locks_.clear();
  update_locked(handle);
}

// A file's locks are its owner's, by whichever handle he has taken them: fcntl(2).
void Attachment::forget_lock(const Handle& by, const Lock& lock) {
  std::vector<Handle*> others;
  const auto [begin, end] = locked_.equal_range(by.qid_.path);
  for (auto at = begin; at != end; ++at)
    if (at->second != &by) others.push_back(at->second);
  for (Handle* const other : others) {
    take_out(other->locks_, lock);
    take_out(other->lost_locks_, lock);
    update_locked(*other);
  }
}

// ------------------------------------------------------------------ to lock

asio::awaitable<Expected<U8>> Attachment::lock(Handle& handle, Lock lock, bool wait) {
  if (lock.type == lock::kUnlock)
    co_return co_await told_by_result(unlocking(handle, std::move(lock)));
  if (handle.locks_.size() >= kLocksMax) co_return error(ENOLCK, "lock");
  // Half of what may be under way is for others: for those who unlock.
  const bool may_wait = wait && lock_waits_ < options_.session.requests_max / 2;
  const U32 flags = may_wait ? lock::kBlock : U32{0};
  lock_waits_ += may_wait ? 1 : 0;
  const Finally over([this, may_wait] { lock_waits_ -= may_wait ? 1 : 0; });
  const auto ask = [&](Operations& o, Fid fid) { return locking(o, fid, lock, flags); };
  const auto status = co_await repeat(handle, ask);
  if (!status || *status != lock::kSuccess || !handle.attachment_) co_return status;
  take_out(handle.locks_, lock);
  take_out(handle.lost_locks_, lock);
  handle.locks_.push_back(lock);
  update_locked(handle);
  forget_lock(handle, lock);
  if (is_lost() || handle.connection_ != connection_) find_locked();
  co_return status;
}

// Behind those who had some before. Without its connection the request fails, and comes again.
asio::awaitable<Expected<U8>> Attachment::locking(Operations& operations, Fid fid, Lock lock,
                                                  U32 flags) {
  while (finding_ && !operations.session().lost()) {
    const auto finding = finding_;
    if (!co_await wait_for(*finding)) co_return error(ECANCELED, "lock");
  }
  co_return co_await operations.lock(fid, lock, flags);
}

asio::awaitable<Expected<U8>> Attachment::unlocking(Handle& handle, Lock lock) {
  // What its owner has given up is not taken again, whatever became of the request.
  const auto forget = [&] {
    take_out(handle.locks_, lock);
    take_out(handle.lost_locks_, lock);
    update_locked(handle);
  };
  forget();
  while (const auto restoring = handle.restoring_) {
    if (!co_await wait_for(*restoring)) co_return error(ECANCELED, "unlock");
    forget();
  }
  if (!handle.attachment_) co_return error(EBADF, "unlock", "it is closed");
  const Ready operations = operations_;
  if (handle.connection_ != connection_ || operations->session().lost()) {
    forget_lock(handle, lock);
    co_return lock::kSuccess;
  }
  // A write that was given up may still be done: under the lock.
  if (!co_await operations->session().until_flushed()) co_return error(ECANCELED, "unlock");
  const auto status = co_await operations->lock(handle.fid_, lock, 0);
  const bool is_lost = !status && status.error().fate >= Fate::kUnsent;
  if (is_lost || (status && *status == lock::kSuccess)) forget_lock(handle, lock);
  if (is_lost) co_return lock::kSuccess;
  co_return status;
}

// ------------------------------------------------------------------ on another connection

Expected<void> Attachment::has_its_locks(const Handle& handle) const {
  const auto [begin, end] = locked_.equal_range(handle.qid_.path);
  const bool has = std::all_of(begin, end, [&](const auto& one) {
    const Handle& other = *one.second;
    // Nobody looks for it any more.
    const bool is_gone = other.connection_ != connection_ && !finding_ && !other.restoring_;
    if (other.lost_locks_.empty() && !is_gone) return true;
    // Numbers come again.
    return &other != &handle && compare(mark_of_file(other), mark_of_file(handle)) == Same::kNo;
  });
  if (has) return {};
  return error(EIO, "use " + handle.place_.text(),
               "a lock on it was lost with the connection, and somebody else may have had it");
}

asio::awaitable<Expected<void>> Attachment::has_found_its_locks(const Handle& handle) {
  const auto are_found = [&] {
    const auto [begin, end] = locked_.equal_range(handle.qid_.path);
    return std::all_of(begin, end,
                       [this](const auto& o) { return o.second->connection_ == connection_; });
  };
  while (finding_ && !is_lost() && !are_found()) {
    const auto finding = finding_;
    if (!co_await wait_for(*finding)) co_return error(ECANCELED, "use " + handle.place_.text());
  }
  co_return has_its_locks(handle);
}

void Attachment::find_locked() {
  if (locked_.empty() || finding_ || !again_ || is_over_) return;
  finding_ = std::make_shared<Signal>(executor_);
  asio::co_spawn(executor_, finding_locked(shared_from_this()),
                 asio::bind_cancellation_slot(stop_finding_.slot(), asio::detached));
}

asio::awaitable<void> Attachment::finding_locked(std::shared_ptr<Attachment> self) {
  const Finally over([&self] { std::exchange(self->finding_, nullptr)->set(); });
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::post(self->executor_, asio::use_awaitable);
  co_await self->found_locked();
}

// For as long as there is somebody who has one. Whoever waits for it looks at the connection anew
// each time.
asio::awaitable<void> Attachment::found_locked() {
  constexpr std::chrono::milliseconds kPauseMost{1000};
  for (std::chrono::milliseconds pause{20};; pause = std::min(pause * 2, kPauseMost)) {
    const auto there = co_await connected();
    if (!there && !is(there.error(), ETIMEDOUT)) co_return;
    const U64 connection = connection_;
    std::vector<asio::awaitable<void>> all;
    for (const auto& [path, handle] : locked_)
      if (there && handle->connection_ != connection)
        all.push_back(found(handle->shared_from_this()));
    co_await together(std::move(all));
    if (there && connection == connection_ && !is_lost()) co_return;
    std::exchange(finding_, std::make_shared<Signal>(executor_))->set();
    if (!co_await pause_for(pause)) co_return;
  }
}

asio::awaitable<void> Attachment::found(HandleRef handle) {
  handle->is_sought_ = true;
  (void)co_await ready(*handle);
  handle->is_sought_ = false;
}

bool Attachment::is_closed(const Handle& handle) {
  return !handle.attachment_ || (handle.is_sought_ && handle.weak_from_this().use_count() == 1);
}

asio::awaitable<Expected<void>> Attachment::take_again(Handle& handle, Operations& operations) {
  const auto began = Clock::now();
  const std::vector<Lock> locks = handle.locks_;
  for (const Lock& lock : locks) {
    const auto is_wanted = [&] {
      return std::ranges::any_of(handle.locks_, [&](const Lock& one) {
        return same_owner(one, lock) && overlaps(one, lock);
      });
    };
    // Its owner may have gone while it is looked for.
    if (is_closed(handle)) co_return error(EBADF, "find a file again", "it is closed");
    if (!is_wanted()) continue;
    const auto status = co_await take_one_again(handle, operations, lock, began);
    // What ends for the caller's sake says nothing of the lock.
    if (!status && (status.error().fate != Fate::kKnown || is(status.error(), ECANCELED) ||
                    is(status.error(), ETIMEDOUT)))
      co_return std::unexpected(status.error());
    const bool is_taken = status && *status == lock::kSuccess;
    if (is_taken && !is_wanted()) {
      Lock none = lock;
      none.type = lock::kUnlock;
      (void)co_await operations.lock(handle.fid_, none, 0);
    }
    if (is_taken || !is_wanted()) continue;
    take_out(handle.locks_, lock);
    handle.lost_locks_.push_back(lock);
  }
  co_return Expected<void>();
}

// A server may wait for those who had locks before it began anew. To another one the connection
// that was lost still has them. That is waited for once for all of them.
asio::awaitable<Expected<U8>> Attachment::take_one_again(const Handle& handle,
                                                         Operations& operations, Lock lock,
                                                         Clock::time_point began) {
  constexpr std::chrono::milliseconds kGracePause{500}, kOwnPause{50};
  constexpr std::chrono::seconds kOwnPatience{5};
  for (;;) {
    const auto status = co_await operations.lock(handle.fid_, lock, 0);
    if (!status || *status == lock::kSuccess) co_return status;
    const auto waited = Clock::now() - began;
    const bool is_grace = *status == lock::kGrace;
    bool may_come = is_grace && waited < options_.reconnect_patience;
    if (*status == lock::kBlocked && waited < kOwnPatience) {
      const auto there = co_await operations.getlock(handle.fid_, lock);
      if (!there && !says_no(there.error())) co_return std::unexpected(there.error());
      may_come = there && (there->type == lock::kUnlock || same_owner(*there, lock));
    }
    if (!may_come || is_closed(handle)) co_return status;
    const bool has_waited = co_await pause_for(is_grace ? kGracePause : kOwnPause);
    if (!has_waited) co_return error(ECANCELED, "lock");
  }
}

}  // namespace ninep::client
