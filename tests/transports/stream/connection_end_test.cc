// How a connection ends: by its peer, at any moment and in any way; by its own side; by errors.
#include <algorithm>
#include <csignal>
#include <thread>

#include "tests/transports/io/loops.h"
#include "tests/transports/stream/echo.h"
#include "transports/stream/connection.h"

namespace ninep::transport {
namespace {

using test::Echo;
using test::EchoPlan;
using test::EchoStream;
using test::When;

class Endings : public test::EachLoop {
 protected:
  void serve(Connection& connection) { test::run(loop(), connection.serve()); }

  EchoPlan plan_;
};
INSTANTIATE_TEST_SUITE_P(, Endings, test::kEachLoop, test::loop_name);

TEST_P(Endings, AFrameAboveMsizeEndsTheStreamBehindTheReplies) {
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  EchoStream stream(50, 200, test::seed());
  const auto large = test::echo_frame(0, plan_.msize + 1);
  std::thread client([&] {
    test::send_all(ends.client, stream.bytes);
    test::send_all(ends.client, large);
    EXPECT_EQ(test::receive_all(ends.client), stream.bytes);
  });
  serve(connection);
  client.join();
}

// A peer that has said all gets its answers: `printf ... | nc` works.
TEST_P(Endings, HalfClosedPeersGetTheRepliesThatAreDone) {
  for (test::Ends (*make)() : {test::Ends::of_unix, test::Ends::of_tcp}) {
    test::Ends ends = make();
    Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
    const EchoStream stream(100, 200, test::seed());
    std::thread client([&] {
      test::send_all(ends.client, stream.bytes);
      ::shutdown(ends.client, SHUT_WR);
      EXPECT_EQ(test::receive_all(ends.client), stream.bytes);
    });
    serve(connection);
    client.join();
  }
}

// Leaves in the middle of anything: FIN, RST, or half-closed.
void vanish(test::Ends& ends, const EchoStream& stream, U64 seed) {
  std::mt19937_64 random(seed);
  const std::size_t size = random() % stream.bytes.size();
  std::thread reader;
  if (random() % 2) {
    reader = std::thread([&ends, most = random() % size] { test::receive_all(ends.client, most); });
  }
  // Without a reader it may get stuck: then it leaves where it is.
  std::size_t sent = 0;
  for (int idle = 0; idle < 3 && sent < size;) {
    const ssize_t part =
        ::send(ends.client, stream.bytes.data() + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (part > 0) sent += static_cast<std::size_t>(part);
    idle = part > 0 ? 0 : idle + 1;
    if (part < 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (random() % 2) std::this_thread::sleep_for(std::chrono::microseconds(random() % 1'000));
  const auto way = random() % 3;
  if (way == 0) {
    ::shutdown(ends.client, SHUT_WR);
    test::receive_all(ends.client);
  } else if (way == 1) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(ends.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  if (reader.joinable()) {
    ::shutdown(ends.client, SHUT_RD);
    reader.join();
  }
  ends.close_client();
}

// Requests that never end are fewer than a connection may have: with all of those it wouldn't
// receive, and so not learn that the peer is gone.
EchoStream stream_for(When when, U64 seed) {
  const bool all_end = when == When::kAtOnce || when == When::kLater;
  return all_end ? EchoStream(1'000, 3'000, seed) : EchoStream(500, 200, seed);
}

TEST_P(Endings, APeerThatVanishesAtAnyMoment) {
  std::size_t before = 0;
  for (U64 i = 0; i < 60; ++i) {
    const U64 seed = test::seed() + i;
    SCOPED_TRACE(seed);
    EchoPlan plan{.when = static_cast<When>(i % 4), .seed = seed};
    const EchoStream stream = stream_for(plan.when, seed);
    test::Ends ends = i / 4 % 2 ? test::Ends::of_tcp() : test::Ends::of_unix();
    Connection connection(loop(), ends.socket(), {}, Echo::maker(plan));
    std::thread client([&] { vanish(ends, stream, seed); });
    serve(connection);
    client.join();
    ASSERT_EQ(plan.under_way, 0u);
    ends.close_client();
    if (i == 0) before = test::open_descriptors();  // the loop has its own by now
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

// ---- stop() and abort()

TEST_P(Endings, StopFinishesWhatIsUnderWay) {
  plan_.when = When::kLater;
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  plan_.on_request = [&] {
    if (plan_.seen == 100) connection.stop();
  };
  EchoStream stream(1'000, 200, test::seed());
  std::vector<std::vector<std::byte>> replies;
  std::thread client([&] {
    test::send_all(ends.client, stream.bytes);
    replies = test::split_all(test::receive_all(ends.client));
  });
  serve(connection);
  client.join();
  EXPECT_EQ(plan_.seen, 100u);
  stream.frames.resize(100);
  std::sort(replies.begin(), replies.end());
  std::sort(stream.frames.begin(), stream.frames.end());
  EXPECT_TRUE(replies == stream.frames);
}

TEST_P(Endings, StopEndsAnIdleConnection) {
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  loop().post([&] { connection.stop(); });
  serve(connection);
  EXPECT_TRUE(test::receive_all(ends.client).empty());
}

TEST_P(Endings, StopBeforeServing) {
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  connection.stop();
  serve(connection);
  EXPECT_TRUE(test::receive_all(ends.client).empty());
}

io::Task<void> abort_after(io::Loop& loop, Connection& connection, U64 ns, bool stop_first) {
  if (stop_first) connection.stop();
  co_await loop.run(io::ops::timeout(ns));
  connection.abort();
}

// At any moment, with a peer that takes nothing, with requests that finish before and after; also
// after a stop(), as at the end of a program.
TEST_P(Endings, AbortAtAnyMoment) {
  std::size_t before = 0;
  const EchoStream stream(3'000, 4'000, test::seed());
  for (U64 i = 0; i < 60; ++i) {
    const U64 seed = test::seed() + i;
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    EchoPlan plan{.when = static_cast<When>(i % 4), .seed = seed};
    test::Ends ends = test::Ends::of_unix();
    std::thread client([&, fd = ends.client] { test::send_all(fd, stream.bytes); });
    io::Scope scope;
    {
      Connection connection(loop(), ends.socket(), {}, Echo::maker(plan));
      scope.spawn(connection.serve());
      scope.spawn(abort_after(loop(), connection, random() % 3'000'000, i / 4 % 2 != 0));
      test::run(loop(), scope.all_done());
    }
    client.join();
    ASSERT_EQ(plan.under_way, 0u);
    ends.close_client();
    if (i == 0) before = test::open_descriptors();  // the loop has its own by now
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

// ---- pipes

// What a connection on two pipes needs of the process: a broken pipe is an error, not a signal.
class IgnorePipeSignal {
 public:
  IgnorePipeSignal() : before_(::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnorePipeSignal() { ::signal(SIGPIPE, before_); }

 private:
  void (*before_)(int);
};

struct Pipes {
  Pipes() { NINEP_CHECK(::pipe2(to, O_CLOEXEC) == 0 && ::pipe2(from, O_CLOEXEC) == 0); }
  Ends server() const { return {.in = to[0], .out = from[1], .pipe = true}; }
  int to[2];
  int from[2];
};

TEST_P(Endings, PipesServeToTheEndOfTheirInput) {
  for (const When when : {When::kAtOnce, When::kLater}) {
    plan_.when = when;
    const Pipes pipes;
    Connection connection(loop(), pipes.server(), {}, Echo::maker(plan_));
    EchoStream stream(2'000, 3'000, test::seed());
    std::thread writer([&] {
      for (std::size_t at = 0; at < stream.bytes.size();) {
        const ssize_t size = ::write(pipes.to[1], &stream.bytes[at], stream.bytes.size() - at);
        ASSERT_GT(size, 0);
        at += static_cast<std::size_t>(size);
      }
      ::close(pipes.to[1]);
    });
    std::vector<std::vector<std::byte>> replies;
    std::thread reader([&] { replies = test::split_all(test::receive_all(pipes.from[0])); });
    serve(connection);
    writer.join();
    reader.join();
    ::close(pipes.from[0]);
    std::sort(replies.begin(), replies.end());
    std::sort(stream.frames.begin(), stream.frames.end());
    EXPECT_TRUE(replies == stream.frames);
    EXPECT_LT(::fcntl(pipes.to[0], F_GETFD), 0);
    EXPECT_LT(::fcntl(pipes.from[1], F_GETFD), 0);
  }
}

TEST_P(Endings, PipesWhoseReaderGoes) {
  const IgnorePipeSignal ignore;
  const Pipes pipes;
  Connection connection(loop(), pipes.server(), {}, Echo::maker(plan_));
  ::close(pipes.from[0]);
  const auto frame = test::echo_frame(1, 100);
  ASSERT_EQ(::write(pipes.to[1], frame.data(), frame.size()), 100);
  serve(connection);  // ends although the other pipe stays open
  ::close(pipes.to[1]);
}

TEST_P(Endings, StopEndsIdlePipes) {
  const Pipes pipes;
  Connection connection(loop(), pipes.server(), {}, Echo::maker(plan_));
  loop().post([&] { connection.stop(); });
  serve(connection);
  ::close(pipes.to[1]);
  ::close(pipes.from[0]);
}

// ---- errors of the system, on the loop that invents them

class Errors : public testing::TestWithParam<io::Faults> {};

std::string first_error(const testing::TestParamInfo<io::Faults>& info) {
  const io::Faults::Error& error = info.param.errors[0];
  return std::string(io::kind_name(error.kind)) + "_" +
         std::string(errno_name(Errno{static_cast<U32>(error.error)}));
}
io::Faults with(std::vector<io::Faults::Error> errors) { return {.errors = std::move(errors)}; }
INSTANTIATE_TEST_SUITE_P(
    , Errors,
    testing::Values(with({{io::Kind::kRecv, EINTR, 0.3}, {io::Kind::kSend, EINTR, 0.3}}),
                    with({{io::Kind::kRecv, ECONNRESET, 0.02}}),
                    with({{io::Kind::kSend, EPIPE, 0.02}}),
                    with({{io::Kind::kSend, ENOBUFS, 0.02}, {io::Kind::kRecv, ENOMEM, 0.02}}),
                    with({{io::Kind::kClose, EIO, 0.5}, {io::Kind::kTimeout, EINTR, 0.1}})),
    first_error);

TEST_P(Errors, EndTheConnectionOrNothing) {
  const std::size_t before = test::open_descriptors();
  for (U64 i = 0; i < 40; ++i) {
    const U64 seed = test::seed() + i;
    SCOPED_TRACE(seed);
    const auto loop = io::make_fake_loop(seed, GetParam());
    EchoPlan plan{.when = static_cast<When>(i % 4), .seed = seed};
    const EchoStream stream = stream_for(plan.when, seed);
    test::Ends ends = test::Ends::of_unix();
    Connection connection(*loop, ends.socket(), {}, Echo::maker(plan));
    std::thread client([&] { vanish(ends, stream, seed); });
    io::Scope scope;
    scope.spawn(connection.serve());
    if (i % 3 == 0) scope.spawn(abort_after(*loop, connection, seed % 2'000'000, i % 2 != 0));
    test::run(*loop, scope.all_done());
    client.join();
    ASSERT_EQ(plan.under_way, 0u);
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace ninep::transport
