// A connection and its peer, while both behave or one is slow. How they end: connection_end_test.
#include "transports/stream/connection.h"

#include <algorithm>
#include <thread>

#include "tests/transports/io/loops.h"
#include "tests/transports/stream/echo.h"

namespace ninep::transport {
namespace {

using test::Echo;
using test::EchoPlan;
using test::EchoStream;
using test::When;

class Connections : public test::EachLoop {
 protected:
  // Serves one connection to its end.
  void serve(Connection& connection) { test::run(loop(), connection.serve()); }

  EchoPlan plan_;
};
INSTANTIATE_TEST_SUITE_P(, Connections, test::kEachLoop, test::loop_name);

TEST_P(Connections, OneByteAtATime) {
  test::Ends ends = test::Ends::of_tcp();
  const int one = 1;
  ::setsockopt(ends.client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  const EchoStream stream(20, 60, test::seed());
  std::vector<std::byte> replies;
  std::thread client([&] {
    for (const std::byte& byte : stream.bytes) test::send_all(ends.client, {&byte, 1});
    replies = test::receive_all(ends.client, stream.bytes.size());
    ends.close_client();
  });
  serve(connection);
  client.join();
  EXPECT_EQ(replies, stream.bytes);
}

TEST_P(Connections, TenThousandPipelinedRequests) {
  for (test::Ends (*make)() : {test::Ends::of_unix, test::Ends::of_tcp}) {
    test::Ends ends = make();
    Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
    const EchoStream stream(10'000, 200, test::seed());
    std::thread sender([&] { EXPECT_TRUE(test::send_all(ends.client, stream.bytes)); });
    std::thread receiver([&] {
      EXPECT_TRUE(test::receive_all(ends.client, stream.bytes.size()) == stream.bytes);
      ends.close_client();
    });
    serve(connection);
    sender.join();
    receiver.join();
  }
}

TEST_P(Connections, LargeFrames) {
  plan_.msize = 1 << 20;
  plan_.when = When::kLater;
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  EchoStream stream(20, plan_.msize, test::seed());
  std::thread sender([&] { EXPECT_TRUE(test::send_all(ends.client, stream.bytes)); });
  std::thread receiver([&] {
    auto replies = test::split_all(test::receive_all(ends.client, stream.bytes.size()));
    std::sort(replies.begin(), replies.end());
    std::sort(stream.frames.begin(), stream.frames.end());
    EXPECT_TRUE(replies == stream.frames);
    sender.join();  // it reads stream.bytes
    ends.close_client();
  });
  serve(connection);
  receiver.join();
}

// Each reply is whole and the right one, in whatever order they come.
TEST_P(Connections, RepliesThatComeLaterInAnyOrder) {
  plan_.when = When::kLater;
  plan_.seed = test::seed();
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  EchoStream stream(3'000, 3'000, test::seed());
  std::thread sender([&] { EXPECT_TRUE(test::send_all(ends.client, stream.bytes)); });
  std::vector<std::vector<std::byte>> replies;
  std::thread receiver([&] {
    replies = test::split_all(test::receive_all(ends.client, stream.bytes.size()));
    ends.close_client();
  });
  serve(connection);
  sender.join();
  receiver.join();
  std::sort(replies.begin(), replies.end());
  std::sort(stream.frames.begin(), stream.frames.end());
  EXPECT_TRUE(replies == stream.frames);
  EXPECT_LE(plan_.under_way_max, Connection::kRequestsMax);
}

// ---- limits

// Sends until the peer has taken nothing for a while. How much it took.
std::size_t send_until_stuck(int fd, Bytes bytes) {
  std::size_t sent = 0;
  for (int idle = 0; idle < 50 && sent < bytes.size();) {
    const ssize_t size =
        ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size > 0) {
      sent += static_cast<std::size_t>(size);
      idle = 0;
    } else {
      ++idle;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  return sent;
}

// A client that sends and doesn't read is not received from; another one isn't delayed; and when
// it reads at last it finds all that it asked for.
TEST_P(Connections, AClientThatDoesNotReadHarmsItself) {
  test::Ends stuck_ends = test::Ends::of_unix();
  test::Ends quick_ends = test::Ends::of_unix();
  EchoPlan quick_plan;
  Connection stuck(loop(), stuck_ends.socket(), {}, Echo::maker(plan_));
  Connection quick(loop(), quick_ends.socket(), {}, Echo::maker(quick_plan));
  const EchoStream flood(20'000, 2'000, test::seed());  // 20 MB
  std::thread client([&] {
    const std::size_t sent = send_until_stuck(stuck_ends.client, flood.bytes);
    EXPECT_LT(sent, 3u << 20) << "of two sockets' buffers and what a connection may hold";
    for (unsigned i = 0; i < 300; ++i) {
      const auto frame = test::echo_frame(i, 100);
      EXPECT_TRUE(test::send_all(quick_ends.client, frame));
      EXPECT_EQ(test::receive_all(quick_ends.client, frame.size()), frame);
    }
    quick_ends.close_client();
    std::thread rest(
        [&] { EXPECT_TRUE(test::send_all(stuck_ends.client, Bytes(flood.bytes).subspan(sent))); });
    EXPECT_TRUE(test::receive_all(stuck_ends.client, flood.bytes.size()) == flood.bytes);
    rest.join();
    stuck_ends.close_client();
  });
  io::Scope scope;
  scope.spawn(stuck.serve());
  scope.spawn(quick.serve());
  test::run(loop(), scope.all_done());
  client.join();
}

// Requests that don't end are no more than a connection may have.
TEST_P(Connections, RequestsUnderWayAreBounded) {
  plan_.when = When::kWhenClosed;
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  const EchoStream flood(20'000, 60, test::seed());
  std::thread client([&] {
    EXPECT_LT(send_until_stuck(ends.client, flood.bytes), flood.bytes.size());
    loop().post([&] { connection.abort(); });
  });
  serve(connection);
  client.join();
  EXPECT_EQ(plan_.seen, Connection::kRequestsMax);
}

TEST_P(Connections, BytesOfRequestsUnderWayAreBounded) {
  plan_.when = When::kWhenClosed;
  test::Ends ends = test::Ends::of_unix();
  Connection connection(loop(), ends.socket(), {}, Echo::maker(plan_));
  std::vector<std::byte> flood;
  for (unsigned i = 0; i < 200; ++i) {
    const auto frame = test::echo_frame(i, plan_.msize);
    flood.insert(flood.end(), frame.begin(), frame.end());
  }
  std::thread client([&] {
    EXPECT_LT(send_until_stuck(ends.client, flood), flood.size());
    loop().post([&] { connection.abort(); });
  });
  serve(connection);
  client.join();
  EXPECT_LE(plan_.seen, 3u + (64 << 10) / plan_.msize);
}

}  // namespace
}  // namespace ninep::transport
