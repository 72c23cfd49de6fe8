// A lane: one operation in flight, over and over. An operation is a chain of steps; a step is a
// request and what its reply must be.
#pragma once

#include <string>

#include "client/bench/connection.h"
#include "client/bench/error.h"

namespace ninep::bench {

/// Small and fast; splitmix64.
class Random {
 public:
  explicit Random(U64 seed) : state_(seed) {}
  U64 below(U64 limit) {
    U64 z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) % limit;
  }

 private:
  U64 state_;
};

struct Step;

struct Lane {
  Connection* connection;
  const Step* step = nullptr;  // the one that waits for its reply
  const Step* end = nullptr;   // of its chain
  bool ready = false;          // the set-up is done
  bool idle = false;           // the load is over: no operation in flight
  Tag tag;                     // one request at a time, so one tag is enough
  Fid base;                    // made by the set-up, kept over all operations
  Fid fid;                     // made and given back by an operation
  U32 io_size;
  U32 file;        // which small-N
  U64 file_size;   // of the file that is read or written
  U64 offset = 0;  // where the operation reads, writes or goes on with a listing
  U64 count = 0;   // entries seen in a listing
  U64 sum = 0;     // and the sum of the numbers that are their names
  U64 began_ns = 0;
  Random random;
  std::string name;  // of the file that this lane makes; no other lane has it
};

/// What follows a reply.
enum class Next { kStep, kSameAgain };

struct Step {
  U8 reply;  // the type code that is due
  Str asked;
  void (*ask)(Lane&);
  Next (*take)(Lane&, Bytes frame);
};

namespace detail {
template <class Take>
struct ReplyOf;
template <class R>
struct ReplyOf<Next (*)(Lane&, const R&)> {
  using Type = R;
};

template <auto take>
Next decode_and_take(Lane& lane, Bytes frame) {
  using R = typename ReplyOf<decltype(take)>::Type;
  R reply{};
  const Dialects dialect = lane.connection->dialect();
  if (!decode(frame_body(frame), dialect, reply))
    unexpected_reply(frame, dialect, lane.step->asked);
  return take(lane, reply);
}
}  // namespace detail

/// A step from two functions: T ask(Lane&) and Next take(Lane&, const R&).
template <auto ask, auto take>
consteval Step step() {
  using T = decltype(ask(std::declval<Lane&>()));
  using R = typename detail::ReplyOf<decltype(take)>::Type;
  return {Describe<R>::code, Describe<T>::name,
          [](Lane& lane) { lane.connection->queue(lane.tag, ask(lane)); },
          &detail::decode_and_take<take>};
}

/// For replies that say nothing but "done".
template <Message R>
Next accept(Lane&, const R&) {
  return Next::kStep;
}

/// A reply of the right type with the wrong content ends the run.
inline void expect(bool right, const Lane& lane, Str wrong) {
  if (!right) give_up(lane.step->asked, ": ", wrong);
}

}  // namespace ninep::bench
