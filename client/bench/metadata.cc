// Workloads that move no file data.
#include <array>
#include <charconv>

#include <sys/stat.h>

#include "client/bench/steps.h"
#include "client/bench/workloads.h"
#include "client/old_modes.h"

namespace ninep::bench {
namespace {

// ------------------------------------------------------------------ requests

Twalk walk_base_to_small(Lane& lane) {
  lane.name = small_name(lane.file);
  return {kRootFid, lane.base, {lane.name}};
}
Twalk walk_base_to_entries(Lane& lane) { return {kRootFid, lane.base, {"entries"}}; }

Tgetattr getattr_base(Lane& lane) { return {lane.base, getattr::kBasic}; }
Tgetattr getattr_fid(Lane& lane) { return {lane.fid, getattr::kBasic}; }
Tunlinkat remove_dir(Lane& lane) { return {lane.base, lane.name, kUnlinkRemoveDir}; }
Tmkdir make_dir(Lane& lane) { return {lane.base, lane.name, 0755, 0}; }
Tstatfs statfs_root(Lane&) { return {kRootFid}; }
Tflush flush_nothing(Lane&) { return {Tag{0xFFF0}}; }
Txattrwalk ask_capability(Lane& lane) { return {lane.base, lane.fid, "security.capability"}; }
void start_listing(Lane& lane) { lane.offset = lane.count = lane.sum = 0; }
Tlopen open_dir(Lane& lane) {
  start_listing(lane);
  return {lane.fid, lopen::kReadOnly | lopen::kDirectory};
}
Treaddir list(Lane& lane) {
  return {lane.fid, lane.offset, lane.connection->msize() - kIoHeaderSize};
}

// Of the older dialects.

Tstat stat_base(Lane& lane) { return {lane.base}; }
Tstat stat_fid(Lane& lane) { return {lane.fid}; }
Tcreate create_dir(Lane& lane) {
  return {lane.fid, lane.name, client::old_modes::kDir | 0755, kOldRead, Str()};
}
Topen open_old_dir(Lane& lane) {
  start_listing(lane);
  return {lane.fid, kOldRead};
}
Tread list_old(Lane& lane) {
  return {lane.fid, lane.offset, lane.connection->msize() - kIoHeaderSize};
}

// ------------------------------------------------------------------ replies

Next took_attr(Lane& lane, const Rgetattr& r) {
  expect((r.valid & getattr::kBasic) == getattr::kBasic, lane, "attributes are missing");
  expect(r.attr.size == kSmallSize && S_ISREG(r.attr.mode), lane, "wrong attributes");
  return Next::kStep;
}

Next took_stat(Lane& lane, const Rstat& r) {
  const Stat& stat = r.stat.stat;
  const U32 mode =
      client::old_modes::to_linux(stat.mode, Str(stat.extension), lane.connection->dialect());
  expect(stat.length == kSmallSize && S_ISREG(mode), lane, "wrong attributes");
  return Next::kStep;
}

Next took_statfs(Lane& lane, const Rstatfs& r) {
  expect(r.bsize != 0 && r.blocks != 0, lane, "an empty file system");
  return Next::kStep;
}

Next no_such_attribute(Lane& lane, const Rlerror& r) {
  expect(r.ecode == ENODATA, lane, "the attribute should not exist (ENODATA)");
  return Next::kStep;
}

void count_entry(Lane& lane, Str name) {
  U32 number = kEntries;
  std::from_chars(name.data(), name.data() + name.size(), number);
  expect(number < kEntries, lane, "an entry that does not exist");
  ++lane.count;
  lane.sum += number;
}

/// The listing goes on, unless nothing came.
Next listed(Lane& lane, std::size_t bytes) {
  if (bytes != 0) return Next::kSameAgain;
  expect(lane.count == kEntries && lane.sum == U64{kEntries} * (kEntries - 1) / 2, lane,
         "the listing is not complete");
  return Next::kStep;
}

Next took_entries(Lane& lane, const Rreaddir& r) {
  for (Bytes left = r.data.bytes; !left.empty();) {
    Dirent entry{};
    expect(decode_front(left, kDotL, entry), lane, "a broken entry");
    lane.offset = entry.offset;
    if (entry.name != "." && entry.name != "..") count_entry(lane, entry.name);
  }
  return listed(lane, r.data.size());
}

// "The offset must be zero or the value of offset in the previous read plus its count". read(5)
Next took_stats(Lane& lane, const Rread& r) {
  for (Bytes left = r.data.bytes; !left.empty();) {
    Stat stat{};
    expect(decode_front(left, lane.connection->dialect(), stat), lane, "a broken entry");
    count_entry(lane, stat.name);
  }
  lane.offset += r.data.size();
  return listed(lane, r.data.size());
}

// ------------------------------------------------------------------ chains

constexpr std::array kToSmall = {step<walk_base_to_small, walked<1>>()};
constexpr std::array kToNew = {step<walk_base_to_new, walked<1>>()};
constexpr std::array kToEntries = {step<walk_base_to_entries, walked<1>>()};

constexpr std::array kGetattr = {step<getattr_base, took_attr>()};
constexpr std::array kStat = {step<walk_to_small, walked<1>>(), step<getattr_fid, took_attr>(),
                              step<clunk, accept<Rclunk>>()};
constexpr std::array kStatfs = {step<statfs_root, took_statfs>()};
constexpr std::array kFlush = {step<flush_nothing, accept<Rflush>>()};
constexpr std::array kXattr = {step<ask_capability, no_such_attribute>()};
constexpr std::array kReaddir = {step<walk_clone, walked<0>>(), step<open_dir, accept<Rlopen>>(),
                                 step<list, took_entries>(), step<clunk, accept<Rclunk>>()};
constexpr std::array kMkdir = {step<make_dir, accept<Rmkdir>>(),
                               step<remove_dir, accept<Runlinkat>>()};
constexpr std::array kMkdirByRemove = {step<make_dir, accept<Rmkdir>>(),
                                       step<walk_to_made, walked<1>>(),
                                       step<remove_fid, accept<Rremove>>()};

constexpr std::array kGetattrOld = {step<stat_base, took_stat>()};
constexpr std::array kStatOld = {step<walk_to_small, walked<1>>(), step<stat_fid, took_stat>(),
                                 step<clunk, accept<Rclunk>>()};
constexpr std::array kReaddirOld = {step<walk_clone, walked<0>>(),
                                    step<open_old_dir, accept<Ropen>>(),
                                    step<list_old, took_stats>(), step<clunk, accept<Rclunk>>()};
constexpr std::array kMkdirOld = {step<walk_clone, walked<0>>(),
                                  step<create_dir, accept<Rcreate>>(),
                                  step<remove_fid, accept<Rremove>>()};

constexpr Chains kNone{};
constexpr std::array kWorkloads = {
    Workload{"getattr",
             "getattr of a held fid",
             Need::kSmall,
             {kToSmall, kGetattr},
             {kToSmall, kGetattrOld}},
    Workload{"stat", "walk + getattr + clunk", Need::kSmall, {{}, kStat}, {{}, kStatOld}},
    Workload{"statfs", "statfs of the root (9P2000.L)", Need::kNothing, {{}, kStatfs}, kNone},
    Workload{"flush",
             "flush of a tag that is not in flight",
             Need::kNothing,
             {{}, kFlush},
             {{}, kFlush}},
    Workload{"xattr",
             "xattrwalk to an attribute that is absent (9P2000.L)",
             Need::kSmall,
             {kToSmall, kXattr},
             kNone},
    Workload{"readdir",
             "walk + lopen + readdir of 10,000 entries + clunk",
             Need::kEntries,
             {kToEntries, kReaddir},
             {kToEntries, kReaddirOld}},
    Workload{"mkdir",
             "mkdir + unlinkat (or mkdir + walk + remove)",
             Need::kNew,
             {kToNew, kMkdir, kMkdirByRemove},
             {kToNew, kMkdirOld}},
    Workload{"connect", "connect + version + attach + close", Need::kNothing, kNone, kNone},
};

}  // namespace

std::span<const Workload> metadata_workloads() { return kWorkloads; }

}  // namespace ninep::bench
