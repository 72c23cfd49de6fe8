// The split ring from the device's side: what a right driver does, and each rule that a wrong one
// breaks.
#include <gtest/gtest.h>

#include "tests/transports/virtio/driver.h"
#include "transports/pieces.h"

namespace ninep::virtio {
namespace {

using test::Driver;
using test::GuestRam;
using test::kTable;
using test::kWrite;
using test::Piece;
using Take = Virtqueue::Take;
using Tell = Virtqueue::Tell;

constexpr U64 kFeatures = kVersion1 | kIndirect | kEventIndex;

class VirtqueueTest : public testing::Test {
 protected:
  explicit VirtqueueTest(U16 size = 16, U64 features = kVersion1 | kIndirect)
      : driver(ram, size), features_(features) {}
  void SetUp() override { start(); }
  void TearDown() override {
    for (const U16 head : taken_) queue.give_back(head, 0);
    queue.stop();
  }

  void start(U16 next = 0) {
    Memory memory;
    ASSERT_TRUE(memory.add(ram.region()));
    ASSERT_TRUE(queue.start(std::make_shared<Memory>(memory), driver.place(), features_, next));
  }
  Take take() {
    const Take result = queue.take(chain);
    if (result == Take::kChain) taken_.push_back(chain.head);
    return result;
  }
  void give_back(U32 written) {
    queue.give_back(taken_.back(), written);
    taken_.pop_back();
  }
  std::string out() const {
    std::string text(total(chain.out), '\0');
    gather(chain.out, std::as_writable_bytes(std::span(text)));
    return text;
  }
  Piece text(Str s) { return {ram.put(as_bytes(s)), static_cast<U32>(s.size())}; }
  Piece room(U32 size) { return {ram.take(size), size, kWrite}; }

  GuestRam ram;
  Driver driver;
  Virtqueue queue;
  Chain chain;

 private:
  const U64 features_;
  std::vector<U16> taken_;
};

TEST_F(VirtqueueTest, NothingThere) {
  EXPECT_EQ(take(), Take::kEmpty);
  EXPECT_EQ(queue.tell(), Tell::kNothing);
}

TEST_F(VirtqueueTest, ChainsComeInOrderAndGoBackInAny) {
  const U16 first = driver.chain({text("first"), room(100)});
  const U16 second = driver.chain({text("se"), text("cond"), room(50), room(7)});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(chain.head, first);
  EXPECT_EQ(out(), "first");
  EXPECT_EQ(total(chain.in), 100u);
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(chain.head, second);
  EXPECT_EQ(out(), "second");
  EXPECT_EQ(total(chain.in), 57u);
  EXPECT_EQ(take(), Take::kEmpty);
  EXPECT_EQ(queue.out(), 2u);
  give_back(57);
  give_back(3);
  auto used = driver.used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->head, second);
  EXPECT_EQ(used->length, 57u);
  used = driver.used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->head, first);
  EXPECT_EQ(used->length, 3u);
  EXPECT_FALSE(driver.used());
}

// Indices are 16 bits and go round.
TEST_F(VirtqueueTest, GoesRound) {
  for (int i = 0; i < 70'000; ++i) {
    driver.chain({{ram.guest(), 4}, {ram.guest() + 8, 4, kWrite}});
    ASSERT_EQ(take(), Take::kChain) << i;
    give_back(static_cast<U32>(i));
    const auto used = driver.used();
    ASSERT_TRUE(used) << i;
    ASSERT_EQ(used->length, static_cast<U32>(i));
  }
}

TEST_F(VirtqueueTest, GoesOnWhereItWas) {
  driver.chain({text("a"), room(1)});
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  const U16 next = queue.next();
  EXPECT_EQ(next, 1u);
  queue.stop();
  driver.chain({text("b"), room(1)});
  start(next);
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(out(), "b");
  give_back(1);
  EXPECT_EQ(driver.used_index(), 2u);
}

TEST_F(VirtqueueTest, IndirectTables) {
  driver.indirect({text("in"), text("direct"), room(10), room(20)});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(out(), "indirect");
  EXPECT_EQ(total(chain.in), 30u);
  // More than the ring has entries, up to the constant.
  std::vector<Piece> many(Virtqueue::kChainMax - 1, Piece{ram.guest(), 0});
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = {ram.guest() + 32 * i, 16};
  driver.indirect(many);
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(total(chain.out), 16 * many.size());
  many.resize(Virtqueue::kChainMax + 1, Piece{ram.guest(), 16});
  driver.indirect(many);
  EXPECT_EQ(take(), Take::kBroken);
}

