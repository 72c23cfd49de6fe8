// Locks over a connection that is lost, where a test says what happens between any two requests.
#include "tests/client/locks_found_again.h"

#include <map>

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::File;
using client::Lock;

// A server that ends at what finds the file again is asked ever more rarely, and whoever uses the
// file is told.
TEST_F(LocksFoundAgain, AtAServerThatHangsUp) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && !may_answer && is_walk_to_it(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  EXPECT_NE(error(read(file)), "");
  const int before = connections;
  run_for(1s);
  EXPECT_GT(connections, before + 1) << "its locks aren't looked for";
  EXPECT_LT(connections, before + 200);
  may_answer = true;
  get(read(file));
  get(file.unlock(mine));
}

// Nor does one that refuses for a while end it, or one request that fails in passing.
TEST_F(LocksFoundAgain, AtAServerThatRefusesAtFirst) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 2 && is<Tattach>(f)) return reply(f, Rlerror{EACCES});
    if (connection == 3 && is_walk_to_it(f) && !is_asked.exchange(true))
      return reply(f, Rlerror{ENFILE});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) == 2; });
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
  EXPECT_EQ(connections, 3);
}

// A request that is lost says nothing of the lock.
TEST_F(LocksFoundAgain, ByARequestThatIsLost) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection != 2) return says(f);
    if (is<Tlock>(f)) return reply(f, Rlock{lock::kBlocked});
    if (is<Tgetlock>(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
  EXPECT_EQ(connections, 3);
  EXPECT_EQ(count(Describe<Tlock>::code), 3);
}

// Who waits for what is being found isn't forgotten when the server goes away once more.
TEST_F(LocksFoundAgain, NotAtAServerThatGoesAgain) {
  client::Options options;
  options.reconnect_patience = 1s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (connection == 1 || may_answer || !is<Tlock>(f)) return says(f);
        EXPECT_EQ(lock_of(f).proc_id, mine.proc_id) << "somebody else goes first";
        is_asked = true;
        return std::nullopt;
      },
      options);
  File file = opened(), rival = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  std::string said, has_read;
  start(locked(rival, theirs), said);
  start(read(rival), has_read);
  run_for(100ms);
  EXPECT_EQ(said, "");
  is_gone = true;
  cut();
  run_until([&] { return !said.empty() && !has_read.empty(); });
  EXPECT_NE(said.find("has been gone for"), std::string::npos) << said;
  EXPECT_NE(has_read.find("has been gone for"), std::string::npos) << has_read;
  // And when it is back, all are.
  may_answer = true;
  is_gone = false;
  get(locked(rival, theirs));
  EXPECT_TRUE(file.has_its_locks());
}

// The time that a server has to come back is each call's own, whatever is being looked for.
TEST_F(LocksFoundAgain, ByCallsWithTheirOwnTime) {
  client::Options options;
  options.reconnect_patience = 600ms;
  connect([](int, Bytes f) { return says(f); }, options);
  File file = opened();
  get(locked(file, mine));
  is_gone = true;
  cut();
  run_for(400ms);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_NE(error(read(file)).find("gone for"), std::string::npos);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 600ms);
  get(file.unlock(mine));
}

// However many a lost connection seems to have yet: it is waited for once.
TEST_F(LocksFoundAgain, OrLostTogether) {
  client::Options options;
  options.reconnect_patience = 2s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (connection == 1) return says(f);
        if (is<Tlock>(f) && lock_of(f).type != lock::kUnlock)
          return reply(f, Rlock{lock::kBlocked});
        if (is<Tgetlock>(f)) return reply(f, Rgetlock{lock::kWrite, 0, 0, mine.proc_id, "me"});
        return says(f);
      },
      options);
  File file = opened();
  Lock lock = mine;
  lock.length = 5;
  for (lock.start = 0; lock.start < 100; lock.start += 10) get(locked(file, lock));
  cut();
  EXPECT_NE(error(read(file)), "");
  run_until([&] { return !file.has_its_locks(); });
  EXPECT_NE(error(read(file)).find("a lock on it was lost"), std::string::npos);
  std::map<U64, int> asked;
  for (const Tlock& one : locks) ++asked[one.start];
  ASSERT_EQ(asked.size(), 10u);
  EXPECT_GT(asked[0], 2);
  for (lock.start = 10; lock.start < 100; lock.start += 10) EXPECT_EQ(asked[lock.start], 2);
  lock.start = lock.length = 0;
  get(file.unlock(lock));
  get(read(file));
}

// The locks of one file aren't waited for with another one; its own are, for as long as a server
// that is gone.
TEST_F(LocksFoundAgain, EachFileForItself) {
  client::Options options;
  options.reconnect_patience = 1s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (auto of_other = of_another(f)) return of_other;
        if (connection == 1 || may_answer || !is<Tlock>(f)) return says(f);
        if (lock_of(f).proc_id == theirs.proc_id) return reply(f, Rlerror{ENOMEM});
        return says(f);
      },
      options);
  File file = opened(), other = opened("g"), second = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 4; });
  get(read(file));
  const std::string said = error(read(second));
  EXPECT_NE(said.find("still being taken again"), std::string::npos) << said;
  may_answer = true;
  get(read(second));
  EXPECT_TRUE(other.has_its_locks());
}

