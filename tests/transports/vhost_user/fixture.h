// A front end of a vhost-user device that gives back what it gets.
#pragma once

#include <gtest/gtest.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/stream/echo.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {

constexpr U64 kMiB = 1 << 20;

using vhost_user::VringState;

constexpr U64 kAllFeatures = virtio::kMountTag | virtio::kVersion1 | virtio::kIndirect |
                             virtio::kEventIndex | vhost_user::kProtocolFeatures;

template <class... T>
std::vector<std::byte> words(T... values) {
  std::vector<std::byte> bytes;
  const auto add = [&](const auto value) {
    const auto more = vhost_user::bytes_of(value);
    bytes.insert(bytes.end(), more.begin(), more.end());
  };
  (add(values), ...);
  return bytes;
}
inline const auto kQueueZero = words(U32{0}, U32{0});  // a VringState

inline std::vector<std::byte> config_request(U32 offset, U32 size, U32 flags = 0) {
  std::vector<std::byte> payload(12 + size);
  const vhost_user::ConfigHead head{offset, size, flags};
  std::memcpy(payload.data(), &head, sizeof head);
  return payload;
}

class VhostUser : public EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    host = std::make_unique<DeviceHost>(std::move(loop_), transport::Protocol::Kind::kVhostUser,
                                        Echo::maker(plan));
  }

  /// Any frame that comes back as it is.
  static std::vector<std::byte> frame(Str text) {
    return frame_of(Tag{1}, Tversion{8192, text}, kDotL);
  }
  /// A request and its answer by the ring.
  std::string call(FrontEnd& front, Driver& driver, Str text, bool indirect = true) {
    const auto bytes = frame(text);
    const U64 room = ram.take(4096);
    const std::vector<Piece> pieces{
        {ram.put(Bytes(bytes).first(5)), 5},
        {ram.put(Bytes(bytes).subspan(5)), static_cast<U32>(bytes.size() - 5)},
        {room, 11, kWrite},
        {room + 11, 4085, kWrite}};
    const U16 head = indirect ? driver.indirect(pieces) : driver.chain(pieces);
    front.kick();
    const auto used = front.wait_used(driver);
    if (!used || used->head != head) return "nothing came back";
    const Bytes answer(ram.at(room), used->length);
    return std::ranges::equal(answer, bytes) ? std::string(text) : "something else came back";
  }
  /// A front end that comes now is served.
  void expect_served() {
    FrontEnd front(host->connect());
    Driver driver(ram);
    front.start(ram, driver);
    EXPECT_EQ(call(front, driver, "still here"), "still here");
  }

  EchoPlan plan;
  GuestRam ram{64 << 20};
  std::unique_ptr<DeviceHost> host;
};

}  // namespace ninep::test