// An indirect table may stand at the end of a direct chain.
TEST_F(VirtqueueTest, IndirectTableBehindDirectDescriptors) {
  const U64 table = driver.table({text("cd"), room(5)});
  driver.chain({text("ab"), {table, 32, kTable}});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(out(), "abcd");
  EXPECT_EQ(total(chain.in), 5u);
}

TEST_F(VirtqueueTest, ZeroLengthsAreNothing) {
  driver.chain({{0, 0}, text("x"), {~U64{0}, 0}, {0, 0, kWrite}, room(3)});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(out(), "x");
  EXPECT_EQ(total(chain.in), 3u);
}

// A buffer may lie across two regions that are neighbours for the guest and not for us.
TEST_F(VirtqueueTest, BuffersAcrossRegions) {
  GuestRam other(1 << 20, ram.guest() + ram.size());
  Memory memory;
  ASSERT_TRUE(memory.add(ram.region()));
  ASSERT_TRUE(memory.add(other.region()));
  queue.stop();
  ASSERT_TRUE(queue.start(std::make_shared<Memory>(memory), driver.place(), kFeatures, 0));
  const U64 at = ram.guest() + ram.size() - 2;
  std::memcpy(ram.at(at), "ab", 2);
  std::memcpy(other.at(other.guest()), "cd", 2);
  driver.chain({{at, 4}, room(1)});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(out(), "abcd");
  EXPECT_EQ(chain.out.size(), 2u);
}

// ---- notifications

// Regions that lie side by side are one piece in the end; looking for it is work all the same.
TEST_F(VirtqueueTest, RegionsWithoutEnd) {
  constexpr U64 kPages = 400;
  const U64 side_by_side = U64{1} << 40;
  for (const U32 descriptors : {5u, 6u}) {
    Memory many;
    ASSERT_TRUE(many.add(ram.region()));
    GuestRam other(kPages * 4096, side_by_side);
    const auto mapping = other.region().mapping;
    for (U64 i = 0; i < kPages; ++i)
      ASSERT_TRUE(many.add({.guest = side_by_side + 4096 * i,
                            .size = 4096,
                            .mapping = mapping,
                            .offset = 4096 * i}));
    Driver driver(ram);
    Virtqueue queue;
    ASSERT_TRUE(queue.start(std::make_shared<const Memory>(std::move(many)), driver.place(),
                            kIndirect | kVersion1, 0));
    driver.indirect(
        std::vector<Piece>(descriptors, Piece{side_by_side, static_cast<U32>(4096 * kPages)}));
    Chain chain;
    EXPECT_EQ(queue.take(chain),
              descriptors == 5 ? Virtqueue::Take::kChain : Virtqueue::Take::kBroken);
  }
}

TEST_F(VirtqueueTest, InterruptsUnlessSuppressed) {
  driver.chain({room(1)});
  driver.chain({room(1)});
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  EXPECT_EQ(queue.tell(), Tell::kInterrupt);
  EXPECT_EQ(queue.tell(), Tell::kNothing);  // nothing since
  driver.set_available_flags(1);
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  EXPECT_EQ(queue.tell(), Tell::kSpared);
}

TEST_F(VirtqueueTest, KicksAreSparedAndAskedFor) {
  queue.spare_kicks();
  EXPECT_EQ(driver.used_flags(), 1u);
  EXPECT_TRUE(queue.ask_for_kicks());
  EXPECT_EQ(driver.used_flags(), 0u);
  driver.chain({room(1)});
  EXPECT_FALSE(queue.ask_for_kicks());  // came before the driver could know
}

class EventIndexTest : public VirtqueueTest {
 protected:
  EventIndexTest() : VirtqueueTest(16, kFeatures) {}
};

TEST_F(EventIndexTest, InterruptsWhenTheIndexIsPassed) {
  driver.set_used_event(1);  // "when the second one is back"
  for (int i = 0; i < 3; ++i) driver.chain({room(1)});
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  EXPECT_EQ(queue.tell(), Tell::kSpared);
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  ASSERT_EQ(take(), Take::kChain);
  give_back(0);
  EXPECT_EQ(queue.tell(), Tell::kInterrupt);  // one for both
  EXPECT_EQ(queue.tell(), Tell::kNothing);
}

