// Each kind of operation gives the same on every loop, wherever it is made: in place, on the ring
// or on the pool. One conversation with a directory, for each loop and each answer to "may it
// sleep?".
#include <array>
#include <cstring>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/temp_dir.h"

namespace ninep::io {
namespace {

using test::run;
using test::TempDir;

// Results differ if reads are made shorter, so they aren't here; fake_test.cc has them.
struct Parameter {
  test::Which which;
  Sleep sleep;
};
void PrintTo(const Parameter& p, std::ostream* out) { *out << p.which.name; }

class Operations : public testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    std::string why;
    loop_ = test::make_loop(GetParam().which, {.shortened = 0}, why);
    if (!loop_) GTEST_SKIP() << why;
  }
  // Where operations of `kind` were made, as the routing table has it for the loop.
  void expect_counted(Kind kind) {
    const Counter& c = loop_->counters()[static_cast<std::size_t>(kind)];
    EXPECT_GT(c.in_place + c.ring + c.pool, 0u) << kind_name(kind);
    if (loop_->name() == "fake") return;
    const bool ring = loop_->name() == "io_uring";
    switch (route(kind, GetParam().sleep)) {
      case Route::kInPlace:
        EXPECT_EQ(c.ring + c.pool, 0u) << kind_name(kind);
        break;
      case Route::kTry:
        EXPECT_GT(c.in_place, 0u) << kind_name(kind);
        break;
      case Route::kRing:
        EXPECT_GT(ring ? c.ring : c.pool, 0u) << kind_name(kind);
        EXPECT_EQ(c.in_place, 0u) << kind_name(kind);
        break;
      case Route::kPool:
        EXPECT_EQ(c.in_place + c.ring, 0u) << kind_name(kind);
        break;
    }
  }

  std::unique_ptr<Loop> loop_;
  TempDir dir_;
};

std::string name(const testing::TestParamInfo<Parameter>& info) {
  static constexpr const char* kNames[] = {"never", "cold", "may"};
  return std::string(info.param.which.name) + "_sleeps_" +
         kNames[static_cast<int>(info.param.sleep)];
}
std::vector<Parameter> parameters() {
  std::vector<Parameter> list;
  for (const char* loop : {"io_uring", "portable", "fake"})
    for (const Sleep sleep : {Sleep::kNever, Sleep::kCold, Sleep::kMay})
      list.push_back({{loop}, sleep});
  return list;
}
INSTANTIATE_TEST_SUITE_P(, Operations, testing::ValuesIn(parameters()), name);

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
iovec piece(void* data, std::size_t size) { return {data, size}; }

Task<int> open(Loop& loop, Sleep sleep, int dir, const char* path, U64 flags, U64 mode = 0) {
  open_how how{.flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_BENEATH};
  co_return co_await loop.run(ops::open(sleep, dir, path, how));
}

