// A split ring whose every byte is the fuzzer's: the input is the guest's memory from the ring on.
#include "transports/virtio/virtqueue.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "transports/pieces.h"

namespace ninep {
namespace {

using virtio::Chain;
using virtio::Virtqueue;

constexpr U64 kGuest = 0x1000;
constexpr U64 kSize = 16 << 10;
constexpr U32 kEntries = 16;
constexpr virtio::RingPlace kPlace{.descriptors = kGuest,
                                   .available = kGuest + 16 * kEntries,
                                   .used = kGuest + 16 * kEntries + 64,
                                   .size = kEntries};

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 2) return 0;
  auto mapping = virtio::Mapping::make_private(kSize);
  if (!mapping) std::abort();
  std::memcpy((*mapping)->data(), input + 2, std::min<std::size_t>(size - 2, kSize));
  // Two regions that are neighbours for the guest.
  virtio::Memory memory;
  if (!memory.add({.guest = kGuest, .size = kSize / 2, .mapping = *mapping}) ||
      !memory.add({.guest = kGuest + kSize / 2,
                   .size = kSize / 2,
                   .user = kSize,
                   .mapping = *mapping,
                   .offset = kSize / 2,
                   .writable = (input[0] & 1) != 0}))
    std::abort();
  U64 features = virtio::kVersion1;
  if (input[0] & 2) features |= virtio::kIndirect;
  if (input[0] & 4) features |= virtio::kEventIndex;
  Virtqueue queue;
  if (!queue.start(std::make_shared<virtio::Memory>(memory), kPlace, features, input[1]))
    std::abort();
  Chain chain;
  std::vector<U16> out;
  while (queue.take(chain) == Virtqueue::Take::kChain) {
    std::byte bytes[64];
    gather(chain.out, bytes);
    scatter(bytes, chain.in);
    out.push_back(chain.head);
    if (input[0] & 8) {
      queue.give_back(out.back(), 1);
      out.pop_back();
    }
    queue.tell();
    if (queue.next() - input[1] > 1000) break;  // the ring feeds itself
  }
  for (const U16 head : out) queue.give_back(head, 0);
  queue.ask_for_kicks();
  queue.stop();
  return 0;
}