// Nor is a request that failed in passing made again only when they are all there.
TEST_F(LocksFoundAgain, EachAgainForItself) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (auto of_other = of_another(f)) return of_other;
    if (connection == 1 || !is<Tlock>(f) || may_answer) return says(f);
    if (lock_of(f).proc_id == theirs.proc_id) return reply(f, Rlock{lock::kGrace});
    return is_asked.exchange(true) ? says(f) : reply(f, Rlerror{ENOMEM});
  });
  File file = opened(), other = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return is_asked.load(); });
  get(read(file));
  EXPECT_FALSE(may_answer);
  EXPECT_TRUE(file.has_its_locks());
  may_answer = true;
  get(read(other));
}

// Nor after two losses: who is being found yet on the second connection is no other's business.
TEST_F(LocksFoundAgain, EachForItselfAfterTwoLosses) {
  std::atomic<bool> is_looked_for = false;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 2 && is_walk_to_it(f, "g")) {
      is_looked_for = true;
      return std::nullopt;
    }
    if (auto of_other = of_another(f)) return of_other;
    if (connection == 2 && is<Tlock>(f)) {
      is_asked = true;
      return std::nullopt;
    }
    if (connection == 3 && is<Tlock>(f) && lock_of(f).proc_id == theirs.proc_id && !may_answer)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened(), other = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([&] { return is_looked_for && is_asked; });
  cut();
  get(read(file));
  EXPECT_FALSE(may_answer);
  may_answer = true;
  get(read(other));
}

// Who goes on by himself where the others have given up takes them along.
TEST_F(LocksFoundAgain, WithWhoeverGoesOn) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 2 && is_walk_to_it(f, "g")) return reply(f, Rlerror{ENFILE});
    if (connection == 3 && is<Tversion>(f)) return reply(f, Rversion{1u << 30, "9P2000.L"});
    if (auto of_other = of_another(f)) return of_other;
    return says(f);
  });
  File file = opened(), other = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_for(500ms);  // for longer pauses
  cut();
  run_until([&] { return connections >= 4; });
  run_until([&] { return file.has_its_locks() && other.has_its_locks(); });
}

// Nor does who loses his fid meanwhile wait for another's.
TEST_F(LocksFoundAgain, EachForItselfAfterARename) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (auto of_other = of_another(f)) return of_other;
    if (is<Trenameat>(f)) return reply(f, Rlerror{EOPNOTSUPP});
    if (is<Trename>(f)) return reply(f, Rrename{});
    if (connection == 2 && is<Tlock>(f) && lock_of(f).proc_id == theirs.proc_id) {
      is_asked = true;
      return std::nullopt;
    }
    return says(f);
  });
  File file = opened(), other = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return is_asked.load(); });
  get(read(file));
  get(root->rename("f", *root, "h"));
  get(read(file));  // the other's request has no answer yet
  cut();
  get(read(other));
}

// What the same owner has got by another File meanwhile isn't given up.
TEST_F(LocksFoundAgain, AsTheyHaveBecomeByAnother) {
  Lock as_reader = mine;
  as_reader.type = lock::kRead;
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Trenameat>(f)) return reply(f, Rlerror{EOPNOTSUPP});
    if (is<Trename>(f)) return reply(f, Rrename{});
    if (is<Tlock>(f) && lock_of(f).type == lock::kRead && !is_asked.exchange(true)) {
      held = reply(f, Rlock{lock::kSuccess});
      return std::nullopt;
    }
    if (!is<Tlock>(f) || !held) return says(f);
    Frame both = *std::exchange(held, std::nullopt);
    const Frame its = *says(f);
    both.insert(both.end(), its.begin(), its.end());
    return both;
  });
  File file = opened(), second = opened();
  get(locked(file, mine));
  std::string said, has_read;
  start(locked(second, as_reader), said);
  run_until([this] { return is_asked.load(); });
  get(root->rename("f", *root, "h"));
  start(read(file), has_read);
  run_until([&] { return !has_read.empty() && !said.empty(); });
  EXPECT_EQ(said, "done");
  EXPECT_EQ(has_read, "done");
  get(read(second));
  const std::lock_guard guard(mutex);
  ASSERT_EQ(locks.size(), 4u);  // the write lock is taken again last; so is the other then
  EXPECT_EQ(locks.back().type, lock::kRead);
}

// A server that goes while a file is found again has the time that it always has.
TEST_F(LocksFoundAgain, NotAtAServerThatGoesMeanwhile) {
  client::Options options;
  options.reconnect_patience = 2s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (connection == 1 || !is_walk_to_it(f) || is_asked.exchange(true)) return says(f);
        return std::nullopt;
      },
      options);
  File file = opened(), second = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  std::string said, said_later;
  start(read(second), said);
  run_for(500ms);
  EXPECT_EQ(said, "");
  is_gone = true;
  cut();
  run_for(10ms);
  start(read(second), said_later);
  // No later than who asks now; it was 1.5 s later, when its first time was over.
  run_until([&] { return !said_later.empty(); });
  run_for(500ms);
  EXPECT_NE(said.find("has been gone for"), std::string::npos) << said;
  get(file.unlock(mine));
}

