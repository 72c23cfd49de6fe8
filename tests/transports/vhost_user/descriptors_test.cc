// vhost-user: descriptors that a front end hands over, and what hides behind them.
#include <atomic>
#include <thread>

#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

// What is no eventfd is neither written to nor read: memory is refused, and what waits for whoever
// else has it isn't looked at.
TEST_P(VhostUserDescriptors, NoEventfds) {
  for (const auto request :
       {Request::kSetVringCall, Request::kSetVringErr, Request::kSetVringKick}) {
    FrontEnd front(host->connect());
    front.negotiate();
    EXPECT_EQ(front.set(request, U64{0}, {ram.fd()}), 1);
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    EXPECT_EQ(front.set(request, U64{0}, {pipe[request != Request::kSetVringKick]}), -1);
    for (const int fd : pipe) ::close(fd);
  }
}

/// A page whose first touch waits until let_go().
class SlowPage {
 public:
  SlowPage() : fd_(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))) {
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    if (fd_ < 0 || ::ioctl(fd_, UFFDIO_API, &api) != 0) return;
    at_ = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_register place{};
    place.range = {reinterpret_cast<U64>(at_), 4096};
    place.mode = UFFDIO_REGISTER_MODE_MISSING;
    NINEP_CHECK(::ioctl(fd_, UFFDIO_REGISTER, &place) == 0);
  }
  SlowPage(const SlowPage&) = delete;
  SlowPage& operator=(const SlowPage&) = delete;
  ~SlowPage() {
    if (at_) ::munmap(at_, 4096);
    ::close(fd_);
  }
  bool is_there() const { return at_ != nullptr; }
  void* at() const { return at_; }
  void wait_touched() const {
    pollfd polled{fd_, POLLIN, 0};
    NINEP_CHECK(::poll(&polled, 1, 60'000) == 1);
  }
  void let_go() const {
    uffdio_zeropage zero{};
    zero.range = {reinterpret_cast<U64>(at_), 4096};
    ::ioctl(fd_, UFFDIO_ZEROPAGE, &zero);
  }

 private:
  int fd_;
  void* at_ = nullptr;
};

// A channel that the VMM is reading meanwhile, into memory that isn't there yet: the system's lock
// of it is held as long as the VMM likes.
TEST_P(VhostUserDescriptors, ChannelsHeldByTheirReader) {
  const SlowPage page;
  if (!page.is_there()) GTEST_SKIP() << "no userfaultfd(2) here";
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  std::byte byte{1};
  ASSERT_EQ(::send(pair[0], &byte, 1, MSG_OOB), 1);
  std::thread reader([&] { [[maybe_unused]] auto n = ::recv(pair[1], page.at(), 1, MSG_OOB); });
  page.wait_touched();
  FrontEnd front(host->connect());
  front.negotiate();
  front.send(Request::kSetBackendReqFd, {}, {pair[1]});
  expect_served();
  page.let_go();
  reader.join();
  for (const int fd : pair) ::close(fd);
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

// One whose descriptors are never closed keeps itself away, and those that come by the same
// listener: no others.
TEST_P(VhostUserDescriptors, OneKeepsNoOthersAway) {
  Lingering lingering;
  const auto party = std::make_shared<transport::Party>();
  std::vector<std::unique_ptr<FrontEnd>> fronts;
  for (int i = 0; i < 8; ++i) {
    FrontEnd front(host->connect(party));
    front.send(Request::kGetFeatures);
    if (i == 0) {
      const Pause pause(host->loop());  // until it has the last of them
      front.send(Request::kSetVringCall, words(U64{0}), {lingering.fd()});
      lingering.forget();
    } else {
      front.send(Request::kSetVringCall, words(U64{0}), std::vector<int>(250, front.call_fd()));
    }
    EXPECT_TRUE(front.ends());
  }
  FrontEnd same(host->connect(party));
  EXPECT_TRUE(same.ended());
  expect_served();
  lingering.let_go();
}

// One front end's mappings are a part of what there may be.
TEST_P(VhostUserDescriptors, OneLeavesMappingsForOthers) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit less = before;
  less.rlim_cur = 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
  {
    const auto party = std::make_shared<transport::Party>();
    std::vector<std::unique_ptr<FrontEnd>> fronts;
    U64 number = 0;
    for (int i = 0; i < 3; ++i) {
      fronts.push_back(std::make_unique<FrontEnd>(host->connect(party)));
      fronts.back()->negotiate();
      while (number < 1024 && fronts.back()->change_slot(Request::kAddMemReg,
                                                         {U64{1} << 40 | number << 20, 4096,
                                                          U64{1} << 41 | number << 20, 0},
                                                         {ram.fd()}) == 0)
        ++number;
    }
    EXPECT_EQ(number, 64u);
    expect_served();
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
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
