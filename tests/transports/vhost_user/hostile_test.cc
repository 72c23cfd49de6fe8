// vhost-user: what hostile front ends say, and what hostile guests write.
#include <csignal>

#include <sys/wait.h>

#include "proto/print.h"
#include "tests/seed.h"
#include "tests/transports/vhost_user/fixture.h"

namespace ninep::test {
namespace {

struct Bad {
  const char* name;
  Request request;
  std::vector<std::byte> payload;
  unsigned descriptors = 0;
  bool ends = false;  // the conversation; otherwise it is refused
};

std::vector<std::byte> table(U32 count, std::vector<vhost_user::MemoryRegion> regions) {
  auto bytes = words(count, U32{0});
  for (const auto& region : regions) {
    const auto more = vhost_user::bytes_of(region);
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  return bytes;
}

std::vector<Bad> bad_messages() {
  using R = Request;
  return {
      {"QueueOneNum", R::kSetVringNum, words(U32{1}, U32{128})},
      {"Queue256Num", R::kSetVringNum, words(U32{0x100}, U32{128})},
      {"Queue65536Num", R::kSetVringNum, words(U32{0x10000}, U32{128})},
      {"Queue65536Base", R::kSetVringBase, words(U32{0x10000}, U32{0})},
      {"Queue65536Enable", R::kSetVringEnable, words(U32{0x10000}, U32{1})},
      {"Queue65536Addr", R::kSetVringAddr,
       words(U32{0x10000}, U32{0}, U64{0}, U64{0}, U64{0}, U64{0})},
      {"Queue65536InbandKick", R::kVringKick, words(U32{0x10000}, U32{0})},
      {"QueueHugeNum", R::kSetVringNum, words(~U32{0}, U32{128})},
      {"NumTooLarge", R::kSetVringNum, words(U32{0}, U32{65536})},
      {"QueueOneBase", R::kSetVringBase, words(U32{1}, U32{0})},
      {"BaseTooLarge", R::kSetVringBase, words(U32{0}, U32{65536})},
      {"QueueOneEnable", R::kSetVringEnable, words(U32{1}, U32{1})},
      {"EnableTwo", R::kSetVringEnable, words(U32{0}, U32{2})},
      {"QueueOneKick", R::kSetVringKick, words(U64{1}), 1},
      {"KickWithoutDescriptor", R::kSetVringKick, words(U64{0})},
      {"KickWithDescriptorAndNone", R::kSetVringKick, words(U64{256}), 1},
      {"QueueOneCall", R::kSetVringCall, words(U64{1}), 1},
      {"CallWithoutDescriptor", R::kSetVringCall, words(U64{0})},
      {"QueueOneErr", R::kSetVringErr, words(U64{1}), 1},
      {"QueueOneAddr", R::kSetVringAddr, words(U32{1}, U32{0}, U64{0}, U64{0}, U64{0}, U64{0})},
      {"QueueOneInbandKick", R::kVringKick, words(U32{1}, U32{0})},
      {"FeaturesNotOffered", R::kSetFeatures, words(~U64{0})},
      {"ProtocolFeaturesNotOffered", R::kSetProtocolFeatures, words(~U64{0})},
      {"WriteConfig", R::kSetConfig, config_request(0, 4)},
      {"UnknownMessage", static_cast<R>(200), {}},
      {"UnknownMessageWithDescriptors", static_cast<R>(200), {}, 8},
      {"MessageZero", static_cast<R>(0), {}},
      {"LogBase", static_cast<R>(6), words(~U64{0}, ~U64{0})},
      {"LogBaseWithDescriptor", static_cast<R>(6), words(~U64{0}, ~U64{0}), 1},
      {"LogDescriptor", static_cast<R>(7), {}, 1},
      {"GetInflightDescriptor", static_cast<R>(31), words(~U64{0}, ~U64{0}, U32{65535})},
      {"InflightDescriptor", static_cast<R>(32), words(~U64{0}, ~U64{0}, U32{65535}), 1},
      {"TableEmpty", R::kSetMemTable, table(0, {})},
      {"TableOfNine", R::kSetMemTable, table(9, std::vector<vhost_user::MemoryRegion>(8)), 8},
      {"TableHugeCount", R::kSetMemTable, table(~U32{0}, {{0, kMiB, 0, 0}}), 1},
      {"TableCountWithoutRegions", R::kSetMemTable, table(2, {{0, kMiB, 0, 0}}), 2},
      {"TableFewerDescriptors", R::kSetMemTable, table(2, {{0, kMiB, 0, 0}, {kMiB, kMiB, kMiB, 0}}),
       1},
      {"TableMoreDescriptors", R::kSetMemTable, table(1, {{0, kMiB, 0, 0}}), 2},
      {"RegionEmpty", R::kSetMemTable, table(1, {{0, 0, 0, 0}}), 1},
      {"RegionOddSize", R::kSetMemTable, table(1, {{0, 4097, 0, 0}}), 1},
      {"RegionOddOffset", R::kSetMemTable, table(1, {{0, 4096, 0, 1}}), 1},
      {"RegionLargerThanItsFile", R::kSetMemTable, table(1, {{0, 65 * kMiB, 0, 0}}), 1},
      {"RegionBehindItsFile", R::kSetMemTable, table(1, {{0, 4096, 0, 64 * kMiB}}), 1},
      {"RegionOffsetWraps", R::kSetMemTable, table(1, {{0, 8192, 0, ~U64{0} - 4095}}), 1},
      {"RegionGuestWraps", R::kSetMemTable, table(1, {{~U64{0} - 4095, 8192, 0, 0}}), 1},
      {"RegionUserWraps", R::kSetMemTable, table(1, {{0, 8192, ~U64{0} - 4095, 0}}), 1},
      {"RegionsOverlap", R::kSetMemTable, table(2, {{0, kMiB, 0, 0}, {4096, kMiB, kMiB, 0}}), 2},
      {"SlotEmpty", R::kAddMemReg, words(U64{0}, U64{0}, U64{0}, U64{0}, U64{0}), 1},
      {"SlotNotThere", R::kRemMemReg, words(U64{0}, U64{0}, U64{4096}, U64{0}, U64{0})},
      // What isn't a message of that kind at all.
      {"NumShort", R::kSetVringNum, words(U32{0}), 0, true},
      {"NumLong", R::kSetVringNum, words(U64{0}, U32{0}), 0, true},
      {"FeaturesShort", R::kSetFeatures, words(U32{0}), 0, true},
      {"AddrShort", R::kSetVringAddr, words(U64{0}), 0, true},
      {"TableShort", R::kSetMemTable, words(U32{1}), 0, true},
      {"TableOfNineRegions", R::kSetMemTable, table(9, std::vector<vhost_user::MemoryRegion>(9)), 8,
       true},
      {"NineDescriptors", R::kSetMemTable, table(8, std::vector<vhost_user::MemoryRegion>(8)), 9,
       true},
      {"DescriptorsInTheWay", R::kGetFeatures, {}, 1, true},
      {"TwoKickDescriptors", R::kSetVringKick, words(U64{0}), 2, true},
      {"ConfigShort", R::kGetConfig, words(U32{0}), 0, true},
      {"ConfigLong", R::kGetConfig, config_request(0, 257), 0, true},
      {"SlotWithoutDescriptor", R::kAddMemReg, words(U64{0}, U64{0}, U64{4096}, U64{0}, U64{0}), 0,
       true},
      {"ChannelWithoutDescriptor", R::kSetBackendReqFd, {}, 0, true},
      {"PayloadWhereNoneIs", R::kGetFeatures, words(U64{0}), 0, true},
  };
}

class VhostUserBad : public VhostUser {};
INSTANTIATE_TEST_SUITE_P(, VhostUserBad, testing::Values(Which{"io_uring"}), loop_name);

// Each is refused, what was set before stays, and others are served; no descriptor stays behind.
TEST_P(VhostUserBad, Messages) {
  expect_served();
  host->wait_for_links();
  const std::size_t before = open_descriptors();
  for (const Bad& bad : bad_messages()) {
    SCOPED_TRACE(bad.name);
    {
      FrontEnd front(host->connect());
      Driver driver(ram);
      front.negotiate();
      ASSERT_EQ(front.set_memory({&ram}), 0);
      const int answer =
          front.acknowledged(bad.request, bad.payload, std::vector<int>(bad.descriptors, ram.fd()));
      EXPECT_EQ(answer, bad.ends ? -1 : 1);
      if (answer == 1) {
        EXPECT_EQ(front.set_ring(ram, driver), 0);
        EXPECT_EQ(front.enable(), 0);
        EXPECT_EQ(call(front, driver, "after"), "after");
      }
    }
    host->wait_for_links();
    EXPECT_EQ(open_descriptors(), before);
  }
  EXPECT_EQ(host->reports().size(), bad_messages().size());
}

// A reply of its own that isn't there: whoever waits for it hears that it is over.
TEST_P(VhostUserBad, NothingToReply) {
  FrontEnd front(host->connect());
  front.negotiate();
  const VringState queue{1, 0};
  front.send(Request::kGetVringBase, std::as_bytes(std::span(&queue, 1)));
  EXPECT_TRUE(front.ended());
  FrontEnd other(host->connect());
  other.send(Request::kGetQueueNum);  // without the feature
  EXPECT_TRUE(other.ended());
}

TEST_P(VhostUserBad, ChangesOfARunningRing) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  EXPECT_EQ(front.set(Request::kSetVringNum, VringState{0, 64}), 1);
  EXPECT_EQ(front.set(Request::kSetVringBase, VringState{0, 5}), 1);
  EXPECT_EQ(front.set(Request::kSetVringAddr, front.addresses(ram, driver)), 1);
  EXPECT_EQ(front.set(Request::kSetFeatures, virtio::kVersion1), 1);
  EXPECT_EQ(call(front, driver, "on"), "on");
}

TEST_P(VhostUserBad, RingsThatAreNone) {
  for (const U32 size : {0u, 3u, 100u, 65535u}) {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.negotiate();
    ASSERT_EQ(front.set_memory({&ram}), 0);
    ASSERT_EQ(front.set_ring(ram, driver), 0);
    ASSERT_EQ(front.set(Request::kSetVringNum, VringState{0, size}), 0);
    EXPECT_EQ(front.enable(), 1) << size;
  }
  for (const U64 shift : {U64{1}, U64{1} << 40, ~U64{0}}) {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.negotiate();
    ASSERT_EQ(front.set_memory({&ram}), 0);
    ASSERT_EQ(front.set_ring(ram, driver), 0);
    auto address = front.addresses(ram, driver);
    address.used += shift;
    ASSERT_EQ(front.set(Request::kSetVringAddr, address), 0);
    EXPECT_EQ(front.enable(), 1) << shift;
  }
  expect_served();
}

// Enabled and kicked before there is a ring, or memory.
TEST_P(VhostUserBad, KicksBeforeAnything) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.negotiate();
  front.kick();
  EXPECT_EQ(front.set(Request::kVringKick, VringState{0, 0}), 0);
  EXPECT_EQ(front.enable(), 0);
  EXPECT_EQ(front.set(Request::kSetVringKick, U64{0}, {front.kick_fd()}), 0);
  EXPECT_EQ(front.set(Request::kSetVringAddr, front.addresses(ram, driver)), 0);
  EXPECT_EQ(front.set(Request::kSetVringNum, VringState{0, 128}), 0);
  EXPECT_EQ(front.enable(), 1);  // no memory
  ASSERT_EQ(front.set_memory({&ram}), 0);
  EXPECT_EQ(front.enable(), 0);
  EXPECT_EQ(front.set(Request::kSetVringCall, U64{0}, {front.call_fd()}), 0);
  EXPECT_EQ(call(front, driver, "now"), "now");
}

// A ring that breaks the rules is given up until it is set up again; nobody else notices.
TEST_P(VhostUserBad, BrokenRings) {
  plan.when = When::kLater;  // chains are out when it breaks
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto bytes = frame("x");
  const U64 out = ram.put(bytes);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i)
      driver.chain({{out, static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
    driver.offer(4000);
    front.kick();
    EXPECT_EQ(front.enable(), 0);  // it is; that mends nothing
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(front.wait_used(driver));
    EXPECT_EQ(front.enable(false), 0);
    Driver next(ram);
    ASSERT_EQ(front.set_ring(ram, next), 0);
    ASSERT_EQ(front.enable(), 0);
    EXPECT_EQ(call(front, next, "mended"), "mended");
    ASSERT_EQ(front.enable(false), 0);
    driver.set_index(static_cast<U16>(4 * (round + 1)));
    ASSERT_EQ(front.set_ring(ram, driver, static_cast<U32>(4 * (round + 1))), 0);
    ASSERT_EQ(front.enable(), 0);
  }
}

__attribute__((no_sanitize("thread"))) void toggle_word(std::byte* at, U32 wrong) {
  auto* const word = reinterpret_cast<volatile U32*>(at);
  const U32 right = *word;
  *word = wrong;
  *word = right;
}

// The guest writes to the ring, to descriptors, tables and frames while they are read. What was
// checked is what is used, or the ring breaks; nothing else happens.
TEST_P(VhostUserBad, ChangesWhileItIsRead) {
  auto any = static_cast<unsigned>(seed());
  for (int round = 0; round < 16; ++round) {
    host->wait_for_links();
    plan.when = round % 4 ? When::kLater : When::kAny;  // some are still out when it stops
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.start(ram, driver);
    const auto bytes = frame("0123456789");
    const U64 out = ram.put(bytes);
    const U64 room = ram.take(4096);
    const U64 table = driver.table({{out, static_cast<U32>(bytes.size())}, {room, 64, kWrite}});
    // A process of its own, as guests are.
    const pid_t other = ::fork();
    if (other == 0) {
      while (true) {
        const auto toggle = [&](U64 at, U32 wrong) { toggle_word(ram.at(at), wrong); };
        const U32 wrong = static_cast<U32>(::rand_r(&any)) * 2;
        switch (::rand_r(&any) % 5) {
          case 0:
            toggle(out, wrong);  // the frame's size
            break;
          case 1:
            toggle(out + 4, wrong);  // its type and tag
            break;
          case 2:
            toggle(table + 8, wrong % 8192);  // a length in the table
            break;
          case 3:
            toggle(table + 16, wrong);  // an address
            break;
          default:
            toggle(driver.place().descriptors + 8, wrong);  // the table's length
        }
      }
    }
    ASSERT_GT(other, 0);
    any = static_cast<unsigned>(::rand_r(&any));
    for (int i = 0; i < 100; ++i) {
      driver.chain({{table, 32, kTable}});
      front.kick();
      driver.set_used_event(driver.used_index());
      while (driver.used()) continue;
    }
    EXPECT_EQ(front.enable(false), 0);
    ::kill(other, SIGKILL);
    EXPECT_EQ(::waitpid(other, nullptr, 0), other);
  }
  host->wait_for_links();
  plan.when = When::kAtOnce;
  expect_served();
}

// Frames that are none, or too large; and no room for an answer.
TEST_P(VhostUserBad, Frames) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto answer_to = [&](Bytes bytes, U32 room_size) -> std::string {
    const U64 room = ram.take(4096);
    driver.chain({{ram.put(bytes), static_cast<U32>(bytes.size())}, {room, room_size, kWrite}});
    front.kick();
    const auto used = front.wait_used(driver);
    if (!used) return "nothing";
    if (used->length == 0) return "empty";
    return print_frame(Bytes(ram.at(room), used->length), kDotL);
  };
  const auto raw = [](U32 size, std::size_t bytes) {
    std::vector<std::byte> frame(bytes, std::byte{100});
    std::memcpy(frame.data(), &size, std::min<std::size_t>(bytes, sizeof size));
    return frame;
  };
  EXPECT_EQ(answer_to(raw(6, 6), 100), "empty");
  EXPECT_EQ(answer_to(raw(0, 1), 100), "empty");
  EXPECT_EQ(answer_to(raw(19, 19), 10), "empty");
  for (const U32 size : {0u, 6u, 20u, 8193u, ~0u})
    EXPECT_TRUE(answer_to(raw(size, 19), 100).starts_with("Rlerror")) << size;
  EXPECT_TRUE(answer_to(raw(19, 30), 100).starts_with("Tversion"));  // what is behind doesn't count
  EXPECT_EQ(call(front, driver, "on"), "on");
}

// The file that the memory is in gets shorter under the device's hands.
TEST_P(VhostUserBad, TruncatedMemory) {
  {
    GuestRam guest(1 << 20);
    FrontEnd front(host->connect());
    Driver driver(guest);
    front.start(guest, driver);
    const auto bytes = frame("x");
    const U64 out = guest.put(bytes);
    driver.chain(
        {{out, static_cast<U32>(bytes.size())}, {guest.guest() + (512 << 10), 64, kWrite}});
    ASSERT_EQ(::ftruncate(guest.fd(), 256 << 10), 0);
    front.kick();
    front.wait_used(driver, 1000);
    driver.chain({{out, static_cast<U32>(bytes.size())}, {guest.take(64), 64, kWrite}});
    front.kick();
    EXPECT_FALSE(front.wait_used(driver, 1000));  // the device has failed
  }
  host->wait_for_links();
  expect_served();
}

// The ring goes too, with replies on their way: the front end is told, and others go on.
TEST_P(VhostUserBad, TruncatedRing) {
  plan.when = When::kLater;
  for (int round = 0; round < 20; ++round) {
    GuestRam guest(1 << 20);
    FrontEnd front(host->connect());
    Driver driver(guest);
    front.start(guest, driver);
    const int error = ::eventfd(0, EFD_CLOEXEC);
    ASSERT_EQ(front.set(Request::kSetVringErr, U64{0}, {error}), 0);
    const auto bytes = frame("x");
    for (int i = 0; i < 16; ++i)
      driver.chain(
          {{guest.put(bytes), static_cast<U32>(bytes.size())}, {guest.take(64), 64, kWrite}});
    front.kick();
    if (round % 2) front.wait_used(driver);
    ASSERT_EQ(::ftruncate(guest.fd(), 0), 0);
    front.kick();
    pollfd polled{error, POLLIN, 0};
    EXPECT_EQ(::poll(&polled, 1, 60'000), 1);
    EXPECT_TRUE(front.get<U64>(Request::kGetFeatures));
    ::close(error);
  }
  host->wait_for_links();
  plan.when = When::kAtOnce;
  expect_served();
}

// Slots until there are no more: that one is refused, and there is room again when one goes.
TEST_P(VhostUserBad, SlotsWithoutEnd) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const auto change = [&](Request request, U64 number) {
    const vhost_user::MemoryRegion region{U64{1} << 40 | number << 20, 4096,
                                          U64{1} << 41 | number << 20, 0};
    std::vector<int> descriptors;
    if (request == Request::kAddMemReg) descriptors = {ram.fd()};
    return front.change_slot(request, region, descriptors);
  };
  U64 count = 0;
  while (count < 2000 && change(Request::kAddMemReg, count) == 0) ++count;
  EXPECT_GT(count, 100u);
  EXPECT_LT(count, 1024u);
  EXPECT_EQ(change(Request::kRemMemReg, 7), 0);
  EXPECT_EQ(change(Request::kAddMemReg, 7), 0);
  EXPECT_NE(change(Request::kAddMemReg, count), 0);
  EXPECT_EQ(call(front, driver, "on"), "on");
}

// All of a header's bits at random, and all of a payload's.
TEST_P(VhostUserBad, AnyBytes) {
  std::mt19937 random(seed());
  for (int round = 0; round < 300; ++round) {
    FrontEnd front(host->connect());
    if (round % 2) front.negotiate();
    for (int i = 0; i < 20; ++i) {
      const vhost_user::Header header{static_cast<U32>(random() % 45), 1,
                                      static_cast<U32>(random() % 48)};
      std::vector<std::byte> bytes(sizeof header + header.size);
      std::memcpy(bytes.data(), &header, sizeof header);
      for (std::size_t at = sizeof header; at < bytes.size(); ++at)
        bytes[at] = random() % 3 ? std::byte{0} : static_cast<std::byte>(random());
      front.send_raw(bytes,
                     std::vector<int>(random() % 3, random() % 2 ? ram.fd() : front.kick_fd()));
    }
  }
  host->wait_for_links();
  expect_served();
}

}  // namespace
}  // namespace ninep::test
