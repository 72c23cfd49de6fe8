// Operations act as the user they are for, and as nobody else, wherever they are made and however
// those of several users mix.
#include "transports/io/identity.h"

#include <random>
#include <thread>

#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/temp_dir.h"

namespace ninep::io {
namespace {

using test::run;
using test::TempDir;
using Who = std::shared_ptr<const Identity>;

class Identities : public test::EachLoop {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to act as other users";
    EachLoop::SetUp();
    umask_ = ::umask(0);
  }
  void TearDown() override {
    if (::geteuid() != 0) return;
    ::umask(umask_);
    ASSERT_TRUE(assume(*root_));
  }

  const Who root_ = Identity::make(0, 0, {});
  const Who users_[3] = {Identity::make(61001, 62001, {63001, 63002}),
                         Identity::make(61002, 62002, {63002}), Identity::make(61003, 62003, {})};
  mode_t umask_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, Identities, test::kEachLoop, test::loop_name);

Task<int> open_as(Loop& loop, Sleep sleep, const Identity& who, int dir, const char* name,
                  U64 flags, U32 gid = kNoId) {
  open_how how{.flags = flags | O_CLOEXEC, .mode = flags & O_CREAT ? 0600u : 0, .resolve = 0};
  Op op = ops::open(sleep, dir, name, how);
  op.as = &who;
  op.gid = gid;
  co_return co_await loop.run(op);
}
Task<int> mkdir_as(Loop& loop, Sleep sleep, const Identity& who, int dir, const char* name) {
  Op op = ops::mkdir(sleep, dir, name, 0700);
  op.as = &who;
  co_return co_await loop.run(op);
}

// A file and a directory of the user's; both must be theirs.
Task<void> make_both(Loop& loop, Sleep sleep, Who who, int dir, std::string name) {
  const int file = co_await open_as(loop, sleep, *who, dir, name.c_str(), O_CREAT | O_RDWR);
  EXPECT_GE(file, 0) << name;
  ::close(file);
  const std::string folder = name + "d";
  EXPECT_EQ(co_await mkdir_as(loop, sleep, *who, dir, folder.c_str()), 0);
  for (const std::string& made : {name, folder}) {
    struct stat status{};
    EXPECT_EQ(::fstatat(dir, made.c_str(), &status, 0), 0) << made;
    EXPECT_EQ(status.st_uid, who->uid) << made;
    EXPECT_EQ(status.st_gid, who->gid) << made;
  }
}

// In place, on the ring and on the pool at once.
TEST_P(Identities, EachMakesItsOwnFiles) {
  TempDir dir;
  ASSERT_EQ(::fchmod(dir.fd(), 0777), 0);
  std::mt19937_64 random(test::seed());
  Scope scope;
  for (int i = 0; i < 300; ++i) {
    const Who& who = i % 4 == 3 ? root_ : users_[random() % 3];
    scope.spawn(make_both(loop(), static_cast<Sleep>(random() % 3), who, dir.fd(),
                          "f" + std::to_string(i)));
  }
  run(loop(), scope.all_done());
  if (is("io_uring")) {
    EXPECT_GT(loop().counters()[static_cast<std::size_t>(Kind::kOpen)].ring, 0u);
  }
}

Task<void> visit(Loop& loop, Sleep sleep, const Identity& who, int dir, int expected) {
  const int fd = co_await open_as(loop, sleep, who, dir, "shared/file", O_RDONLY);
  EXPECT_EQ(std::min(fd, 0), expected) << who.uid;
  if (fd >= 0) ::close(fd);
  const std::string made =
      "shared/" + std::to_string(who.uid) + "-" + std::to_string(static_cast<int>(sleep));
  EXPECT_EQ(co_await mkdir_as(loop, sleep, who, dir, made.c_str()), expected) << who.uid;
}

// Rights by a supplementary group: the first two are in it.
TEST_P(Identities, GroupsDecide) {
  TempDir dir;
  ASSERT_EQ(::fchmod(dir.fd(), 0755), 0);
  ASSERT_EQ(::mkdirat(dir.fd(), "shared", 0770), 0);
  ASSERT_EQ(::fchownat(dir.fd(), "shared", 0, 63002, 0), 0);
  ::close(::openat(dir.fd(), "shared/file", O_CREAT | O_RDWR | O_CLOEXEC, 0666));
  Scope scope;
  for (const Sleep sleep : {Sleep::kNever, Sleep::kCold, Sleep::kMay}) {
    scope.spawn(visit(loop(), sleep, *users_[2], dir.fd(), -EACCES));
    scope.spawn(visit(loop(), sleep, *users_[0], dir.fd(), 0));
    scope.spawn(visit(loop(), sleep, *root_, dir.fd(), 0));
    scope.spawn(visit(loop(), sleep, *users_[1], dir.fd(), 0));
  }
  run(loop(), scope.all_done());
}

Task<void> make_for_group(Loop& loop, Sleep sleep, const Identity& who, int dir, U32 gid) {
  const std::string name =
      "g" + std::to_string(static_cast<int>(sleep)) + "-" + std::to_string(gid);
  const int fd = co_await open_as(loop, sleep, who, dir, name.c_str(), O_CREAT | O_RDWR, gid);
  EXPECT_GE(fd, 0);
  struct stat status{};
  EXPECT_EQ(::fstat(fd, &status), 0);
  EXPECT_EQ(status.st_uid, who.uid);
  EXPECT_EQ(status.st_gid, gid == kNoId ? who.gid : gid);
  ::close(fd);
}

TEST_P(Identities, AFileIsMadeForAGroup) {
  TempDir dir;
  ASSERT_EQ(::fchmod(dir.fd(), 0777), 0);
  Scope scope;
  for (const U32 gid : {63001u, kNoId, 63002u, 62001u})
    for (const Sleep sleep : {Sleep::kNever, Sleep::kCold, Sleep::kMay})
      scope.spawn(make_for_group(loop(), sleep, *users_[0], dir.fd(), gid));
  run(loop(), scope.all_done());
}

// More users than the ring keeps credentials for: users come and go in a server's life.
TEST_P(Identities, ThousandsOfUsers) {
  TempDir dir;
  ASSERT_EQ(::fchmod(dir.fd(), 0777), 0);
  Scope scope;
  for (U32 i = 0; i < 2500; ++i) {
    const Who who = Identity::make(100'000 + i, 200'000 + i, {});
    scope.spawn(make_both(loop(), Sleep::kMay, who, dir.fd(), std::to_string(i)));
    if (i % 500 == 499) run(loop(), scope.all_done());
  }
  run(loop(), scope.all_done());
  if (is("io_uring")) {
    EXPECT_EQ(loop().counters()[static_cast<std::size_t>(Kind::kOpen)].ring, 2500u);
  }
}

TEST(Assume, IsAMatterOfTheThread) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to act as other users";
  const auto uid = [] { return ::setfsuid(static_cast<uid_t>(-1)); };
  std::thread other([&] {
    ASSERT_TRUE(assume(*Identity::make(61001, 62001, {63001})));
    EXPECT_EQ(uid(), 61001);
    gid_t groups[4];
    EXPECT_EQ(::getgroups(4, groups), 1);
    EXPECT_EQ(groups[0], 63001u);
  });
  other.join();
  EXPECT_EQ(uid(), 0);
  EXPECT_EQ(::geteuid(), 0u) << "signals and limits stay the process's";
}

TEST(Assume, FailsWithoutTheRight) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give it up";
  std::thread other([] {
    ASSERT_EQ(::syscall(SYS_setresuid, 65534, 65534, 65534), 0);  // this thread only
    EXPECT_FALSE(assume(*Identity::make(61001, 62001, {})));
  });
  other.join();
}

}  // namespace
}  // namespace ninep::io
