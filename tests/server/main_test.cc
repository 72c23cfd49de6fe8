// 9pserve as its users meet it: options, what it says when something is wrong, exit status,
// signals.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/server/program.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {
namespace {

/// Version, attach, and the content of "f".
std::string content_of_f(Client c) {
  c.version();
  c.attach(0);
  return c.content(0, "f");
}

class MainTest : public testing::Test {
 protected:
  void SetUp() override { std::ofstream(share / "f") << "content"; }
  TempDir share;
  std::string said;
};

const std::string kAnyPort = "tcp:127.0.0.1:0";

// Asked for, help and version go to standard output and are a success.
TEST_F(MainTest, HelpAndVersion) {
  EXPECT_EQ(run({"--help"}, said), 0);
  for (const Str part : {"--listen", "--ro", "--msize", "--threads", "--io", "--trace",
                         "--log-level", "Examples", "tcp:", "unix:", "vsock:", "fd:", "stdio:"})
    EXPECT_NE(said.find(part), said.npos) << part;
  EXPECT_EQ(run({"--version"}, said), 0);
  EXPECT_TRUE(said.starts_with("9pserve ")) << said;
}

// What is wrong with the command line: status 2, and the option is named.
TEST_F(MainTest, UsageErrors) {
  const std::string dir = share.path();
  EXPECT_EQ(run({}, said), 2);
  EXPECT_NE(said.find("DIR"), said.npos) << said;
  for (const char* msize : {"0", "4095", "4194305", "x", "-1", "99999999999"}) {
    EXPECT_EQ(run({"--msize", msize, dir}, said), 2) << msize;
    EXPECT_NE(said.find("--msize"), said.npos) << said;
  }
  EXPECT_EQ(run({"--io", "carrier-pigeon", dir}, said), 2);
  EXPECT_NE(said.find("--io"), said.npos) << said;
  EXPECT_EQ(run({"--no-such-option", dir}, said), 2);
  EXPECT_EQ(run({dir, dir}, said), 2);
  EXPECT_EQ(run({"--listen", kAnyPort}, said), 2);
  EXPECT_NE(said.find(kAnyPort), said.npos) << said;
}

// What can't be done: status 1, and the text says what was tried.
TEST_F(MainTest, WhatCannotBeServed) {
  EXPECT_EQ(run({"--listen", kAnyPort, share / "no"}, said), 1);
  EXPECT_NE(said.find(share / "no"), said.npos) << said;
  EXPECT_NE(said.find("No such file"), said.npos) << said;
  EXPECT_EQ(run({"--listen", kAnyPort, share / "f"}, said), 1);
  EXPECT_NE(said.find("Not a directory"), said.npos) << said;
}

// Where the server's user has no rights, it says so.
TEST_F(MainTest, NoPermission) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root: nobody to be instead";
  ASSERT_EQ(::chmod(share.path().c_str(), 0700), 0);
  std::filesystem::create_directory(share / "d");
  Program nobody({"--listen", kAnyPort, share / "d"}, {.uid = 65534});
  EXPECT_EQ(nobody.wait(), 1);
  EXPECT_NE(nobody.said.find("Permission denied"), nobody.said.npos) << nobody.said;
  Program socket({"--listen", "unix:" + share / "socket", "/"}, {.uid = 65534});
  EXPECT_EQ(socket.wait(), 1);
  EXPECT_NE(socket.said.find("Permission denied"), socket.said.npos) << socket.said;
}

TEST_F(MainTest, BadAddresses) {
  for (const std::string address :
       {"nonsense", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:::1:564",
        "tcp:127.0.0.1:99999999", "tcp:no-such-host.invalid:564", "unix:", "unix:/x,mode=9",
        "vsock:x:y", "fd:", "fd:x", "fd:1,2,3", "fd:987"}) {
    EXPECT_EQ(run({"--listen", address, share.path()}, said), 1) << address;
    EXPECT_NE(said.find(address), said.npos) << said;
  }
  for (const std::string& place :
       {"unix:" + share / "a", std::string("tcp:127.0.0.1:5999"), std::string("fd:0")}) {
    EXPECT_EQ(run({"--listen", place, "--listen", place, share.path()}, said), 1) << place;
    EXPECT_NE(said.find("twice"), said.npos) << said;
  }
  EXPECT_EQ(run({"--listen", "unix:" + share / "a" + ",tag=share", share.path()}, said), 1);
  EXPECT_NE(said.find("vhost-user:PATH,tag=NAME"), said.npos) << said;
  const std::string long_path = "unix:/tmp/" + std::string(200, 'x');
  EXPECT_EQ(run({"--listen", long_path, share.path()}, said), 1);
  EXPECT_NE(said.find("bytes"), said.npos) << said;
  EXPECT_EQ(run({"--listen", "unix:" + share / "no/socket", share.path()}, said), 1);
  EXPECT_NE(said.find("No such file"), said.npos) << said;
}

