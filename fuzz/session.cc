// Any frames as a conversation with a session over a tree in memory, without sockets. The first
// byte says how: bit 0, with a version and an attach (fid 0) before; bit 1, each frame when the one
// before is answered. Frames stand as on a stream; a size that can't be is taken as what is left.
//
// Each request is finished exactly once, and what it gets is a reply to it that fits msize.
#include "server/session.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "fuzz/direct.h"
#include "server/fs/memory.h"
#include "transports/io/fake.h"

namespace ninep {
namespace {

constexpr U32 kMsize = 16384;
constexpr std::size_t kFramesMax = 400;

struct Conversation {
  server::Session session;
  io::Event answered;
  std::size_t open = 0;  // requests

  Conversation(io::Loop& loop, server::Shared& shared, const server::Export& exported)
      : session(loop, shared, exported, "fuzz") {}

  void send(Bytes frame) {
    ++open;
    session.request(*fuzz::DirectRequest::make(frame, kMsize, [this](Bytes) {
      --open;
      answered.set();
    }));
  }
};

template <Message M>
void say(Conversation& c, const M& m) {
  std::byte frame[64];
  c.send(Bytes(frame, encode_frame(Tag{1}, m, kDotL, frame)));
}

io::Task<void> converse(Conversation& c, Bytes input, io::Loop& loop) {
  const auto how = static_cast<unsigned>(input[0]);
  input = input.subspan(1);
  if (how & 1) {
    say(c, Tversion{kMsize, "9P2000.L"});
    say(c, Tattach{Fid{0}, kNoFid, "", "", 0});
    while (c.open != 0) co_await c.answered;
  }
  std::vector<std::byte> frame;
  for (std::size_t count = 0; input.size() >= kHeaderSize && count < kFramesMax; ++count) {
    U32 size = read_header(input).size;
    if (size < kHeaderSize || size > input.size())
      size = static_cast<U32>(std::min<std::size_t>(input.size(), kMsize));
    frame.assign(input.begin(), input.begin() + size);
    std::memcpy(frame.data(), &size, sizeof size);
    input = input.subspan(size);
    c.send(frame);
    while (how & 2 && c.open != 0) co_await c.answered;
  }
  auto closing = c.session.close();
  co_await closing;
  if (c.open != 0) std::abort();  // a request was forgotten
  loop.stop();
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 1) return 0;
  // Nothing is late and nothing random: the same input does the same each time.
  const auto loop = io::make_fake_loop(1, {.late = 0, .shortened = 0});
  fs::MemoryTree tree({.size_max = U64{4} << 20, .inodes_max = 4096, .counted_time = true});
  server::Shared shared;
  shared.msize_max = kMsize;
  const server::Export exported{std::shared_ptr<fs::Tree>(&tree, [](fs::Tree*) {})};
  Conversation conversation(*loop, shared, exported);
  const io::Task<void> conversing =
      converse(conversation, std::as_bytes(std::span(input, size)), *loop);
  loop->run_until_stopped();
  return 0;
}
