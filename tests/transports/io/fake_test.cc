// The fake loop does what it is for: it is late, short, unjust and reproducible, and it notices
// callers that break the rules.
#include "transports/io/fake.h"

#include <algorithm>
#include <map>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/run.h"
#include "tests/seed.h"
#include "tests/transports/temp_dir.h"

namespace ninep::io {
namespace {

using test::run;
using test::TempDir;

struct File {
  explicit File(const TempDir& dir, std::size_t size)
      : fd(::open((dir / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    const std::string content(size, 'x');
    NINEP_CHECK(::pwrite(fd, content.data(), size, 0) == static_cast<ssize_t>(size));
  }
  ~File() { ::close(fd); }
  int fd;
};

Task<void> read_once(Loop& loop, int fd, std::vector<int>& results, std::vector<int>& order,
                     int number) {
  std::vector<char> room(1000);
  const iovec pieces[] = {{room.data(), 300}, {room.data() + 300, 700}};
  const int result = co_await loop.run(ops::read(Sleep::kMay, fd, pieces, 0));
  for (int i = 0; i < result; ++i) EXPECT_EQ(room[static_cast<std::size_t>(i)], 'x');
  results.push_back(result);
  order.push_back(number);
}

struct Outcome {
  std::vector<int> results;
  std::vector<int> order;
  bool operator==(const Outcome&) const = default;
};
Outcome read_many(U64 seed, const Faults& faults) {
  const TempDir dir;
  const File file(dir, 1000);
  const auto loop = make_fake_loop(seed, faults);
  Outcome outcome;
  Scope scope;
  for (int i = 0; i < 500; ++i)
    scope.spawn(read_once(*loop, file.fd, outcome.results, outcome.order, i));
  run(*loop, scope.all_done());
  return outcome;
}

TEST(FakeLoop, IsShortLateAndOutOfOrder) {
  const Outcome outcome = read_many(test::seed(), {});
  EXPECT_FALSE(std::is_sorted(outcome.order.begin(), outcome.order.end()));
  const auto whole = std::count(outcome.results.begin(), outcome.results.end(), 1000);
  EXPECT_GT(whole, 250);
  EXPECT_LT(whole, 450);
  EXPECT_EQ(std::count(outcome.results.begin(), outcome.results.end(), 0), 0) << "no false ends";
}

TEST(FakeLoop, IsTheSameForTheSameSeed) {
  EXPECT_EQ(read_many(test::seed(), {}), read_many(test::seed(), {}));
  EXPECT_NE(read_many(test::seed(), {}), read_many(test::seed() + 1, {}));
}

TEST(FakeLoop, InventsErrors) {
  const Outcome outcome =
      read_many(test::seed(), {.errors = {{Kind::kRead, EIO, 0.5}, {Kind::kWrite, ENOSPC, 1}}});
  const auto failed = std::count(outcome.results.begin(), outcome.results.end(), -EIO);
  EXPECT_GT(failed, 150);
  EXPECT_LT(failed, 350);
}

Task<void> close_it(Loop& loop, int fd, int& result) {
  result = co_await loop.run(ops::close(Sleep::kMay, fd));
}

TEST(FakeLoop, ClosesAlsoWithAnError) {
  const auto loop = make_fake_loop(test::seed(), {.errors = {{Kind::kClose, EIO, 1}}});
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  int result = 0;
  run(*loop, close_it(*loop, fd, result));
  EXPECT_EQ(result, -EIO);
  EXPECT_LT(::fcntl(fd, F_GETFD), 0);
}

Task<void> await(Loop& loop, Op& op) { co_await loop.run(op); }

TEST(FakeLoop, CancelWinsAndLoses) {
  const TempDir dir;
  const File file(dir, 10);
  const auto loop = make_fake_loop(test::seed());
  std::map<int, int> results;
  for (int i = 0; i < 200; ++i) {
    Op op = ops::sync(Sleep::kMay, file.fd, true);
    Task<void> task = await(*loop, op);
    loop->cancel(op);
    run(*loop, std::move(task));
    ++results[op.result];
  }
  EXPECT_EQ(results[0] + results[-ECANCELED], 200);
  EXPECT_GT(results[0], 50);
  EXPECT_GT(results[-ECANCELED], 50);
}

// ---- callers that break the rules

TEST(FakeLoopNotices, InputThatChanges) {
  EXPECT_DEATH(
      {
        const auto loop = make_fake_loop(1);
        std::string name = "name";
        Op op = ops::mkdir(Sleep::kMay, -1, name.c_str(), 0700);
        const Task<void> task = await(*loop, op);
        name[0] = 'f';
        loop->run_until_stopped();
      },
      "broken invariant");
}

TEST(FakeLoopNotices, AnOperationThatIsUsedAgainTooEarly) {
  EXPECT_DEATH(
      {
        const auto loop = make_fake_loop(1);
        Op op = ops::sync(Sleep::kMay, 0, true);
        const Task<void> task = await(*loop, op);
        op = ops::sync(Sleep::kMay, 1, true);
        loop->run_until_stopped();
      },
      "broken invariant");
}

TEST(FakeLoopNotices, ADescriptorThatGoesTooEarly) {
  EXPECT_DEATH(
      {
        const auto loop = make_fake_loop(1);
        Op op = ops::sync(Sleep::kMay, 0, true);
        const Task<void> task = await(*loop, op);
        int result;
        const Task<void> closing = close_it(*loop, 0, result);
      },
      "broken invariant");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(FakeLoopNotices, MemoryThatGoesTooEarly) {
  EXPECT_DEATH(
      {
        const auto loop = make_fake_loop(1);
        auto room = std::make_unique<std::byte[]>(100);
        Op op = ops::recv(0, false, {room.get(), 100});
        const Task<void> task = await(*loop, op);
        room = nullptr;
        loop->run_until_stopped();
      },
      "heap-use-after-free");
}
#endif

}  // namespace
}  // namespace ninep::io
