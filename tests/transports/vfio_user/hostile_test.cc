// vfio-user: what hostile clients say.
#include <random>

#include "tests/seed.h"
#include "tests/transports/vfio_user/fixture.h"

namespace ninep::test {
namespace {

class VfioUserBad : public VfioUser {};
INSTANTIATE_TEST_SUITE_P(, VfioUserBad, testing::Values(Which{"io_uring"}), loop_name);

// A descriptor whose end never comes keeps those behind it; there are only so many.
TEST_P(VfioUserBad, EndsThatNeverCome) {
  const auto party = std::make_shared<transport::Party>();
  VfioClient client(host->connect(party));
  ASSERT_EQ(client.version(), 0);
  const auto over = std::make_shared<std::atomic<bool>>(false);  // it may look after this has ended
  party->closing.run([over] { over->wait(false); });
  int sent = 0;
  while (sent < 3000 && client.tell(Command::kDmaMap, DmaMap{32, 3, 0, 0, 0}, {ram.fd()}) >= 0)
    ++sent;
  EXPECT_GT(sent, 100);
  EXPECT_LT(sent, 1100);
  EXPECT_LT(party->closing.waiting(), 1100u);
  *over = true;
  over->notify_all();
}

// Each is refused with an errno, and the device goes on.
TEST_P(VfioUserBad, Refused) {
  VfioClient client(host->connect());
  begin(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  const auto expect = [&](int error, int got, const char* what) {
    EXPECT_EQ(got, error) << what;
    EXPECT_EQ(call(client, driver, "x"), "x") << what;
  };
  const U64 free = 0x80000000;
  const auto map = [&](U64 address, U64 size, U64 offset = 0, unsigned descriptors = 1) {
    return client.tell(Command::kDmaMap, DmaMap{32, 3, offset, address, size},
                       std::vector<int>(descriptors, ram.fd()));
  };
  expect(EINVAL, map(free, 0), "an empty map");
  expect(EINVAL, map(free, 4097), "half a page");
  expect(EINVAL, map(free, 4096, 1), "an odd offset");
  expect(EINVAL, map(free, 65 * kMiB), "more than the file has");
  expect(EINVAL, map(free, 4096, 64 * kMiB), "behind the file's end");
  expect(EINVAL, map(free, 8192, ~U64{0} - 4095), "an offset that wraps");
  expect(EINVAL, map(~U64{0} - 4095, 8192), "an address that wraps");
  expect(EEXIST, map(ram.guest() + 4096, 4096), "an overlap");
  expect(EINVAL, map(free, 4096, 0, 2), "two descriptors");
  expect(EINVAL, client.call(Command::kDmaMap, std::vector<std::byte>(31)), "a short map");
  expect(EINVAL, client.unmap(free, 0), "an empty unmap");
  expect(EINVAL, client.unmap(~U64{0}, 2), "an unmap that wraps");
  expect(ENOENT, client.unmap(free, 4096), "nothing there");
  expect(ENOENT, client.unmap(ram.guest(), 4096), "a part of a region");
  expect(EOPNOTSUPP, client.unmap(ram.guest(), ram.size(), 1), "a dirty bitmap");
  expect(EINVAL, client.call(Command::kDmaUnmap, std::vector<std::byte>(23)), "a short unmap");
  for (const U32 region : {2u, 6u, 8u, 9u, ~0u}) {
    expect(EINVAL, client.tell(Command::kRegionRead, RegionAccess{0, region, 4}), "no region");
    expect(EINVAL, client.tell(Command::kRegionWrite, RegionAccess{0, region, 4}), "no region");
  }
  for (const U32 region : {0u, 1u, 7u}) {
    const auto read = [&](U64 offset, U32 count) {
      return client.tell(Command::kRegionRead, RegionAccess{offset, region, count});
    };
    expect(EINVAL, read(0x4000, 1), "behind the region");
    expect(EINVAL, read(~U64{0}, 2), "an offset that wraps");
    expect(EINVAL, read(0, 0x4001), "more than the region");
    expect(EINVAL, read(0, ~U32{0}), "far too much");
    expect(0, read(0, 0), "nothing");
  }
  expect(EINVAL, client.tell(Command::kRegionWrite, RegionAccess{0, 0, 8}), "no data");
  expect(EINVAL, client.call(Command::kRegionRead, std::vector<std::byte>(15)), "a short read");
  expect(EINVAL, client.call(Command::kRegionWrite, std::vector<std::byte>(15)), "a short write");
  expect(EINVAL, client.tell(Command::kRegionInfo, RegionInfo{32, 0, 9, 0, 0, 0}), "region 9");
  expect(EINVAL, client.tell(Command::kIrqInfo, IrqInfo{16, 0, 5, 0}), "interrupt 5");
  expect(EINVAL, client.set_irqs(5, kIrqDataNone | kIrqTrigger, 0, 0), "interrupt 5");
  expect(EINVAL, client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 3), "vector 2");
  expect(EINVAL, client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, ~0u, 2),
         "a start that wraps");
  expect(EINVAL, client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 2, 1), "vector 2");
  expect(EINVAL, client.set_irqs(kMsix, 0, 0, 1), "no action");
  expect(EINVAL,
         client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 1, {client.irq(), client.irq()}),
         "more descriptors than vectors");
  expect(EOPNOTSUPP, client.set_irqs(kMsix, kIrqDataBool | kIrqTrigger, 0, 1), "booleans");
  expect(0, client.set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), "an unmask");
  for (const U32 action : {kIrqMask, kIrqUnmask}) {
    // QEMU with KVM asks for the eventfd, and does without.
    expect(EOPNOTSUPP, client.set_irqs(kIntx, kIrqDataEventfd | action, 0, 1, {client.irq()}),
           "masks by eventfd");
    expect(EOPNOTSUPP, client.set_irqs(kIntx, kIrqDataBool | action, 0, 1), "masks by booleans");
  }
  expect(EPROTO, client.version(), "a second version");
  for (const int command : {0, 6, 11, 12, 14, 15, 99})
    expect(EOPNOTSUPP, client.call(static_cast<Command>(command)), "an unknown command");
}

