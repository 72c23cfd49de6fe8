// LockTable against a model that knows of each byte who has locked it how.
#include "server/locks.h"

#include <map>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ninep::server {
namespace {

constexpr U64 kBytes = 12;  // the model's file; the last one stands for all that follow
constexpr U64 kEnd = ~U64{0};
const LockedFile kFile{0, 1};

LockTable::Owner owner(int number) { return {nullptr, "host", static_cast<U32>(number)}; }
/// A fid is known by its address.
const void* fid(int number) {
  static const char fids[4] = {};
  return &fids[number];
}

struct Model {
  struct Held {
    U8 type;
    int fid;
  };
  std::map<std::pair<int, U64>, Held> bytes;  // by owner and byte

  bool blocked(int who, U8 type, U64 first, U64 last) const {
    for (const auto& [key, held] : bytes) {
      if (key.first != who && key.second >= first && key.second <= last &&
          (type == lock::kWrite || held.type == lock::kWrite))
        return true;
    }
    return false;
  }
  bool set(int who, int fid, U8 type, U64 first, U64 last) {
    if (type != lock::kUnlock && blocked(who, type, first, last)) return false;
    for (U64 at = first; at <= last && at < kBytes; ++at) {
      bytes.erase({who, at});
      if (type != lock::kUnlock) bytes[{who, at}] = {type, fid};
    }
    return true;
  }
  void release(int fid) {
    std::erase_if(bytes, [&](const auto& entry) { return entry.second.fid == fid; });
  }
};

// Any sequence of locks, unlocks and releases leaves the bytes locked that it should: ranges are
// split, cut and merged as fcntl(2) says.
RC_GTEST_PROP(LockTable, DoesWhatEachByteSays, ()) {
  LockTable table;
  Model model;
  const int steps = *rc::gen::inRange(1, 40);
  for (int step = 0; step < steps; ++step) {
    const int who = *rc::gen::inRange(0, 3);
    const int by = *rc::gen::inRange(0, 4);
    if (*rc::gen::inRange(0, 8) == 0) {
      table.release(kFile, fid(by));
      model.release(by);
    } else {
      const U8 type = static_cast<U8>(*rc::gen::inRange<int>(lock::kRead, lock::kUnlock + 1));
      const U64 first = *rc::gen::inRange<U64>(0, kBytes);
      const U64 last = *rc::gen::inRange<U64>(first, kBytes);
      const auto set =
          table.set(kFile, owner(who), fid(by), type, {first, last == kBytes - 1 ? kEnd : last});
      RC_ASSERT(set);
      RC_ASSERT((*set == lock::kSuccess) == model.set(who, by, type, first, last));
    }
    for (int other = 0; other < 4; ++other) {
      for (U64 at = 0; at < kBytes; ++at) {
        for (const U8 type : {lock::kRead, lock::kWrite}) {
          LockTable::Lock found;
          const bool conflict = table.conflict(kFile, owner(other), type, {at, at}, found);
          RC_ASSERT(conflict == model.blocked(other, type, at, at));
          if (conflict) RC_ASSERT(found.range.first <= at && at <= found.range.last);
        }
      }
    }
  }
}

// Length 0 is to the end; what would wrap is refused.
TEST(LockTable, Ranges) {
  EXPECT_EQ(LockTable::range(0, 0)->last, kEnd);
  EXPECT_EQ(LockTable::range(7, 0)->first, 7u);
  EXPECT_EQ(LockTable::range(7, 1)->last, 7u);
  EXPECT_EQ(LockTable::range(kEnd, 1)->last, kEnd);
  EXPECT_EQ(LockTable::range(1, kEnd)->last, kEnd);
  EXPECT_FALSE(LockTable::range(2, kEnd));
  EXPECT_FALSE(LockTable::range(kEnd, 2));
}

// Other files and other sessions are others.
TEST(LockTable, FilesAndSessions) {
  LockTable table;
  const LockTable::Owner a{fid(0), "host", 1};
  const LockTable::Owner b{fid(1), "host", 1};  // the same names, another connection
  EXPECT_EQ(table.set(kFile, a, fid(0), lock::kWrite, {0, kEnd}), lock::kSuccess);
  EXPECT_EQ(table.set(kFile, b, fid(1), lock::kRead, {0, 0}), lock::kBlocked);
  EXPECT_EQ(table.set({0, 2}, b, fid(1), lock::kWrite, {0, kEnd}), lock::kSuccess);
  EXPECT_EQ(table.set({7, 1}, b, fid(1), lock::kWrite, {0, kEnd}), lock::kSuccess);
}

// What a client can make grow has a bound: many small locks, and one lock that is unlocked in many
// places, which leaves as many pieces.
TEST(LockTable, IsBounded) {
  constexpr std::size_t kMax = LockTable::kPerFileMax;
  LockTable table;
  ASSERT_EQ(table.set(kFile, owner(0), fid(0), lock::kRead, {0, kEnd}), lock::kSuccess);
  std::size_t pieces = 1;
  while (pieces <= kMax &&
         table.set(kFile, owner(0), fid(0), lock::kUnlock, {2 * pieces, 2 * pieces}))
    ++pieces;
  EXPECT_EQ(pieces, kMax);
  EXPECT_FALSE(table.set(kFile, owner(1), fid(1), lock::kRead, {1, 1}));
  // Giving up is possible at any time, as long as it doesn't make more of them.
  EXPECT_EQ(table.set(kFile, owner(0), fid(0), lock::kUnlock, {0, kEnd}), lock::kSuccess);
  EXPECT_EQ(table.set(kFile, owner(1), fid(1), lock::kWrite, {0, kEnd}), lock::kSuccess);
  const LockTable::Owner longest{nullptr, std::string(LockTable::kClientIdMax, 'x'), 1};
  const LockTable::Owner longer{nullptr, std::string(LockTable::kClientIdMax + 1, 'x'), 1};
  EXPECT_TRUE(table.set({0, 2}, longest, fid(0), lock::kRead, {0, 0}));
  EXPECT_FALSE(table.set({0, 2}, longer, fid(0), lock::kRead, {0, 0}));
}

// Over many files, one session has a bound, and all together; what is given up counts no more.
TEST(LockTable, IsBoundedOverFiles) {
  LockTable table;
  const auto file = [](std::size_t number) { return LockedFile{0, number}; };
  const auto fill = [&](const LockTable::Owner& owner) {
    std::size_t held = 0;
    for (std::size_t i = 0; i <= LockTable::kPerSessionMax; ++i)
      held += table.set(file(i), owner, fid(0), lock::kRead, {0, 0}).has_value();
    return held;
  };
  std::size_t total = 0;
  std::vector<int> sessions(LockTable::kMax / LockTable::kPerSessionMax + 1);
  for (int& session : sessions) {
    const std::size_t held = fill({&session, "host", 1});
    EXPECT_EQ(held, &session == &sessions.back() ? 0 : LockTable::kPerSessionMax);
    total += held;
  }
  EXPECT_EQ(total, LockTable::kMax);
  const LockTable::Owner first{&sessions.front(), "host", 1};
  const LockTable::Owner last{&sessions.back(), "host", 1};
  EXPECT_EQ(table.set(file(0), last, fid(1), lock::kRead, {0, 0}), fail(ENOLCK));
  EXPECT_EQ(table.set(file(1), first, fid(0), lock::kRead, {0, 0}), lock::kSuccess);  // as it was
  EXPECT_EQ(table.set(file(0), first, fid(0), lock::kUnlock, {0, 0}), lock::kSuccess);
  EXPECT_EQ(table.set(file(0), last, fid(1), lock::kRead, {0, 0}), lock::kSuccess);
  table.release(file(0), fid(1));
  EXPECT_EQ(table.set(file(0), first, fid(0), lock::kRead, {0, 0}), lock::kSuccess);
  EXPECT_EQ(table.set(file(0), last, fid(1), lock::kRead, {0, 0}), fail(ENOLCK));
}

}  // namespace
}  // namespace ninep::server
