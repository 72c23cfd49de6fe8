#include "transports/io/task.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "transports/io/loop.h"

namespace ninep::io {
namespace {

Task<int> at_once(int value) { co_return value; }
Task<int> after(Event& event, int value) {
  co_await event;
  co_return value;
}
Task<void> done_by(Event& event) { co_await event; }

TEST(Task, StartsAtOnceAndIsDoneWithoutAWait) {
  const Task<int> task = at_once(3);
  EXPECT_TRUE(task.done());
  EXPECT_TRUE(ReadyQueue::current().empty());
}

TEST(Task, AValueIsATask) {
  Task<std::string> task = "a value";
  EXPECT_TRUE(task.done());
  EXPECT_EQ(task.await_resume(), "a value");
}

Task<void> add(Task<int> a, Task<int> b, int& sum) {
  const int first = co_await a;
  const int second = co_await b;
  sum = first + second;
}

TEST(Task, ResumesItsAwaiterThroughTheReadyQueue) {
  Event one;
  Event two;
  int sum = 0;
  const Task<void> task = add(after(one, 1), after(two, 2), sum);
  two.set();
  one.set();
  EXPECT_EQ(sum, 0);
  EXPECT_FALSE(task.done());
  ReadyQueue::current().run();
  EXPECT_EQ(sum, 3);
  EXPECT_TRUE(task.done());
}

TEST(Task, DroppedWhileItRunsBreaksAnInvariant) {
  EXPECT_DEATH(
      {
        Event never;
        const Task<void> task = done_by(never);
      },
      "broken invariant");
}

// Symmetric transfer isn't reliable in g++ 12 below -O2: stacks must not grow with awaits, whether
// a child is done at once or has to wait.
constexpr int kMany = 3'000'000;

Task<void> await_many(long long& sum) {
  for (int i = 0; i < kMany; ++i) sum += co_await at_once(i);
}

TEST(Task, ThreeMillionAwaitsOfWhatIsDone) {
  long long sum = 0;
  const Task<void> task = await_many(sum);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(sum, static_cast<long long>(kMany) * (kMany - 1) / 2);
}

struct Yield {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiter) { ReadyQueue::current().push(waiter); }
  void await_resume() {}
};
Task<int> after_a_yield(int value) {
  co_await Yield{};
  co_return value;
}
Task<void> await_many_waits(long long& sum) {
  for (int i = 0; i < kMany; ++i) sum += co_await after_a_yield(1);
}

TEST(Task, ThreeMillionAwaitsOfWhatWaits) {
  long long sum = 0;
  const Task<void> task = await_many_waits(sum);
  ReadyQueue::current().run();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(sum, kMany);
}

Task<int> nested(Event& event, int depth) {
  if (depth == 0) {
    co_await event;
    co_return 0;
  }
  const int below = co_await nested(event, depth - 1);
  co_return below + 1;
}

TEST(Task, ALongChainUnwindsWithoutAStack) {
  Event event;
  constexpr int kDepth = 5000;  // going down is recursion, coming up must not be
  Task<int> task = nested(event, kDepth);
  event.set();
  ReadyQueue::current().run();
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.await_resume(), kDepth);
}

// ---- what g++ 12 makes of temporaries in an expression with co_await

// A value that counts its lives. A class with a constructor is safe as a temporary; an aggregate
// with a destructor isn't (it is destroyed twice) and has to be named first, then moved in.
struct Lives {
  static inline int made = 0;
  static inline int gone = 0;
  Lives() { ++made; }
  Lives(const Lives&) { ++made; }
  Lives(Lives&&) noexcept { ++made; }
  ~Lives() { ++gone; }
};
struct WithConstructor {
  explicit WithConstructor(int n) : number(n) {}
  int number;
  Lives lives;
};
struct Aggregate {
  int number;
  Lives lives;
};

Task<int> take(WithConstructor value) {
  co_await Yield{};
  co_return value.number;
}
Task<int> take(Aggregate value) {
  co_await Yield{};
  co_return value.number;
}
Task<void> pass_a_temporary(int& out) { out = co_await take(WithConstructor(7)); }
Task<void> pass_a_named_aggregate(int& out) {
  Aggregate named{8, {}};
  out = co_await take(std::move(named));
}

TEST(Gcc12, ValuesPassedIntoACoroutineDieOnce) {
  int out = 0;
  Lives::made = Lives::gone = 0;
  const Task<void> a = pass_a_temporary(out);
  ReadyQueue::current().run();
  EXPECT_EQ(out, 7);
  const Task<void> b = pass_a_named_aggregate(out);
  ReadyQueue::current().run();
  EXPECT_EQ(out, 8);
  EXPECT_GT(Lives::made, 0);
  EXPECT_EQ(Lives::made, Lives::gone);
}

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12
Task<void> pass_a_temporary_aggregate(int& out) { out = co_await take(Aggregate{9, {}}); }

TEST(Gcc12, ATemporaryAggregateDiesTwice) {
  int out = 0;
  Lives::made = Lives::gone = 0;
  {
    const Task<void> task = pass_a_temporary_aggregate(out);
    ReadyQueue::current().run();
  }
  EXPECT_EQ(out, 9);
  EXPECT_GT(Lives::gone, Lives::made) << "the compiler is right now: relax the house rule";
}
#endif

