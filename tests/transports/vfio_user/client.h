// A vfio-user client for tests: says what it is told to, right or wrong, and drives the device as a
// VMM and its guest's driver do together.
#pragma once

#include <functional>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "tests/bytes.h"
#include "tests/transports/message_peer.h"
#include "tests/transports/virtio/device_host.h"
#include "tests/transports/virtio/driver.h"
#include "transports/vfio_user/message.h"
#include "transports/virtio/device.h"

namespace ninep::test {

using vfio_user::Command;

class VfioClient : public MessagePeer {
 public:
  explicit VfioClient(int fd) : MessagePeer(fd), irq_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~VfioClient() { ::close(irq_); }

  // ---- messages

  void send(Command command, Bytes payload, std::vector<int> descriptors = {}, U32 flags = 0) {
    const U32 size = static_cast<U32>(sizeof(vfio_user::Header) + payload.size());
    const vfio_user::Header header{++id_, static_cast<U16>(command), size, flags, 0};
    std::vector<std::byte> bytes(size);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::copy(payload.begin(), payload.end(), bytes.begin() + sizeof header);
    send_raw(bytes, std::move(descriptors));
  }
  struct Reply {
    U32 error;
    std::vector<std::byte> payload;
  };
  /// The next one; none: the conversation has ended.
  std::optional<Reply> reply() {
    vfio_user::Header header;
    do {
      if (!receive(std::as_writable_bytes(std::span(&header, 1)))) return {};
    } while ((header.flags & vfio_user::kTypeMask) == 0 && serve_memory(header));
    NINEP_CHECK((header.flags & vfio_user::kTypeMask) == vfio_user::kReply && header.id == id_);
    NINEP_CHECK(((header.flags & vfio_user::kError) != 0) == (header.error != 0));
    Reply reply{header.error, std::vector<std::byte>(header.size - sizeof header)};
    if (!receive(reply.payload)) return {};
    return reply;
  }
  /// A message and what comes back. The errno; 0: done; -1: the conversation has ended.
  int call(Command command, Bytes payload = {}, std::vector<int> descriptors = {}) {
    send(command, payload, std::move(descriptors));
    auto came = reply();
    if (!came) return -1;
    last = std::move(came->payload);
    return static_cast<int>(came->error);
  }
  template <class T>
  int tell(Command command, const T& payload, std::vector<int> descriptors = {}) {
    return call(command, std::as_bytes(std::span(&payload, 1)), std::move(descriptors));
  }
  template <class T>
  T last_as() const {
    T value{};
    NINEP_CHECK(vfio_user::read(last, value));
    return value;
  }

  // ---- regions

  template <class T>
  T read(U32 region, U64 offset) {
    const vfio_user::RegionAccess access{offset, region, sizeof(T)};
    NINEP_CHECK(tell(Command::kRegionRead, access) == 0);
    NINEP_CHECK(last.size() == sizeof access + sizeof(T));
    T value;
    std::memcpy(&value, last.data() + sizeof access, sizeof value);
    return value;
  }
  template <class T>
  void write(U32 region, U64 offset, T value) {
    struct __attribute__((packed)) {
      vfio_user::RegionAccess access;
      T value;
    } message{{offset, region, sizeof(T)}, value};
    NINEP_CHECK(tell(Command::kRegionWrite, message) == 0);
    NINEP_CHECK(last.size() == sizeof(vfio_user::RegionAccess));
  }

  // ---- the way a VMM and Linux begin

