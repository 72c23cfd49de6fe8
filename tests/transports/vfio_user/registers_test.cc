// The PCI function's registers, as VIRTIO 1.2 and PCI have them.
#include <chrono>
#include <optional>
#include <thread>

#include "tests/transports/vfio_user/fixture.h"

namespace ninep::test {
namespace {

constexpr U16 kCommandOn = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

class Registers : public VfioUser {
 protected:
  void SetUp() override {
    VfioUser::SetUp();
    if (!IsSkipped()) come(true);
  }
  void TearDown() override { client.reset(); }

  /// A client of a device with MSI-X or a line alone, its interrupts by one eventfd.
  void come(bool msix) {
    client.emplace(host->connect(
        {.kind = transport::Protocol::Kind::kVfioUser, .tag = "share", .msix = msix}));
    ASSERT_EQ(client->version(), 0);
    ASSERT_EQ(client->map(ram), 0);
    ASSERT_EQ(client->set_irqs(msix ? kMsix : kIntx, kIrqDataEventfd | kIrqTrigger, 0, msix ? 2 : 1,
                               std::vector<int>(msix ? 2 : 1, client->irq())),
              0);
    common = client->part(VIRTIO_PCI_CAP_COMMON_CFG);
    isr = client->part(VIRTIO_PCI_CAP_ISR_CFG);
    client->write<U16>(kConfigRegion, PCI_COMMAND, kCommandOn);
  }
  U8 status() { return client->read<U8>(0, common + VIRTIO_PCI_COMMON_STATUS); }
  /// A request whose reply is there; nobody has waited for an interrupt.
  void have_reply(Driver& driver) {
    const U16 before = driver.used_index();
    driver.set_used_event(before);
    offer(driver, ram, frame("x"), ram.take(4096));
    client->kick();
    while (driver.used_index() == before) client->read<U8>(0, 0);
  }
  bool quiet() { return !client->interrupted(50); }

