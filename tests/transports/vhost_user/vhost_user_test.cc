// vhost-user: the conversations of real front ends.
#include "tests/transports/vhost_user/fixture.h"

namespace ninep::test {
namespace {

INSTANTIATE_TEST_SUITE_P(, VhostUser, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

TEST_P(VhostUser, SaysWhatItIs) {
  FrontEnd front(host->connect("my-folder"));
  EXPECT_EQ(front.get<U64>(Request::kGetFeatures), kAllFeatures);
  EXPECT_EQ(front.get<U64>(Request::kGetProtocolFeatures), feature::kAll);
  EXPECT_EQ(front.set(Request::kSetProtocolFeatures, feature::kAll), 0);
  EXPECT_EQ(front.get<U64>(Request::kGetQueueNum), 1u);
  EXPECT_EQ(front.get<U64>(Request::kGetMaxMemSlots), vhost_user::kSlotsMax);
  // All of the configuration at once, as QEMU asks; the tag's length, the tag, zeros.
  front.send(Request::kGetConfig, config_request(0, 256));
  auto config = front.reply();
  ASSERT_TRUE(config);
  ASSERT_EQ(config->size(), 268u);
  EXPECT_EQ(as_str(Bytes(*config).subspan(12, 11)), Str("\x09\0my-folder", 11));
  EXPECT_EQ(std::ranges::count(Bytes(*config).subspan(23), std::byte{0}), 245);
  // Some of it with flag 1, as crosvm; byte by byte, as User-Mode Linux.
  front.send(Request::kGetConfig, config_request(2, 2, 1));
  config = front.reply();
  ASSERT_TRUE(config);
  EXPECT_EQ(as_str(Bytes(*config).subspan(12)), "my");
}

TEST_P(VhostUser, AsQemu) {
  FrontEnd front(host->connect());
  Driver driver(ram, 128);
  front.negotiate(kAllFeatures, feature::kMq | feature::kReplyAck | feature::kConfig);
  ASSERT_EQ(front.set_memory({&ram}), 0);
  ASSERT_EQ(front.set(Request::kSetVringErr, U64{0}, {front.call_fd()}), 0);
  ASSERT_EQ(front.set_ring(ram, driver), 0);
  ASSERT_EQ(front.enable(), 0);
  ASSERT_EQ(front.set(Request::kSetVringCall, U64{0}, {front.call_fd()}), 0);  // once more
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(call(front, driver, std::to_string(i)), std::to_string(i));
  EXPECT_EQ(front.enable(false), 0);
  const auto base = front.get<VringState>(Request::kGetVringBase, kQueueZero);
  ASSERT_TRUE(base);
  EXPECT_EQ(base->number, 300u);
}

// Nothing is acknowledged, the owner comes late, the memory before the features.
TEST_P(VhostUser, AsLibkrun) {
  FrontEnd front(host->connect());
  Driver driver(ram, 256);
  ASSERT_EQ(front.get<U64>(Request::kGetFeatures), kAllFeatures);
  ASSERT_EQ(front.get<U64>(Request::kGetProtocolFeatures), feature::kAll);
  front.send(Request::kSetProtocolFeatures, words(U64{feature::kConfig | feature::kMq}));
  ASSERT_EQ(front.get<U64>(Request::kGetQueueNum), 1u);
  front.send(Request::kGetConfig, config_request(0, 7, 1));
  ASSERT_TRUE(front.reply());
  front.send(Request::kSetOwner);
  front.send(Request::kSetMemTable, words(U32{1}, U32{0}, FrontEnd::region_of(ram)), {ram.fd()});
  front.send(Request::kSetFeatures, words(kAllFeatures));
  front.send(Request::kSetVringNum, words(VringState{0, 256}));
  front.send(Request::kSetVringBase, kQueueZero);
  front.send(Request::kSetVringAddr, words(front.addresses(ram, driver)));
  front.send(Request::kSetVringKick, words(U64{0}), {front.kick_fd()});
  front.send(Request::kSetVringCall, words(U64{0}), {front.call_fd()});
  front.send(Request::kSetVringEnable, words(VringState{0, 1}));
  EXPECT_EQ(call(front, driver, "hello"), "hello");
}

// The largest ring there is, unless crosvm is told otherwise.
TEST_P(VhostUser, AsCrosvm) {
  FrontEnd front(host->connect());
  Driver driver(ram, 32768);
  front.negotiate(kAllFeatures, feature::kConfig | feature::kBackendReq);
  front.send(Request::kSetMemTable, words(U32{1}, U32{0}, FrontEnd::region_of(ram)), {ram.fd()});
  front.send(Request::kSetVringNum, words(VringState{0, 32768}));
  front.send(Request::kSetVringAddr, words(front.addresses(ram, driver)));
  front.send(Request::kSetVringBase, kQueueZero);
  front.send(Request::kSetVringCall, words(U64{0}), {front.call_fd()});
  front.send(Request::kSetVringKick, words(U64{0}), {front.kick_fd()});
  front.send(Request::kSetVringEnable, words(VringState{0, 1}));
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(call(front, driver, std::to_string(i)), std::to_string(i));
}

// A stopped machine goes on: the ring is set up again where it was.
TEST_P(VhostUser, StopsAndGoesOn) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  U32 at = 0;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3; ++i) ASSERT_EQ(call(front, driver, "x"), "x");
    at += 3;
    ASSERT_EQ(front.enable(false), 0);
    const auto base = front.get<VringState>(Request::kGetVringBase, kQueueZero);
    ASSERT_TRUE(base);
    ASSERT_EQ(base->number, at);
    ASSERT_EQ(front.set_ring(ram, driver, at), 0);
    ASSERT_EQ(front.enable(), 0);
  }
}