// A message has 16 descriptors at most, however it comes; none is kept that isn't needed.
TEST_P(VfioUserBad, Descriptors) {
  expect_served();
  host->wait_for_links();
  const std::size_t before = open_descriptors();
  const vfio_user::Header header{0, 2, sizeof(vfio_user::Header) + sizeof(DmaMap), 0, 0};
  const auto head = vfio_user::bytes_of(header);
  const auto map = vfio_user::bytes_of(DmaMap{32, 3, 0, ram.guest(), ram.size()});
  const auto some = [&](unsigned count) { return std::vector<int>(count, ram.fd()); };
  struct Case {
    unsigned with_header;
    unsigned with_payload;
    int answer;  // -1: the end
  };
  for (const Case& one : {Case{1, 0, 0},
                          {0, 1, 0},
                          {16, 0, EINVAL},
                          {17, 0, -1},
                          {0, 17, -1},
                          {8, 8, EINVAL},
                          {8, 9, -1},
                          {16, 16, -1}}) {
    SCOPED_TRACE(std::to_string(one.with_header) + " and " + std::to_string(one.with_payload));
    {
      VfioClient client(host->connect());
      ASSERT_EQ(client.version(), 0);
      client.send_raw(head, some(one.with_header));
      client.send_raw(map, some(one.with_payload));
      vfio_user::Header reply;
      const bool came = client.receive(std::as_writable_bytes(std::span(&reply, 1)));
      EXPECT_EQ(came ? static_cast<int>(reply.error) : -1, one.answer);
    }
    host->wait_for_links();
    EXPECT_EQ(open_descriptors(), before);
  }
  // With a message that takes none.
  {
    VfioClient client(host->connect());
    begin(client);
    EXPECT_EQ(client.call(Command::kDeviceInfo, {}, some(1)), EINVAL);
    EXPECT_EQ(client.call(Command::kDeviceInfo), 0);
  }
  // A message that goes on and on.
  VfioClient client(host->connect());
  ASSERT_EQ(client.version(), 0);
  client.send_raw(vfio_user::bytes_of(vfio_user::Header{1, 2, 8016, 0, 0}));
  for (int i = 0; i < 100; ++i) client.send_raw(std::vector<std::byte>(1), some(16));
  ::shutdown(client.fd(), SHUT_WR);
  EXPECT_TRUE(client.ends());
  host->wait_for_links();
  EXPECT_EQ(std::ranges::count(host->reports(), "too many descriptors"), 5);
}

