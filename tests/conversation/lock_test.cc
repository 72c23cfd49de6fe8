// Tlock and Tgetlock between connections. What ranges do to each other is in
// tests/server/locks_test.cc, in full.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class LockTest : public Conversation {
 protected:
  /// Fid 1 is "f", open.
  Client with_file() {
    Client c = session();
    if (c.walk(0, 1, {"f"}).error()) {
      c.make_file(0, "f");
      c.reach(0, 1, {"f"});
    }
    c.open(1, lopen::kReadWrite);
    return c;
  }
  static int lock(Client& c, U8 type, U64 start, U64 length, U32 owner = 1, U32 fid = 1) {
    const Received got = c.call(Tlock{Fid{fid}, type, 0, start, length, owner, "host"});
    return got.error() ? -got.error() : got.as<Rlock>().status;
  }
  static constexpr int kTaken = lock::kSuccess;
  static constexpr int kBusy = lock::kBlocked;
};
NINEP_CONVERSATION(LockTest);

// Readers share, a writer doesn't; who has to wait is told so at once, also with the BLOCK flag.
TEST_P(LockTest, Conflicts) {
  Client a = with_file();
  Client b = with_file();
  EXPECT_EQ(lock(a, lock::kRead, 0, 10), kTaken);
  EXPECT_EQ(lock(b, lock::kRead, 5, 10), kTaken);
  EXPECT_EQ(lock(b, lock::kWrite, 0, 5), kBusy);
  EXPECT_EQ(lock(b, lock::kWrite, 10, 5), kTaken);
  EXPECT_EQ(lock(a, lock::kRead, 14, 1), kBusy);
  EXPECT_EQ(lock(a, lock::kRead, 15, 1), kTaken);
  const Tlock waiting{Fid{1}, lock::kWrite, lock::kBlock, 0, 5, 1, "host"};
  EXPECT_EQ(b.get<Rlock>(waiting).status, lock::kBlocked);
}

// Length 0 is to the end of the file, wherever that will be.
TEST_P(LockTest, ToTheEnd) {
  Client a = with_file();
  Client b = with_file();
  EXPECT_EQ(lock(a, lock::kWrite, 100, 0), kTaken);
  EXPECT_EQ(lock(b, lock::kWrite, 99, 1), kTaken);
  EXPECT_EQ(lock(b, lock::kWrite, 99, 2), kBusy);
  EXPECT_EQ(lock(b, lock::kWrite, (1ull << 63), 1), kBusy);
  EXPECT_EQ(lock(b, lock::kWrite, ~0ull, 1), kBusy);
}

// An owner's own locks are never in its way: the new one replaces what it covers, and what stays is
// split.
TEST_P(LockTest, SplitAndMerge) {
  Client a = with_file();
  Client b = with_file();
  EXPECT_EQ(lock(a, lock::kWrite, 0, 100), kTaken);
  EXPECT_EQ(lock(a, lock::kUnlock, 40, 20), kTaken);
  EXPECT_EQ(lock(b, lock::kWrite, 40, 20), kTaken);
  EXPECT_EQ(lock(b, lock::kRead, 39, 1), kBusy);
  EXPECT_EQ(lock(b, lock::kRead, 60, 1), kBusy);
  EXPECT_EQ(lock(a, lock::kRead, 0, 10), kTaken);  // down to reading
  EXPECT_EQ(lock(b, lock::kRead, 9, 1), kTaken);
  EXPECT_EQ(lock(b, lock::kRead, 10, 1), kBusy);
  EXPECT_EQ(lock(b, lock::kUnlock, 0, 0), kTaken);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 100), kTaken);
}

// An owner is a process of a client host, by connection: two of them on one connection are two.
TEST_P(LockTest, Owners) {
  Client a = with_file();
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 1), kTaken);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 2), kBusy);
  EXPECT_EQ(a.get<Rlock>(Tlock{Fid{1}, lock::kWrite, 0, 0, 0, 1, "other"}).status, lock::kBlocked);
  EXPECT_EQ(lock(a, lock::kUnlock, 0, 0, 2), kTaken);  // gives up what it doesn't have
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 2), kBusy);
  EXPECT_EQ(lock(a, lock::kUnlock, 0, 0, 1), kTaken);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 2), kTaken);
}