Task<void> files(Loop& loop, Sleep sleep, int dir) {
  // A file: made, written, read.
  const int file = co_await open(loop, sleep, dir, "file", O_CREAT | O_EXCL | O_RDWR, 0640);
  EXPECT_GE(file, 0);
  EXPECT_EQ(co_await open(loop, sleep, dir, "file", O_CREAT | O_EXCL | O_RDWR, 0640), -EEXIST);
  EXPECT_EQ(co_await open(loop, sleep, dir, "none", O_RDONLY), -ENOENT);
  EXPECT_EQ(co_await open(loop, sleep, dir, "../x", O_RDONLY), -EXDEV);
  char text[] = "0123456789";
  const std::array out{piece(text, 4), piece(text + 4, 6)};
  EXPECT_EQ(co_await loop.run(ops::write(sleep, file, out, 5, 0)), 10);
  EXPECT_EQ(co_await loop.run(ops::write(sleep, file, out, 0, RWF_APPEND)), 10);
  char head[7];
  char tail[100];
  const std::array in{piece(head, 7), piece(tail, 100)};
  EXPECT_EQ(co_await loop.run(ops::read(sleep, file, in, 0)), 25);
  EXPECT_EQ(std::string(head, 7), std::string("\0\0\0\0\0"
                                              "01",
                                              7));
  EXPECT_EQ(std::string(tail, 18), "234567890123456789");
  EXPECT_EQ(co_await loop.run(ops::read(sleep, file, in, 20)), 5);
  EXPECT_EQ(co_await loop.run(ops::read(sleep, file, in, 25)), 0);
  EXPECT_EQ(co_await loop.run(ops::read(sleep, dir, in, 0)), -EISDIR);
  EXPECT_EQ(co_await loop.run(ops::sync(sleep, file, true)), 0);
  EXPECT_EQ(co_await loop.run(ops::sync(sleep, file, false)), 0);

  struct statx status;
  EXPECT_EQ(co_await loop.run(ops::statx(sleep, file, STATX_BASIC_STATS, status)), 0);
  EXPECT_EQ(status.stx_size, 25u);
  EXPECT_EQ(status.stx_mode, S_IFREG | 0640u);
  EXPECT_EQ(co_await loop.run(ops::truncate(sleep, file, nullptr, 7)), 0);
  EXPECT_EQ(co_await loop.run(ops::truncate(sleep, -1, proc_path(file).c_str(), 9)), 0);
  EXPECT_EQ(co_await loop.run(ops::chmod(sleep, proc_path(file).c_str(), 0604)), 0);
  EXPECT_EQ(co_await loop.run(ops::chown(sleep, file, kNoId, ::getegid())), 0);
  timespec times[] = {{.tv_sec = 1, .tv_nsec = 2}, {.tv_sec = 3, .tv_nsec = 4}};
  EXPECT_EQ(co_await loop.run(ops::utimes(sleep, file, times)), 0);
  EXPECT_EQ(co_await loop.run(ops::statx(sleep, file, STATX_BASIC_STATS, status)), 0);
  EXPECT_EQ(status.stx_size, 9u);
  EXPECT_EQ(status.stx_mode, S_IFREG | 0604u);
  EXPECT_EQ(status.stx_mtime.tv_sec, 3);
  EXPECT_EQ(status.stx_mtime.tv_nsec, 4u);
  struct statfs system;
  EXPECT_EQ(co_await loop.run(ops::statfs(sleep, file, system)), 0);
  EXPECT_GT(system.f_bsize, 0);

  // Again, by way of an O_PATH descriptor.
  const int path = co_await open(loop, sleep, dir, "file", O_PATH | O_NOFOLLOW);
  EXPECT_EQ(co_await loop.run(ops::read(sleep, path, in, 0)), -EBADF);
  const int again = co_await loop.run(ops::reopen(sleep, path, O_RDONLY));
  EXPECT_GE(again, 0);
  EXPECT_EQ(co_await loop.run(ops::read(sleep, again, in, 0)), 9);
  for (const int fd : {file, path, again}) EXPECT_EQ(co_await loop.run(ops::close(sleep, fd)), 0);
  EXPECT_EQ(co_await loop.run(ops::close(sleep, file)), -EBADF);
}

TEST_P(Operations, Files) {
  run(*loop_, files(*loop_, GetParam().sleep, dir_.fd()));
  for (const Kind kind :
       {Kind::kOpen, Kind::kReopen, Kind::kClose, Kind::kRead, Kind::kWrite, Kind::kStatx,
        Kind::kSync, Kind::kTruncate, Kind::kChmod, Kind::kChown, Kind::kUtimes, Kind::kStatfs})
    expect_counted(kind);
}

