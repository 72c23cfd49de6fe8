// Attributes of local files: statx(2) to Rgetattr, Tsetattr to chmod(2) and its relatives.
#include <limits.h>
#include <sys/vfs.h>

#include "server/fs/local_node.h"

namespace ninep::fs {
namespace {

namespace ops = io::ops;

QidType qid_type(U32 mode) {
  if (S_ISDIR(mode)) return kQtDir;
  if (S_ISLNK(mode)) return kQtSymlink;
  return kQtFile;
}

// A number that is another one when the file has changed. Never 0, which would tell Linux not to
// cache.
U32 version(const struct statx& s) {
  U64 x = static_cast<U64>(s.stx_ctime.tv_sec) * 1'000'000'000 + s.stx_ctime.tv_nsec;
  x ^= (static_cast<U64>(s.stx_mtime.tv_sec) * 1'000'000'000 + s.stx_mtime.tv_nsec) *
       0x9e3779b97f4a7c15;
  x ^= s.stx_size * 0xc2b2ae3d27d4eb4f;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9;
  const auto folded = static_cast<U32>(x >> 32);
  return folded == 0 ? 1 : folded;
}

timespec time_to_set(bool wanted, bool given, U64 sec, U64 nsec) {
  if (!wanted) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  if (!given) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return {.tv_sec = static_cast<time_t>(sec), .tv_nsec = static_cast<long>(nsec)};
}

}  // namespace

Qid to_qid(const struct statx& status, U64 path) {
  return {.type = qid_type(status.stx_mode), .version = version(status), .path = path};
}

// Linux's 32-bit encoding of a device number, as its 9P client reads it.
U64 device_to_wire(U32 major, U32 minor) {
  return (minor & 0xff) | U64{major} << 8 | (U64{minor} & ~U64{0xff}) << 12;
}

Rgetattr to_attributes(const struct statx& s, U64 path) {
  Rgetattr r{};
  r.valid = getattr::kBasic;
  Attr& a = r.attr;
  a.qid = to_qid(s, path);
  a.mode = s.stx_mode;
  a.uid = s.stx_uid;
  a.gid = s.stx_gid;
  a.nlink = s.stx_nlink;
  a.rdev = device_to_wire(s.stx_rdev_major, s.stx_rdev_minor);
  a.size = s.stx_size;
  a.blksize = s.stx_blksize;
  a.blocks = s.stx_blocks;
  a.atime_sec = static_cast<U64>(s.stx_atime.tv_sec);
  a.atime_nsec = s.stx_atime.tv_nsec;
  a.mtime_sec = static_cast<U64>(s.stx_mtime.tv_sec);
  a.mtime_nsec = s.stx_mtime.tv_nsec;
  a.ctime_sec = static_cast<U64>(s.stx_ctime.tv_sec);
  a.ctime_nsec = s.stx_ctime.tv_nsec;
  if (s.stx_mask & STATX_BTIME) {
    r.valid |= getattr::kBtime;
    a.btime_sec = static_cast<U64>(s.stx_btime.tv_sec);
    a.btime_nsec = s.stx_btime.tv_nsec;
  }
  return r;
}

Task<Result<Rgetattr>> LocalNode::getattr(Context& ctx, U64, File*) {
  struct statx status;
  const int failed = co_await ctx.run(ops::statx(sleep(), fd_.get(), kStatxMask, status));
  if (failed < 0) co_return fail(-failed);
  co_return to_attributes(status, qid_.path);
}

Task<Status> LocalNode::setattr(Context& ctx, const Tsetattr& to, File* open) {
  const ProcPath path(fd_.get());
  const auto has = [&](U32 bit) { return (to.valid & bit) != 0; };
  // ~0 would mean "leave it" to chown(2).
  if ((has(setattr::kUid) && to.uid == ~U32{0}) || (has(setattr::kGid) && to.gid == ~U32{0}))
    co_return fail(EINVAL);
  // Larger ones include UTIME_NOW and UTIME_OMIT.
  constexpr U64 kNsecPerSec = 1'000'000'000;
  if ((has(setattr::kAtimeSet) && to.atime_nsec >= kNsecPerSec) ||
      (has(setattr::kMtimeSet) && to.mtime_nsec >= kNsecPerSec))
    co_return fail(EINVAL);
  if (has(setattr::kSize)) {
    if (type_ == S_IFDIR) co_return fail(EISDIR);
    if (type_ != S_IFREG) co_return fail(EINVAL);
    if (to.size > LLONG_MAX) co_return fail(EFBIG);
    auto* file = static_cast<LocalFile*>(open);
    const int fd = file && file->writable() ? file->fd() : -1;
    const int result = co_await ctx.run_as_user(ops::truncate(sleep(), fd, path.c_str(), to.size));
    if (result < 0) co_return fail(-result);
    ctx.commit();
  }
  // Owners before the mode: a change of owner takes set-uid bits away.
  const bool owner = has(setattr::kUid) || has(setattr::kGid);
  const bool nothing_else =
      (to.valid & ~(setattr::kCtime | setattr::kAtimeSet | setattr::kMtimeSet)) == 0;
  if (owner || (has(setattr::kCtime) && nothing_else)) {  // chown to nobody moves ctime
    const int result = co_await ctx.run_as_user(ops::chown(sleep(), fd_.get(),
                                                           has(setattr::kUid) ? to.uid : ~U32{0},
                                                           has(setattr::kGid) ? to.gid : ~U32{0}));
    if (result < 0) co_return fail(-result);
    ctx.commit();
  }
  if (has(setattr::kMode)) {
    const int result = co_await ctx.run_as_user(ops::chmod(sleep(), path.c_str(), to.mode & 07777));
    if (result < 0) co_return fail(-result);
    ctx.commit();
  }
  if (has(setattr::kAtime) || has(setattr::kMtime)) {
    timespec times[2] = {
        time_to_set(has(setattr::kAtime), has(setattr::kAtimeSet), to.atime_sec, to.atime_nsec),
        time_to_set(has(setattr::kMtime), has(setattr::kMtimeSet), to.mtime_sec, to.mtime_nsec)};
    const int result = co_await ctx.run_as_user(ops::utimes(sleep(), fd_.get(), times));
    if (result < 0) co_return fail(-result);
  }
  co_return Status{};
}

Task<Result<Rstatfs>> LocalNode::statfs(Context& ctx) {
  struct statfs s;
  const int failed = co_await ctx.run(ops::statfs(sleep(), fd_.get(), s));
  if (failed < 0) co_return fail(-failed);
  U64 fsid = 0;
  std::memcpy(&fsid, &s.f_fsid, sizeof s.f_fsid);
  co_return Rstatfs{.type = kStatfsMagic,
                    .bsize = s.f_bsize > 0 ? static_cast<U32>(s.f_bsize) : 4096,
                    .blocks = s.f_blocks,
                    .bfree = s.f_bfree,
                    .bavail = s.f_bavail,
                    .files = s.f_files,
                    .ffree = s.f_ffree,
                    .fsid = fsid,
                    .namelen = static_cast<U32>(s.f_namelen)};
}

Task<Result<std::string>> LocalNode::readlink(Context& ctx) {
  if (type_ != S_IFLNK) co_return fail(EINVAL);
  char target[PATH_MAX];
  const int size = co_await ctx.run(
      ops::readlink(sleep(), fd_.get(), std::as_writable_bytes(std::span(target))));
  if (size < 0) co_return fail(-size);
  co_return std::string(target, static_cast<std::size_t>(size));
}

}  // namespace ninep::fs
