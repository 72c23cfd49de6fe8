// vhost-user: descriptors that a front end hands over, and what hides behind them.
#include <atomic>
#include <thread>

#include <netinet/in.h>

#include "tests/transports/vhost_user/fixture.h"

namespace ninep::test {
namespace {

class VhostUserDescriptors : public VhostUser {};
INSTANTIATE_TEST_SUITE_P(, VhostUserDescriptors, testing::Values(Which{"io_uring"}), loop_name);

// Whoever has an eventfd too may fill it, and let writes wait for ever: they wait for nobody.
TEST_P(VhostUserDescriptors, FullEventfds) {
  for (const auto request : {Request::kSetVringCall, Request::kSetVringErr}) {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.start(ram, driver);
    const io::OwnedFd event(::eventfd(0, EFD_CLOEXEC));
    ASSERT_EQ(front.set(request, U64{0}, {event.get()}), 0);
    ASSERT_EQ(::fcntl(event.get(), F_SETFL, 0), 0);
    U64 count = 0;
    if (request == Request::kSetVringCall) {
      ASSERT_EQ(::read(event.get(), &count, sizeof count), ssize_t{sizeof count});
    }
    count = ~U64{0} - 1;
    ASSERT_EQ(::write(event.get(), &count, sizeof count), ssize_t{sizeof count});
    driver.set_used_event(0);
    driver.chain({{ram.put(frame("x")), 16}, {ram.take(64), 64, kWrite}});
    front.kick();
    driver.set_index(500);  // more than the ring has: it is broken
    front.kick();
    expect_served();
  }
}

// A pipe is told by eight bytes, as long as it has room; it isn't waited for.
TEST_P(VhostUserDescriptors, FullPipes) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  ASSERT_EQ(front.set(Request::kSetVringCall, U64{0}, {pipe[1]}), 0);
  U64 told = 0;
  ASSERT_EQ(::read(pipe[0], &told, sizeof told), ssize_t{sizeof told});  // of the change
  EXPECT_EQ(told, 1u);
  const auto ask = [&] {
    const auto bytes = frame("x");
    driver.chain({{ram.put(bytes), static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
    driver.set_used_event(driver.used_index());
    front.kick();
  };
  ask();
  ASSERT_EQ(::read(pipe[0], &told, sizeof told), ssize_t{sizeof told});
  ASSERT_TRUE(driver.used());
  ::fcntl(pipe[1], F_SETFL, O_NONBLOCK);
  const std::vector<char> much(65536);
  while (::write(pipe[1], much.data(), much.size()) > 0) continue;
  ::fcntl(pipe[1], F_SETFL, 0);  // shared: the server's waits too, if it writes
  ask();
  expect_served();
  while (!driver.used()) std::this_thread::yield();
  for (const int fd : pipe) ::close(fd);
}

// What is neither an eventfd nor a pipe is neither written to nor read.
TEST_P(VhostUserDescriptors, NoEventfds) {
  FrontEnd front(host->connect());
  front.negotiate();
  EXPECT_EQ(front.set(Request::kSetVringCall, U64{0}, {ram.fd()}), 1);
  EXPECT_EQ(front.set(Request::kSetVringErr, U64{0}, {ram.fd()}), 1);
  EXPECT_EQ(front.set(Request::kSetVringKick, U64{0}, {ram.fd()}), 1);
}

// A message has 16 descriptors at most, in its header; none with its payload.
TEST_P(VhostUserDescriptors, Descriptors) {
  const auto bytes = words(U32{3}, vhost_user::kVersion, U32{8}, U64{0});
  const std::vector<int> sixteen(16, ram.fd());
  const auto end = [&](auto&& send) {
    FrontEnd front(host->connect());
    send(front);
    ::shutdown(front.fd(), SHUT_WR);
    EXPECT_TRUE(front.ended());
  };
  end([&](FrontEnd& front) { front.send_raw(bytes, std::vector<int>(17, ram.fd())); });
  end([&](FrontEnd& front) {
    const auto no_payload = words(U32{1}, vhost_user::kVersion, U32{0});
    for (const std::byte& byte : no_payload) front.send_raw({&byte, 1}, sixteen);
  });
  end([&](FrontEnd& front) {
    front.send_raw(Bytes(bytes).first(12));
    front.send_raw(Bytes(bytes).subspan(12), {ram.fd()});
  });
  host->wait_for_links();
  EXPECT_EQ(host->reports(), std::vector<std::string>(3, "too many descriptors"));
}

// What a running ring doesn't take.
// A front end that gives its own end away, and goes.
TEST_P(VhostUserDescriptors, ItsOwnEnd) {
  for (const bool half : {false, true}) {
    FrontEnd front(host->connect());
    front.negotiate();
    const int own = front.fd();
    if (half) {
      front.send_raw(words(U32{21}), {own});
    } else {
      front.send(Request::kSetBackendReqFd, {}, {own});
    }
    front.hang_up();
    host->wait_for_links();
  }
  expect_served();
}

// What was kicked by the descriptor before is not lost.
TEST_P(VhostUserDescriptors, KicksByAnotherDescriptor) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto bytes = frame("x");
  const U64 out = ram.put(bytes);
  for (int round = 0; round < 200; ++round) {
    driver.chain({{out, static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
    ASSERT_EQ(front.set(Request::kSetVringKick, U64{0}, {front.kick_fd()}), 0);
    ASSERT_TRUE(front.wait_used(driver));
  }
}

/// A network socket whose last close(2) takes an hour, until let_go().
class Lingering {
 public:
  Lingering() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof here;
    const auto address = reinterpret_cast<sockaddr*>(&here);
    NINEP_CHECK(::bind(listener, address, size) == 0 && ::listen(listener, 1) == 0);
    NINEP_CHECK(::getsockname(listener, address, &size) == 0);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NINEP_CHECK(::connect(fd_, address, size) == 0);
    other_ = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    NINEP_CHECK(other_ >= 0);
    ::close(listener);
    const std::vector<char> much(1 << 20);
    while (::send(fd_, much.data(), much.size(), MSG_DONTWAIT) > 0) continue;
    const linger hour{1, 3600};
    NINEP_CHECK(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hour, sizeof hour) == 0);
  }
  Lingering(const Lingering&) = delete;
  Lingering& operator=(const Lingering&) = delete;
  ~Lingering() { let_go(); }

  int fd() const { return fd_; }
  /// This isn't the last one any more.
  void forget() { ::close(std::exchange(fd_, -1)); }
  void let_go() {
    if (other_ >= 0) ::close(std::exchange(other_, -1));  // resets: much is unread
    if (fd_ >= 0) forget();
  }

 private:
  int fd_ = -1;
  int other_ = -1;
};

/// A loop does nothing as long as there is this.
class Pause {
 public:
  explicit Pause(io::Loop& loop) {
    loop.post([this] {
      state_ = kPaused;
      state_.notify_all();
      state_.wait(kPaused);
      state_ = kOver;
      state_.notify_all();
    });
    state_.wait(kWanted);
  }
  ~Pause() {
    state_ = kLetGo;
    state_.notify_all();
    state_.wait(kLetGo);
  }

 private:
  enum State { kWanted, kPaused, kLetGo, kOver };
  std::atomic<State> state_ = kWanted;
};

// Descriptors whose close(2) waits for the VMM, wherever they hide: nobody else waits.
TEST_P(VhostUserDescriptors, DescriptorsThatWaitForTheirPeer) {
  expect_served();
  host->wait_for_links();
  const std::size_t before = open_descriptors();
  std::byte byte{1};
  const auto send_to_nobody = [&](int fd, std::vector<int> descriptors, int flags) {
    MessagePeer(fd).send_raw({&byte, 1}, descriptors, flags);
  };
  for (int where = 0; where < 6; ++where) {
    SCOPED_TRACE(where);
    Lingering lingering;
    {
      FrontEnd front(host->connect());
      front.negotiate();
      const auto no_message = std::vector<std::byte>(12, std::byte{0xFF});
      std::vector<int> many(200, front.call_fd());
      many.back() = lingering.fd();
      int pair[2];
      std::optional<Pause> pause(host->loop());  // until it has the last of them
      switch (where) {
        case 0:  // where it is looked at
          front.send(Request::kSetVringCall, words(U64{0}), {lingering.fd()});
          break;
        case 1:  // among too many
          front.send(Request::kSetVringCall, words(U64{0}), many);
          break;
        case 2:  // behind what ends the conversation
          front.send_raw(no_message);
          front.send_raw(no_message, {lingering.fd()});
          break;
        case 3:  // with an urgent byte
          front.send_raw(Bytes(no_message).first(1), {lingering.fd()}, MSG_OOB);
          front.send_raw(no_message);
          break;
        case 4:  // in the channel, unread
          NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
          send_to_nobody(pair[0], {lingering.fd()}, 0);
          front.send(Request::kSetBackendReqFd, {}, {pair[1]});
          ::close(pair[1]);
          break;
        default:  // in the channel, with an urgent byte that is read: nothing tells of it
          NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
          send_to_nobody(pair[0], {lingering.fd()}, MSG_OOB);
          NINEP_CHECK(::recv(pair[1], &byte, 1, MSG_OOB) == 1);
          front.send(Request::kSetBackendReqFd, {}, {pair[1]});
          ::close(pair[1]);
          front.hang_up();
      }
      lingering.forget();
      pause.reset();
      EXPECT_TRUE(where == 5 || front.ends());
    }
    expect_served();
    lingering.let_go();
    host->wait_for_links();
    EXPECT_EQ(open_descriptors(), before);
  }
}

// What is said twice takes the place of the former: no descriptor stays behind.
TEST_P(VhostUserDescriptors, SaidAgainAndAgain) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto again = [&] {
    for (const Request which :
         {Request::kSetVringKick, Request::kSetVringCall, Request::kSetVringErr}) {
      const int fd = which == Request::kSetVringKick ? front.kick_fd() : front.call_fd();
      EXPECT_EQ(front.set(which, U64{0}, {fd}), 0);
    }
    EXPECT_EQ(front.set_memory({&ram}), 0);
    int pair[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    EXPECT_EQ(front.acknowledged(Request::kSetBackendReqFd, {}, {pair[0]}), 0);
    for (const int fd : pair) ::close(fd);
  };
  again();
  host->wait_aside();
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 300; ++round) again();
  host->wait_aside();
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(call(front, driver, "on"), "on");
}

}  // namespace
}  // namespace ninep::test
