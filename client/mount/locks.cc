// Locks, of fcntl(2) and flock(2).
#include <algorithm>

#include <asio/this_coro.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::error;
using client::is;
using client::Lock;

namespace {

/// Who has a lock: the kernel's number for it. flock(2)'s owners are others than fcntl(2)'s, and
/// the locks are of one kind: 9P has no more.
struct Owner {
  U64 number;
  bool is_flock;
  U32 pid;
};

/// To a server that takes client_id for a host's name, as nfs-ganesha does, owners differ by
/// proc_id.
U32 proc_id_of(const Owner& owner) {
  constexpr U64 kOdd = 0x9E3779B97F4A7C15;
  return static_cast<U32>((owner.number * 2 + (owner.is_flock ? 1 : 0)) * kOdd >> 33);
}

/// As the server is told of it: this host, this mount.
void set_owner(Lock& lock, const Owner& owner, bool by_proc_id) {
  static const std::string host = [] {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    return std::string(name);
  }();
  lock.proc_id = by_proc_id ? proc_id_of(owner) : owner.pid;
  lock.client_id = host;
  if (!by_proc_id)
    lock.client_id += "/" + std::to_string(::getpid()) + (owner.is_flock ? "/flock/" : "/") +
                      std::to_string(owner.number);
}
/// The owner's process, as it was called when the first of his locks was taken.
U32 process_of(const Inode& inode, U64 owner, U32 pid) {
  const auto known = std::ranges::find(inode.lock_owners, owner, &Inode::LockOwner::owner);
  return known == inode.lock_owners.end() ? pid : known->pid;
}
/// A process's locks are the file's, by whichever descriptor they were taken.
asio::awaitable<Done> unlock(Tree& tree, InodeRef inode, Lock range, U64 owner) {
  Done unlocked;
  const std::vector<Inode::LockOwner> owners = inode->lock_owners;
  for (const Inode::LockOwner& one : owners) {
    const auto file = one.file.lock();
    if (one.owner != owner || !file) continue;
    set_owner(range, {owner, false, one.pid}, tree.owners_by_proc_id);
    const auto done = co_await file->file.unlock(range);
    if (!done && unlocked) unlocked = done;
  }
  co_return unlocked;
}
Lock lock_of(const struct flock& wanted) {
  const U8 type = wanted.l_type == F_RDLCK   ? lock::kRead
                  : wanted.l_type == F_WRLCK ? lock::kWrite
                                             : lock::kUnlock;
  return {type, static_cast<U64>(wanted.l_start), static_cast<U64>(wanted.l_len),
          static_cast<U32>(wanted.l_pid), ""};
}
Work test_lock(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, Lock wanted,
               U64 owner) {
  const U32 pid = process_of(*open->inode, owner, wanted.proc_id);
  set_owner(wanted, {owner, false, pid}, tree.owners_by_proc_id);
  const auto there = co_await open->file.test_lock(wanted);
  NINEP_CO_RETURN_IF_WRONG(there);
  struct flock told{};
  told.l_type = there->type == lock::kRead    ? F_RDLCK
                : there->type == lock::kWrite ? F_WRLCK
                                              : F_UNLCK;
  told.l_whence = SEEK_SET;
  told.l_start = static_cast<off_t>(there->start);
  told.l_len = static_cast<off_t>(there->length);
  told.l_pid = static_cast<pid_t>(there->proc_id);
  if (tree.owners_by_proc_id)
    for (const Inode::LockOwner& one : open->inode->lock_owners)
      if (proc_id_of({one.owner, false, one.pid}) == there->proc_id)
        told.l_pid = static_cast<pid_t>(one.pid);
  request.answer(fuse_reply_lock, &told);
  co_return Done();
}
void getlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted) {
  start_with(Interrupt::kWhenKilled, request, info, test_lock, lock_of(*wanted),
             U64{info->lock_owner});
}
asio::awaitable<Done> take(Tree& tree, std::shared_ptr<OpenFile> open, Lock wanted, Owner owner,
                           bool waits) {
  const bool by_proc_id = tree.owners_by_proc_id;
  set_owner(wanted, owner, by_proc_id);
  auto locked = co_await open->file.lock(wanted, waits);
  if (!locked && is(locked.error(), EINVAL) && !by_proc_id) {
    set_owner(wanted, owner, true);
    locked = co_await open->file.lock(wanted, waits);
    if (locked) tree.owners_by_proc_id = true;
  }
  NINEP_CO_RETURN_IF_WRONG(locked);
  if (!*locked) co_return error(EAGAIN, "lock");
  // Others may have written while they had it: the kernel looks at the file anew.
  look_anew(tree, *open->inode);
  co_return Done();
}
void remember_owner(const std::shared_ptr<OpenFile>& open, U64 owner, U32 pid) {
  auto& owners = open->inode->lock_owners;
  std::erase_if(owners, [](const Inode::LockOwner& one) { return one.file.expired(); });
  const bool is_known = std::ranges::any_of(owners, [&](const Inode::LockOwner& one) {
    return one.owner == owner && one.file.lock() == open;
  });
  if (!is_known) owners.push_back({owner, pid, open});
}
/// Nothing is to be given up by him.
void forget_owner(const std::shared_ptr<OpenFile>& open, U64 owner) {
  std::erase_if(open->inode->lock_owners, [&](const Inode::LockOwner& one) {
    return one.owner == owner && one.file.lock() == open;
  });
}
Work lock_range(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, Lock wanted,
                U64 owner, bool waits) {
  const U32 pid = process_of(*open->inode, owner, wanted.proc_id);
  // Known from the start, for it may be had before the answer is here.
  remember_owner(open, owner, pid);
  const Owner whose{owner, false, pid};
  auto taken = co_await take(tree, open, wanted, whose, waits);
  // Whoever is told already that he hasn't got it is about to end.
  if (taken && request.is_answered()) {
    auto cancellation = co_await asio::this_coro::cancellation_state;
    cancellation.clear();  // which came too late, and isn't the next call's
    wanted.type = lock::kUnlock;
    (void)co_await unlock(tree, open->inode, wanted, owner);
    taken = error(EINTR, "lock");
  }
  if (!taken && !open->file.has_locks()) forget_owner(open, owner);
  // Another thread may have closed the file meanwhile, and given up what there was then.
  if (taken) remember_owner(open, owner, pid);
  NINEP_CO_RETURN_IF_WRONG(taken);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
Work lock_whole(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, Lock wanted,
                Owner owner, bool waits) {
  const auto taken = co_await take(tree, open, wanted, owner, waits);
  NINEP_CO_RETURN_IF_WRONG(taken);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
Work unlock_range(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, Lock range,
                  U64 owner) {
  const auto unlocked = co_await unlock(tree, open->inode, range, owner);
  NINEP_CO_RETURN_IF_WRONG(unlocked);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void setlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted, int waits) {
  const Lock range = lock_of(*wanted);
  if (range.type == lock::kUnlock)
    start_with(Interrupt::kNever, request, info, unlock_range, range, U64{info->lock_owner});
  else
    start_with(waits ? Interrupt::kAlways : Interrupt::kWhenKilled, request, info, lock_range,
               range, U64{info->lock_owner}, waits != 0);
}
Work unlock_whole(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, Lock range,
                  Owner owner) {
  set_owner(range, owner, tree.owners_by_proc_id);
  const auto unlocked = co_await open->file.unlock(range);
  NINEP_CO_RETURN_IF_WRONG(unlocked);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void flock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, int how) {
  const int kind = how & ~LOCK_NB;
  const bool waits = (how & LOCK_NB) == 0;
  const U8 type = kind == LOCK_SH ? lock::kRead : kind == LOCK_EX ? lock::kWrite : lock::kUnlock;
  const Lock wanted{.type = type};
  const Owner owner{info->lock_owner, true, 0};
  if (type == lock::kUnlock)
    start_with(Interrupt::kNever, request, info, unlock_whole, wanted, owner);
  else
    start_with(waits ? Interrupt::kAlways : Interrupt::kWhenKilled, request, info, lock_whole,
               wanted, owner, waits);
}

/// close(2) of any descriptor gives up the locks that its process has on the file.
Work flush_it(Tree& tree, Request& request, std::shared_ptr<OpenFile> open, U64 owner) {
  const Lock all{.type = lock::kUnlock};
  const auto unlocked = co_await unlock(tree, open->inode, all, owner);
  std::erase_if(open->inode->lock_owners,
                [owner](const Inode::LockOwner& one) { return one.owner == owner; });
  NINEP_CO_RETURN_IF_WRONG(unlocked);
  request.answer(fuse_reply_err, 0);
  co_return Done();
}
void flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  start_with(Interrupt::kNever, request, info, flush_it, U64{info->lock_owner});
}

}  // namespace

void add_locks(fuse_lowlevel_ops& ops) {
  ops.flush = flush;
  ops.getlk = getlk;
  ops.setlk = setlk;
  ops.flock = flock;
}

}  // namespace ninep::mount
