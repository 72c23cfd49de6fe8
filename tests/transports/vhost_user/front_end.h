// A vhost-user front end for tests: says what it is told to, right or wrong, and drives the ring.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include "tests/bytes.h"
#include "tests/transports/message_peer.h"
#include "tests/transports/virtio/device_host.h"
#include "tests/transports/virtio/driver.h"
#include "transports/vhost_user/connection.h"

namespace ninep::test {

using vhost_user::Request;
namespace feature = vhost_user::feature;

class FrontEnd : public MessagePeer {
 public:
  explicit FrontEnd(int fd)
      : MessagePeer(fd),
        kick_(::eventfd(0, EFD_CLOEXEC)),
        call_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~FrontEnd() {
    hang_up();
    ::close(kick_);
    ::close(call_);
  }

  // ---- messages

  void send(Request request, Bytes payload = {}, std::vector<int> descriptors = {}, U32 flags = 1) {
    const vhost_user::Header header{static_cast<U32>(request), flags,
                                    static_cast<U32>(payload.size())};
    std::vector<std::byte> bytes(sizeof header + payload.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::copy(payload.begin(), payload.end(), bytes.begin() + sizeof header);
    send_raw(bytes, std::move(descriptors));
  }
  /// The next reply's payload; none: the conversation has ended.
  std::optional<std::vector<std::byte>> reply() {
    vhost_user::Header header;
    if (!receive(std::as_writable_bytes(std::span(&header, 1)))) return {};
    NINEP_CHECK(header.flags == (vhost_user::kVersion | vhost_user::kReply));
    std::vector<std::byte> payload(header.size);
    if (!receive(payload)) return {};
    return payload;
  }
  template <class T>
  std::optional<T> get(Request request, Bytes payload = {}) {
    send(request, payload);
    const auto bytes = reply();
    T value;
    if (!bytes || !vhost_user::read(*bytes, 0, value)) return {};
    return value;
  }
  /// The answer to a message that asks for one: 0 if it was carried out; -1: it ended instead.
  int acknowledged(Request request, Bytes payload, std::vector<int> descriptors = {}) {
    send(request, payload, std::move(descriptors), 1 | vhost_user::kNeedReply);
    const auto bytes = reply();
    U64 value;
    if (!bytes || !vhost_user::read(*bytes, 0, value)) return -1;
    return static_cast<int>(value);
  }
  template <class T>
  int set(Request request, const T& value, std::vector<int> descriptors = {}) {
    return acknowledged(request, std::as_bytes(std::span(&value, 1)), std::move(descriptors));
  }
  /// Whether the back end has ended the conversation.
  bool ended() {
    std::byte byte;
    return !receive({&byte, 1});
  }

  // ---- the way QEMU begins

  static vhost_user::MemoryRegion region_of(const GuestRam& ram) {
    return {ram.guest(), ram.size(), ram.user(), 0};
  }
  int set_memory(const std::vector<const GuestRam*>& rams) {
    std::vector<std::byte> payload(8 + 32 * rams.size());
    std::vector<int> descriptors;
    const U32 count = static_cast<U32>(rams.size());
    std::memcpy(payload.data(), &count, sizeof count);
    for (std::size_t i = 0; i < rams.size(); ++i) {
      const auto region = region_of(*rams[i]);
      std::memcpy(payload.data() + 8 + 32 * i, &region, sizeof region);
      descriptors.push_back(rams[i]->fd());
    }
    return acknowledged(Request::kSetMemTable, payload, descriptors);
  }
  /// kAddMemReg, kRemMemReg.
  int change_slot(Request request, const vhost_user::MemoryRegion& region,
                  std::vector<int> descriptors = {}) {
    const struct {
      U64 padding;
      vhost_user::MemoryRegion region;
    } slot{0, region};
    return set(request, slot, std::move(descriptors));
  }
  int add_slot(const GuestRam& ram) {
    return change_slot(Request::kAddMemReg, region_of(ram), {ram.fd()});
  }
  int remove_slot(const GuestRam& ram) { return change_slot(Request::kRemMemReg, region_of(ram)); }
  void negotiate(U64 features = virtio::kMountTag | virtio::kVersion1 | virtio::kIndirect |
                                virtio::kEventIndex | vhost_user::kProtocolFeatures,
                 U64 protocol = feature::kAll) {
    NINEP_CHECK(get<U64>(Request::kGetFeatures));
    NINEP_CHECK(get<U64>(Request::kGetProtocolFeatures));
    NINEP_CHECK(set(Request::kSetProtocolFeatures, protocol) == 0);
    NINEP_CHECK(acknowledged(Request::kSetOwner, {}) == 0);
    NINEP_CHECK(set(Request::kSetFeatures, features) == 0);
  }
  vhost_user::VringAddress addresses(const GuestRam& ram, const Driver& driver) const {
    const auto user = [&](U64 guest) { return guest - ram.guest() + ram.user(); };
    return {.index = 0,
            .flags = 0,
            .descriptors = user(driver.place().descriptors),
            .used = user(driver.place().used),
            .available = user(driver.place().available),
            .log = 0};
  }
  /// Where a ring is; the first answer that isn't 0.
  int place_ring(const GuestRam& ram, const Driver& driver, U32 base = 0) {
    int answer = set(Request::kSetVringNum, vhost_user::VringState{0, driver.size()});
    if (answer == 0) answer = set(Request::kSetVringBase, vhost_user::VringState{0, base});
    if (answer == 0) answer = set(Request::kSetVringAddr, addresses(ram, driver));
    return answer;
  }
  /// All of a ring's messages but the last, kSetVringEnable; the first one's answer that isn't 0.
  int set_ring(const GuestRam& ram, const Driver& driver, U32 base = 0) {
    int answer = place_ring(ram, driver, base);
    if (answer == 0) answer = set(Request::kSetVringKick, U64{0}, {kick_});
    if (answer == 0) answer = set(Request::kSetVringCall, U64{0}, {call_});
    return answer;
  }
  int enable(bool on = true) {
    return set(Request::kSetVringEnable, vhost_user::VringState{0, on});
  }
  /// Features, memory, ring: ready for requests.
  void start(const GuestRam& ram, const Driver& driver) {
    negotiate();
    NINEP_CHECK(set_memory({&ram}) == 0);
    NINEP_CHECK(set_ring(ram, driver) == 0);
    NINEP_CHECK(enable() == 0);
  }

  // ---- the ring

  void kick() {
    const U64 one = 1;
    NINEP_CHECK(::write(kick_, &one, sizeof one) == sizeof one);
  }
  /// What comes back next; none in `ms`.
  std::optional<Driver::Used> wait_used(Driver& driver, int ms = 60'000) {
    while (true) {
      driver.set_used_event(static_cast<U16>(driver.used_index()));
      if (const auto used = driver.used()) return used;
      pollfd polled{call_, POLLIN, 0};
      const int ready = ::poll(&polled, 1, ms);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return {};
      U64 count;
      [[maybe_unused]] const auto size = ::read(call_, &count, sizeof count);
    }
  }
  int call_fd() const { return call_; }
  int kick_fd() const { return kick_; }

 private:
  const int kick_;
  const int call_;
};

}  // namespace ninep::test
