// A file that doesn't answer stops nobody but those who asked for it: memory changes, the ring
// stops, the guest boots again, the front end goes, all while requests wait.
#include <gtest/gtest.h>
#include <linux/virtio_config.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/vfio_user/client.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

using vhost_user::VringState;

/// Gives each frame back; those of type Twalk when the file answers, be it that their peer is gone.
class Files {
 public:
  transport::MakeHandler maker() {
    return [this](io::Loop& loop, const transport::Peer&) {
      loop_ = &loop;
      return std::make_unique<Handler>(*this);
    };
  }
  /// All files answer.
  void answer() {
    loop_.load()->post([this] {
      for (transport::Request* request : std::exchange(held_, {})) finish(*request);
      for (Handler* handler : handlers_) handler->changed.set();
    });
  }
  /// Until so many requests wait for an answer.
  void wait_held(unsigned count) const {
    while (held_now_ != count) std::this_thread::yield();
  }
  unsigned sessions() const { return sessions_; }
  unsigned sessions_made() const { return sessions_made_; }

 private:
  struct Handler final : transport::Handler {
    explicit Handler(Files& f) : files(f) {
      files.handlers_.push_back(this);
      ++files.sessions_;
      ++files.sessions_made_;
    }
    ~Handler() override {
      std::erase(files.handlers_, this);
      --files.sessions_;
    }
    void request(transport::Request& request) override {
      if (request.header().type != Describe<Twalk>::code) return finish(request);
      files.held_.push_back(&request);
      ++files.held_now_;
      mine.push_back(&request);
    }
    U32 msize() const override { return 8192; }
    io::Task<void> close() override {
      const auto waits = [this](transport::Request* r) {
        return std::ranges::find(files.held_, r) != files.held_.end();
      };
      while (std::ranges::any_of(mine, waits)) co_await changed;
    }
    Files& files;
    std::vector<transport::Request*> mine;
    io::Event changed;
  };
  static void finish(transport::Request& request) {
    const Bytes frame = request.frame();
    scatter(frame, request.room(frame.size()));
    request.finish(frame.size());
  }

  std::atomic<io::Loop*> loop_{nullptr};
  std::vector<transport::Request*> held_;  // the loop's
  std::vector<Handler*> handlers_;
  std::atomic<unsigned> held_now_{0};  // ever
  std::atomic<unsigned> sessions_{0};
  std::atomic<unsigned> sessions_made_{0};
};

class Stop : public EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    host = std::make_unique<DeviceHost>(std::move(loop_), transport::Protocol::Kind::kVhostUser,
                                        files.maker());
  }
  void TearDown() override { files.answer(); }

  /// Offers a frame; `room` is where its reply belongs.
  U16 offer(Driver& driver, Bytes frame, U64 room) {
    return driver.indirect({{ram.put(frame), static_cast<U32>(frame.size())}, {room, 64, kWrite}});
  }
  Bytes at(U64 guest, std::size_t size) const { return {ram.at(guest), size}; }
  /// Whether a request is answered.
  template <class Front>
  bool served(Front& front, Driver& driver) {
    const U64 room = ram.take(64);
    const U16 head = offer(driver, quick, room);
    front.kick();
    const auto used = front.wait_used(driver);
    return used && used->head == head && std::ranges::equal(at(room, used->length), quick);
  }
  /// The ring is stopped, and another one started: all that a front end tells of a boot.
  int boot(FrontEnd& front, const Driver& fresh) {
    EXPECT_TRUE(base(front));
    return front.set_ring(ram, fresh, 0);
  }
  std::optional<U32> base(FrontEnd& front) {
    const VringState queue{0, 0};
    const auto state =
        front.get<VringState>(Request::kGetVringBase, std::as_bytes(std::span(&queue, 1)));
    return state ? std::optional(state->number) : std::nullopt;
  }

  const std::vector<std::byte> quick = frame_of(Tag{1}, Tversion{8192, "quick"}, kDotL);
  const std::vector<std::byte> slow = frame_of(Tag{2}, Twalk{Fid{1}, Fid{2}, {}}, kDotL);
  Files files;
  GuestRam ram{64 << 20};
  std::unique_ptr<DeviceHost> host;
};
INSTANTIATE_TEST_SUITE_P(, Stop, testing::Values(Which{"io_uring"}, Which{"portable"}), loop_name);