  int version() {
    struct __attribute__((packed)) {
      vfio_user::Version version{0, 0};
      char text[20] = R"({"capabilities":{}})";
    } message;
    return tell(Command::kVersion, message);
  }
  int map(const GuestRam& ram, U32 flags = 3) {
    return tell(Command::kDmaMap,
                vfio_user::DmaMap{sizeof(vfio_user::DmaMap), flags, 0, ram.guest(), ram.size()},
                {ram.fd()});
  }
  int unmap(U64 address, U64 size, U32 flags = 0) {
    return tell(Command::kDmaUnmap,
                vfio_user::DmaUnmap{sizeof(vfio_user::DmaUnmap), flags, address, size});
  }
  int set_irqs(U32 index, U32 flags, U32 start, U32 count, std::vector<int> descriptors = {}) {
    return tell(Command::kSetIrqs,
                vfio_user::SetIrqs{sizeof(vfio_user::SetIrqs), flags, index, start, count},
                std::move(descriptors));
  }
  /// Where a capability of VIRTIO's says that its registers are, in BAR 0.
  U32 part(U8 type) {
    for (U8 at = read<U8>(vfio_user::kConfigRegion, PCI_CAPABILITY_LIST); at != 0;
         at = read<U8>(vfio_user::kConfigRegion, at + 1u)) {
      if (read<U8>(vfio_user::kConfigRegion, at) == PCI_CAP_ID_VNDR &&
          read<U8>(vfio_user::kConfigRegion, at + 3u) == type)
        return read<U32>(vfio_user::kConfigRegion, at + 8u);
    }
    return ~U32{0};
  }
  /// Resets the device and waits until it is.
  void reset() {
    const U32 common = part(VIRTIO_PCI_CAP_COMMON_CFG);
    write<U8>(0, common + VIRTIO_PCI_COMMON_STATUS, 0);
    while (read<U8>(0, common + VIRTIO_PCI_COMMON_STATUS) != 0) continue;
  }
  /// As Linux's driver; the status at the end.
  U8 start(const Driver& driver, U64 features = virtio::kMountTag | virtio::kVersion1 |
                                                virtio::kIndirect | virtio::kEventIndex) {
    const U32 common = part(VIRTIO_PCI_CAP_COMMON_CFG);
    notify_ = part(VIRTIO_PCI_CAP_NOTIFY_CFG);
    isr_ = part(VIRTIO_PCI_CAP_ISR_CFG);
    const auto put = [&](U32 at, auto value) { write(0, common + at, value); };
    reset();
    put(VIRTIO_PCI_COMMON_STATUS, U8{1});
    put(VIRTIO_PCI_COMMON_STATUS, U8{3});
    for (U32 half = 0; half < 2; ++half) {
      put(VIRTIO_PCI_COMMON_GFSELECT, half);
      put(VIRTIO_PCI_COMMON_GF, static_cast<U32>(features >> (32 * half)));
    }
    put(VIRTIO_PCI_COMMON_STATUS, U8{11});
    put(VIRTIO_PCI_COMMON_MSIX, U16{0});
    put(VIRTIO_PCI_COMMON_Q_SELECT, U16{0});
    put(VIRTIO_PCI_COMMON_Q_SIZE, driver.size());
    put(VIRTIO_PCI_COMMON_Q_MSIX, U16{1});
    const auto address = [&](U32 low, U64 value) {
      put(low, static_cast<U32>(value));
      put(low + 4, static_cast<U32>(value >> 32));
    };
    address(VIRTIO_PCI_COMMON_Q_DESCLO, driver.place().descriptors);
    address(VIRTIO_PCI_COMMON_Q_AVAILLO, driver.place().available);
    address(VIRTIO_PCI_COMMON_Q_USEDLO, driver.place().used);
    put(VIRTIO_PCI_COMMON_Q_ENABLE, U16{1});
    put(VIRTIO_PCI_COMMON_STATUS, U8{15});
    return read<U8>(0, common + VIRTIO_PCI_COMMON_STATUS);
  }
  /// Version, memory, interrupts, ring: ready for requests.
  void start(const GuestRam& ram, const Driver& driver) {
    NINEP_CHECK(version() == 0 && map(ram) == 0);
    NINEP_CHECK(set_irqs(vfio_user::kMsix, vfio_user::kIrqDataEventfd | vfio_user::kIrqTrigger, 0,
                         2, {irq_, irq_}) == 0);
    NINEP_CHECK(start(driver) == 15);
  }
  /// As QEMU passes it on: nobody waits for an answer.
  void kick() {
    struct __attribute__((packed)) {
      vfio_user::RegionAccess access;
      U16 queue = 0;
    } message{{notify_, 0, 2}};
    send(Command::kRegionWrite, std::as_bytes(std::span(&message, 1)), {}, vfio_user::kNoReply);
  }
  /// Waits for an interrupt, and serves memory meanwhile.
  bool interrupted(int ms = 60'000) {
    while (true) {
      pollfd polled[]{{irq_, POLLIN, 0}, {not_shared ? fd() : -1, POLLIN, 0}};
      const int ready = ::poll(polled, 2, ms);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return false;
      if (polled[0].revents != 0) {
        U64 count;
        return ::read(irq_, &count, sizeof count) == sizeof count;
      }
      vfio_user::Header header;
      if (!receive(std::as_writable_bytes(std::span(&header, 1))) || !serve_memory(header))
        return false;
    }
  }
  /// What comes back next, by interrupts.
  std::optional<Driver::Used> wait_used(Driver& driver) {
    while (true) {
      driver.set_used_event(driver.used_index());
      if (const auto used = driver.used()) return used;
      if (!interrupted()) return {};
      if (line) {  // as Linux and QEMU see to it
        ++interrupts;
        last_isr = read<U8>(0, isr_);
        set_irqs(vfio_user::kIntx, vfio_user::kIrqDataNone | vfio_user::kIrqUnmask, 0, 1);
      }
    }
  }
  int irq() const { return irq_; }