// Each ends the conversation, and no other one.
TEST_P(VfioUserBad, Ends) {
  const auto raw = [](vfio_user::Header header, std::size_t more) {
    std::vector<std::byte> bytes(sizeof header + more);
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
  };
  for (const auto& [agreed, bytes] : std::initializer_list<std::pair<bool, std::vector<std::byte>>>{
           {true, raw({1, 4, 15, 0, 0}, 0)},                    // shorter than its header
           {true, raw({1, 4, 0, 0, 0}, 0)},                     // empty
           {true, raw({1, 9, ~U32{0}, 0, 0}, 0)},               // huge
           {true, raw({1, 9, 16 + kPayloadMax + 1, 0, 0}, 0)},  // too large
           {true, raw({1, 4, 32, kReply, 0}, 16)},              // a reply to nothing
           {false, raw({1, 4, 32, 0, 0}, 16)},                  // nothing agreed on
           {false, raw({1, 1, 18, 0, 0}, 2)},                   // half a version
       }) {
    VfioClient client(host->connect());
    if (agreed) begin(client);
    client.send_raw(bytes);
    EXPECT_TRUE(client.ends());
  }
  // Another major version.
  VfioClient client(host->connect());
  EXPECT_EQ(client.tell(Command::kVersion, Version{1, 0}), ENOTSUP);
  EXPECT_TRUE(client.ends());
  expect_served();
}

// Registers in any order and with any values: a driver gone mad. The device goes on for the next.
TEST_P(VfioUserBad, AnyRegisters) {
  auto any = static_cast<unsigned>(seed());
  const auto random = [&](U32 below) { return static_cast<U32>(::rand_r(&any)) % below; };
  VfioClient client(host->connect());
  begin(client);
  Driver driver(ram);
  for (int round = 0; round < 200; ++round) {
    if (random(2)) client.start(driver);
    for (U32 n = random(10); n > 0; --n) {
      const U32 at = random(8) ? random(0x40) : random(0x3FF8);
      switch (random(4)) {
        case 0:
          client.write<U8>(0, at, static_cast<U8>(random(256)));
          break;
        case 1:
          client.write<U16>(0, at, static_cast<U16>(random(65536)));
          break;
        case 2:
          client.write<U32>(0, at, random(1u << 31) * 2 + random(2));
          break;
        default:
          client.read<U64>(0, at);
      }
    }
  }
  client.reset();
  Driver sane(ram);
  ASSERT_EQ(client.start(sane), 15);
  EXPECT_EQ(call(client, sane, "x"), "x");
}

// All that a VMM may change, while its guest floods: each change comes to its end.
TEST_P(VfioUserBad, ChangesInAFlood) {
  for (const When when : {When::kAtOnce, When::kLater}) {
    host->wait_for_links();
    plan.when = when;
    GuestRam other(1 << 20, U64{4} << 32);
    VfioClient client(host->connect());
    begin(client);
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    const auto bytes = frame("x");
    const U16 head = driver.chain(
        {{ram.put(bytes), static_cast<U32>(bytes.size())}, {ram.take(64), 64, kWrite}});
    for (U16 i = 0; i < driver.size(); ++i)
      ram.write<U16>(driver.place().available + 4 + 2 * U64{i}, head);
    std::mt19937 random(seed());
    bool mapped = false;
    for (int round = 0; round < 400; ++round) {
      for (int i = 0; i < 20; ++i) {
        driver.set_index(static_cast<U16>(driver.used_index() + driver.size()));
        client.kick();
      }
      switch (random() % 4) {
        case 0:
          EXPECT_EQ(mapped ? client.unmap(other.guest(), other.size()) : client.map(other), 0);
          mapped = !mapped;
          break;
        case 1:
          EXPECT_EQ(client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2,
                                    {client.irq(), client.irq()}),
                    0);
          break;
        case 2:
          EXPECT_EQ(client.call(Command::kReset), 0);
          [[fallthrough]];
        default:
          client.reset();
          driver.set_index(0);
          ram.write<U16>(driver.place().used + 2, 0);
          EXPECT_EQ(client.start(driver), 15);
      }
    }
  }
  host->wait_for_links();
  plan.when = When::kAtOnce;
  expect_served();
}

}  // namespace
}  // namespace ninep::test
