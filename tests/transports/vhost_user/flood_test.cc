// vhost-user: guests and front ends that never stop.
#include <atomic>
#include <random>
#include <thread>

#include "tests/seed.h"
#include "tests/transports/vhost_user/fixture.h"

namespace ninep::test {
namespace {

class VhostUserFlood : public VhostUser {};
INSTANTIATE_TEST_SUITE_P(, VhostUserFlood, testing::Values(Which{"io_uring"}), loop_name);

/// A guest that has its ring full of requests, and kicks, without end.
class Flood {
 public:
  Flood(FrontEnd& front, GuestRam& guest, Driver& driver, Bytes bytes) : front_(front) {
    const U16 head = driver.chain(
        {{guest.put(bytes), static_cast<U32>(bytes.size())}, {guest.take(64), 64, kWrite}});
    for (U16 i = 0; i < driver.size(); ++i)
      guest.write<U16>(driver.place().available + 4 + 2 * U64{i}, head);
    thread_ = std::thread([this, &driver] {
      while (!enough_) {
        driver.set_index(static_cast<U16>(driver.used_index() + driver.size()));
        front_.kick();
      }
    });
  }
  ~Flood() {
    enough_ = true;
    thread_.join();
  }

 private:
  FrontEnd& front_;
  std::atomic<bool> enough_ = false;
  std::thread thread_;
};

// One that never stops, with requests or with messages: others have their turn.
TEST_P(VhostUserFlood, Floods) {
  GuestRam guest(1 << 20);
  FrontEnd flooding(host->connect());
  Driver driver(guest);
  flooding.start(guest, driver);
  const Flood flood(flooding, guest, driver, frame("x"));
  std::atomic<bool> enough = false;
  FrontEnd talking(host->connect());
  std::thread messages([&] {
    while (!enough) talking.send(Request::kSetOwner);
  });
  for (int i = 0; i < 20; ++i) expect_served();
  enough = true;
  messages.join();
}

// All that a VMM may change, while its guest floods: each change comes to its end.
TEST_P(VhostUserFlood, ChangesInAFlood) {
  for (const When when : {When::kAtOnce, When::kLater}) {
    host->wait_for_links();
    plan.when = when;
    GuestRam guest(1 << 20);
    FrontEnd front(host->connect());
    Driver driver(guest);
    front.start(guest, driver);
    const Flood flood(front, guest, driver, frame("x"));
    std::mt19937 random(seed());
    for (int round = 0; round < 400; ++round) {
      const auto change = random() % 6;
      SCOPED_TRACE(change);
      std::optional<VringState> base;
      switch (change) {
        case 0:
          EXPECT_EQ(front.enable(false), 0);
          EXPECT_EQ(front.enable(), 0);
          break;
        case 1:
          base = front.get<VringState>(Request::kGetVringBase, kQueueZero);
          ASSERT_TRUE(base);
          EXPECT_EQ(base->number, driver.used_index());
          EXPECT_EQ(front.set_ring(guest, driver, base->number), 0);
          break;
        case 2:
          EXPECT_EQ(front.set(Request::kSetVringKick, U64{0}, {front.kick_fd()}), 0);
          break;
        case 3:
          EXPECT_EQ(front.set(Request::kSetVringCall, U64{0}, {front.call_fd()}), 0);
          break;
        case 4:
          EXPECT_EQ(front.set_memory({&guest}), 0);
          break;
        default:
          EXPECT_EQ(front.acknowledged(Request::kResetDevice, {}), 0);
          EXPECT_EQ(front.set(Request::kSetFeatures, kAllFeatures), 0);
          EXPECT_EQ(front.set_ring(guest, driver, driver.used_index()), 0);
          EXPECT_EQ(front.enable(), 0);
      }
    }
  }
  host->wait_for_links();
  plan.when = When::kAtOnce;
  expect_served();
}

}  // namespace
}  // namespace ninep::test