TEST_P(Stop, MemoryChanges) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const U64 room = ram.take(64);
  const U16 head = offer(driver, slow, room);
  front.kick();
  files.wait_held(1);
  const GuestRam other(1 << 20, 0x40000000);
  EXPECT_EQ(front.set_memory({&ram, &other}), 0);
  EXPECT_TRUE(served(front, driver));
  EXPECT_EQ(front.set_memory({&ram}), 0);
  EXPECT_TRUE(served(front, driver));
  EXPECT_EQ(front.set_memory({&other}), 1);  // the ring isn't there: it breaks
  files.answer();
  EXPECT_EQ(front.enable(false), 0);
  const auto used = driver.used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->head, head);
  EXPECT_TRUE(std::ranges::equal(at(room, used->length), slow));
}

// A machine that is stopped and goes on misses nothing, whenever the file answers.
TEST_P(Stop, StopsAndGoesOn) {
  for (const bool while_stopped : {true, false}) {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.start(ram, driver);
    ASSERT_TRUE(served(front, driver));
    const U64 room = ram.take(64);
    const U16 head = offer(driver, slow, room);
    front.kick();
    files.wait_held(while_stopped ? 1 : 2);
    ASSERT_EQ(base(front), 2u);
    if (while_stopped) files.answer();
    ASSERT_TRUE(front.get<U64>(Request::kGetFeatures));  // handled after that
    EXPECT_FALSE(driver.used());
    EXPECT_EQ(ram.read<U32>(room), 0u);
    ASSERT_EQ(front.set_ring(ram, driver, 2), 0);
    ASSERT_EQ(front.enable(), 0);
    if (!while_stopped) {
      EXPECT_TRUE(served(front, driver));
      files.answer();
    }
    const auto used = front.wait_used(driver);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->head, head);
    EXPECT_TRUE(std::ranges::equal(at(room, used->length), slow));
    EXPECT_TRUE(served(front, driver));
  }
}

// Front ends say the same of a pause and of a reset. What follows tells: only after a pause does
// the ring go on where it was, and the session with it.
TEST_P(Stop, ABootIsASession) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  ASSERT_TRUE(served(front, driver));
  ASSERT_EQ(base(front), 1u);
  ASSERT_EQ(front.set_ring(ram, driver, 1), 0);
  ASSERT_EQ(front.enable(), 0);
  ASSERT_TRUE(served(front, driver));
  EXPECT_EQ(files.sessions_made(), 1u);
  ASSERT_EQ(base(front), 2u);
  Driver fresh(ram);
  ASSERT_EQ(front.set_ring(ram, fresh, 0), 0);
  ASSERT_EQ(front.enable(), 0);
  ASSERT_TRUE(served(front, fresh));
  EXPECT_EQ(files.sessions_made(), 2u);
  EXPECT_EQ(files.sessions(), 1u);
}

// A guest that boots anew gets nothing of what the former one asked for.
TEST_P(Stop, BootsAgain) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  const U64 room = ram.take(64);
  offer(driver, slow, room);
  front.kick();
  files.wait_held(1);
  Driver fresh(ram);
  ASSERT_EQ(boot(front, fresh), 0);
  EXPECT_TRUE(served(front, fresh));
  files.answer();
  EXPECT_TRUE(served(front, fresh));
  EXPECT_EQ(driver.used_index(), 0);
  EXPECT_EQ(ram.read<U32>(room), 0u);
}

// What a former boot has left under way takes no room from this one.
TEST_P(Stop, BootsAgainAfterMuch) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  std::vector<std::byte> large = slow;
  large.resize(8192);
  const U32 size = 8192;
  std::memcpy(large.data(), &size, sizeof size);
  for (unsigned i = 0; i < 20; ++i) offer(driver, large, ram.take(64));
  front.kick();
  files.wait_held(11);  // there is no room for more than two messages and 64 KiB
  Driver fresh(ram);
  ASSERT_EQ(boot(front, fresh), 0);
  EXPECT_TRUE(served(front, fresh));
  files.answer();
  EXPECT_TRUE(served(front, fresh));
}