  std::optional<VfioClient> client;
  U32 common = 0;
  U32 isr = 0;
};
INSTANTIATE_TEST_SUITE_P(, Registers, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

// 4.1.4.3: a vector that the device hasn't reads as none.
TEST_P(Registers, VectorsThatAreNone) {
  for (const U32 at : {U32{VIRTIO_PCI_COMMON_MSIX}, U32{VIRTIO_PCI_COMMON_Q_MSIX}}) {
    for (const U16 vector : {U16{0}, U16{1}}) {
      client->write<U16>(0, common + at, vector);
      EXPECT_EQ(client->read<U16>(0, common + at), vector);
    }
    for (const U16 vector : {U16{2}, U16{0x100}, U16{0xFFFE}, U16{0xFFFF}}) {
      client->write<U16>(0, common + at, vector);
      EXPECT_EQ(client->read<U16>(0, common + at), 0xFFFF);
    }
  }
}

// What was agreed on stays, and so does the place of a ring that is used.
TEST_P(Registers, StayWhenTheyAreUsed) {
  Driver driver(ram);
  ASSERT_EQ(client->start(driver), 15);
  client->write<U32>(0, common + VIRTIO_PCI_COMMON_GFSELECT, 1);
  const U32 features = client->read<U32>(0, common + VIRTIO_PCI_COMMON_GF);
  EXPECT_EQ(features, 1u);
  client->write<U32>(0, common + VIRTIO_PCI_COMMON_GF, 0);
  EXPECT_EQ(client->read<U32>(0, common + VIRTIO_PCI_COMMON_GF), features);
  for (const U32 at : {U32{VIRTIO_PCI_COMMON_Q_DESCLO}, U32{VIRTIO_PCI_COMMON_Q_AVAILLO},
                       U32{VIRTIO_PCI_COMMON_Q_USEDLO}}) {
    const U32 before = client->read<U32>(0, common + at);
    client->write<U32>(0, common + at, before + 4096);
    EXPECT_EQ(client->read<U32>(0, common + at), before);
  }
  client->write<U16>(0, common + VIRTIO_PCI_COMMON_Q_SIZE, 8);
  EXPECT_EQ(client->read<U16>(0, common + VIRTIO_PCI_COMMON_Q_SIZE), driver.size());
  EXPECT_EQ(call(*client, driver, "x"), "x");
}

// Rings and buffers above 4 GiB.
TEST_P(Registers, HighAddresses) {
  GuestRam high(16 * kMiB, U64{5} << 32);
  ASSERT_EQ(client->map(high), 0);
  Driver driver(high);
  ASSERT_EQ(client->start(driver), 15);
  const U64 room = high.take(4096);
  const auto bytes = frame("high");
  offer(driver, high, bytes, room);
  client->kick();
  const auto used = client->wait_used(driver);
  ASSERT_TRUE(used);
  EXPECT_TRUE(std::ranges::equal(Bytes(high.at(room), used->length), bytes));
}

// A ring that breaks the rules: the driver hears of it by the vector for that, and reads why.
TEST_P(Registers, NeedsReset) {
  for (const bool msix : {true, false}) {
    come(msix);
    Driver driver(ram);
    ASSERT_EQ(client->start(driver), 15);
    driver.set_index(1000);
    client->kick();
    EXPECT_TRUE(client->interrupted());
    EXPECT_EQ(status(), 15 | 64);
    EXPECT_EQ(client->read<U8>(0, isr), 2);
  }
}

// 4.1.4.5: reading it clears it, and the line goes down.
TEST_P(Registers, IsrIsClearedByBeingRead) {
  come(false);
  Driver driver(ram);
  ASSERT_EQ(client->start(driver), 15);
  have_reply(driver);
  EXPECT_TRUE(client->interrupted());
  EXPECT_EQ(client->read<U16>(kConfigRegion, PCI_STATUS) & PCI_STATUS_INTERRUPT,
            PCI_STATUS_INTERRUPT);
  EXPECT_EQ(client->read<U8>(0, isr), 1);
  EXPECT_EQ(client->read<U8>(0, isr), 0);
  EXPECT_EQ(client->read<U16>(kConfigRegion, PCI_STATUS) & PCI_STATUS_INTERRUPT, 0);
  EXPECT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), 0);
  EXPECT_TRUE(quiet());
}

// A line that is up and was silent, by the client or by the driver, is heard when it may be.
TEST_P(Registers, LineThatWasSilent) {
  come(false);
  Driver driver(ram);
  ASSERT_EQ(client->start(driver), 15);
  ASSERT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqMask, 0, 1), 0);
  have_reply(driver);
  EXPECT_TRUE(quiet());
  ASSERT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), 0);
  EXPECT_TRUE(client->interrupted());
  client->read<U8>(0, isr);
  ASSERT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), 0);
  client->write<U16>(kConfigRegion, PCI_COMMAND, kCommandOn | PCI_COMMAND_INTX_DISABLE);
  have_reply(driver);
  EXPECT_TRUE(quiet());
  client->write<U16>(kConfigRegion, PCI_COMMAND, kCommandOn);
  EXPECT_TRUE(client->interrupted());
}

// After a reset nobody is told of what was under way: a line that stays up would be disabled.
TEST_P(Registers, SilentAfterAReset) {
  plan.when = When::kLater;
  come(false);
  for (int round = 0; round < 20; ++round) {
    Driver driver(ram);
    ASSERT_EQ(client->start(driver), 15);
    for (int i = 0; i < 8; ++i) offer(driver, ram, frame("left"), ram.take(4096));
    client->kick();
    client->reset();
    while (client->interrupted(0)) continue;  // from before it
    EXPECT_EQ(client->read<U8>(0, isr), 0);
    ASSERT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), 0);
    EXPECT_FALSE(client->interrupted(5));
  }
}

// A client may try whether it hears them, and may stop listening.
TEST_P(Registers, InterruptsByTheClient) {
  EXPECT_EQ(client->set_irqs(kMsix, kIrqDataNone | kIrqTrigger, 1, 1), 0);
  EXPECT_TRUE(client->interrupted());
  EXPECT_EQ(client->set_irqs(kMsix, kIrqDataNone | kIrqTrigger, 0, 0), 0);
  EXPECT_EQ(client->set_irqs(kMsix, kIrqDataNone | kIrqTrigger, 0, 2), 0);
  EXPECT_TRUE(quiet());
  Driver driver(ram);
  ASSERT_EQ(client->start(driver), 15);
  have_reply(driver);
  EXPECT_TRUE(quiet());
}

