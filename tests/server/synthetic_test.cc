// The example back end, as its users meet it: a program and a socket.
#include <csignal>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conversation/client.h"

namespace ninep::test {
namespace {

class Synthetic : public testing::Test {
 protected:
  void SetUp() override {
    std::string place = std::filesystem::temp_directory_path() / "ninep-test-XXXXXX";
    ASSERT_TRUE(::mkdtemp(place.data()));
    place_ = place;
    const std::string address = "unix:" + socket();
    program_ = ::fork();
    ASSERT_GE(program_, 0);
    if (program_ == 0) {
      ::execl(NINEP_SYNTHETIC, NINEP_SYNTHETIC, address.c_str(), nullptr);
      ::_exit(127);
    }
  }
  void TearDown() override {
    if (program_ > 0) {
      ::kill(program_, SIGTERM);
      ::waitpid(program_, nullptr, 0);
    }
    std::filesystem::remove_all(place_);
  }

  /// Comes back when the program listens, which it may not do at once.
  Client connect() {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    socket().copy(address.sun_path, sizeof address.sun_path - 1);
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return Client(fd);
      ::close(fd);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw Unexpected("the program does not listen");
  }

 private:
  std::string socket() const { return place_ / "socket"; }
  std::filesystem::path place_;
  pid_t program_ = -1;
};

// An example that doesn't work is worse than none: everything that it shows is used once.
TEST_F(Synthetic, IsServed) {
  Client client = connect();
  EXPECT_EQ(client.version(), kMsize);
  EXPECT_EQ(client.attach(0).type, kQtDir);
  EXPECT_EQ(client.names(0), (std::vector<std::string>{"note", "time"}));
  const Qid qid = client.reach(0, 1, {"time"});
  EXPECT_EQ(client.attr(1).qid, qid);
  client.clunk(1);

  const std::string time = client.content(0, "time");
  EXPECT_NEAR(std::stod(time), static_cast<double>(std::time(nullptr)), 10);

  EXPECT_EQ(client.content(0, "note"), "");
  client.reach(0, 2, {"note"});
  client.open(2, lopen::kWriteOnly);
  EXPECT_EQ(client.write(2, 0, "remember"), 0);
  EXPECT_EQ(client.clunk(2), 0);
  EXPECT_EQ(client.content(0, "note"), "remember");

  EXPECT_EQ(client.walk(0, 3, {"no"}).error(), ENOENT);
  EXPECT_EQ(client.error(Tmkdir{Fid{0}, "d", 0755, 0}), EOPNOTSUPP) << "what a back end leaves out";
  Client second = connect();
  second.version();
  second.attach(0);
  EXPECT_EQ(second.content(0, "note"), "remember");
}

}  // namespace
}  // namespace ninep::test
