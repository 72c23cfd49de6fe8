// A client of a vfio-user device that gives back what it gets.
#pragma once

#include <gtest/gtest.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/stream/echo.h"
#include "tests/transports/vfio_user/client.h"

namespace ninep::test {

using namespace vfio_user;

constexpr U64 kMiB = 1 << 20;

class VfioUser : public EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    host = std::make_unique<DeviceHost>(std::move(loop_), transport::Protocol::Kind::kVfioUser,
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

}  // namespace ninep::test
