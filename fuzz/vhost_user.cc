// A front end whose every message is the fuzzer's: request, flags, size[2], descriptors, payload.
// In front of them is what its memory begins with: size[2], bytes.
#include "fuzz/guest.h"
#include "transports/io/fake.h"
#include "transports/vhost_user/back_end.h"

namespace ninep {
namespace {

io::Task<void> converse(vhost_user::BackEnd& back_end, const fuzz::MemoryFile& memory, Bytes input,
                        io::Loop& loop) {
  for (int count = 0; input.size() >= 5 && count < 64; ++count) {
    const auto at = [&](std::size_t i) { return static_cast<U32>(input[i]); };
    vhost_user::Message message;
    const std::size_t size = std::min<std::size_t>(at(2) | at(3) << 8, input.size() - 5);
    message.header = {at(0), at(1), static_cast<U32>(size)};
    for (U32 i = 0; i < at(4) % 10; ++i) message.descriptors.push_back(memory.another());
    const std::vector<std::byte> payload(input.begin() + 5,
                                         input.begin() + 5 + static_cast<std::ptrdiff_t>(size));
    message.payload = payload;
    input = input.subspan(5 + size);
    auto handling = back_end.handle(message);
    const vhost_user::Answer answer = co_await handling;
    if (answer.broken) break;
  }
  auto closing = back_end.close();
  co_await closing;
  loop.stop();
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 2) return 0;
  Bytes bytes = std::as_bytes(std::span(input, size));
  const std::size_t image = std::min<std::size_t>(input[0] + 256u * input[1], size - 2);
  const fuzz::MemoryFile memory(bytes.subspan(2, image));
  const auto loop = io::make_fake_loop(1, {.late = 0, .shortened = 0});
  vhost_user::BackEnd back_end(*loop, "tag", {"fuzz"}, fuzz::Echo::maker());
  const io::Task<void> conversing = converse(back_end, memory, bytes.subspan(2 + image), *loop);
  loop->run_until_stopped();
  return 0;
}