// Without protocol features the ring runs from its kick descriptor on.
TEST_P(VhostUser, WithoutProtocolFeatures) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.send(Request::kSetFeatures,
             words(U64{virtio::kMountTag | virtio::kVersion1 | virtio::kIndirect}));
  ASSERT_EQ(front.set_memory({&ram}), 0);
  ASSERT_EQ(front.set_ring(ram, driver), 0);
  EXPECT_EQ(call(front, driver, "hello"), "hello");
}

// Kicks and interrupts as messages. User-Mode Linux says so by setting no descriptors at all: the
// first kick starts the ring.
TEST_P(VhostUser, InbandNotifications) {
  for (const bool told_so : {true, false}) {
    SCOPED_TRACE(told_so);
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    {
      FrontEnd front(host->connect());
      Driver driver(ram);
      front.negotiate();
      ASSERT_EQ(front.acknowledged(Request::kSetBackendReqFd, {}, {pair[1]}), 0);
      ASSERT_EQ(front.set_memory({&ram}), 0);
      ASSERT_EQ(front.place_ring(ram, driver), 0);
      if (told_so) {
        ASSERT_EQ(front.set(Request::kSetVringCall, vhost_user::kNoDescriptor), 0);
        ASSERT_EQ(front.set(Request::kSetVringKick, vhost_user::kNoDescriptor), 0);
      }
      ASSERT_EQ(front.enable(), 0);
      const auto bytes = frame("in band");
      const U64 room = ram.take(4096);
      driver.chain({{ram.put(bytes), static_cast<U32>(bytes.size())}, {room, 4096, kWrite}});
      ASSERT_EQ(front.set(Request::kVringKick, VringState{0, 0}), 0);
      struct {
        vhost_user::Header header;
        VringState state;
      } told{};
      pollfd waiting{.fd = pair[0], .events = POLLIN};
      ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
      ASSERT_EQ(::recv(pair[0], &told, sizeof told, MSG_WAITALL),
                static_cast<ssize_t>(sizeof told));
      EXPECT_EQ(told.header.request, 4u);
      EXPECT_EQ(told.header.flags, 1u);
      const auto used = driver.used();
      ASSERT_TRUE(used);
      EXPECT_EQ(used->length, bytes.size());
    }
    ::close(pair[0]);
    ::close(pair[1]);
  }
}

// What came before anybody could kick is found when the ring is enabled.
TEST_P(VhostUser, RequestsBeforeTheStart) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  const auto bytes = frame("early");
  driver.chain({{ram.put(bytes), static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
  front.start(ram, driver);
  EXPECT_TRUE(front.wait_used(driver));
}

TEST_P(VhostUser, OneInterruptForMany) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  U64 interrupts = 0;
  [[maybe_unused]] const auto before =
      ::read(front.call_fd(), &interrupts, sizeof interrupts);  // of the start
  const auto bytes = frame("x");
  const U64 out = ram.put(bytes);
  for (int i = 0; i < 32; ++i)
    driver.chain({{out, static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
  driver.set_used_event(0);
  front.kick();
  while (driver.used_index() != 32) std::this_thread::yield();
  pollfd polled{front.call_fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&polled, 1, 60'000), 1);
  ASSERT_EQ(::read(front.call_fd(), &interrupts, sizeof interrupts), ssize_t{sizeof interrupts});
  EXPECT_EQ(interrupts, 1u);
}

// Memory comes and goes while the ring runs.
TEST_P(VhostUser, MemorySlots) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  GuestRam other(4 << 20, U64{4} << 32);
  const auto bytes = frame("far");
  const U64 room = other.take(4096);
  const U64 out = ram.put(bytes);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(front.add_slot(other), 0);
    driver.chain({{out, static_cast<U32>(bytes.size())}, {room, 4096, kWrite}});
    front.kick();
    const auto used = front.wait_used(driver);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->length, bytes.size());
    EXPECT_NE(front.add_slot(other), 0);  // it's there
    ASSERT_EQ(front.remove_slot(other), 0);
    EXPECT_NE(front.remove_slot(other), 0);  // it's gone
    EXPECT_EQ(call(front, driver, "on"), "on");
  }
  // Now that address is outside.
  driver.chain({{out, static_cast<U32>(bytes.size())}, {room, 4096, kWrite}});
  front.kick();
  EXPECT_FALSE(front.wait_used(driver, 100));
  EXPECT_EQ(front.set(Request::kSetVringEnable, VringState{0, 0}), 0);
  expect_served();
}

TEST_P(VhostUser, NewTableWhileRequestsAreUnderWay) {
  plan.when = When::kLater;
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto bytes = frame("x");
  const U64 out = ram.put(bytes);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 16; ++i)
      driver.chain({{out, static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
    front.kick();
    ASSERT_EQ(front.set_memory({&ram}), 0);
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(front.wait_used(driver));
  }
}

// ---- front ends that leave

TEST_P(VhostUser, LeavesNothing) {
  plan.when = When::kAny;
  const auto once = [&](int i) {
    GuestRam guest(1 << 20);
    FrontEnd front(host->connect());
    Driver driver(guest);
    if (i % 4 == 0) return;
    front.start(guest, driver);
    const auto bytes = frame("x");
    for (int n = 0; n < 8; ++n)
      driver.chain(
          {{guest.put(bytes), static_cast<U32>(bytes.size())}, {guest.take(64), 64, kWrite}});
    if (i % 4 != 1) front.kick();
    if (i % 4 == 3) front.send(Request::kGetConfig, config_request(0, 256));  // and don't listen
  };
  for (int i = 0; i < 8; ++i) once(i);
  host->wait_for_links();
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 200; ++i) once(i);
  host->wait_for_links();
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace ninep::test
