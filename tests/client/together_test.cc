// Coroutines side by side, and how they are told that they were cancelled.
#include "client/together.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cancelled.h"
#include "tests/client/on_loop.h"

namespace ninep::test {
namespace {

using asio::awaitable;
using client::Expected;
using client::Group;
using client::Signal;

/// Until `go`, or until it is cancelled: what of both it was.
awaitable<void> stay(Signal& go, std::vector<std::string>& said) {
  const bool has_gone = co_await go.wait();
  said.push_back(has_gone ? "went" : "cancelled");
}

struct Together : testing::Test {
  void spawn(Group& group, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      group.spawn(stay(signals.emplace_back(context.get_executor()), said));
  }
  /// Runs `work` with `cancel`, as far as it goes. False: it waits.
  bool begin(awaitable<void> work) {
    is_over = false;
    asio::co_spawn(context, std::move(work),
                   asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& e) {
                     is_over = true;
                     thrown = e;
                   }));
    return goes_on();
  }
  bool goes_on() {
    context.restart();
    context.poll();
    return is_over;
  }
  asio::io_context context;
  asio::cancellation_signal cancel;
  std::list<Signal> signals;
  std::vector<std::string> said;
  std::exception_ptr thrown;
  bool is_over = false;
};

TEST_F(Together, FewerThan) {
  Group group(context.get_executor());
  spawn(group, 3);
  const auto few = [](Group& g, std::size_t count) -> awaitable<void> {
    co_await g.fewer_than(count);
  };
  EXPECT_TRUE(begin(few(group, 4)));
  EXPECT_FALSE(begin(few(group, 2)));
  signals.front().set();
  EXPECT_FALSE(goes_on());
  signals.back().set();
  EXPECT_TRUE(goes_on());
  EXPECT_EQ(group.count(), 1u);
  EXPECT_FALSE(begin(few(group, 1)));
  cancel.emit(asio::cancellation_type::terminal);
  EXPECT_TRUE(goes_on());
  EXPECT_EQ(group.count(), 0u);
  EXPECT_THAT(said, testing::ElementsAre("went", "went", "cancelled"));
  EXPECT_FALSE(thrown);
}

// What was cancelled before it came to wait cancels all the same.
TEST_F(Together, CancelledBefore) {
  Group group(context.get_executor());
  spawn(group, 2);
  Signal first(context.get_executor());
  const auto both = [](Group& g, Signal& s) -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    (void)co_await s.wait();
    co_await g.all_done();
  };
  EXPECT_FALSE(begin(both(group, first)));
  cancel.emit(asio::cancellation_type::terminal);
  EXPECT_TRUE(goes_on());
  EXPECT_THAT(said, testing::ElementsAre("cancelled", "cancelled"));
}

TEST_F(Together, Throws) {
  Group group(context.get_executor());
  spawn(group, 1);
  group.spawn([]() -> awaitable<void> {
    throw std::runtime_error("broken");
    co_return;
  }());
  const auto all = [](Group& g) -> awaitable<void> { co_await g.all_done(); };
  EXPECT_FALSE(begin(all(group)));
  signals.front().set();
  EXPECT_TRUE(goes_on());
  EXPECT_THROW(std::rethrow_exception(thrown), std::runtime_error);
}

awaitable<Expected<int>> wait_for(Signal& signal, bool is_done_all_the_same) {
  const bool is_set = co_await signal.wait();
  if (is_set || is_done_all_the_same) co_return 1;
  co_return client::error(ECANCELED, "wait");
}

// Who calls with asio's default, by which a cancelled coroutine throws: a result is a result; and
// what was done all the same leaves the cancellation where asio has it.
TEST_F(Together, ToldByResult) {
  Signal never(context.get_executor());
  for (const bool is_done_all_the_same : {false, true}) {
    said.clear();
    thrown = nullptr;
    const auto twice = [](Signal& s, bool done, std::vector<std::string>& told) -> awaitable<void> {
      auto first = client::told_by_result(wait_for(s, done));
      const auto result = co_await std::move(first);
      told.push_back(result ? "done" : result.error().text());
      co_await asio::post(asio::use_awaitable);
      told.push_back("goes on");
    };
    EXPECT_FALSE(begin(twice(never, is_done_all_the_same, said)));
    cancel.emit(asio::cancellation_type::terminal);
    EXPECT_TRUE(goes_on());
    if (is_done_all_the_same) {
      EXPECT_THAT(said, testing::ElementsAre("done"));
      EXPECT_THROW(std::rethrow_exception(thrown), std::system_error);
    } else {
      EXPECT_THAT(said, testing::ElementsAre("wait: Operation canceled", "goes on"));
      EXPECT_FALSE(thrown);
    }
  }
}

TEST_F(Together, Pauses) {
  bool was_whole = true;
  const auto pause = [](bool& whole) -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const bool first = co_await client::pause_for(std::chrono::hours(1));
    const bool second = co_await client::pause_for(std::chrono::hours(1));
    whole = first || second;
  };
  EXPECT_FALSE(begin(pause(was_whole)));
  cancel.emit(asio::cancellation_type::terminal);
  EXPECT_TRUE(goes_on());
  EXPECT_FALSE(was_whole);
}

}  // namespace
}  // namespace ninep::test
