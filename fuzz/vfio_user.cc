// A vfio-user client whose every message is the fuzzer's: command, flags, size[2], descriptors,
// payload. In front of them is what its memory begins with: size[2], bytes.
#include "fuzz/guest.h"
#include "transports/io/fake.h"
#include "transports/vfio_user/device_server.h"

namespace ninep {
namespace {

/// Memory that is all of one byte.
struct Memory final : vfio_user::Dma {
  io::Task<Status> read(U64, Room room) override {
    std::ranges::fill(room, value);
    return Status();
  }
  io::Task<Status> write(U64, Bytes) override { return Status(); }
  std::byte value{};
};

io::Task<void> converse(vfio_user::DeviceServer& server, const fuzz::MemoryFile& memory,
                        Bytes input, io::Loop& loop) {
  for (int count = 0; input.size() >= 5 && count < 64; ++count) {
    const auto at = [&](std::size_t i) { return static_cast<U32>(input[i]); };
    vfio_user::Message message;
    const std::size_t size = std::min<std::size_t>(at(2) | at(3) << 8, input.size() - 5);
    message.header = {.id = 0,
                      .command = static_cast<U16>(at(0)),
                      .size = static_cast<U32>(sizeof message.header + size),
                      .flags = at(1),
                      .error = 0};
    for (U32 i = 0; i < at(4) % 4; ++i) message.descriptors.push_back(memory.another());
    message.payload = input.subspan(5, size);
    input = input.subspan(5 + size);
    if (server.handle(message).broken) break;
  }
  auto closing = server.close();
  co_await closing;
  loop.stop();
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 2) return 0;
  const Bytes bytes = std::as_bytes(std::span(input, size));
  const std::size_t image = std::min<std::size_t>(input[0] + 256u * input[1], size - 2);
  const fuzz::MemoryFile memory(bytes.subspan(2, image));
  const auto loop = io::make_fake_loop(1, {.late = 0, .shortened = 0});
  Memory dma;
  dma.value = bytes.back();
  vfio_user::DeviceServer server(*loop, dma, "tag", true, {"fuzz"}, fuzz::Echo::maker());
  const io::Task<void> conversing = converse(server, memory, bytes.subspan(2 + image), *loop);
  loop->run_until_stopped();
  return 0;
}