  std::vector<std::byte> last;
  const GuestRam* not_shared = nullptr;  // memory that is served by messages
  unsigned served = 0;                   // such messages
  U32 memory_error = 0;                  // what they are answered, if not with memory
  bool holding = false;                  // answers to them are held back
  U64 hold_at = 0;                       // from the write to this address on
  std::vector<U64> written;              // the addresses of writes
  std::function<void()> between;         // once, between the first bytes of a read and the others
  U64 between_at = 0;                    // of the read at this address
  std::vector<std::vector<std::byte>> held;
  bool line = false;  // interrupts come by INTx
  unsigned interrupts = 0;
  U8 last_isr = 0;  // at the last one

 private:
  /// A command of the server's.
  bool serve_memory(const vfio_user::Header& header) {
    std::vector<std::byte> payload(header.size - sizeof header);
    if (!receive(payload)) return false;
    vfio_user::DmaAccess access;
    NINEP_CHECK(vfio_user::read(payload, access) && not_shared);
    const bool reads = header.command == static_cast<U16>(Command::kDmaRead);
    NINEP_CHECK(reads || header.command == static_cast<U16>(Command::kDmaWrite));
    NINEP_CHECK(access.address >= not_shared->guest() &&
                access.address - not_shared->guest() + access.count <= not_shared->size());
    ++served;
    if (!reads) written.push_back(access.address);
    if (!reads && access.address == hold_at) holding = true;
    std::byte* const at = not_shared->at(access.address);
    std::vector<std::byte> answer(payload.begin(), payload.begin() + sizeof access);
    if (memory_error != 0) {
      answer.clear();
    } else if (reads) {
      std::vector<std::byte> data(at, at + access.count);
      if (between && access.address == between_at) {  // as a copy from its end to its start
        std::exchange(between, nullptr)();
        std::copy_n(at, std::min<U64>(4, access.count), data.begin());
      }
      answer.insert(answer.end(), data.begin(), data.end());
    } else {
      NINEP_CHECK(payload.size() == sizeof access + access.count);
      std::copy(payload.begin() + sizeof access, payload.end(), at);
    }
    const vfio_user::Header back{
        header.id, header.command, static_cast<U32>(sizeof header + answer.size()),
        vfio_user::kReply | (memory_error != 0 ? vfio_user::kError : 0), memory_error};
    std::vector<std::byte> bytes(sizeof back);
    std::memcpy(bytes.data(), &back, sizeof back);
    bytes.insert(bytes.end(), answer.begin(), answer.end());
    if (holding) {
      held.push_back(std::move(bytes));
    } else {
      send_raw(bytes);
    }
    return true;
  }

  const int irq_;
  U16 id_ = 0;
  U32 notify_ = 0;
  U32 isr_ = 0;
};

}  // namespace ninep::test
