// vfio-user: the conversations of real clients, and what hostile ones say.
#include <fstream>

#include <gtest/gtest.h>

#include "tests/seed.h"
#include "tests/transports/io/loops.h"
#include "tests/transports/stream/echo.h"
#include "tests/transports/vfio_user/client.h"

namespace ninep::test {
namespace {

using namespace vfio_user;

constexpr U64 kMiB = 1 << 20;

class VfioUser : public testing::TestWithParam<Which> {
 protected:
  void SetUp() override {
    std::string why;
    auto loop = make_loop(GetParam(), {}, why);
    if (!loop) GTEST_SKIP() << why;
    host = std::make_unique<DeviceHost>(std::move(loop), transport::Protocol::Kind::kVfioUser,
                                        Echo::maker(plan));
  }

  static std::vector<std::byte> frame(Str text) {
    return frame_of(Tag{1}, Tversion{8192, text}, kDotL);
  }
  U16 offer(Driver& driver, GuestRam& from, Bytes bytes, U64 room) {
    return driver.indirect({{from.put(bytes), static_cast<U32>(bytes.size())},
                            {room, 11, kWrite},
                            {room + 11, 4085, kWrite}});
  }
  /// A request and its answer by the ring.
  std::string call(VfioClient& client, Driver& driver, Str text) {
    const auto bytes = frame(text);
    const U64 room = ram.take(4096);
    const U16 head = offer(driver, ram, bytes, room);
    client.kick();
    const auto used = client.wait_used(driver);
    if (!used || used->head != head) return "nothing came back";
    const Bytes answer(ram.at(room), used->length);
    return std::ranges::equal(answer, bytes) ? std::string(text) : "something else came back";
  }
  /// Version, memory, interrupts: what a VMM does before its guest runs.
  void begin(VfioClient& client) {
    ASSERT_EQ(client.version(), 0);
    ASSERT_EQ(client.map(ram), 0);
    ASSERT_EQ(
        client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2, {client.irq(), client.irq()}),
        0);
  }
  void expect_served() {
    VfioClient client(host->connect());
    begin(client);
    Driver driver(ram);
    EXPECT_EQ(client.start(driver), 15);
    EXPECT_EQ(call(client, driver, "still here"), "still here");
  }

