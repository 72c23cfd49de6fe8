// A session with a server that answers what it wasn't asked.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/session.h"
#include "tests/client/on_loop.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Expected;
using client::Session;

class HostileSession : public testing::Test {
 protected:
  HostileSession() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server = ends[1];
    const int least = 1;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    std::optional<Expected<std::shared_ptr<Session>>> opened;
    asio::co_spawn(context, open(ends[0]),
                   [&](std::exception_ptr, auto result) { opened = std::move(result); });
    context.poll();
    say(kNoTag, Rversion{1 << 16, "9P2000.L"});
    context.poll();
    EXPECT_TRUE(opened && *opened);
    session = std::move(**opened);
  }
  ~HostileSession() override {
    session.reset();
    context.restart();
    context.run();
    ::close(server);
  }
  awaitable<Expected<std::shared_ptr<Session>>> open(int fd) {
    return Session::open(client::Stream(context.get_executor(), fd, fd), Session::Options{});
  }
  void send(Bytes bytes) {
    ASSERT_EQ(::write(server, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  template <Message R>
  std::vector<std::byte> frame(Tag tag, const R& reply) {
    std::vector<std::byte> bytes(frame_size(reply, kDotL));
    EXPECT_NE(encode_frame(tag, reply, kDotL, bytes), 0u);
    return bytes;
  }
  template <Message R>
  void say(Tag tag, const R& reply) {
    send(frame(tag, reply));
  }

  asio::io_context context;
  int server = -1;
  std::shared_ptr<Session> session;
};

// A reply to what hasn't gone out would be brought to a caller that may go at any time.
TEST_F(HostileSession, AnswersWhatWasNotAsked) {
  const std::vector<std::byte> data(60'000);
  std::optional<Expected<client::Reply<Rwrite>>> stuck;
  asio::co_spawn(context, session->call(Twrite{Fid{1}, 0, Bytes(data)}),
                 [&](std::exception_ptr, auto result) { stuck = std::move(result); });
  context.restart();
  context.poll();
  ASSERT_FALSE(stuck);  // the server reads nothing, and its socket is full
  // The next one waits behind it; its tag is the next free one. Half of an answer to it comes.
  std::optional<Expected<client::Reply<Rreadlink>>> unsent;
  asio::co_spawn(context, session->call(Treadlink{Fid{1}}, 50ms),
                 [&](std::exception_ptr, auto result) { unsent = std::move(result); });
  context.poll();
  const std::string target(200, 'x');
  const auto reply = frame(Tag{1}, Rreadlink{target});
  send(Bytes(reply).first(100));
  while (!unsent) {
    context.restart();
    context.run_one();
  }
  EXPECT_FALSE(*unsent);
  // And the other half, when its caller has gone.
  const Bytes rest = Bytes(reply).subspan(100);
  (void)!::send(server, rest.data(), rest.size(), MSG_NOSIGNAL);
  context.poll();
  ASSERT_TRUE(session->lost());
  EXPECT_EQ(session->why_lost().code, Errno{EPROTO});
  ASSERT_TRUE(stuck);
  EXPECT_FALSE(*stuck);
}

}  // namespace
}  // namespace ninep::test
