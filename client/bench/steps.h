// Requests and checks that more than one workload uses.
#pragma once

#include "client/bench/lane.h"

namespace ninep::bench {

/// To one of the small files, with the operation's own fid.
inline Twalk walk_to_small(Lane& lane) {
  lane.file = static_cast<U32>(lane.random.below(kSmallFiles));
  lane.name = small_name(lane.file);
  return {kRootFid, lane.fid, {lane.name}};
}
/// To the folder in which this lane makes its file.
inline Twalk walk_base_to_new(Lane& lane) { return {kRootFid, lane.base, {"new"}}; }
/// To what this lane made there.
inline Twalk walk_to_made(Lane& lane) { return {lane.base, lane.fid, {lane.name}}; }
inline Twalk walk_clone(Lane& lane) { return {lane.base, lane.fid, {}}; }

// Topen's and Tcreate's mode. open(5).
inline constexpr U8 kOldRead = 0;
inline constexpr U8 kOldWrite = 1;

inline Tclunk clunk(Lane& lane) { return {lane.fid}; }
inline Tremove remove_fid(Lane& lane) { return {lane.fid}; }

template <U16 names>
Next walked(Lane& lane, const Rwalk& r) {
  expect(r.wqid.size() == names, lane, "did not reach the file");
  return Next::kStep;
}

}  // namespace ninep::bench