// A port or a socket that somebody serves on stays theirs.
TEST_F(MainTest, AddressInUse) {
  const std::string path = share / "socket";
  Program first({"--listen", kAnyPort, "--listen", "unix:" + path, share.path()});
  const int port = first.port();
  ASSERT_TRUE(first.says("listening on unix:"));
  EXPECT_EQ(run({"--listen", "tcp:127.0.0.1:" + std::to_string(port), share.path()}, said), 1);
  EXPECT_NE(said.find("in use"), said.npos) << said;
  EXPECT_EQ(run({"--listen", "unix:" + path, share.path()}, said), 1);
  EXPECT_NE(said.find("in use"), said.npos) << said;
  EXPECT_EQ(content_of_f(connect_to(path)), "content");
  EXPECT_EQ(content_of_f(connect_to(port)), "content");
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 0);
}

// A socket file that nobody listens on is replaced; a file that is no socket isn't.
TEST_F(MainTest, StaleSocket) {
  const std::string path = share / "socket";
  {
    Program killed({"--listen", "unix:" + path, share.path()});
    ASSERT_TRUE(killed.says("listening on"));
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  Program next({"--listen", "unix:" + path + ",mode=0600", share.path()});
  ASSERT_TRUE(next.says("listening on")) << next.said;
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(content_of_f(connect_to(path)), "content");
  EXPECT_EQ(run({"--listen", "unix:" + share / "f", share.path()}, said), 1);
  EXPECT_EQ(std::filesystem::file_size(share / "f"), 7u);
}

// SIGTERM and SIGINT end it: status 0, connections closed, no socket file left.
TEST_F(MainTest, Signals) {
  for (const int number : {SIGTERM, SIGINT}) {
    const std::string path = share / "socket";
    Program program({"--listen", "unix:" + path, "--listen", kAnyPort, share.path()});
    const int port = program.port();
    ASSERT_TRUE(program.says("listening on unix:"));
    Client idle = connect_to(path);
    Client busy = connect_to(port);
    busy.version();
    busy.attach(0);
    program.signal(number);
    EXPECT_TRUE(idle.ended());
    EXPECT_TRUE(busy.ended());
    EXPECT_EQ(program.wait(), 0) << program.said;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

// A transfer under way when SIGTERM comes is answered as far as it was taken; the stream ends at a
// frame's end, and the data are right.
TEST_F(MainTest, SigtermDuringATransfer) {
  constexpr std::size_t kSize = 64 << 20;
  constexpr U32 kPart = 1 << 19;
  {
    std::ofstream large(share / "large");
    for (std::size_t at = 0; at < kSize; at += sizeof at)
      large.write(reinterpret_cast<const char*>(&at), sizeof at);
  }
  Program program({"--listen", kAnyPort, share.path()});
  Client c = connect_to(program.port());
  c.version(1 << 20);
  c.attach(0);
  c.reach(0, 1, {"large"});
  c.open(1, lopen::kReadOnly);
  const U16 count = kSize / kPart;
  for (U16 i = 0; i < count; ++i) c.send(i, Tread{Fid{1}, U64{i} * kPart, kPart});
  std::size_t parts = 0;
  bool right = true;
  for (Received got; c.receive(got); ++parts) {
    if (parts == 3) program.signal(SIGTERM);
    const Bytes data = got.as<Rread>().data.bytes;
    U64 first = 0;
    ASSERT_GE(data.size(), sizeof first);
    std::memcpy(&first, data.data(), sizeof first);
    right = right && first == U64{static_cast<U16>(got.header().tag)} * kPart;
    if (parts + 1 == count) program.signal(SIGTERM);
  }
  EXPECT_TRUE(right);
  EXPECT_GE(parts, 4u);
  EXPECT_EQ(program.wait(), 0) << program.said;
}

// What was answered when SIGTERM came is not thrown away because more has been asked.
TEST_F(MainTest, SigtermKeepsWhatWasAnswered) {
  std::ofstream(share / "large") << std::string(1 << 16, 'x');
  for (const char* io : {"auto", "portable"}) {
    Program program({"--io", io, "--listen", kAnyPort, share.path()});
    Client c = connect_to(program.port());
    c.version(1 << 20);
    c.attach(0);
    c.reach(0, 1, {"large"});
    c.open(1, lopen::kReadOnly);
    for (U16 i = 0; i < 600; ++i) c.send(i, Tread{Fid{1}, 0, 1 << 16});
    Received got;
    ASSERT_TRUE(c.receive(got));
    program.signal(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a reader that isn't the fastest
    // Whole frames to the end, and that is no reset.
    std::vector<char> bytes(1 << 20);
    std::size_t size = 0;
    ssize_t part;
    while ((part = ::recv(c.fd(), bytes.data(), bytes.size(), 0)) > 0)
      size += static_cast<std::size_t>(part);
    EXPECT_EQ(part, 0) << std::strerror(errno);
    EXPECT_EQ(size % (kReadHeaderSize + (1 << 16)), 0u);
    EXPECT_EQ(program.wait(), 0) << program.said;
  }
}

// A client that wants all descriptors gets an error; others are served, and what it had comes back.
TEST_F(MainTest, FewDescriptors) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root: nobody to be instead, who may not have more";
  ASSERT_EQ(::chmod(share.path().c_str(), 0777), 0);
  for (const char* io : {"auto", "portable"}) {
    Program program({"--io", io, "--threads", "2", "--listen", kAnyPort, share.path()},
                    {.uid = 65534, .descriptors = 96});
    ASSERT_TRUE(program.says("listening on")) << program.said;
    const int port = program.port();
    {
      Client greedy = connect_to(port);
      greedy.version();
      greedy.attach(0);
      U32 fid = 1;
      int error = 0;
      while (fid < 200 && (error = greedy.walk(0, fid, {"f"}).error()) == 0) ++fid;
      EXPECT_EQ(error, EMFILE);
      EXPECT_EQ(greedy.error(Tlopen{Fid{1}, lopen::kReadOnly}), EMFILE);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(content_of_f(connect_to(port)), "content");
      EXPECT_EQ(greedy.clunk(2), 0);
      EXPECT_EQ(greedy.clunk(3), 0);
      EXPECT_EQ(greedy.error(Tlopen{Fid{1}, lopen::kReadOnly}), 0);
    }
    EXPECT_EQ(content_of_f(connect_to(port)), "content");
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0) << program.said;
  }
  // So few that it can't even begin: a sentence, no abort.
  for (const rlim_t few : {5u, 8u, 12u, 16u}) {
    for (const char* io : {"auto", "io_uring", "portable"}) {
      Program program({"--io", io, "--threads", "8", "--listen", kAnyPort, share.path()},
                      {.uid = 65534, .descriptors = few});
      if (program.says("listening on")) continue;
      EXPECT_EQ(program.wait(), 1) << few << io << program.said;
    }
  }
}

// A descriptor that nobody passed is none; it doesn't turn into one of the server's own.
TEST_F(MainTest, DescriptorsThatWereNotPassed) {
  for (int fd = 3; fd < 12; ++fd) {
    if (const int flags = ::fcntl(fd, F_GETFD); flags >= 0 && !(flags & FD_CLOEXEC)) continue;
    EXPECT_EQ(run({"--listen", "fd:" + std::to_string(fd), share.path()}, said), 1) << fd;
    EXPECT_NE(said.find("isn't open"), said.npos) << said;
  }
}

// Without standard input and output, none of its own descriptors takes their place.
TEST_F(MainTest, ClosedStandardStreams) {
  Program program({"--listen", kAnyPort, share.path()},
                  {.in = Program::kClosed, .out = Program::kClosed});
  EXPECT_EQ(content_of_f(connect_to(program.port())), "content");
  for (const char* fd : {"0", "1"}) {
    const std::string link = "/proc/" + std::to_string(program.pid()) + "/fd/" + fd;
    EXPECT_EQ(std::filesystem::read_symlink(link), "/dev/null");
  }
  Program without({"--listen", "stdio:", share.path()},
                  {.in = Program::kClosed, .out = Program::kClosed});
  EXPECT_EQ(without.wait(), 1);
  EXPECT_NE(without.said.find("descriptor 0 isn't open"), said.npos) << without.said;
}

// Where io_uring is refused, as in containers, it serves all the same, and says so once.
TEST_F(MainTest, WithoutIoUring) {
  Program program({"--listen", kAnyPort, "--threads", "3", share.path()}, {.no_io_uring = true});
  EXPECT_EQ(content_of_f(connect_to(program.port())), "content");
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
  const std::string once = "io_uring is not available";
  ASSERT_NE(program.said.find(once), program.said.npos) << program.said;
  EXPECT_EQ(program.said.find(once), program.said.rfind(once)) << program.said;
  Program forced({"--io=io_uring", "--listen", kAnyPort, share.path()}, {.no_io_uring = true});
  EXPECT_EQ(forced.wait(), 1);
  EXPECT_NE(forced.said.find("--io=portable"), forced.said.npos) << forced.said;
}

// A client that takes nothing can't keep it from ending: what is under way has some seconds.
TEST_F(MainTest, SigtermWithAStuckClient) {
  std::ofstream(share / "large") << std::string(1 << 20, 'x');
  Program program({"--listen", kAnyPort, share.path()});
  Client c = connect_to(program.port());
  c.version(1 << 20);
  c.attach(0);
  c.reach(0, 1, {"large"});
  c.open(1, lopen::kReadOnly);
  for (U16 i = 0; i < 100; ++i) c.send(i, Tread{Fid{1}, 0, 1 << 19});
  Received first;
  ASSERT_TRUE(c.receive(first));
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0) << program.said;
}

// --ro refuses what would change something, and is told.
TEST_F(MainTest, ReadOnly) {
  Program program({"--ro", "--listen", kAnyPort, share.path()});
  Client c = connect_to(program.port());
  EXPECT_NE(program.said.find("read-only"), std::string::npos) << program.said;
  c.version();
  c.attach(0);
  EXPECT_EQ(c.error(Tmkdir{Fid{0}, "d", 0755, 0}), EROFS);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "f", 0}), EROFS);
  EXPECT_EQ(c.content(0, "f"), "content");
}