TEST_F(EventIndexTest, AsksForKicksByIndex) {
  EXPECT_TRUE(queue.ask_for_kicks());
  EXPECT_EQ(driver.available_event(), 0u);
  driver.chain({room(1)});
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_TRUE(queue.ask_for_kicks());
  EXPECT_EQ(driver.available_event(), 1u);
}

// ---- what a start refuses

TEST_F(VirtqueueTest, SizesThatAreNone) {
  const auto memory = queue.memory();
  queue.stop();
  for (const U32 size : {0u, 3u, 15u, 32769u, 65536u, 0x80000000u}) {
    RingPlace place = driver.place();
    place.size = size;
    EXPECT_EQ(queue.start(memory, place, kFeatures, 0).error(), Errno{EINVAL}) << size;
    EXPECT_FALSE(queue.started());
  }
}

TEST_F(VirtqueueTest, PlacesThatAreNone) {
  const auto memory = queue.memory();
  queue.stop();
  const U64 end = ram.guest() + ram.size();
  for (U64 RingPlace::* const part :
       {&RingPlace::descriptors, &RingPlace::available, &RingPlace::used}) {
    for (const U64 at : {U64{0}, ram.guest() - 16, end, end - 16, ~U64{15}, ram.guest() + 1}) {
      RingPlace place = driver.place();
      place.*part = at;
      EXPECT_EQ(queue.start(memory, place, kFeatures, 0).error(), Errno{EFAULT}) << at;
    }
  }
}

TEST_F(VirtqueueTest, RingsInReadOnlyMemory) {
  queue.stop();
  Memory memory;
  ASSERT_TRUE(memory.add(ram.region(false)));
  EXPECT_EQ(queue.start(std::make_shared<Memory>(memory), driver.place(), kFeatures, 0).error(),
            Errno{EFAULT});
}

TEST_F(VirtqueueTest, TheLargestRing) {
  queue.stop();
  Driver large(ram, 32768);
  Memory memory;
  ASSERT_TRUE(memory.add(ram.region()));
  ASSERT_TRUE(queue.start(std::make_shared<Memory>(memory), large.place(), kFeatures, 0));
  for (int i = 0; i < 32768; ++i) large.chain({{ram.guest(), 1}});
  for (int i = 0; i < 32768; ++i) {
    ASSERT_EQ(queue.take(chain), Take::kChain) << i;
    queue.give_back(chain.head, 0);
  }
  EXPECT_EQ(queue.take(chain), Take::kEmpty);
}

// ---- rules that a driver breaks

TEST_F(VirtqueueTest, IndexAheadByMoreThanTheRing) {
  driver.set_index(17);
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, IndexBehind) {
  driver.chain({room(1)});
  ASSERT_EQ(take(), Take::kChain);
  driver.set_index(0);
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, HeadOutside) {
  for (const U16 head : std::initializer_list<U16>{16, 17, 65535}) {
    queue.stop();
    driver.set_index(0);
    start();
    driver.offer(head);
    EXPECT_EQ(take(), Take::kBroken) << head;
  }
}

TEST_F(VirtqueueTest, SameHeadTwice) {
  const U16 head = driver.chain({room(1)});
  driver.offer(head);
  ASSERT_EQ(take(), Take::kChain);
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, Loops) {
  driver.descriptor(0, ram.guest(), 1, test::kNext, 0);  // itself
  driver.offer(0);
  EXPECT_EQ(take(), Take::kBroken);
  driver.descriptor(0, ram.guest(), 1, test::kNext, 1);
  driver.descriptor(1, ram.guest(), 0, test::kNext, 0);  // with nothing in it, too
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, NextOutside) {
  for (const U16 next : std::initializer_list<U16>{16, 4096, 65535}) {
    driver.set_index(0);
    driver.descriptor(0, ram.guest(), 1, test::kNext, next);
    driver.offer(0);
    EXPECT_EQ(take(), Take::kBroken) << next;
  }
}

