#include "transports/address.h"

#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/transports/temp_dir.h"

namespace ninep::transport {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Address parsed(const std::string& text) {
  auto address = Address::parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return address.ok() ? *address : Address{};
}
std::string refused(const std::string& text) {
  const auto address = Address::parse(text);
  EXPECT_FALSE(address.ok()) << text;
  return std::string(address.status().message());
}

TEST(AddressText, IsUnderstood) {
  const Address tcp = parsed("tcp:localhost:564");
  EXPECT_EQ(tcp.kind, Address::Kind::kTcp);
  EXPECT_EQ(tcp.host, "localhost");
  EXPECT_EQ(tcp.port, "564");
  EXPECT_EQ(parsed("tcp:[::1]:564").host, "::1");
  EXPECT_EQ(parsed("tcp::564").host, "");
  EXPECT_EQ(parsed("tcp:host:9pfs").port, "9pfs");

  const Address local = parsed("unix:/run/a,b.sock");
  EXPECT_EQ(local.kind, Address::Kind::kUnix);
  EXPECT_EQ(local.path, "/run/a,b.sock");
  EXPECT_FALSE(local.mode);
  EXPECT_EQ(parsed("unix:a:b,mode=0600").path, "a:b");
  EXPECT_EQ(parsed("unix:a,mode=0640").mode, 0640u);

  const Address vsock = parsed("vsock:any:564");
  EXPECT_EQ(vsock.kind, Address::Kind::kVsock);
  EXPECT_EQ(vsock.host, "any");
  EXPECT_EQ(parsed("vsock:2:564").port, "564");

  EXPECT_EQ(parsed("fd:7").in, 7);
  EXPECT_EQ(parsed("fd:7").out, 7);
  EXPECT_EQ(parsed("fd:3,4").in, 3);
  EXPECT_EQ(parsed("fd:3,4").out, 4);
  EXPECT_EQ(parsed("stdio:").kind, Address::Kind::kStdio);
}

TEST(AddressText, ComesBack) {
  for (const char* text : {"tcp:localhost:564", "tcp:[::1]:564", "tcp::564", "unix:/run/x.sock",
                           "vsock:any:564", "vsock:3:564", "fd:7", "fd:3,4", "stdio:"})
    EXPECT_EQ(parsed(text).text(), text);
}

TEST(AddressText, SaysWhatIsWrong) {
  const struct {
    std::string text;
    std::string what;
  } kWrong[] = {
      {"", "it starts with tcp:"},
      {"localhost:564", "it starts with tcp:"},
      {"udp:localhost:564", "it starts with tcp:"},
      {"tcp", "tcp:HOST:PORT"},
      {"tcp:localhost", "tcp:HOST:PORT"},
      {"tcp:localhost:", "the port is missing"},
      {"tcp:::1:564", "in brackets"},
      {"tcp:[::1]", "tcp:[::1]:564"},
      {"tcp:localhost:70000", "0 to 65535"},
      {"tcp:localhost:-1", "0 to 65535"},
      {"unix:", "the path is missing"},
      {"unix:,mode=0600", "the path is missing"},
      {"unix:x,mode=9", "octal"},
      {"unix:x,mode=1777", "octal"},
      {"unix:x,mode=", "octal"},
      {"unix:" + std::string(200, 'x'), "at most 107 bytes"},
      {"vsock:564", "vsock:CID:PORT"},
      {"vsock:host:564", "vsock:CID:PORT"},
      {"vsock:2:port", "vsock:CID:PORT"},
      {"fd:", "fd:N"},
      {"fd:x", "fd:N"},
      {"fd:-1", "fd:N"},
      {"fd:1,2,3", "fd:N"},
      {"fd:1,", "fd:N"},
      {"stdio:x", "it starts with tcp:"},
  };
  for (const auto& [text, what] : kWrong) {
    const std::string message = refused(text);
    EXPECT_THAT(message, HasSubstr(what));
    EXPECT_THAT(message, StartsWith("address '" + text + "': "));
  }
}

// ---- open_address()

class Opening : public testing::Test {
 protected:
  static Opened open(const std::string& text) {
    auto opened = open_address(parsed(text));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::move(*opened) : Opened{};
  }
  static std::string fails(const std::string& text) {
    const auto opened = open_address(parsed(text));
    EXPECT_FALSE(opened.ok()) << text;
    return std::string(opened.status().message());
  }
  std::string socket_path() const { return dir_ / "socket"; }
  std::string socket_text() const { return "unix:" + socket_path(); }
  bool connects() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, socket_path().c_str());
    const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    ::close(fd);
    return connected;
  }
  bool exists() const { return ::access(socket_path().c_str(), F_OK) == 0; }

  test::TempDir dir_;
};

