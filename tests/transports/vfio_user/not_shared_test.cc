// vfio-user with memory that isn't shared: ring, tables, requests and replies go by messages.
#include <cstdio>
#include <fstream>

#include "tests/transports/vfio_user/fixture.h"

namespace ninep::test {
namespace {

// What a private mapping of `size` costs, and any that has become one with it. A sanitizer's own
// lie far from what is mapped by the program, such as `near`.
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

class NotShared : public VfioUser {
 protected:
  /// A request whose reply goes into three pieces at `room`, when the first of them is on its way
  /// to the client's memory, and isn't taken there.
  void hold_reply(VfioClient& client, Driver& driver, Bytes request, U64 room) {
    std::fill_n(ram.at(room), 3072, std::byte{0xAA});
    driver.indirect({{ram.put(request), static_cast<U32>(request.size())},
                     {room, 1024, kWrite},
                     {room + 1024, 1024, kWrite},
                     {room + 2048, 1024, kWrite}});
    client.hold_at = room;
    client.kick();
    while (!client.holding) client.read<U8>(0, 0);
  }
  /// What was held is answered, and all that comes of it is over.
  static void release(VfioClient& client) {
    client.holding = false;
    client.hold_at = 0;
    client.written.clear();
    for (const auto& answer : std::exchange(client.held, {})) client.send_raw(answer);
    for (int i = 0; i < 20; ++i) client.read<U8>(0, 0);
  }
  bool is_untouched(U64 at, std::size_t size) const {
    return std::ranges::all_of(Bytes(ram.at(at), size),
                               [](std::byte b) { return b == std::byte{0xAA}; });
  }
  void begin_not_shared(VfioClient& client) { begin_not_shared(client, ram); }
  static void begin_not_shared(VfioClient& client, const GuestRam& guest) {
    client.not_shared = &guest;
    ASSERT_EQ(client.version(), 0);
    ASSERT_EQ(client.tell(Command::kDmaMap, DmaMap{32, 3, 0, guest.guest(), guest.size()}), 0);
    ASSERT_EQ(
        client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2, {client.irq(), client.irq()}),
        0);
  }
  /// The server keeps little of the guest's memory.
  void keeps_little(int times, int count, U32 size, U64 align) {
    GuestRam large(U64{1} << 30, 0x40000000);
    VfioClient client(host->connect());
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

TEST_P(NotShared, KeepsLittleOfManyPieces) { keeps_little(1000, 16, 8, 4096); }

TEST_P(NotShared, KeepsLittleOfLargeReplies) {
  plan.reply_min = 500'000;
  keeps_little(120, 1, 500'000, 16);
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

// A reset in the middle of a reply: the guest uses the pages for something else, and its driver
// comes again. Nothing more of the reply gets there.
TEST_P(NotShared, ResetAmidAReply) {
  VfioClient client(host->connect());
  begin_not_shared(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  const U64 room = ram.take(3072, 4096);
  hold_reply(client, driver, echo_frame(7, 3000), room);
  client.reset();
  std::fill_n(ram.at(room), 3072, std::byte{0xAA});
  Driver again(ram);
  ASSERT_EQ(client.start(again), 15);
  release(client);
  EXPECT_TRUE(is_untouched(room, 3072));
  EXPECT_EQ(call(client, again, "again"), "again");
}

// Memory that goes, and comes again, in the middle of a reply: there is nothing left to bring
// there, and what is there now isn't what the guest waits for. The device says that it needs a
// reset.
TEST_P(NotShared, MemoryGoesAmidAReply) {
  for (const bool comes_again : {false, true}) {
    VfioClient client(host->connect());
    begin_not_shared(client);
    const U32 status = client.part(VIRTIO_PCI_CAP_COMMON_CFG) + VIRTIO_PCI_COMMON_STATUS;
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    const U64 room = ram.take(3072, 4096);
    hold_reply(client, driver, echo_frame(7, 3000), room);
    ASSERT_EQ(client.unmap(ram.guest(), ram.size()), 0);
    if (comes_again) {
      ASSERT_EQ(client.tell(Command::kDmaMap, DmaMap{32, 3, 0, ram.guest(), ram.size()}), 0);
    }
    release(client);
    EXPECT_TRUE(client.written.empty());
    EXPECT_FALSE(driver.used());
    EXPECT_TRUE(is_untouched(room + 1024, 2048));
    EXPECT_EQ(client.read<U8>(0, status), 15 | 64);
  }
}

// Halves of the memory, each of which may go alone.
class Halves : public NotShared {
 protected:
  static constexpr U64 kHalf = 32 * kMiB;
  DmaMap second() { return {32, 3, 0, ram.guest() + kHalf, kHalf}; }
  void begin_halves(VfioClient& client, bool second_is_shared) {
    client.not_shared = &ram;
    ASSERT_EQ(client.version(), 0);
    ASSERT_EQ(client.tell(Command::kDmaMap, DmaMap{32, 3, 0, ram.guest(), kHalf}), 0);
    map_second(client, second_is_shared);
    ASSERT_EQ(
        client.set_irqs(kMsix, kIrqDataEventfd | kIrqTrigger, 0, 2, {client.irq(), client.irq()}),
        0);
    status = client.part(VIRTIO_PCI_CAP_COMMON_CFG) + VIRTIO_PCI_COMMON_STATUS;
  }
  void map_second(VfioClient& client, bool shared) {
    DmaMap map = second();
    if (shared) map.offset = kHalf;
    ASSERT_EQ(client.tell(Command::kDmaMap, map,
                          shared ? std::vector<int>{ram.fd()} : std::vector<int>{}),
              0);
  }
  void map_second_again(VfioClient& client, bool shared) {
    ASSERT_EQ(client.unmap(second().address, second().size), 0);
    map_second(client, shared);
  }
  U32 status = 0;
};
INSTANTIATE_TEST_SUITE_P(, Halves, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

// The table by which a reply finds its place goes and comes while the request is under way.
TEST_P(Halves, TableGoesAmidARequest) {
  plan.when = When::kWhenClosed;
  for (const bool shared : {false, true}) {
    VfioClient client(host->connect());
    begin_halves(client, shared);
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    const auto bytes = echo_frame(7, 3000);
    const U64 room = ram.take(4096, 4096);
    const U64 table = ram.guest() + kHalf + 4096;
    driver.write_descriptor(table, ram.put(bytes), 3000, kNext, 1);
    driver.write_descriptor(table + 16, room, 4096, kWrite, 0);
    driver.chain({{table, 32, kTable}});
    const unsigned before = plan.seen;
    client.kick();
    while (plan.seen == before) client.read<U8>(0, 0);
    map_second_again(client, shared);
    EXPECT_EQ(client.read<U8>(0, status), 15 | 64);
  }
}

// What a request is in goes and comes while it is fetched.
TEST_P(Halves, PayloadGoesAmidAFetch) {
  VfioClient client(host->connect());
  begin_halves(client, false);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  const auto bytes = echo_frame(7, 3000);
  const U64 rest = ram.guest() + kHalf + 8192;
  std::ranges::copy(Bytes(bytes).subspan(100), ram.at(rest));
  driver.indirect(
      {{ram.put(Bytes(bytes).first(100)), 100}, {rest, 2900}, {ram.take(4096), 4096, kWrite}});
  client.between_at = rest;
  client.between = [&] { map_second_again(client, false); };
  client.kick();
  while (client.between) client.interrupted(100);
  for (int i = 0; i < 20; ++i) client.read<U8>(0, 0);
  EXPECT_EQ(client.read<U8>(0, status), 15 | 64);
  EXPECT_EQ(plan.seen, 0u);
  EXPECT_FALSE(driver.used());
}

// Whether memory is shared or not, there is one at a place.
TEST_P(Halves, Overlaps) {
  VfioClient client(host->connect());
  begin_halves(client, true);
  const DmaMap first{32, 3, 0, ram.guest() + kHalf - 4096, 4096};
  EXPECT_EQ(client.tell(Command::kDmaMap, first, {ram.fd()}), EEXIST);
  EXPECT_EQ(client.tell(Command::kDmaMap, first), EEXIST);
  EXPECT_EQ(client.tell(Command::kDmaMap, second()), EEXIST);
}

// Memory beside it may come and go.
TEST_P(NotShared, OtherMemoryGoesAmidAReply) {
  VfioClient client(host->connect());
  begin_not_shared(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  const DmaMap other{32, 3, 0, U64{8} << 32, 1 << 20};
  ASSERT_EQ(client.tell(Command::kDmaMap, other), 0);
  const U64 room = ram.take(3072, 4096);
  const auto bytes = echo_frame(7, 3000);
  hold_reply(client, driver, bytes, room);
  ASSERT_EQ(client.unmap(other.address, other.size), 0);
  ASSERT_EQ(client.tell(Command::kDmaMap, other), 0);
  release(client);
  const auto used = client.wait_used(driver);
  ASSERT_TRUE(used);
  EXPECT_TRUE(std::ranges::equal(Bytes(ram.at(room), used->length), bytes));
}

// A client copies from its memory in any order: the index is asked for before what it counts.
TEST_P(NotShared, IndexBeforeEntries) {
  plan.when = When::kLater;
  VfioClient client(host->connect());
  begin_not_shared(client);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  offer(driver, ram, frame("one"), ram.take(4096));
  client.between_at = driver.place().available;
  client.between = [&] { offer(driver, ram, frame("two"), ram.take(4096)); };
  client.kick();
  ASSERT_TRUE(client.wait_used(driver));
  ASSERT_TRUE(client.wait_used(driver));
  EXPECT_FALSE(client.between);
}

// However much the replies of many requests at once may be, what is kept is little.
TEST_P(NotShared, KeepsLittleOfManyAtOnce) {
  plan.msize = 1 << 20;
  plan.reply_min = 1 << 20;
  GuestRam large(U64{1} << 30, 0x40000000);
  VfioClient client(host->connect());
  begin_not_shared(client, large);
  Driver driver(large);
  ASSERT_EQ(client.start(driver), 15);
  const auto bytes = frame("x");
  const U64 request = large.put(bytes);
  for (int i = 0; i < 128; ++i)
    driver.indirect(
        {{request, static_cast<U32>(bytes.size())}, {large.take(1 << 20, 4096), 1 << 20, kWrite}});
  client.kick();
  for (int i = 0; i < 128; ++i) {
    ASSERT_TRUE(client.wait_used(driver));
    ASSERT_LT(resident(large.size(), large.at(0x40000000)), 48 * kMiB);
  }
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

}  // namespace
}  // namespace ninep::test
