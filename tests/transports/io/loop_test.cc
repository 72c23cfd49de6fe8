// What every loop promises beyond the operations themselves.
#include <atomic>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/transports/io/loops.h"

namespace ninep::io {
namespace {

using namespace std::chrono_literals;
using test::run;

class Loops : public test::EachLoop {};
INSTANTIATE_TEST_SUITE_P(, Loops, test::kEachLoop, test::loop_name);

// A socket pair, as a test uses it: the loop has `ours`.
struct Pair {
  Pair() {
    int fds[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    ours = fds[0];
    theirs = fds[1];
  }
  ~Pair() {
    ::close(ours);
    if (theirs >= 0) ::close(theirs);
  }
  int ours;
  int theirs;
};

Task<void> sleep_for(Loop& loop, std::chrono::nanoseconds time, int& result) {
  result = co_await loop.run(ops::timeout(static_cast<U64>(time.count())));
}
Task<void> await(Loop& loop, Op& op) { co_await loop.run(op); }

TEST_P(Loops, PostRunsOnTheLoopsThreadInOrder) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5'000;
  const auto here = std::this_thread::get_id();
  std::vector<int> last(kThreads, -1);
  int done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop().post([&, t, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          EXPECT_EQ(last[static_cast<std::size_t>(t)], i - 1);
          last[static_cast<std::size_t>(t)] = i;
          if (++done == kThreads * kEach) loop().stop();
        });
      }
    });
  }
  loop().run_until_stopped();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, kThreads * kEach);
}