Task<void> names(Loop& loop, Sleep sleep, int dir, bool root) {
  EXPECT_EQ(co_await loop.run(ops::mkdir(sleep, dir, "sub", 0750)), 0);
  EXPECT_EQ(co_await loop.run(ops::mkdir(sleep, dir, "sub", 0750)), -EEXIST);
  const int sub = co_await open(loop, sleep, dir, "sub", O_DIRECTORY);
  EXPECT_EQ(co_await loop.run(ops::symlink(sleep, "to/where", dir, "link")), 0);
  EXPECT_EQ(co_await open(loop, sleep, dir, "link", O_RDONLY | O_NOFOLLOW), -ELOOP);
  const int link = co_await open(loop, sleep, dir, "link", O_PATH | O_NOFOLLOW);
  std::byte target[100];
  const int length = co_await loop.run(ops::readlink(sleep, link, target));
  EXPECT_EQ(length, 8);
  EXPECT_EQ(std::memcmp(target, "to/where", 8), 0);
  EXPECT_EQ(co_await loop.run(ops::mknod(sleep, dir, "pipe", S_IFIFO | 0600, 0)), 0);
  if (root) {
    const int made =
        co_await loop.run(ops::mknod(sleep, dir, "null", S_IFCHR | 0600, ::makedev(1, 3)));
    EXPECT_TRUE(made == 0 || made == -EPERM) << made;
    if (made == 0) {
      EXPECT_EQ(co_await loop.run(ops::unlink(sleep, dir, "null", 0)), 0);
    }
  }
  const int pipe = co_await open(loop, sleep, dir, "pipe", O_PATH | O_NOFOLLOW);
  EXPECT_EQ(co_await loop.run(ops::link(sleep, proc_path(pipe).c_str(), sub, "second")), 0);
  EXPECT_EQ(co_await loop.run(ops::rename(sleep, sub, "second", dir, "third")), 0);
  EXPECT_EQ(co_await loop.run(ops::rename(sleep, sub, "second", dir, "third")), -ENOENT);

  std::byte entries[4096];
  const int size = co_await loop.run(ops::getdents(sleep, dir, entries, 0));
  EXPECT_GT(size, 0);
  std::string seen;
  for (int at = 0; at < size;) {
    // struct linux_dirent64: ino[8] off[8] reclen[2] type[1] name[]
    U16 step;
    std::memcpy(&step, entries + at + 16, sizeof step);
    const std::string entry(reinterpret_cast<const char*>(entries + at + 19));
    if (entry == "sub" || entry == "link" || entry == "pipe" || entry == "third") seen += "x";
    at += step;
  }
  EXPECT_EQ(seen, "xxxx");
  EXPECT_EQ(co_await loop.run(ops::getdents(sleep, dir, entries, ops::kHere)), 0);
  EXPECT_EQ(co_await loop.run(ops::getdents(sleep, dir, entries, 0)), size);

  EXPECT_EQ(co_await loop.run(ops::unlink(sleep, dir, "sub", 0)), -EISDIR);
  EXPECT_EQ(co_await loop.run(ops::unlink(sleep, dir, "sub", AT_REMOVEDIR)), 0);
  for (const char* one : {"link", "pipe", "third"})
    EXPECT_EQ(co_await loop.run(ops::unlink(sleep, dir, one, 0)), 0);
  for (const int fd : {sub, link, pipe}) EXPECT_EQ(co_await loop.run(ops::close(sleep, fd)), 0);
}

TEST_P(Operations, Names) {
  run(*loop_, names(*loop_, GetParam().sleep, dir_.fd(), ::geteuid() == 0));
  for (const Kind kind : {Kind::kMkdir, Kind::kSymlink, Kind::kReadlink, Kind::kMknod, Kind::kLink,
                          Kind::kRename, Kind::kGetdents, Kind::kUnlink})
    expect_counted(kind);
}

Task<void> attributes(Loop& loop, Sleep sleep, int dir, bool& supported) {
  const int file = co_await open(loop, sleep, dir, "file", O_CREAT | O_RDWR, 0600);
  const std::string path = proc_path(file);
  const int set =
      co_await loop.run(ops::setxattr(sleep, path.c_str(), "user.a", as_bytes("value"), 0));
  supported = set != -EOPNOTSUPP;
  if (!supported) {
    ::close(file);
    co_return;
  }
  EXPECT_EQ(set, 0);
  EXPECT_EQ(
      co_await loop.run(ops::setxattr(sleep, path.c_str(), "user.a", as_bytes("x"), XATTR_CREATE)),
      -EEXIST);
  std::byte value[10];
  EXPECT_EQ(co_await loop.run(ops::getxattr(sleep, path.c_str(), "user.a", {})), 5);
  EXPECT_EQ(co_await loop.run(ops::getxattr(sleep, path.c_str(), "user.a", value)), 5);
  EXPECT_EQ(std::memcmp(value, "value", 5), 0);
  EXPECT_EQ(co_await loop.run(ops::getxattr(sleep, path.c_str(), "user.a", Room(value, 2))),
            -ERANGE);
  std::byte list[100];
  EXPECT_GE(co_await loop.run(ops::listxattr(sleep, path.c_str(), list)), 7);
  EXPECT_EQ(co_await loop.run(ops::removexattr(sleep, path.c_str(), "user.a")), 0);
  EXPECT_EQ(co_await loop.run(ops::removexattr(sleep, path.c_str(), "user.a")), -ENODATA);
  EXPECT_EQ(co_await loop.run(ops::close(sleep, file)), 0);
}