// A server that forgets what is renamed forgets its locks too: none is lost by that.
TEST_F(LocksFoundAgain, AfterARename) {
  for (const bool goes_on : {true, false}) {
    SCOPED_TRACE(goes_on);
    client::Options options;
    if (!goes_on) options.reconnect_patience = 0s;
    connect(
        [](int, Bytes f) -> std::optional<Frame> {
          if (is<Trenameat>(f)) return reply(f, Rlerror{EOPNOTSUPP});
          if (is<Trename>(f)) return reply(f, Rrename{});
          return says(f);
        },
        options);
    File file = opened();
    get(locked(file, mine));
    get(root->rename("f", *root, "h"));
    File second = opened("h");
    get(read(second));
    const int before = count(Describe<Tlock>::code);
    std::string by_it, by_another;
    start(read(file), by_it);
    start(read(second), by_another);
    run_until([&] { return !by_it.empty() && !by_another.empty(); });
    EXPECT_EQ(by_it, "done");
    EXPECT_EQ(by_another, "done");
    EXPECT_TRUE(file.has_its_locks());
    EXPECT_EQ(count(Describe<Tlock>::code), before + 1);
    get(file.unlock(mine));
  }
}

// What isn't a server of the protocol any more isn't asked again and again.
TEST_F(LocksFoundAgain, NotWhereTheProtocolIsBroken) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tversion>(f)) return reply(f, Rversion{1u << 30, "9P2000.L"});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_for(300ms);
  EXPECT_LT(connections, 10);
  EXPECT_NE(error(read(file)), "");
  get(file.unlock(mine));
}

// A file that is closed while its call waits has another one's number then.
TEST_F(LocksFoundAgain, NotByFilesThatAreClosed) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && !may_answer) return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened(), second = opened();
  get(locked(file, mine));
  cut();
  std::string has_read, has_locked;
  start(read(second), has_read);
  start(locked(second, theirs), has_locked);
  run_until([this] { return count(Describe<Tlock>::code) > 3; });
  get(second.close());
  may_answer = true;
  run_until([&] { return !has_read.empty() && !has_locked.empty(); });
  EXPECT_NE(has_read.find("it is closed"), std::string::npos) << has_read;
  EXPECT_NE(has_locked.find("it is closed"), std::string::npos) << has_locked;
  EXPECT_EQ(count(Describe<Tread>::code), 0);
  EXPECT_NE(locks.back().start, theirs.start);
}

// Another file of the number, made since, has no lost locks.
TEST_F(LocksFoundAgain, OfNumbersThatComeAgain) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tgetattr>(f)) return was_born(f, 2);
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  EXPECT_NE(error(read(file)).find("another file"), std::string::npos);
  File other = opened();
  get(read(other));
  get(locked(other, theirs));
  File made = get(root->create("f", lopen::kReadWrite, 0600));
  get(read(made));
  EXPECT_FALSE(file.has_its_locks());
}

// Files of one number at once: what is given up of one is the other's still.
TEST_F(LocksFoundAgain, OfFilesOfOneNumber) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Tgetattr>(f)) return was_born(f, may_answer ? 2 : 1);
    return says(f);
  });
  File file = opened();
  may_answer = true;
  File other = opened("g");
  may_answer = false;
  get(locked(file, mine));
  get(other.unlock(mine));
  cut();
  run_until([this] { return connections == 2 && count(Describe<Tlock>::code) == 3; });
  EXPECT_EQ(locks.back().type, mine.type);
}

// There is an end to how many an owner has; those that touch are one.
TEST_F(LocksFoundAgain, AsFewAsThereAre) {
  connect([](int, Bytes f) { return says(f); });
  File file = opened();
  Lock byte = mine;
  byte.length = 1;
  for (byte.start = 0; byte.start < 100; ++byte.start) get(locked(file, byte));
  locks.clear();
  cut();
  get(read(file));
  ASSERT_EQ(locks.size(), 1u);
  EXPECT_EQ(locks.front().length, 100u);
  Lock whole = mine;
  whole.start = whole.length = 0;
  get(locked(file, whole));
  std::string said;
  for (byte.start = 1; byte.start < 10'000 && said.empty(); byte.start += 2)
    said = error(file.unlock(byte));
  EXPECT_NE(said.find("No locks"), std::string::npos);
  get(file.unlock(whole));
  locks.clear();
  cut();
  get(read(file));
  EXPECT_TRUE(locks.empty());
}

// All goes at once, the executor last, with one being found.
TEST_F(LocksFoundAgain, BehindItsExecutor) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 1 || !is<Tlock>(f)) return says(f);
    is_asked = true;
    return std::nullopt;
  });
  std::optional<File> file = opened();
  get(locked(*file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  file.reset();
  cut();
  is_left = true;
}

}  // namespace
}  // namespace ninep::test
