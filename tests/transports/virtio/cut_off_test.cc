// Requests that go on in copies of the guest's pages: what they say is what is done, and what is
// said to be there is there.
#include <atomic>

#include <gtest/gtest.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

using vhost_user::VringState;

/// Holds each request until it is told what to do with it.
class Held {
 public:
  transport::MakeHandler maker() {
    return [this](io::Loop&, const transport::Peer&) { return std::make_unique<Handler>(*this); };
  }
  transport::Request& wait() {
    while (!request_) std::this_thread::yield();
    return *request_;
  }
  /// The session may end.
  void finish(std::size_t size) {
    request_.exchange(nullptr)->finish(size);
    changed_.set();
  }

 private:
  struct Handler final : transport::Handler {
    explicit Handler(Held& h) : held(h) {}
    void request(transport::Request& request) override { held.request_ = &request; }
    U32 msize() const override { return 8192; }
    io::Task<void> close() override {
      Held& here = held;  // UBSan of g++ 12 takes another pointer for `this` after a wait
      while (here.request_) co_await here.changed_;
    }
    Held& held;
  };
  std::atomic<transport::Request*> request_{nullptr};
  io::Event changed_;
};

class CutOff : public EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    host = std::make_unique<DeviceHost>(std::move(loop_), transport::Protocol::Kind::kVhostUser,
                                        held.maker());
    front.emplace(host->connect());
    front->start(ram, driver);
  }
  /// The ring stops, which cuts off what is under way, and starts.
  void stop_and_start(Driver& next, U32 base) {
    const VringState queue{0, 0};
    const auto state =
        front->get<VringState>(Request::kGetVringBase, std::as_bytes(std::span(&queue, 1)));
    ASSERT_TRUE(state && state->number == 1);
    ASSERT_EQ(front->set_ring(ram, next, base), 0);
    ASSERT_EQ(front->enable(), 0);
  }
  void on_loop(const std::function<void()>& what) {
    std::atomic<bool> done{false};
    host->loop().post([&] {
      what();
      done = true;
    });
    while (!done) std::this_thread::yield();
  }

  Held held;
  GuestRam ram;
  Driver driver{ram};
  std::unique_ptr<DeviceHost> host;
  std::optional<FrontEnd> front;
};
INSTANTIATE_TEST_SUITE_P(, CutOff, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

// Stopped again when a part of the reply is written: it is still there in the end.
TEST_P(CutOff, TwiceAmidAReply) {
  const auto frame = frame_of(Tag{2}, Twalk{Fid{1}, Fid{2}, {}}, kDotL);
  const U64 room = ram.take(4096, 4096);
  driver.chain({{ram.put(frame), static_cast<U32>(frame.size())}, {room, 64, kWrite}});
  front->kick();
  transport::Request& request = held.wait();
  stop_and_start(driver, 1);
  on_loop([&] { scatter(frame, request.room(frame.size())); });
  stop_and_start(driver, 1);
  on_loop([&] { held.finish(frame.size()); });
  const auto used = front->wait_used(driver);
  ASSERT_TRUE(used);
  EXPECT_TRUE(std::ranges::equal(Bytes(ram.at(room), used->length), frame));
}

// A write whose guest is another one by now: what that has in these pages isn't written to the
// file.
TEST_P(CutOff, WritesWhatItSaid) {
  const auto frame = frame_of(Tag{2}, Twrite{Fid{1}, 0, as_bytes(std::string(6000, 'a'))}, kDotL);
  const U64 at = ram.take(8192, 4096);
  std::ranges::copy(frame, ram.at(at));
  driver.chain({{at, static_cast<U32>(frame.size())}, {ram.take(64), 64, kWrite}});
  front->kick();
  transport::Request& request = held.wait();
  Driver next(ram);
  stop_and_start(next, 0);
  std::fill_n(ram.at(at), 8192, std::byte{'s'});
  std::string written(6000, ' ');
  on_loop([&] {
    gather(request.payload(), std::as_writable_bytes(std::span(written)));
    held.finish(0);
  });
  EXPECT_EQ(written, std::string(6000, 'a'));
}

}  // namespace
}  // namespace ninep::test
