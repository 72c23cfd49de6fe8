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

// Its owner gives it up while it is taken again: it isn't left behind.
TEST_F(LocksFoundAgain, AndGivenUpMeanwhile) {
  enum class Way { kUnlock, kUnlockByAnother, kClose, kDestroy };
  for (const Way way : {Way::kUnlock, Way::kUnlockByAnother, Way::kClose, Way::kDestroy}) {
    SCOPED_TRACE(static_cast<int>(way));
    connect([this](int connection, Bytes f) -> std::optional<Frame> {
      if (connection % 2 == 1 || !is<Tlock>(f) || is_asked.exchange(true)) return says(f);
      while (!may_answer) std::this_thread::sleep_for(1ms);
      return says(f);
    });
    std::optional<File> file = opened();
    File another = opened();
    get(locked(*file, mine));
    run_for(50ms);  // what was walked through is clunked
    const int clunks = count(Describe<Tclunk>::code);
    cut();
    run_until([this] { return is_asked.load(); });
    std::string said;
    if (way == Way::kUnlock) start(file->unlock(mine), said);
    if (way == Way::kUnlockByAnother) start(another.unlock(mine), said);
    if (way == Way::kClose) start(file->close(), said);
    if (way == Way::kDestroy) {
      file.reset();
      said = "done";
    }
    run_for(50ms);
    may_answer = true;
    run_until([&] { return !said.empty(); });
    EXPECT_EQ(said, "done");
    const bool unlocks = way == Way::kUnlock || way == Way::kUnlockByAnother;
    run_until(
        [&] { return unlocks ? has_unlocked(mine) : count(Describe<Tclunk>::code) > clunks; });
    if (unlocks) {
      get(read(*file));
    }
    file.reset();
    cut();
    get(root->stat());  // the next connection
    connections = 0;
    is_asked = may_answer = false;
    locks.clear();
    types.clear();
  }
}

// And whoever gives it up doesn't wait with it for a server that isn't ready.
TEST_F(LocksFoundAgain, AndGivenUpAtAServerThatWaits) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).type != lock::kUnlock)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened(), other = opened();
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 5; });
  get(file.unlock(mine));
  EXPECT_TRUE(has_unlocked(mine));
  get(other.unlock(theirs));
  get(read(file));
}

// Nor does one who has another lock by the same File.
TEST_F(LocksFoundAgain, AndGivenUpByOneOfTwoOwners) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).proc_id == theirs.proc_id && !may_answer)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  get(locked(file, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 5; });
  get(file.unlock(mine));
  EXPECT_TRUE(has_unlocked(mine));
  may_answer = true;
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
}

// A part that was given up while the whole was asked for isn't kept.
TEST_F(LocksFoundAgain, AndGivenUpInPart) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).type != lock::kUnlock && !may_answer)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 2; });
  Lock part = mine;
  part.length = 4;
  get(file.unlock(part));
  {
    const std::lock_guard guard(mutex);
    locks.clear();
  }
  may_answer = true;
  get(read(file));
  ASSERT_EQ(locks.front().length, mine.length);
  EXPECT_TRUE(has_unlocked(part));
}

// The locks of one file aren't waited for with another one; its own are, for as long as a server
// that is gone.
TEST_F(LocksFoundAgain, EachFileForItself) {
  client::Options options;
  options.reconnect_patience = 1s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        Twalk walk{};
        if (is_walk_to_it(f, "g") && decode(frame_body(f), kDotL, walk)) {
          fids.push_back(walk.newfid);
          Rwalk r{};
          r.wqid.push_back(kOther);
          return reply(f, r);
        }
        // A fid that is walked nowhere from is the same file's.
        if (is<Twalk>(f) && decode(frame_body(f), kDotL, walk) && walk.wname.size() == 0 &&
            std::ranges::count(fids, walk.fid) != 0)
          fids.push_back(walk.newfid);
        Tlopen open{};
        if (is<Tlopen>(f) && decode(frame_body(f), kDotL, open) &&
            std::ranges::count(fids, open.fid) != 0)
          return reply(f, Rlopen{kOther, 0});
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

// Who waits for a lock and is cancelled is over when the lock comes, at some servers: it comes.
TEST_F(LocksFoundAgain, ByWhomItIsGivenUp) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Tlock>(f) && lock_of(f).flags == lock::kBlock) {
      held = reply(f, Rlock{lock::kSuccess});
      is_asked = true;
      return std::nullopt;
    }
    if (is<Tflush>(f)) {
      flushed = reply(f, Rflush{});
      may_answer = true;
      return std::nullopt;
    }
    if (!is<Tlock>(f) || lock_of(f).type != lock::kUnlock || !held) return says(f);
    Frame all = *says(f);
    for (const auto& one : {held, flushed}) all.insert(all.end(), one->begin(), one->end());
    return all;
  });
  File file = opened(), second = opened();
  get(locked(file, mine));
  std::string said;
  asio::cancellation_signal cancel;
  const Lock wanted{lock::kWrite, 0, 10, 2, "other"};
  const auto wait_for_it = [&]() -> awaitable<void> {
    const auto has = co_await second.lock(wanted, true);
    said = has ? "locked" : has.error().text();
  };
  asio::co_spawn(context, wait_for_it(),
                 asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  run_until([this] { return is_asked.load(); });
  cancel.emit(asio::cancellation_type::terminal);
  run_until([this] { return may_answer.load(); });
  get(file.unlock(mine));
  run_until([&] { return !said.empty(); });
  EXPECT_EQ(said, "locked");
}

// What was written under a lock and given up may be done yet: until that is over the lock stays,
// however it is given up.
TEST_F(LocksFoundAgain, BehindWhatIsWritten) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Twrite>(f)) {
      is_asked = true;
      return std::nullopt;
    }
    if (is<Tflush>(f)) {
      flushed = reply(f, Rflush{});
      return std::nullopt;
    }
    if (!flushed || !is<Tgetlock>(f)) return says(f);
    Frame both = *says(f);
    both.insert(both.end(), flushed->begin(), flushed->end());
    flushed.reset();
    return both;
  });
  for (const U8 gives_up : {Describe<Tlock>::code, Describe<Tclunk>::code}) {
    std::optional<File> file = opened();
    File other = opened();
    get(locked(*file, mine));
    std::string has_written, said;
    asio::cancellation_signal cancel;
    const std::byte byte{};
    const auto write = [&]() -> awaitable<void> {
      const auto written = co_await file->write(0, {&byte, 1});
      has_written = written ? "written" : written.error().text();
    };
    is_asked = false;
    asio::co_spawn(context, write(), asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    run_until([this] { return is_asked.load(); });
    const int before = count(gives_up);
    cancel.emit(asio::cancellation_type::terminal);
    start(gives_up == Describe<Tlock>::code ? file->unlock(mine) : file->close(), said);
    run_until([this] { return count(Describe<Tflush>::code) > 0; });
    run_for(50ms);
    EXPECT_EQ(count(gives_up), before);
    get(other.test_lock(theirs));
    run_until([&] { return !said.empty() && !has_written.empty(); });
    EXPECT_EQ(said, "done");
    EXPECT_EQ(count(gives_up), before + 1);
    types.clear();
  }
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