// Post and sleep race: each post comes when the loop has nothing else to do.
TEST_P(Loops, PostWakesASleepingLoop) {
  std::atomic<int> seen = 0;
  std::thread other([&] {
    for (int i = 0; i < 1'000; ++i) {
      loop().post([&] { ++seen; });
      while (seen <= i) std::this_thread::yield();
    }
    loop().stop();
  });
  loop().run_until_stopped();
  other.join();
  EXPECT_EQ(seen, 1'000);
}

TEST_P(Loops, StopBeforeTheStartIsKept) {
  loop().stop();
  loop().run_until_stopped();
}

TEST_P(Loops, RunsAgainAfterAStop) {
  for (int round = 0; round < 3; ++round) {
    int result = 0;
    run(loop(), sleep_for(loop(), 1ms, result));
    EXPECT_EQ(result, -ETIME);
  }
}

// A loop is made on one thread and runs on another, as the server's do.
TEST_P(Loops, RunsOnAnotherThreadThanItWasMadeOn) {
  int result = 0;
  std::thread other([&] { run(loop(), sleep_for(loop(), 1ms, result)); });
  other.join();
  EXPECT_EQ(result, -ETIME);
}

TEST_P(Loops, SleepsWithoutUsingTheProcessor) {
  int result = 0;
  Pair pair;
  std::byte byte;
  Op idle = ops::recv(pair.ours, false, {&byte, 1});
  const Task<void> receiving = await(loop(), idle);
  rusage before;
  ::getrusage(RUSAGE_THREAD, &before);
  run(loop(), sleep_for(loop(), 500ms, result));
  rusage after;
  ::getrusage(RUSAGE_THREAD, &after);
  const auto us = [](const timeval& t) { return t.tv_sec * 1'000'000L + t.tv_usec; };
  EXPECT_LT(us(after.ru_utime) + us(after.ru_stime) - us(before.ru_utime) - us(before.ru_stime),
            250'000);
  loop().cancel(idle);
  run(loop(), sleep_for(loop(), 1ms, result));
  while (!receiving.done()) run(loop(), sleep_for(loop(), 1ms, result));
}

TEST_P(Loops, TimeoutsEndInTheirOrderAndNotEarly) {
  static constexpr auto note = [](Loop& l, U64 ms, std::vector<U64>& order) -> Task<void> {
    const auto start = std::chrono::steady_clock::now();
    const int result = co_await l.run(ops::timeout(ms * 1'000'000));
    EXPECT_EQ(result, -ETIME);
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(ms));
    order.push_back(ms);
  };
  std::vector<U64> order;
  Scope scope;
  for (const unsigned ms : {400u, 1u, 200u}) scope.spawn(note(loop(), ms, order));
  run(loop(), scope.all_done());
  EXPECT_EQ(order, (std::vector<U64>{1, 200, 400}));
}

// More operations than the ring has entries, also before the loop runs at all.
TEST_P(Loops, ThousandsOfOperationsAtOnce) {
  int results[3000] = {};
  Scope scope;
  for (int& result : results) scope.spawn(sleep_for(loop(), 1ms, result));
  run(loop(), scope.all_done());
  for (const int result : results) EXPECT_EQ(result, -ETIME);
}

// ---- the end of a turn

struct Marker final : TurnEnd {
  void turn_end() override {
    ++times;
    if (next) loop->at_turn_end(*next);
  }
  int times = 0;
  Loop* loop = nullptr;
  Marker* next = nullptr;
};

TEST_P(Loops, TurnEndsOnceForManyRequestsAndBeforeSleeping) {
  Marker second;
  Marker first;
  first.loop = &loop();
  first.next = &second;  // listed by a turn's end: called at the next one's, before the loop sleeps
  for (int i = 0; i < 5; ++i) loop().at_turn_end(first);
  loop().post([&] {
    EXPECT_EQ(first.times, 0);
    loop().post([&] {
      EXPECT_EQ(first.times, 1);
      EXPECT_EQ(second.times, 0);
      loop().post([&] {
        EXPECT_EQ(second.times, 1);
        loop().stop();
      });
    });
  });
  std::jthread watch([&](std::stop_token stop) {
    for (int i = 0; i < 600 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(100ms);
    loop().stop();
  });
  loop().run_until_stopped();
  EXPECT_EQ(first.times, 1);
  EXPECT_EQ(second.times, 1);
}

// Also if another one's end takes it away.
struct Owner : TurnEnd {
  void turn_end() override { owned = nullptr; }
  std::unique_ptr<Marker> owned = std::make_unique<Marker>();
};

TEST_P(Loops, ATurnEndThatIsGoneIsNotCalled) {
  Owner owner;
  loop().at_turn_end(owner);
  loop().at_turn_end(*owner.owned);
  {
    Marker gone;
    loop().at_turn_end(gone);
  }
  loop().post([&] { loop().post([&] { loop().stop(); }); });
  loop().run_until_stopped();
  EXPECT_FALSE(owner.owned);
}

// ---- cancel

TEST_P(Loops, CancelsARecvInTheTurnItBegan) {
  Pair pair;
  std::byte byte;
  Op op = ops::recv(pair.ours, false, {&byte, 1});
  Task<void> task = await(loop(), op);
  loop().cancel(op);
  run(loop(), std::move(task));
  EXPECT_EQ(op.result, -ECANCELED);
}

TEST_P(Loops, CancelsARecvThatWaits) {
  Pair pair;
  std::byte byte;
  Op op = ops::recv(pair.ours, false, {&byte, 1});
  Task<void> task = await(loop(), op);
  int result;
  run(loop(), sleep_for(loop(), 10ms, result));
  ASSERT_FALSE(task.done());
  loop().cancel(op);
  loop().cancel(op);  // twice is once
  run(loop(), std::move(task));
  EXPECT_EQ(op.result, -ECANCELED);
}

// The other direction goes on, and what comes after the cancel isn't lost.
TEST_P(Loops, CancelOfARecvLeavesASendAlone) {
  Pair pair;
  std::byte byte;
  Op op = ops::recv(pair.ours, false, {&byte, 1});
  Task<void> receiving = await(loop(), op);
  std::vector<char> bytes(1 << 20);
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{.msg_iov = &piece, .msg_iovlen = 1};
  ::fcntl(pair.ours, F_SETFL, O_NONBLOCK);
  while (::send(pair.ours, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
  }
  Op send = ops::send(pair.ours, false, message);
  Task<void> sending = await(loop(), send);
  int result;
  run(loop(), sleep_for(loop(), 10ms, result));
  loop().cancel(op);
  run(loop(), std::move(receiving));
  EXPECT_EQ(op.result, -ECANCELED);
  EXPECT_FALSE(sending.done());
  while (::recv(pair.theirs, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
  }
  run(loop(), std::move(sending));
  EXPECT_GT(send.result, 0);
  ASSERT_EQ(::send(pair.theirs, "x", 1, 0), 1);
  op = ops::recv(pair.ours, false, {&byte, 1});
  run(loop(), await(loop(), op));
  EXPECT_EQ(op.result, 1);
}

TEST_P(Loops, CancelsAnAccept) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ASSERT_EQ(::listen(listener, 5), 0);
  Op op = ops::accept(listener);
  Task<void> task = await(loop(), op);
  int result;
  run(loop(), sleep_for(loop(), 10ms, result));
  EXPECT_FALSE(task.done());
  loop().cancel(op);
  run(loop(), std::move(task));
  EXPECT_EQ(op.result, -ECANCELED);
  ::close(listener);
}

TEST_P(Loops, CancelsATimeout) {
  Op op = ops::timeout(U64{3'600} * 1'000'000'000);
  Task<void> task = await(loop(), op);
  int result;
  run(loop(), sleep_for(loop(), 1ms, result));
  loop().cancel(op);
  run(loop(), std::move(task));
  EXPECT_EQ(op.result, -ECANCELED);
}

// Data and cancel at once: either may win, the data is never lost, the operation always ends.
TEST_P(Loops, CancelRacesWithDataAndLosesNone) {
  Pair pair;
  for (int i = 0; i < 500; ++i) {
    std::byte byte;
    Op op = ops::recv(pair.ours, false, {&byte, 1});
    Task<void> task = await(loop(), op);
    int result;
    if (i % 3 == 0) run(loop(), sleep_for(loop(), 100us, result));
    std::thread sender([&] { ASSERT_EQ(::send(pair.theirs, "x", 1, 0), 1); });
    if (i % 2 == 0) sender.join();
    loop().cancel(op);
    run(loop(), std::move(task));
    if (sender.joinable()) sender.join();
    ASSERT_TRUE(op.result == 1 || op.result == -ECANCELED) << op.result;
    const bool left = ::recv(pair.ours, &byte, 1, MSG_DONTWAIT) == 1;
    ASSERT_NE(left, op.result == 1);
  }
}

TEST_P(Loops, CancelsAPoolCallThatHasNotBegun) {
  struct Calls {
    std::atomic<int> begun = 0;
    std::atomic<bool> go = false;
  } calls;
  static constexpr auto nap = [](void* argument) {
    auto& all = *static_cast<Calls*>(argument);
    const int number = ++all.begun;
    while (!all.go) std::this_thread::sleep_for(1ms);
    return number;
  };
  std::vector<Op> many(100, ops::call(nap, &calls));
  Scope scope;
  for (Op& op : many) scope.spawn(await(loop(), op));
  for (Op& op : many) loop().cancel(op);
  calls.go = true;
  run(loop(), scope.all_done());
  int cancelled = 0;
  for (const Op& op : many) cancelled += op.result == -ECANCELED;
  EXPECT_GT(cancelled, 0);
  EXPECT_EQ(cancelled + calls.begun, 100);
}

// ---- the end of a loop

TEST(UringLoop, EndsWithAPoolCallUnderWay) {
  auto loop = make_uring_loop();
  if (!loop) GTEST_SKIP() << "no io_uring here: " << errno_text(loop.error());
  // What wakes the loop must stay open for as long as a thread may do so: one of these, made
  // meanwhile, would get its number and the thread's write.
  int later[8];
  static constexpr auto nap_and_open = [](void* fds) {
    std::this_thread::sleep_for(100ms);
    for (int i = 0; i < 8; ++i)
      static_cast<int*>(fds)[i] = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return 0;
  };
  Op op = ops::call(nap_and_open, later);
  EXPECT_FALSE((*loop)->start(op));
  loop->reset();
  for (const int fd : later) {
    U64 count;
    EXPECT_EQ(::read(fd, &count, sizeof count), -1);
    ::close(fd);
  }
}

}  // namespace
}  // namespace ninep::io
