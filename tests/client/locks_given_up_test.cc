// Locks that are given up: while they are taken again on another connection, and at other times.
#include <span>

#include "tests/client/locks_found_again.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::File;
using client::Lock;

using LocksGivenUp = LocksFoundAgain;

// Its owner gives it up while it is taken again: it isn't left behind.
TEST_F(LocksGivenUp, WhileTheyAreAskedFor) {
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
TEST_F(LocksGivenUp, AtAServerThatWaits) {
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
TEST_F(LocksGivenUp, ByOneOfTwoOwners) {
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
TEST_F(LocksGivenUp, InPart) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 1 || !is<Tlock>(f) || is_asked.exchange(true)) return says(f);
    while (!may_answer) std::this_thread::sleep_for(1ms);
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  Lock part = mine;
  part.length = 4;
  std::string said;
  start(file.unlock(part), said);
  run_for(50ms);
  may_answer = true;
  run_until([&] { return !said.empty(); });
  EXPECT_EQ(said, "done");
  get(read(file));
  EXPECT_TRUE(has_unlocked(part));
  EXPECT_EQ(locks[1].length, mine.length);
  EXPECT_TRUE(std::ranges::none_of(std::span(locks).subspan(2),
                                   [](const Tlock& one) { return one.type != lock::kUnlock; }));
}

// The rest of it isn't lost, whoever has the part since.
TEST_F(LocksGivenUp, InPartAndTaken) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).type != lock::kUnlock &&
        (!may_answer || lock_of(f).start < 4))
      return reply(f, Rlock{lock::kBlocked});
    if (is<Tgetlock>(f) && may_answer)
      return reply(f, Rgetlock{lock::kWrite, 0, 4, 77, "elsewhere"});
    if (is<Tgetlock>(f)) return reply(f, Rgetlock{lock::kWrite, 0, 10, mine.proc_id, "me"});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 2; });
  Lock part = mine;
  part.length = 4;
  get(file.unlock(part));
  may_answer = true;
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
}

// What is taken anew instead stays what it is.
TEST_F(LocksGivenUp, AndTakenAnew) {
  for (const bool others_have_some : {false, true}) {
    SCOPED_TRACE(others_have_some);
    connect([this, others_have_some](int connection, Bytes f) -> std::optional<Frame> {
      if (auto of_other = of_another(f)) return of_other;
      if (connection % 2 == 0 && is<Tlock>(f) && lock_of(f).proc_id == mine.proc_id &&
          lock_of(f).type == lock::kWrite)
        return reply(f, Rlock{may_answer && !others_have_some ? lock::kSuccess : lock::kBlocked});
      if (is<Tgetlock>(f) && may_answer)
        return reply(f, Rgetlock{lock::kRead, 0, 10, 77, "elsewhere"});
      if (is<Tgetlock>(f)) return reply(f, Rgetlock{lock::kWrite, 0, 10, mine.proc_id, "me"});
      return says(f);
    });
    File file = opened(), other = opened("g");
    get(locked(file, mine));
    get(locked(other, theirs));
    cut();
    run_until([this] { return count(Describe<Tlock>::code) > 6; });
    get(file.unlock(mine));
    may_answer = true;
    Lock as_reader = mine;
    as_reader.type = lock::kRead;
    get(locked(file, as_reader));
    run_for(1s);  // longer than the pauses between two attempts
    get(read(file));
    const std::lock_guard guard(mutex);
    const auto last = std::ranges::find_if(locks.rbegin(), locks.rend(), [this](const Tlock& one) {
      return one.proc_id == mine.proc_id;
    });
    EXPECT_EQ(last->type, lock::kRead);
    connections = 0;
    may_answer = false;
    locks.clear();
    types.clear();
    fids.clear();
  }
}

// Nobody waits for them any longer.
TEST_F(LocksGivenUp, AndWaitedFor) {
  client::Options options;
  options.reconnect_patience = 24h;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (auto of_other = of_another(f)) return of_other;
        if (connection == 1 || !is<Tlock>(f) || lock_of(f).type == lock::kUnlock) return says(f);
        if (lock_of(f).proc_id == mine.proc_id) return reply(f, Rlerror{ENOMEM});
        return reply(f, Rlock{lock::kGrace});
      },
      options);
  File file = opened(), second = opened(), other = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 4; });
  std::string said;
  start(read(second), said);
  run_for(100ms);
  EXPECT_EQ(said, "");
  get(file.unlock(mine));
  run_until([&] { return !said.empty(); });
  EXPECT_EQ(said, "done");
}

// Who waits for a lock and is cancelled is over when the lock comes, at some servers: it comes.
TEST_F(LocksGivenUp, ByWhomItIs) {
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
TEST_F(LocksGivenUp, BehindWhatIsWritten) {
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

}  // namespace
}  // namespace ninep::test
