// vfio-user: the conversations of real clients.
#include "tests/transports/vfio_user/fixture.h"

namespace ninep::test {
namespace {

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

/// rust-vmm's client, which cloud-hypervisor has: for each command it reads as many bytes as it
/// thinks that the reply has, whatever the reply's header says, and takes what follows for the next
/// reply.
class RustVmm : public VfioClient {
 public:
  using VfioClient::VfioClient;

  /// What stands behind the header, which is all that there is.
  std::vector<std::byte> ask(Command command, Bytes payload, std::size_t size,
                             std::vector<int> descriptors = {}) {
    send(command, payload, std::move(descriptors));
    vfio_user::Header header;
    EXPECT_TRUE(receive(std::as_writable_bytes(std::span(&header, 1))));
    EXPECT_EQ(header.command, static_cast<U16>(command));
    EXPECT_EQ(header.size, sizeof header + size);
    EXPECT_EQ(header.error, 0u);
    std::vector<std::byte> rest(size);
    EXPECT_TRUE(receive(rest));
    std::byte more;
    EXPECT_EQ(::recv(fd(), &more, 1, MSG_DONTWAIT), -1) << "something follows";
    return rest;
  }
  template <class T>
  std::vector<std::byte> ask(Command command, const T& payload, std::size_t size,
                             std::vector<int> descriptors = {}) {
    return ask(command, std::as_bytes(std::span(&payload, 1)), size, std::move(descriptors));
  }
};

TEST_P(VfioUser, AsCloudHypervisor) {
  RustVmm client(host->connect());
  ASSERT_EQ(client.version(), 0);  // the only reply whose size it takes from the header
  client.ask(Command::kDeviceInfo, DeviceInfo{16, 0, 0, 0}, sizeof(DeviceInfo));
  for (U32 i = 0; i < kRegions; ++i)
    client.ask(Command::kRegionInfo, RegionInfo{32, 0, i, 0, 0, 0}, sizeof(RegionInfo));
  for (U32 i = 0; i < kIrqs; ++i)
    client.ask(Command::kIrqInfo, IrqInfo{16, 0, i, 0}, sizeof(IrqInfo));
  client.ask(Command::kDmaMap, DmaMap{sizeof(DmaMap), 3, 0, ram.guest(), ram.size()}, 0,
             {ram.fd()});
  client.ask(Command::kSetIrqs,
             SetIrqs{sizeof(SetIrqs), kIrqDataEventfd | kIrqTrigger, kMsix, 0, 2}, 0,
             {client.irq(), client.irq()});
  client.ask(Command::kReset, Bytes(), 0);
  for (const U32 count : {1u, 2u, 4u, 255u, 256u}) {
    const auto got = client.ask(Command::kRegionRead, RegionAccess{0, kConfigRegion, count},
                                sizeof(RegionAccess) + count);
    EXPECT_EQ(std::to_integer<int>(got[sizeof(RegionAccess)]), 0xF4);
  }
  struct __attribute__((packed)) {
    RegionAccess access{PCI_COMMAND, kConfigRegion, 2};
    U16 value = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  } write;
  client.ask(Command::kRegionWrite, write, sizeof(RegionAccess));
  // It works: the guest's driver comes, and its requests.
  Driver driver(ram, 128);
  ASSERT_EQ(client.start(driver), 15);
  EXPECT_EQ(call(client, driver, "by cloud-hypervisor"), "by cloud-hypervisor");
  client.reset();
  client.ask(Command::kSetIrqs, SetIrqs{sizeof(SetIrqs), kIrqDataNone | kIrqTrigger, kMsix, 0, 0},
             0);
  client.ask(Command::kDmaUnmap, DmaUnmap{sizeof(DmaUnmap), 0, ram.guest(), ram.size()},
             sizeof(DmaUnmap));
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
    ASSERT_EQ(client.map(other), EEXIST);
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

}  // namespace
}  // namespace ninep::test