  EchoPlan plan;
  GuestRam ram{64 << 20};
  std::unique_ptr<DeviceHost> host;
};
INSTANTIATE_TEST_SUITE_P(, VfioUser, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

// What a PCI bus's scan and Linux's driver look for; reply sizes are those that rust-vmm's client
// reads without looking.
TEST_P(VfioUser, SaysWhatItIs) {
  VfioClient client(host->connect("my-folder"));
  ASSERT_EQ(client.version(), 0);
  EXPECT_EQ(client.last_as<Version>().major, 0);
  EXPECT_EQ(client.last.back(), std::byte{0});
  EXPECT_NE(as_str(client.last).find("\"capabilities\""), Str::npos);
  ASSERT_EQ(client.tell(Command::kDeviceInfo, DeviceInfo{16, 0, 0, 0}), 0);
  EXPECT_EQ(client.last_as<DeviceInfo>().flags, kDeviceReset | kDevicePci);
  EXPECT_EQ(client.last_as<DeviceInfo>().regions, 9u);
  EXPECT_EQ(client.last_as<DeviceInfo>().irqs, 5u);
  const U64 sizes[kRegions] = {0x4000, 0x1000, 0, 0, 0, 0, 0, 256, 0};
  for (U32 i = 0; i < kRegions; ++i) {
    ASSERT_EQ(client.tell(Command::kRegionInfo, RegionInfo{32, 0, i, 0, 0, 0}), 0);
    ASSERT_EQ(client.last.size(), 32u);
    EXPECT_EQ(client.last_as<RegionInfo>().size, sizes[i]) << i;
  }
  const U32 irqs[kIrqs] = {1, 0, 2, 1, 1};
  for (U32 i = 0; i < kIrqs; ++i) {
    ASSERT_EQ(client.tell(Command::kIrqInfo, IrqInfo{16, 0, i, 0}), 0);
    EXPECT_EQ(client.last_as<IrqInfo>().count, irqs[i]) << i;
  }
  EXPECT_EQ(client.read<U32>(kConfigRegion, PCI_VENDOR_ID), 0x10491AF4u);
  EXPECT_GE(client.read<U8>(kConfigRegion, PCI_REVISION_ID), 1);
  EXPECT_GE(client.read<U16>(kConfigRegion, PCI_SUBSYSTEM_ID), 0x40);
  EXPECT_EQ(client.read<U8>(kConfigRegion, PCI_INTERRUPT_PIN), 1);
  // A BAR tells its size by the bits that can't be set.
  client.write<U32>(kConfigRegion, PCI_BASE_ADDRESS_0, ~U32{0});
  EXPECT_EQ(client.read<U32>(kConfigRegion, PCI_BASE_ADDRESS_0), ~U32{0x3FFF});
  client.write<U32>(kConfigRegion, PCI_VENDOR_ID, 0);
  EXPECT_EQ(client.read<U32>(kConfigRegion, PCI_VENDOR_ID), 0x10491AF4u);
  // The device's configuration: the tag's length, the tag, zeros.
  const U32 at = client.part(VIRTIO_PCI_CAP_DEVICE_CFG);
  EXPECT_EQ(client.read<U16>(0, at), 9u);
  EXPECT_EQ(client.read<U8>(0, at + 2), 'm');
  EXPECT_EQ(client.read<U32>(0, at + 2 + 9), 0u);
  EXPECT_EQ(client.read<U32>(0, at + 0xF00), 0u);
  // 64 bits of features, by halves.
  const U32 common = client.part(VIRTIO_PCI_CAP_COMMON_CFG);
  U64 features = 0;
  for (U32 half = 0; half < 3; ++half) {
    client.write<U32>(0, common + VIRTIO_PCI_COMMON_DFSELECT, half);
    const U64 word = client.read<U32>(0, common + VIRTIO_PCI_COMMON_DF);
    if (half < 2) features |= word << (32 * half);
    EXPECT_TRUE(half < 2 || word == 0);
  }
  EXPECT_EQ(features, virtio::Device::kFeatures);
  EXPECT_EQ(client.read<U16>(0, common + VIRTIO_PCI_COMMON_NUMQ), 1u);
  client.write<U16>(0, common + VIRTIO_PCI_COMMON_Q_SELECT, 1);
  EXPECT_EQ(client.read<U16>(0, common + VIRTIO_PCI_COMMON_Q_SIZE), 0u);
}

TEST_P(VfioUser, AsQemu) {
  VfioClient client(host->connect());
  begin(client);
  Driver driver(ram, 128);
  ASSERT_EQ(client.start(driver), 15);
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(call(client, driver, std::to_string(i)), std::to_string(i));
}

// Without MSI-X the line is raised once, until it has been seen to.
TEST_P(VfioUser, InterruptLine) {
  VfioClient client(
      host->connect({.kind = transport::Protocol::Kind::kVfioUser, .tag = "share", .msix = false}));
  ASSERT_EQ(client.version(), 0);
  ASSERT_EQ(client.tell(Command::kIrqInfo, IrqInfo{16, 0, kMsix, 0}), 0);
  EXPECT_EQ(client.last_as<IrqInfo>().count, 0u);
  ASSERT_EQ(client.map(ram), 0);
  ASSERT_EQ(client.set_irqs(kIntx, kIrqDataEventfd | kIrqTrigger, 0, 1, {client.irq()}), 0);
  client.line = true;
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(call(client, driver, std::to_string(i)), std::to_string(i));
    EXPECT_TRUE(client.interrupts == 0 || client.last_isr == 1) << i;
  }
  EXPECT_GT(client.interrupts, 0u);
}

// Features come first: without VERSION_1 there is no FEATURES_OK, and without that no ring.
TEST_P(VfioUser, StartsWithFeatures) {
  VfioClient client(host->connect());
  begin(client);
  const auto bytes = frame("too early");
  const U64 old = virtio::kMountTag | virtio::kIndirect;
  for (const U64 features : {old, old | virtio::kVersion1 | 2}) {
    Driver driver(ram);
    ASSERT_EQ(client.start(driver, features), 7);
    offer(driver, ram, bytes, ram.take(4096));
    client.kick();
    client.read<U8>(0, 0);  // what came before it is done
    EXPECT_FALSE(driver.used());
  }
  EXPECT_EQ(plan.seen, 0u);
  Driver again(ram);
  ASSERT_EQ(client.start(again), 15);
  EXPECT_EQ(call(client, again, "x"), "x");
}

// A reset ends the session and lets go of the ring; the driver comes again, at another place.
TEST_P(VfioUser, ResetAndAgain) {
  plan.when = When::kLater;
  VfioClient client(host->connect());
  begin(client);
  for (int round = 0; round < 10; ++round) {
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    ASSERT_EQ(call(client, driver, "x"), "x");
    const auto bytes = frame("left under way");
    for (int i = 0; i < 8; ++i) offer(driver, ram, bytes, ram.take(4096));
    client.kick();
    if (round % 2) {
      ASSERT_EQ(client.call(Command::kReset), 0);
    }
  }
}

// Memory comes and goes while requests are under way, as firmware and hot-plug have it.
TEST_P(VfioUser, MapsWhileRequestsAreUnderWay) {
  plan.when = When::kLater;
  VfioClient client(host->connect());
  begin(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  GuestRam other(1 << 20, 0x40000000);
  for (int round = 0; round < 50; ++round) {
    ASSERT_EQ(client.map(other), 0);
    ASSERT_EQ(client.map(other), EINVAL);  // there is something
    const auto bytes = frame("in the other memory");
    const U64 room = other.take(4096);
    const U16 head = offer(driver, other, bytes, room);
    client.kick();
    // Read back: what comes behind it has been handled after it.
    client.read<U8>(0, 0);
    ASSERT_EQ(client.unmap(other.guest(), other.size()), 0);
    ASSERT_EQ(client.last.size(), sizeof(DmaUnmap));
    const auto used = client.wait_used(driver);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->head, head);
    EXPECT_TRUE(std::ranges::equal(Bytes(other.at(room), used->length), bytes));
    ASSERT_EQ(call(client, driver, "x"), "x");
  }
  EXPECT_EQ(client.unmap(other.guest(), other.size()), ENOENT);
  EXPECT_EQ(client.unmap(0, 0, kDmaUnmapAll), 0);
  // The ring went with it: the device says so, and comes back by a reset.
  const U32 status = client.part(VIRTIO_PCI_CAP_COMMON_CFG) + VIRTIO_PCI_COMMON_STATUS;
  EXPECT_EQ(client.read<U8>(0, status), 15 | 64);
  ASSERT_EQ(client.map(ram), 0);
  Driver again(ram);
  ASSERT_EQ(client.start(again), 15);
  EXPECT_EQ(call(client, again, "x"), "x");
}

// Memory that isn't shared goes by messages: ring, tables, requests, replies.
class NotShared : public VfioUser {
 protected:
  void begin_not_shared(VfioClient& client) { begin_not_shared(client, ram); }
  static void begin_not_shared(VfioClient& client, const GuestRam& guest) {
    client.not_shared = &guest;
    ASSERT_EQ(client.version(), 0);
    ASSERT_EQ(client.tell(Command::kDmaMap, DmaMap{32, 3, 0, guest.guest(), guest.size()}), 0);
    ASSERT_EQ(
        client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2, {client.irq(), client.irq()}),
        0);
  }
};
INSTANTIATE_TEST_SUITE_P(, NotShared, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

TEST_P(NotShared, OneByOne) {
  VfioClient client(host->connect());
  begin_not_shared(client);
  for (int round = 0; round < 3; ++round) {
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    for (int i = 0; i < 100; ++i)
      ASSERT_EQ(call(client, driver, std::to_string(i)), std::to_string(i));
  }
  EXPECT_GT(client.served, 300u);
  EXPECT_EQ(client.unmap(ram.guest(), ram.size()), 0);
}

// Many at once, large and small, in tables and directly; so many that copies have to be dropped.
TEST_P(NotShared, ManyAtOnce) {
  plan.when = When::kLater;
  plan.msize = 1 << 20;
  VfioClient client(host->connect());
  begin_not_shared(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  std::vector<U64> rooms;
  std::vector<U64> outs;
  for (int i = 0; i < 16; ++i) {
    rooms.push_back(ram.take(600 << 10));
    outs.push_back(ram.take(600 << 10));
  }
  for (unsigned round = 0; round < 8; ++round) {
    std::map<U16, unsigned> sent;
    for (unsigned i = 0; i < 16; ++i) {
      const auto bytes = echo_frame(round * 16 + i, i % 4 ? 100 + i : (500 << 10) + i);
      std::memcpy(ram.at(outs[i]), bytes.data(), bytes.size());
      const U32 size = static_cast<U32>(bytes.size());
      const std::vector<Piece> pieces{{outs[i], 7},
                                      {outs[i] + 7, size - 7},
                                      {rooms[i], 11, kWrite},
                                      {rooms[i] + 11, size, kWrite}};
      sent[i % 2 ? driver.chain(pieces) : driver.indirect(pieces)] = i;
    }
    client.kick();
    while (!sent.empty()) {
      const auto used = client.wait_used(driver);
      ASSERT_TRUE(used);
      ASSERT_TRUE(sent.contains(static_cast<U16>(used->head)));
      const unsigned i = sent[static_cast<U16>(used->head)];
      sent.erase(static_cast<U16>(used->head));
      EXPECT_TRUE(std::ranges::equal(Bytes(ram.at(rooms[i]), used->length),
                                     Bytes(ram.at(outs[i]), used->length)));
      EXPECT_GE(used->length, 100u);
    }
  }
}

// What a private mapping of `size` costs, and any that has become one with it. A sanitizer's own lie
// far from what is mapped by the program, such as `near`.
U64 resident(U64 size, const std::byte* near) {
  std::ifstream maps("/proc/self/smaps");
  U64 bytes = 0;
  bool this_one = false;
  for (std::string line; std::getline(maps, line);) {
    U64 from = 0, to = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      this_one = to - from >= size && to - from < 2 * size &&
                 (from >> 40) == (reinterpret_cast<std::uintptr_t>(near) >> 40);
    if (this_one && std::sscanf(line.c_str(), "Anonymous: %lu", &kib) == 1) bytes += kib * 1024;
  }
  return bytes;
}

// The server keeps little of the guest's memory.
void keeps_little(DeviceHost& host, int times, int count, U32 size, U64 align) {
  GuestRam large(U64{1} << 30, 0x40000000);
  VfioClient client(host.connect());
  begin_not_shared(client, large);
  Driver driver(large);
  ASSERT_EQ(client.start(driver), 15);
  const auto bytes = frame_of(Tag{1}, Tversion{8192, std::string(100, 'x')}, kDotL);
  const U64 from = large.put(bytes);
  for (int i = 1; i <= times; ++i) {
    std::vector<Piece> pieces{{from, static_cast<U32>(bytes.size())}};
    for (int n = 0; n < count; ++n) pieces.push_back({large.take(size, align), size, kWrite});
    driver.chain(pieces);
    client.kick();
    ASSERT_TRUE(client.wait_used(driver));
    if (i % 40 != 0) continue;
    const U64 cost = resident(large.size(), large.at(0x40000000));
    ASSERT_GT(cost, 0u);
    ASSERT_LT(cost, 48 * kMiB);
  }
}

TEST_P(NotShared, KeepsLittleOfManyPieces) { keeps_little(*host, 1000, 16, 8, 4096); }

TEST_P(NotShared, KeepsLittleOfLargeReplies) {
  plan.reply_min = 500'000;
  keeps_little(*host, 120, 1, 500'000, 16);
}

// The client refuses; a reset, or the client's end, comes in the middle.
TEST_P(NotShared, Fails) {
  plan.when = When::kLater;
  for (int round = 0; round < 10; ++round) {
    VfioClient client(host->connect());
    begin_not_shared(client);
    const U32 status = client.part(VIRTIO_PCI_CAP_COMMON_CFG) + VIRTIO_PCI_COMMON_STATUS;
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    ASSERT_EQ(call(client, driver, "x"), "x");
    for (int i = 0; i < 8; ++i) offer(driver, ram, frame("left"), ram.take(4096));
    client.kick();
    if (round % 3 == 0) continue;
    if (round % 3 == 1) {
      client.memory_error = EIO;
      while (client.read<U8>(0, status) != (15 | 64)) continue;
      client.memory_error = 0;
    }
    if (round % 3 == 2) {
      ASSERT_EQ(client.unmap(ram.guest(), ram.size()), 0);
      ASSERT_EQ(client.read<U8>(0, status), 15 | 64);
      ASSERT_EQ(client.tell(Command::kDmaMap, DmaMap{32, 3, 0, ram.guest(), ram.size()}), 0);
    }
    Driver again(ram);
    ASSERT_EQ(client.start(again), 15);
    ASSERT_EQ(call(client, again, "again"), "again");
  }
}

// However often the device is reset, what the client leaves unanswered doesn't become more; and
// what it answers late hurts nobody.
TEST_P(NotShared, Unanswered) {
  VfioClient client(host->connect());
  begin_not_shared(client);
  client.holding = true;
  for (int round = 0; round < 50; ++round) {
    Driver other(ram);
    ASSERT_EQ(client.start(other), 15);
  }
  EXPECT_EQ(client.held.size(), 1u);
  client.holding = false;
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  for (const auto& answer : client.held) client.send_raw(answer);
  ASSERT_EQ(call(client, driver, "x"), "x");
}

TEST_P(NotShared, BadChains) {
  for (int which = 0; which < 6; ++which) {
    VfioClient client(host->connect());
    begin_not_shared(client);
    const U32 status = client.part(VIRTIO_PCI_CAP_COMMON_CFG) + VIRTIO_PCI_COMMON_STATUS;
    Driver driver(ram, 8);
    ASSERT_EQ(client.start(driver), 15);
    const U64 at = ram.put(frame("x"));
    switch (which) {
      case 0:  // a loop
        driver.descriptor(0, at, 16, kNext, 1);
        driver.descriptor(1, at, 16, kNext, 0);
        driver.offer(0);
        break;
      case 1:
        driver.offer(8);  // no such head
        break;
      case 2:
        driver.set_index(9);  // more than the ring has
        break;
      case 3:  // an address outside: not even asked for, as it is in no map
        driver.descriptor(0, 0x1000, 16, 0);
        driver.offer(0);
        break;
      case 4:  // a table of half descriptors
        driver.descriptor(0, at, 24, kTable);
        driver.offer(0);
        break;
      default:  // a table in a table
        driver.indirect({{driver.table({{at, 16}}), 16, kTable}});
    }
    client.kick();
    while (client.read<U8>(0, status) != (15 | 64)) continue;
    Driver again(ram);
    ASSERT_EQ(client.start(again), 15);
    ASSERT_EQ(call(client, again, "again"), "again");
  }
}

TEST_P(VfioUser, LeavesNothing) {
  plan.when = When::kAny;
  const auto once = [&](int i) {
    GuestRam guest(1 << 20);
    VfioClient client(host->connect());
    if (i % 4 == 0) return;
    ASSERT_EQ(client.version(), 0);
    ASSERT_EQ(client.map(guest), 0);
    ASSERT_EQ(
        client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2, {client.irq(), client.irq()}),
        0);
    Driver driver(guest);
    ASSERT_EQ(client.start(driver), 15);
    const auto bytes = frame("x");
    for (int n = 0; n < 8; ++n) offer(driver, guest, bytes, guest.take(4096));
    if (i % 4 != 1) client.kick();
    if (i % 4 == 3) client.send(Command::kDeviceInfo, {});  // and don't listen
  };
  for (int i = 0; i < 8; ++i) once(i);
  host->wait_for_links();
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 200; ++i) once(i);
  host->wait_for_links();
  EXPECT_EQ(open_descriptors(), before);
}

// ---- hostile messages

class VfioUserBad : public VfioUser {};
INSTANTIATE_TEST_SUITE_P(, VfioUserBad, testing::Values(Which{"io_uring"}), loop_name);

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
  expect(EINVAL, map(ram.guest() + 4096, 4096), "an overlap");
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

}  // namespace
}  // namespace ninep::test