// Without bus mastering a device leaves the guest's memory alone: whoever takes it away from one at
// work starts another kernel there.
TEST_P(Registers, BusMaster) {
  Driver driver(ram);
  ASSERT_EQ(client->start(driver), 15);
  EXPECT_EQ(call(*client, driver, "x"), "x");
  client->write<U16>(kConfigRegion, PCI_COMMAND, PCI_COMMAND_MEMORY);
  EXPECT_EQ(status(), 15 | 64);
  const U16 before = driver.used_index();
  offer(driver, ram, frame("x"), ram.take(4096));
  client->kick();
  for (int i = 0; i < 20; ++i) client->read<U8>(0, 0);
  EXPECT_EQ(driver.used_index(), before);
  client->write<U16>(kConfigRegion, PCI_COMMAND, kCommandOn);
  while (client->interrupted(0)) continue;
  Driver again(ram);
  ASSERT_EQ(client->start(again), 15);
  EXPECT_EQ(call(*client, again, "again"), "again");
}

// With requests under way, too: from then on nothing is written, and nobody is told.
TEST_P(Registers, BusMasterAmidRequests) {
  plan.when = When::kLater;
  for (const bool msix : {true, false}) {
    come(msix);
    for (int round = 0; round < 10; ++round) {
      Driver driver(ram);
      ASSERT_EQ(client->start(driver), 15);
      const U64 room = ram.take(64 << 10, 4096);
      for (U64 i = 0; i < 64; ++i)
        driver.indirect({{ram.put(frame("left")), static_cast<U32>(frame("left").size())},
                         {room + 1024 * i, 1024, kWrite}});
      client->kick();
      if (round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // all are done
      client->write<U16>(kConfigRegion, PCI_COMMAND, PCI_COMMAND_MEMORY);
      const U16 used = driver.used_index();
      const std::vector<std::byte> before(ram.at(room), ram.at(room) + (64 << 10));
      // What is from before it: an interrupt, or the line, which stays up until the ISR is read.
      while (client->interrupted(0)) continue;
      if (!msix) {
        client->read<U8>(0, isr);
        ASSERT_EQ(client->set_irqs(kIntx, kIrqDataNone | kIrqUnmask, 0, 1), 0);
      }
      EXPECT_FALSE(client->interrupted(20));
      EXPECT_EQ(driver.used_index(), used);
      EXPECT_TRUE(std::ranges::equal(before, Bytes(ram.at(room), before.size())));
      EXPECT_EQ(status(), 15 | 64);
      client->write<U16>(kConfigRegion, PCI_COMMAND, kCommandOn);
      client->reset();
    }
  }
}

// 4.1.4.9: a window on the registers, for those who can't reach them otherwise.
TEST_P(Registers, Window) {
  U32 window = 0;
  for (U8 at = client->read<U8>(kConfigRegion, PCI_CAPABILITY_LIST); at != 0;
       at = client->read<U8>(kConfigRegion, at + 1u))
    if (client->read<U8>(kConfigRegion, at) == PCI_CAP_ID_VNDR &&
        client->read<U8>(kConfigRegion, at + 3u) == VIRTIO_PCI_CAP_PCI_CFG)
      window = at;
  ASSERT_NE(window, 0u);
  const auto look_at = [&](U32 offset, U32 length) {
    client->write<U8>(kConfigRegion, window + offsetof(virtio_pci_cap, bar), 0);
    client->write<U32>(kConfigRegion, window + offsetof(virtio_pci_cap, offset), offset);
    client->write<U32>(kConfigRegion, window + offsetof(virtio_pci_cap, length), length);
  };
  const U32 data = window + U32{sizeof(virtio_pci_cap)};
  look_at(client->part(VIRTIO_PCI_CAP_DEVICE_CFG), 2);
  EXPECT_EQ(client->read<U16>(kConfigRegion, data), 5);  // "share"
  look_at(common + VIRTIO_PCI_COMMON_STATUS, 1);
  client->write<U8>(kConfigRegion, data, U8{1});
  EXPECT_EQ(status(), 1);
  EXPECT_EQ(client->read<U8>(kConfigRegion, data), 1);
  // What no register is, is nothing.
  for (const auto& [offset, length] :
       {std::pair{0u, 0u}, {0u, 3u}, {1u, 2u}, {0u, 8u}, {0x4000u, 4u}, {~0u - 3, 4u}}) {
    look_at(offset, length);
    client->read<U32>(kConfigRegion, data);
    client->write<U32>(kConfigRegion, data, 0);
    EXPECT_EQ(status(), 1);
  }
}

}  // namespace
}  // namespace ninep::test