// Trivially destructible aggregates are safe as temporaries: messages and operations are such.
struct Message {
  int code;
  const char* text;
};
static_assert(std::is_trivially_destructible_v<Message>);
static_assert(std::is_trivially_copyable_v<Op>);
static_assert(std::is_trivially_destructible_v<Loop::Running<Op>>);
Task<std::string> reply(Message message) {
  co_await Yield{};
  co_return std::string(message.text);
}
Task<void> reply_with_a_temporary(std::string& out) { out = co_await reply(Message{1, "text"}); }

TEST(Gcc12, ATriviallyDestructibleAggregateIsSafeAsATemporary) {
  std::string out;
  const Task<void> task = reply_with_a_temporary(out);
  ReadyQueue::current().run();
  EXPECT_EQ(out, "text");
}

// Results with destructors reach the awaiter whole and die once.
Task<std::vector<Lives>> three() {
  co_await Yield{};
  co_return std::vector<Lives>(3);
}
Task<void> count_three(std::size_t& count) {
  const auto result = co_await three();
  count = result.size();
}

TEST(Gcc12, AResultDiesOnce) {
  std::size_t count = 0;
  Lives::made = Lives::gone = 0;
  {
    const Task<void> task = count_three(count);
    ReadyQueue::current().run();
  }
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(Lives::made, Lives::gone);
}

// ---- Event, Scope

TEST(Event, SetBeforeDoesNotWait) {
  Event event;
  event.set();
  const Task<void> first = done_by(event);
  EXPECT_TRUE(first.done());
  const Task<void> second = done_by(event);
  EXPECT_FALSE(second.done()) << "an announcement is used up";
  event.set();
  ReadyQueue::current().run();
  EXPECT_TRUE(second.done());
}

TEST(Event, HasOneWaiter) {
  EXPECT_DEATH(
      {
        Event event;
        const Task<void> first = done_by(event);
        const Task<void> second = done_by(event);
      },
      "broken invariant");
}

Task<void> wait_for(Scope& scope, bool& done) {
  co_await scope.all_done();
  done = true;
}

TEST(Scope, WaitsForAll) {
  Scope scope;
  std::vector<Event> events(10);
  for (Event& event : events) scope.spawn(done_by(event));
  bool done = false;
  const Task<void> waiting = wait_for(scope, done);
  for (Event& event : events) {
    EXPECT_FALSE(done);
    event.set();
    ReadyQueue::current().run();
  }
  EXPECT_TRUE(done);
  EXPECT_TRUE(scope.empty());
}

TEST(Scope, IsDoneAtOnceWithoutTasks) {
  Scope scope;
  bool done = false;
  const Task<void> waiting = wait_for(scope, done);
  EXPECT_TRUE(done);
}

// A task that comes while the last one has just ended is waited for too.
TEST(Scope, WaitsForLateComers) {
  Scope scope;
  Event first;
  Event second;
  scope.spawn(done_by(first));
  bool done = false;
  const Task<void> waiting = wait_for(scope, done);
  first.set();
  static constexpr auto come_late = [](Scope& s, Event& e) -> Task<void> {
    co_await Yield{};
    s.spawn(done_by(e));
  };
  scope.spawn(come_late(scope, second));
  ReadyQueue::current().run();
  EXPECT_FALSE(done);
  second.set();
  ReadyQueue::current().run();
  EXPECT_TRUE(done);
}

TEST(Scope, MustOutliveItsTasks) {
  EXPECT_DEATH(
      {
        Event never;
        Scope scope;
        scope.spawn(done_by(never));
      },
      "broken invariant");
}

// ---- frames

TEST(FrameLists, GiveFramesAgain) {
  for (const std::size_t size : {1u, 64u, 65u, 1000u, 4096u}) {
    void* const first = detail::allocate_frame(size);
    detail::free_frame(first, size);
    EXPECT_EQ(detail::allocate_frame(size), first) << size;
    detail::free_frame(first, size);
  }
}

TEST(FrameLists, GiveFramesThatAreLargeEnoughAndApart) {
  std::vector<std::pair<std::byte*, std::size_t>> frames;
  for (std::size_t size = 1; size < 6000; size += 61) {
    auto* frame = static_cast<std::byte*>(detail::allocate_frame(size));
    std::fill_n(frame, size, static_cast<std::byte>(size));
    frames.emplace_back(frame, size);
  }
  for (const auto& [frame, size] : frames) {
    EXPECT_EQ(std::count(frame, frame + size, static_cast<std::byte>(size)),
              static_cast<std::ptrdiff_t>(size));
    detail::free_frame(frame, size);
  }
}

TEST(FrameLists, KeepABoundedNumber) {
  // More than are kept: the rest goes back to the heap (LeakSanitizer counts at the end).
  std::vector<void*> frames;
  for (int i = 0; i < 1000; ++i) frames.push_back(detail::allocate_frame(100));
  EXPECT_EQ(std::set(frames.begin(), frames.end()).size(), 1000u);
  for (void* frame : frames) detail::free_frame(frame, 100);
}

}  // namespace
}  // namespace ninep::io
