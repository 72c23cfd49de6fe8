// The socket of a device, and what comes through it in pieces, with descriptors or without. The
// first byte: 0 vhost-user, 1 vfio-user; then pieces: length, what comes along, that many bytes.
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "fuzz/guest.h"
#include "tests/transports/message_peer.h"
#include "transports/make_link.h"

namespace ninep {
namespace {

/// Descriptors, one for each bit of `which`, twice if the highest is set.
std::vector<io::OwnedFd> descriptors(unsigned which, const fuzz::MemoryFile& memory) {
  std::vector<io::OwnedFd> fds;
  for (int copies = which & 128 ? 2 : 1; copies > 0; --copies) {
    int pair[2];
    if (which & 1) fds.push_back(memory.another());
    if (which & 2) fds.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (which & 4 && ::pipe2(pair, O_CLOEXEC) == 0)
      for (const int fd : pair) fds.emplace_back(fd);
    if (which & 8 && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
      for (const int fd : pair) fds.emplace_back(fd);
    if (which & 16) fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (which & 32)
      for (int i = 0; i < 15; ++i) fds.push_back(memory.another());
  }
  return fds;
}

// Replies, until the end.
io::Task<void> drain(io::Loop& loop, int fd) {
  std::byte room[4096];
  while (co_await loop.run(io::ops::recv(fd, false, room)) > 0) continue;
}

/// Both ends, until each has seen the other's end.
io::Task<void> converse(io::Loop& loop, int fd, int peer, transport::Protocol::Kind kind) {
  auto draining = drain(loop, peer);
  {
    const auto link = transport::make_link(loop, {fd, fd, false}, {.kind = kind, .tag = "tag"},
                                           {"fuzz"}, fuzz::Echo::maker(), [](const auto&) {});
    auto serving = link->serve();
    co_await serving;
  }
  co_await draining;
  loop.stop();
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  using Kind = transport::Protocol::Kind;
  if (size < 1) return 0;
  Bytes bytes = std::as_bytes(std::span(input, size));
  const Kind kind = input[0] & 1 ? Kind::kVfioUser : Kind::kVhostUser;
  bytes = bytes.subspan(1);
  const fuzz::MemoryFile memory({});
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
  test::MessagePeer peer(pair[1]);
  const auto loop = io::make_portable_loop();
  const io::Task<void> conversing = converse(*loop, pair[0], peer.fd(), kind);
  loop->post([&] {
    for (int count = 0; bytes.size() >= 2 && count < 64; ++count) {
      const auto which = static_cast<unsigned>(bytes[1]);
      const std::size_t length =
          std::min<std::size_t>(static_cast<std::size_t>(bytes[0]), bytes.size() - 2);
      const auto along = descriptors(which, memory);
      std::vector<int> numbers;
      for (const io::OwnedFd& fd : along) numbers.push_back(fd.get());
      if (length != 0) peer.send_raw(bytes.subspan(2, length), numbers);
      bytes = bytes.subspan(2 + length);
    }
    ::shutdown(peer.fd(), SHUT_WR);
  });
  loop->run_until_stopped();
  return 0;
}