TEST_P(Operations, Attributes) {
  bool supported = false;
  run(*loop_, attributes(*loop_, GetParam().sleep, dir_.fd(), supported));
  if (!supported) GTEST_SKIP() << dir_.path() << " is on a file system without user attributes";
  for (const Kind kind : {Kind::kSetxattr, Kind::kGetxattr, Kind::kListxattr, Kind::kRemovexattr})
    expect_counted(kind);
}

Task<void> stream(Loop& loop, int in, int out, bool pipe) {
  char text[] = "two parts";
  iovec pieces[] = {{text, 4}, {text + 4, 5}};
  msghdr message{.msg_iov = pieces, .msg_iovlen = 2};
  EXPECT_EQ(co_await loop.run(ops::send(out, pipe, message)), 9);
  std::byte room[100];
  EXPECT_EQ(co_await loop.run(ops::recv(in, pipe, room)), 9);
  EXPECT_EQ(std::memcmp(room, "two parts", 9), 0);
}

TEST_P(Operations, Sockets) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  run(*loop_, stream(*loop_, fds[0], fds[1], false));
  ::close(fds[1]);
  std::byte byte;
  Op end = ops::recv(fds[0], false, {&byte, 1});
  static constexpr auto await = [](Loop& loop, Op& op) -> Task<void> { co_await loop.run(op); };
  run(*loop_, await(*loop_, end));
  EXPECT_EQ(end.result, 0);
  iovec piece{&byte, 1};
  msghdr message{.msg_iov = &piece, .msg_iovlen = 1};
  Op broken = ops::send(fds[0], false, message);
  run(*loop_, await(*loop_, broken));
  EXPECT_EQ(broken.result, -EPIPE);  // and no SIGPIPE
  ::close(fds[0]);
}

TEST_P(Operations, Pipes) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  run(*loop_, stream(*loop_, fds[0], fds[1], true));
  ::close(fds[0]);
  ::close(fds[1]);
}

Task<void> accept(Loop& loop, int listener, std::vector<int>& accepted) {
  for (int i = 0; i < 3; ++i) accepted.push_back(co_await loop.run(ops::accept(listener)));
}

TEST_P(Operations, Accept) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ASSERT_EQ(::listen(listener, 5), 0);
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size);
  std::vector<int> accepted;
  Task<void> task = accept(*loop_, listener, accepted);
  std::vector<int> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(clients.back(), reinterpret_cast<sockaddr*>(&name), size), 0);
  }
  run(*loop_, std::move(task));
  for (const int fd : accepted) {
    EXPECT_GE(fd, 0);
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ::close(fd);
  }
  for (const int fd : clients) ::close(fd);
  ::close(listener);
}

Task<void> call(Loop& loop, int& result) {
  static constexpr auto answer = [](void* argument) { return *static_cast<int*>(argument) + 1; };
  int argument = 41;
  result = co_await loop.run(ops::call(answer, &argument));
}

TEST_P(Operations, Call) {
  int result = 0;
  run(*loop_, call(*loop_, result));
  EXPECT_EQ(result, 42);
  expect_counted(Kind::kCall);
}

TEST(Routes, HaveANameForEachKind) {
  for (std::size_t i = 0; i < kKinds; ++i) EXPECT_FALSE(kind_name(static_cast<Kind>(i)).empty());
}

// Nobody else can make us wait, who has the file too and takes O_NONBLOCK from it.
TEST(WithoutWaiting, ReadsNothingThere) {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  std::byte room[8];
  Op op = ops::recv(fd, true, room);
  ASSERT_EQ(perform_without_waiting(op), -EAGAIN);
  const U64 one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  EXPECT_EQ(perform_without_waiting(op), 8);
  ::close(fd);
}

}  // namespace
}  // namespace ninep::io