TEST_F(Opening, TcpWithThePortThatTheSystemChose) {
  for (const std::string host : {"127.0.0.1", "[::1]"}) {
    if (host == "[::1]") {
      const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_addr = IN6ADDR_LOOPBACK_INIT;
      const bool there = ::bind(probe, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
      ::close(probe);
      if (!there) continue;  // a machine without IPv6
    }
    const Opened opened = open("tcp:" + host + ":0");
    ASSERT_EQ(opened.listening.size(), 1u);
    EXPECT_THAT(opened.listening[0].name(), StartsWith("tcp:" + host + ":"));
    EXPECT_THAT(opened.listening[0].name(), testing::Not(testing::EndsWith(":0")));
    EXPECT_TRUE(::fcntl(opened.listening[0].fd(), F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(::fcntl(opened.listening[0].fd(), F_GETFL) & O_NONBLOCK);
    // The name is an address; the port is taken, and the message says so.
    const std::string message = fails(opened.listening[0].name());
    EXPECT_THAT(message, HasSubstr("cannot listen on " + opened.listening[0].name()));
    EXPECT_THAT(message, HasSubstr("another program listens there"));
  }
}

TEST_F(Opening, AllAddresses) {
  const Opened opened = open("tcp::0");
  EXPECT_GE(opened.listening.size(), 1u);
}

TEST_F(Opening, APortAgainRightAfterItsServerEnded) {
  std::string name;
  {
    const Opened first = open("tcp:127.0.0.1:0");
    name = first.listening[0].name();
    // A connection that the server closes first leaves the port in TIME_WAIT.
    sockaddr_in at{};
    socklen_t size = sizeof at;
    ::getsockname(first.listening[0].fd(), reinterpret_cast<sockaddr*>(&at), &size);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&at), size), 0);
    const int accepted = ::accept(first.listening[0].fd(), nullptr, nullptr);
    EXPECT_THAT(peer_name(accepted), StartsWith("tcp:127.0.0.1:"));
    prepare_connection(accepted);
    ::close(accepted);
    ::close(client);
  }
  EXPECT_EQ(open(name).listening.size(), 1u);
}

TEST_F(Opening, AHostThatIsNotThisMachine) {
  EXPECT_THAT(fails("tcp:192.0.2.1:0"), HasSubstr("doesn't have that address"));
  EXPECT_THAT(fails("tcp:no.such.host.invalid:0"), HasSubstr("cannot listen on tcp:no.such"));
}

TEST_F(Opening, ASocketFileHasItsModeAndGoesWithItsServer) {
  const mode_t before = ::umask(0);
  {
    const Opened opened = open(socket_text() + ",mode=0640");
    struct stat status{};
    ASSERT_EQ(::stat(socket_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777u, 0640u);
    EXPECT_TRUE(connects());
  }
  ::umask(before);
  EXPECT_FALSE(exists());
}

TEST_F(Opening, AStaleSocketFileIsReplacedALiveOneIsNot) {
  {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, socket_path().c_str());
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    ::close(fd);  // as a server that was killed
  }
  ASSERT_TRUE(exists());
  const Opened opened = open(socket_text());
  EXPECT_TRUE(connects());
  EXPECT_THAT(fails(socket_text()), HasSubstr("another program listens there"));
  EXPECT_TRUE(connects()) << "the refused one has taken nothing away";
}

TEST_F(Opening, AnotherKindOfFileIsLeftAlone) {
  std::ofstream(socket_path()) << "precious";
  EXPECT_THAT(fails(socket_text()), HasSubstr("a file that is no socket"));
  std::string content;
  std::ifstream(socket_path()) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(Opening, ASocketFileThatAnotherServerMadeSinceStays) {
  auto first = std::make_unique<Opened>(open(socket_text()));
  ASSERT_EQ(::rename(socket_path().c_str(), (dir_ / "old").c_str()), 0);
  auto second = std::make_unique<Opened>(open(socket_text()));
  first = nullptr;
  EXPECT_TRUE(connects());
  second = nullptr;
  EXPECT_FALSE(exists());
}

TEST_F(Opening, AFolderThatIsNotThere) {
  EXPECT_THAT(fails("unix:" + (dir_ / "none/socket")), HasSubstr("No such file"));
}

TEST_F(Opening, Descriptors) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const Opened socket = open("fd:" + std::to_string(fds[0]));
  ASSERT_EQ(socket.connected.size(), 1u);
  EXPECT_EQ(socket.connected[0].in, fds[0]);
  EXPECT_EQ(socket.connected[0].out, fds[0]);
  EXPECT_FALSE(socket.connected[0].pipe);

  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const Opened pipes = open("fd:" + std::to_string(pipe[0]) + "," + std::to_string(pipe[1]));
  ASSERT_EQ(pipes.connected.size(), 1u);
  EXPECT_TRUE(pipes.connected[0].pipe);
  for (const int fd : {fds[0], fds[1], pipe[0], pipe[1]}) ::close(fd);

  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  const Opened listening = open("fd:" + std::to_string(listener));
  ASSERT_EQ(listening.listening.size(), 1u);
  EXPECT_TRUE(::fcntl(listener, F_GETFL) & O_NONBLOCK);

  EXPECT_THAT(fails("fd:4000"), HasSubstr("descriptor 4000 isn't open"));
}

// Clients can't send descriptors along, which would be closed where they are received.
TEST(Listening, TakesNoDescriptors) {
  const test::TempDir directory;
  const auto address = Address::parse("unix:" + std::string(directory.path()) + "/socket");
  const auto opened = open_address(*address);
  ASSERT_TRUE(opened.ok()) << opened.status();
  int passes = 0;
  socklen_t size = sizeof passes;
  if (::getsockopt(opened->listening[0].fd(), SOL_SOCKET, 83, &passes, &size) != 0)
    GTEST_SKIP() << "Linux before 6.16 has no SO_PASSRIGHTS";
  const auto fd = connect_address(*address);
  ASSERT_TRUE(fd);
  iovec piece{const_cast<char*>("x"), 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  *CMSG_FIRSTHDR(&message) = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &*fd, sizeof(int));
  EXPECT_EQ(::sendmsg(*fd, &message, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPERM);
  ::close(*fd);
}

}  // namespace
}  // namespace ninep::transport