TEST_F(VirtqueueTest, ReadBehindWrite) {
  driver.chain({text("a"), room(1), text("b")});
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, AddressesOutside) {
  const U64 end = ram.guest() + ram.size();
  const Piece pieces[] = {{0, 1},
                          {ram.guest() - 1, 1},
                          {ram.guest() - 1, 2},
                          {end, 1},
                          {end - 1, 2},
                          {ram.guest(), 0xFFFFFFFF},
                          {~U64{0}, 1},
                          {~U64{0}, 2},
                          {~U64{0} - 10, 100},
                          {ram.guest() + (U64{1} << 63), 16}};
  for (const Piece& piece : pieces) {
    for (const U16 flags : {U16{0}, kWrite}) {
      driver.set_index(0);
      driver.descriptor(0, piece.guest, piece.length, flags);
      driver.offer(0);
      EXPECT_EQ(take(), Take::kBroken) << std::hex << piece.guest << " " << piece.length;
      driver.set_index(0);
      const U64 table = driver.table({{piece.guest, piece.length, flags}});
      driver.descriptor(0, table, 16, kTable);
      driver.offer(0);
      EXPECT_EQ(take(), Take::kBroken) << "indirect " << std::hex << piece.guest;
    }
  }
}

TEST_F(VirtqueueTest, WritesIntoReadOnlyMemory) {
  GuestRam other(1 << 20, 0x80000000);
  Memory memory;
  ASSERT_TRUE(memory.add(ram.region()));
  ASSERT_TRUE(memory.add(other.region(false)));
  queue.stop();
  ASSERT_TRUE(queue.start(std::make_shared<Memory>(memory), driver.place(), kFeatures, 0));
  driver.chain({{other.guest(), 4}});
  EXPECT_EQ(take(), Take::kChain);
  driver.chain({{other.guest(), 4, kWrite}});
  EXPECT_EQ(take(), Take::kBroken);
}

struct BadTable {
  const char* name;
  U32 length;  // of the table's descriptor
  U16 flags;   // of that too
  U16 inner_flags;
  U16 inner_next;
};
void PrintTo(const BadTable& bad, std::ostream* out) { *out << bad.name; }
class BadTableTest : public VirtqueueTest, public testing::WithParamInterface<BadTable> {};
INSTANTIATE_TEST_SUITE_P(, BadTableTest,
                         testing::Values(BadTable{"Empty", 0, kTable, 0, 0},
                                         BadTable{"Short", 15, kTable, 0, 0},
                                         BadTable{"NoMultiple", 24, kTable, 0, 0},
                                         BadTable{"TooLong", 16 * 1025, kTable, 0, 0},
                                         BadTable{"Huge", 0xFFFFFFF0, kTable, 0, 0},
                                         BadTable{"WithNext", 16, kTable | test::kNext, 0, 0},
                                         BadTable{"Writable", 16, kTable | kWrite, 0, 0},
                                         BadTable{"TableInTable", 16, kTable, kTable, 0},
                                         BadTable{"NextOutside", 16, kTable, test::kNext, 1},
                                         BadTable{"NextFarOutside", 32, kTable, test::kNext, 65535},
                                         BadTable{"Loop", 32, kTable, test::kNext, 0}),
                         [](const auto& row) { return row.param.name; });

TEST_P(BadTableTest, IsRefused) {
  const U64 table = ram.take(64 << 10);
  driver.write_descriptor(table, ram.guest(), 16, GetParam().inner_flags, GetParam().inner_next);
  driver.descriptor(0, table, GetParam().length, GetParam().flags, 1);
  driver.descriptor(1, ram.guest(), 16, 0);
  driver.offer(0);
  EXPECT_EQ(take(), Take::kBroken);
}

TEST_F(VirtqueueTest, TableOutsideOfMemory) {
  for (const U64 at : {U64{0}, ram.guest() + ram.size() - 8, ~U64{0} - 15}) {
    driver.set_index(0);
    driver.descriptor(0, at, 16, kTable);
    driver.offer(0);
    EXPECT_EQ(take(), Take::kBroken) << at;
  }
}

class NoIndirectTest : public VirtqueueTest {
 protected:
  NoIndirectTest() : VirtqueueTest(16, kVersion1) {}
};
TEST_F(NoIndirectTest, TablesThatWereNotNegotiated) {
  driver.indirect({room(1)});
  EXPECT_EQ(take(), Take::kBroken);
}

}  // namespace
}  // namespace ninep::virtio
