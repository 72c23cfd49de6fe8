// Workloads that read and write files.
#include <array>

#include "client/bench/pattern.h"
#include "client/bench/steps.h"
#include "client/bench/workloads.h"

namespace ninep::bench {
namespace {

// ------------------------------------------------------------------ requests

Twalk walk_base_to_big(Lane& lane) { return {kRootFid, lane.base, {"big"}}; }
Twalk walk_base_to_write(Lane& lane) {
  lane.name = write_name(lane.connection->number());
  return {kRootFid, lane.base, {lane.name}};
}

Tlopen open_base_to_read(Lane& lane) { return {lane.base, lopen::kReadOnly}; }
Tlopen open_base_to_write(Lane& lane) { return {lane.base, lopen::kWriteOnly}; }
Tlopen open_to_read(Lane& lane) { return {lane.fid, lopen::kReadOnly}; }
Tlcreate create(Lane& lane) {
  return {lane.fid, lane.name, lopen::kWriteOnly | lopen::kCreate | lopen::kExclusive, 0644, 0};
}

// Of the older dialects.

Topen open_old_base_to_read(Lane& lane) { return {lane.base, kOldRead}; }
Topen open_old_base_to_write(Lane& lane) { return {lane.base, kOldWrite}; }
Topen open_old_to_read(Lane& lane) { return {lane.fid, kOldRead}; }
Tcreate create_old(Lane& lane) { return {lane.fid, lane.name, 0644, kOldWrite, Str()}; }

Tunlinkat unlink(Lane& lane) { return {lane.base, lane.name, 0}; }

/// One of the pieces that the file consists of.
U64 random_offset(Lane& lane) {
  return lane.random.below(lane.file_size / lane.io_size) * lane.io_size;
}
/// The piece after the one that the connection had last.
U64 next_offset(Lane& lane) {
  U64& next = lane.connection->stream_offset;
  const U64 offset = next + lane.io_size <= lane.file_size ? next : 0;
  next = offset + lane.io_size;
  return offset;
}

template <auto choose_offset>
Tread read_base(Lane& lane) {
  lane.offset = choose_offset(lane);
  return {lane.base, lane.offset, lane.io_size};
}
Tread read_small(Lane& lane) { return {lane.fid, 0, kSmallSize}; }

// ------------------------------------------------------------------ replies

Next took_big(Lane& lane, const Rread& r) {
  expect(r.data.size() == lane.io_size, lane, "a short read");
  expect(matches_pattern(kBigPattern, lane.offset, r.data.bytes), lane, "wrong data");
  return Next::kStep;
}

Next took_small(Lane& lane, const Rread& r) {
  expect(r.data.size() == kSmallSize, lane, "a short read");
  expect(matches_pattern(kSmallPattern + lane.file, 0, r.data.bytes), lane, "wrong data");
  return Next::kStep;
}

Next wrote(Lane& lane, const Rwrite& r) {
  expect(r.count == lane.io_size, lane, "a short write");
  return Next::kStep;
}

Next wrote_base(Lane& lane, const Rwrite& r) {
  lane.connection->written.blocks[lane.offset / lane.io_size] = true;
  return wrote(lane, r);
}

// ------------------------------------------------------------------ writes

/// Not by step(): the payload is made where it is sent from.
template <auto choose_offset>
consteval Step write_base() {
  return {Describe<Rwrite>::code, Describe<Twrite>::name,
          [](Lane& lane) {
            lane.offset = choose_offset(lane);
            lane.connection->queue_write(lane.tag, lane.base, lane.offset, kWrittenPattern,
                                         lane.io_size);
          },
          &detail::decode_and_take<wrote_base>};
}

consteval Step write_made() {
  return {Describe<Rwrite>::code, Describe<Twrite>::name,
          [](Lane& lane) {
            lane.connection->queue_write(lane.tag, lane.fid, 0, kCreatedPattern, lane.io_size);
          },
          &detail::decode_and_take<wrote>};
}

// ------------------------------------------------------------------ chains

constexpr std::array kOpenBig = {step<walk_base_to_big, walked<1>>(),
                                 step<open_base_to_read, accept<Rlopen>>()};
constexpr std::array kOpenWrite = {step<walk_base_to_write, walked<1>>(),
                                   step<open_base_to_write, accept<Rlopen>>()};
constexpr std::array kToNew = {step<walk_base_to_new, walked<1>>()};

constexpr std::array kRandread = {step<read_base<random_offset>, took_big>()};
constexpr std::array kSeqread = {step<read_base<next_offset>, took_big>()};
constexpr std::array kRandwrite = {write_base<random_offset>()};
constexpr std::array kSeqwrite = {write_base<next_offset>()};
constexpr std::array kSmallread = {step<walk_to_small, walked<1>>(),
                                   step<open_to_read, accept<Rlopen>>(),
                                   step<read_small, took_small>(), step<clunk, accept<Rclunk>>()};
constexpr std::array kCreate = {step<walk_clone, walked<0>>(), step<create, accept<Rlcreate>>(),
                                write_made(), step<clunk, accept<Rclunk>>(),
                                step<unlink, accept<Runlinkat>>()};
constexpr std::array kCreateByRemove = {step<walk_clone, walked<0>>(),
                                        step<create, accept<Rlcreate>>(),
                                        write_made(),
                                        step<clunk, accept<Rclunk>>(),
                                        step<walk_to_made, walked<1>>(),
                                        step<remove_fid, accept<Rremove>>()};

constexpr std::array kOpenBigOld = {step<walk_base_to_big, walked<1>>(),
                                    step<open_old_base_to_read, accept<Ropen>>()};
constexpr std::array kOpenWriteOld = {step<walk_base_to_write, walked<1>>(),
                                      step<open_old_base_to_write, accept<Ropen>>()};
constexpr std::array kSmallreadOld = {
    step<walk_to_small, walked<1>>(), step<open_old_to_read, accept<Ropen>>(),
    step<read_small, took_small>(), step<clunk, accept<Rclunk>>()};
constexpr std::array kCreateOld = {step<walk_clone, walked<0>>(),
                                   step<create_old, accept<Rcreate>>(), write_made(),
                                   step<remove_fid, accept<Rremove>>()};

constexpr U32 kStreamed = 1 << 20;  // cut down to what msize allows
constexpr std::array kWorkloads = {
    Workload{"smallread",
             "walk + lopen + read of 4 KiB + clunk",
             Need::kSmall,
             {{}, kSmallread},
             {{}, kSmallreadOld}},
    Workload{
        "randread", "read of 4 KiB", Need::kBig, {kOpenBig, kRandread}, {kOpenBigOld, kRandread}},
    Workload{"randwrite",
             "write of 4 KiB",
             Need::kWrite,
             {kOpenWrite, kRandwrite},
             {kOpenWriteOld, kRandwrite}},
    Workload{"seqread",
             "reads in a row",
             Need::kBig,
             {kOpenBig, kSeqread},
             {kOpenBigOld, kSeqread},
             kStreamed,
             true},
    Workload{"seqwrite",
             "writes in a row",
             Need::kWrite,
             {kOpenWrite, kSeqwrite},
             {kOpenWriteOld, kSeqwrite},
             kStreamed,
             true},
    Workload{"create",
             "clone + lcreate + write + clunk + unlinkat (or walk + remove)",
             Need::kNew,
             {kToNew, kCreate, kCreateByRemove},
             {kToNew, kCreateOld}},
};

}  // namespace

std::span<const Workload> data_workloads() { return kWorkloads; }

}  // namespace ninep::bench