// Two names of a file, or two walks to it, are one file.
TEST_P(LockTest, ByFile) {
  Client a = with_file();
  a.get<Rlink>(Tlink{Fid{0}, Fid{1}, "g"});
  a.reach(0, 2, {"g"});
  a.open(2, lopen::kReadWrite);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 1, 1), kTaken);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 2, 2), kBusy);
  a.make_file(0, "h");
  a.reach(0, 3, {"h"});
  a.open(3, lopen::kReadWrite);
  EXPECT_EQ(lock(a, lock::kWrite, 0, 0, 2, 3), kTaken);
}

// Who is in the way, or nobody.
TEST_P(LockTest, Getlock) {
  Client a = with_file();
  Client b = with_file();
  const auto ask = [&](U8 type, U64 start, U64 length) {
    return b.get<Rgetlock>(Tgetlock{Fid{1}, type, start, length, 7, "me"});
  };
  EXPECT_EQ(lock(a, lock::kWrite, 10, 10, 42), kTaken);
  Rgetlock found = ask(lock::kRead, 0, 0);
  EXPECT_EQ(found.type, lock::kWrite);
  EXPECT_EQ(found.start, 10u);
  EXPECT_EQ(found.length, 10u);
  EXPECT_EQ(found.proc_id, 42u);
  EXPECT_EQ(found.client_id, "host");
  found = ask(lock::kWrite, 20, 5);
  EXPECT_EQ(found.type, lock::kUnlock);
  EXPECT_EQ(found.start, 20u);
  EXPECT_EQ(found.length, 5u);
  EXPECT_EQ(found.proc_id, 7u);
  EXPECT_EQ(found.client_id, "me");
  EXPECT_EQ(lock(a, lock::kRead, 100, 0, 42), kTaken);
  EXPECT_EQ(ask(lock::kRead, 100, 1).type, lock::kUnlock);
  EXPECT_EQ(ask(lock::kWrite, 100, 1).length, 0u);
}

// Locks go with the fid that took them, and with the connection.
TEST_P(LockTest, Release) {
  Client b = with_file();
  {
    Client a = with_file();
    a.reach(1, 2, {});
    a.open(2, lopen::kReadWrite);
    EXPECT_EQ(lock(a, lock::kWrite, 0, 1, 1, 1), kTaken);
    EXPECT_EQ(lock(a, lock::kWrite, 1, 1, 1, 2), kTaken);
    EXPECT_EQ(a.clunk(1), 0);
    EXPECT_EQ(lock(b, lock::kWrite, 0, 1), kTaken);
    EXPECT_EQ(lock(b, lock::kWrite, 1, 1), kBusy);
    EXPECT_EQ(lock(a, lock::kWrite, 2, 1, 1, 2), kTaken);
    EXPECT_EQ(a.error(Tremove{Fid{2}}), 0);
    EXPECT_EQ(lock(b, lock::kWrite, 1, 2), kTaken);
  }
  Client c = session();
  c.make_file(0, "g");
  c.reach(0, 1, {"g"});
  c.open(1, lopen::kReadWrite);
  {
    Client a = session();
    a.reach(0, 1, {"g"});
    a.open(1, lopen::kReadWrite);
    EXPECT_EQ(lock(a, lock::kWrite, 0, 0), kTaken);
    EXPECT_EQ(lock(c, lock::kWrite, 0, 0), kBusy);
  }
  host().wait_for_connections(2);
  EXPECT_EQ(lock(c, lock::kWrite, 0, 0), kTaken);
}

TEST_P(LockTest, BadRequests) {
  Client a = with_file();
  EXPECT_EQ(lock(a, 3, 0, 0), -EINVAL);
  EXPECT_EQ(lock(a, 255, 0, 0), -EINVAL);
  EXPECT_EQ(lock(a, lock::kRead, 2, ~0ull), -EINVAL);
  EXPECT_EQ(lock(a, lock::kRead, ~0ull, 2), -EINVAL);
  EXPECT_EQ(a.error(Tlock{Fid{1}, lock::kRead, 4, 0, 0, 1, "host"}), EINVAL);
  EXPECT_EQ(a.error(Tgetlock{Fid{1}, 3, 0, 0, 1, "host"}), EINVAL);
  EXPECT_EQ(a.error(Tgetlock{Fid{1}, lock::kRead, 2, ~0ull, 1, "host"}), EINVAL);
  const std::string endless(60000, 'h');
  EXPECT_EQ(a.error(Tlock{Fid{1}, lock::kRead, 0, 0, 0, 1, endless}), EINVAL);
}

}  // namespace
}  // namespace ninep::test