// --msize bounds what is agreed on, and stands in the mount line.
TEST_F(MainTest, Msize) {
  Program program({"--msize", "8192", "--listen", kAnyPort, share.path()});
  const int port = program.port();
  ASSERT_TRUE(program.says("mount -t 9p"));
  EXPECT_EQ(connect_to(port).version(1 << 20), 8192u);
  EXPECT_TRUE(program.says("msize=8192")) << program.said;
  EXPECT_TRUE(program.says("port=" + std::to_string(port))) << program.said;
}

// Several addresses, several threads, both kinds of loops: one tree.
TEST_F(MainTest, ListensOnSeveral) {
  for (const char* io : {"auto", "portable"}) {
    Program program({"--io", io, "--threads", "3", "--listen", kAnyPort, "--listen", "tcp:[::1]:0",
                     "--listen", "unix:" + share / "a", "--listen", "unix:" + share / "b",
                     share.path()});
    const int port = program.port();
    ASSERT_TRUE(program.says("listening on unix:" + share / "b")) << program.said;
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(content_of_f(connect_to(port)), "content");
      EXPECT_EQ(content_of_f(connect_to(share / "a")), "content");
      EXPECT_EQ(content_of_f(connect_to(share / "b")), "content");
    }
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0) << program.said;
    EXPECT_FALSE(std::filesystem::exists(share / "a"));
  }
}