// More than are taken at once: the rest waits in the ring, and loses nothing by it.
TEST_P(Stop, TakesSoManyAtOnce) {
  constexpr unsigned kMany = 2 * virtio::Device::kRequestsMax + 100;
  FrontEnd front(host->connect());
  Driver driver(ram, 2048);
  front.start(ram, driver);
  for (unsigned i = 0; i < kMany; ++i) offer(driver, slow, ram.take(64));
  front.kick();
  for (unsigned held = 0; held < kMany;) {
    held = std::min(held + virtio::Device::kRequestsMax, kMany);
    files.wait_held(held);
    front.kick();
    EXPECT_TRUE(front.get<U64>(Request::kGetFeatures));  // after that kick has been heard
    files.wait_held(held);
    files.answer();
  }
  for (unsigned i = 0; i < kMany; ++i) {
    const auto used = front.wait_used(driver);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->length, slow.size());
  }
  EXPECT_TRUE(served(front, driver));
}

// A slot that goes while a reply is on its way into it: the reply gets there.
TEST_P(Stop, SlotGoesMeanwhile) {
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  GuestRam other(1 << 20, U64{4} << 32);
  ASSERT_EQ(front.add_slot(other), 0);
  const U64 room = other.take(64);
  const U16 head = offer(driver, slow, room);
  front.kick();
  files.wait_held(1);
  ASSERT_EQ(front.remove_slot(other), 0);
  EXPECT_TRUE(served(front, driver));
  files.answer();
  const auto used = front.wait_used(driver);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->head, head);
  EXPECT_TRUE(std::ranges::equal(Bytes(other.at(room), used->length), slow));
}

// Boots without end while a file doesn't answer: from some number on there is no other session.
TEST_P(Stop, BootsAgainAndAgain) {
  FrontEnd front(host->connect());
  std::optional<Driver> driver(std::in_place, ram);
  front.start(ram, *driver);
  unsigned boots = 1;
  for (; boots < 20; ++boots) {
    offer(*driver, slow, ram.take(64));
    front.kick();
    files.wait_held(boots);
    driver.emplace(ram);
    if (boot(front, *driver) != 0) break;
    EXPECT_TRUE(served(front, *driver));
  }
  EXPECT_EQ(boots, virtio::Device::kEndingMax + 1);
  EXPECT_LE(files.sessions(), virtio::Device::kEndingMax + 2);
  files.answer();
  while (files.sessions() > 1) std::this_thread::yield();
  EXPECT_EQ(front.enable(), 0);
  EXPECT_TRUE(served(front, *driver));
}

// The same by a device's reset, which waits for no file: the start after too many is refused.
TEST_P(Stop, Resets) {
  VfioClient client(host->connect({.kind = transport::Protocol::Kind::kVfioUser, .tag = "share"}));
  ASSERT_EQ(client.version(), 0);
  ASSERT_EQ(client.map(ram), 0);
  ASSERT_EQ(client.set_irqs(vfio_user::kMsix, vfio_user::kIrqDataEventfd | vfio_user::kIrqTrigger,
                            0, 2, {client.irq(), client.irq()}),
            0);
  const U64 room = ram.take(64);
  for (unsigned i = 0; i < virtio::Device::kEndingMax; ++i) {
    Driver driver(ram);
    ASSERT_EQ(client.start(driver), 15);
    EXPECT_TRUE(served(client, driver));
    offer(driver, slow, room);
    client.kick();
    files.wait_held(i + 1);
  }
  client.reset();
  EXPECT_EQ(files.sessions(), virtio::Device::kEndingMax + 1);
  Driver driver(ram);
  ASSERT_EQ(client.start(driver), 15);
  EXPECT_TRUE(served(client, driver));
  offer(driver, slow, room);
  client.kick();
  files.wait_held(virtio::Device::kEndingMax + 1);
  client.reset();
  Driver refused(ram);
  EXPECT_TRUE(client.start(refused) & VIRTIO_CONFIG_S_NEEDS_RESET);
  files.answer();
  while (files.sessions() > 1) std::this_thread::yield();
  client.reset();
  EXPECT_EQ(ram.read<U32>(room), 0u);
  Driver last(ram);
  ASSERT_EQ(client.start(last), 15);
  EXPECT_TRUE(served(client, last));
}

// A front end that goes leaves its requests behind; another one is served meanwhile.
TEST_P(Stop, FrontEndGoes) {
  {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.start(ram, driver);
    for (int i = 0; i < 8; ++i) offer(driver, slow, ram.take(64));
    front.kick();
    files.wait_held(8);
  }
  FrontEnd front(host->connect());
  Driver driver(ram);
  front.start(ram, driver);
  EXPECT_TRUE(served(front, driver));
  front.hang_up();
  files.answer();
  host->wait_for_links();
  EXPECT_EQ(files.sessions(), 0u);
}

}  // namespace
}  // namespace ninep::test