// One connection that is there already: stdio: and fd:N. It ends with that.
TEST_F(MainTest, GivenConnections) {
  for (const bool stdio : {true, false}) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ::fcntl(pair[1], F_SETFD, FD_CLOEXEC);
    Program program({"--listen", stdio ? "stdio:" : "fd:" + std::to_string(pair[0]), share.path()},
                    {.in = stdio ? pair[0] : -1, .out = stdio ? pair[0] : -1});
    ::close(pair[0]);
    EXPECT_EQ(content_of_f(Client(pair[1])), "content");  // which hangs up at its end
    EXPECT_EQ(program.wait(), 0) << program.said;
  }
}

// A pair of pipes, as ssh gives: the end of input is no reason not to answer what came before.
TEST_F(MainTest, Pipes) {
  int to[2];
  int from[2];
  ASSERT_EQ(::pipe2(to, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(from, O_CLOEXEC), 0);
  Program program({"--listen", "stdio:", share.path()}, {.in = to[0], .out = from[1]});
  ::close(to[0]);
  ::close(from[1]);
  std::vector<std::byte> all = frame_of(kNoTag, Tversion{8192, "9P2000.L"}, kDotL);
  for (const auto& frame : {frame_of(Tag{1}, Tattach{Fid{0}, kNoFid, "", "", 0}, kDotL),
                            frame_of(Tag{2}, Tgetattr{Fid{9}, 0}, kDotL)})
    all.insert(all.end(), frame.begin(), frame.end());
  ASSERT_EQ(::write(to[1], all.data(), all.size()), static_cast<ssize_t>(all.size()));
  ::close(to[1]);
  std::string replies;
  char bytes[512];
  for (ssize_t size; (size = ::read(from[0], bytes, sizeof bytes)) > 0;)
    replies.append(bytes, static_cast<std::size_t>(size));
  ::close(from[0]);
  EXPECT_EQ(replies.size(), 21u + 20u + 11u);
  EXPECT_EQ(program.wait(), 0) << program.said;
}

// By default, what may wait goes through the ring: connections, what they send and get, and reads
// of what isn't cached; what can't wait is done in place. The counters say so.
TEST_F(MainTest, WhatMayWaitGoesThroughTheRing) {
  const auto disk = dir_on_ext4();
  if (!disk) GTEST_SKIP() << kNoExt4;
  const std::string content(4096, 'x');
  for (const char* name : {"cold", "warm"}) {
    const int fd = ::open((*disk / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ASSERT_EQ(::write(fd, content.data(), content.size()), 4096);
    ASSERT_EQ(::fsync(fd), 0);
    if (*name == 'c') {
      ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    }
    ::close(fd);
  }
  Program program({"--listen", kAnyPort, "--log-level", "debug", disk->path()});
  Client c = connect_to(program.port());
  if (program.said.find("with io_uring") == std::string::npos)
    GTEST_SKIP() << "no io_uring here: " << program.said;
  c.version();
  c.attach(0);
  EXPECT_EQ(c.content(0, "cold"), content);
  EXPECT_EQ(c.content(0, "warm"), content);
  c.hang_up();
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
  struct Row {
    unsigned in_place = 0;
    unsigned ring = 0;
    unsigned pool = 0;
  };
  const auto row = [&](const std::string& kind) {
    Row found;
    const std::size_t at = program.said.find("operations: " + kind + " ");
    if (at != std::string::npos) {
      std::sscanf(program.said.c_str() + at, "operations: %*s in place %u ring %u pool %u",
                  &found.in_place, &found.ring, &found.pool);
    }
    return found;
  };
  EXPECT_GE(row("accept").ring, 1u) << program.said;
  EXPECT_GE(row("recv").ring, 5u) << program.said;
  EXPECT_GE(row("send").ring, 5u) << program.said;
  for (const char* kind : {"accept", "recv", "send"}) {
    EXPECT_EQ(row(kind).in_place, 0u) << kind;
    EXPECT_EQ(row(kind).pool, 0u) << kind;
  }
  EXPECT_GE(row("read").ring, 1u) << program.said;
  EXPECT_GE(row("read").in_place, 1u) << program.said;
  EXPECT_EQ(row("read").pool, 0u) << program.said;
}

// --trace shows each message.
TEST_F(MainTest, Trace) {
  Program program({"--trace", "--listen", kAnyPort, share.path()});
  EXPECT_EQ(content_of_f(connect_to(program.port())), "content");
  for (const char* text :
       {"Tversion", "Rversion", "Tattach", "Rattach", "Twalk", "Rread", "Rclunk"})
    EXPECT_TRUE(program.says(text)) << text;
}

}  // namespace
}  // namespace ninep::test
