#include "bench/load/wire.h"

#include <array>
#include <charconv>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/load/error.h"
#include "proto/print.h"
#include "proto/result.h"

namespace ninep::load {
namespace {

Socket connect_socket(int family, const sockaddr* address, socklen_t size,
                      const std::string& name) {
  Socket socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) give_up_errno("socket");
  if (connect(socket.fd(), address, size) != 0) give_up_errno("connect to ", name);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return socket;
}

Socket connect_unix(const std::string& name, Str path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) give_up(name, ": the path is too long");
  path.copy(address.sun_path, path.size());
  return connect_socket(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, name);
}

Socket connect_tcp(const std::string& name, Str host_port) {
  const std::size_t colon = host_port.rfind(':');
  if (colon == Str::npos) give_up(name, ": expected tcp:HOST:PORT");
  const std::string host(host_port.substr(0, colon));
  const Str digits = host_port.substr(colon + 1);
  U16 port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (parsed.ec != std::errc{} || inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    give_up(name, ": expected tcp:HOST:PORT with a numeric IPv4 host");
  Socket socket =
      connect_socket(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address, name);
  const int on = 1;
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

void receive_exactly(const Socket& socket, Room room) {
  while (!room.empty()) {
    const ssize_t n = recv(socket.fd(), room.data(), room.size(), 0);
    if (n == 0) give_up("the server closed the connection");
    if (n < 0) give_up_errno("receive");
    room = room.subspan(static_cast<std::size_t>(n));
  }
}

/// Sends one request and waits for its reply, a small frame, in `frame`.
template <Message T>
Bytes call(const Socket& socket, Tag tag, const T& request, std::array<std::byte, 4096>& frame) {
  const std::size_t size = encode_frame(tag, request, kDotL, frame);
  if (size == 0) give_up(Describe<T>::name, " does not fit: a name is too long");
  if (send(socket.fd(), frame.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
    give_up_errno("send");
  receive_exactly(socket, Room(frame).first(kHeaderSize));
  const Header header = read_header(frame);
  if (header.size < kHeaderSize || header.size > frame.size() || header.tag != tag)
    unexpected_reply(Bytes(frame).first(kHeaderSize), Describe<T>::name);
  receive_exactly(socket, Room(frame).subspan(kHeaderSize, header.size - kHeaderSize));
  return Bytes(frame).first(header.size);
}

template <Message R>
R decode_reply(Bytes frame, Str asked) {
  R reply{};
  if (read_header(frame).type != Describe<R>::code || !decode(frame_body(frame), kDotL, reply))
    unexpected_reply(frame, asked);
  return reply;
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Socket connect_to(const std::string& address) {
  if (address.starts_with("tcp:")) return connect_tcp(address, Str(address).substr(4));
  if (address.starts_with("unix:")) return connect_unix(address, Str(address).substr(5));
  give_up("address ", address, ": expected tcp:HOST:PORT or unix:PATH");
}

U32 shake_hands(const Socket& socket, const Options& options) {
  std::array<std::byte, 4096> frame;
  const Tversion version{options.msize, dialect_name(kDotL)};
  const auto agreed =
      decode_reply<Rversion>(call(socket, kNoTag, version, frame), Describe<Tversion>::name);
  if (agreed.version != version.version || agreed.msize > options.msize || agreed.msize < 4096)
    give_up("Tversion: the server offers ", agreed.version, ", msize ", agreed.msize);
  const U32 msize = agreed.msize;
  const Tattach attach{kRootFid, kNoFid, "root", options.aname, getuid()};
  decode_reply<Rattach>(call(socket, Tag{0}, attach, frame), Describe<Tattach>::name);
  return msize;
}

bool knows_unlinkat(const Socket& socket) {
  std::array<std::byte, 4096> frame;
  const Tunlinkat unlink{kRootFid, "no such file", 0};
  const Bytes reply = call(socket, Tag{0}, unlink, frame);
  const auto error = decode_reply<Rlerror>(reply, Describe<Tunlinkat>::name);
  if (error.ecode == ENOENT) return true;
  if (error.ecode == EOPNOTSUPP || error.ecode == ENOSYS) return false;
  unexpected_reply(reply, Describe<Tunlinkat>::name);
}

void unexpected_reply(Bytes frame, Str asked) {
  std::string reply = print_frame(frame, kDotL);
  Rlerror error{};
  if (frame.size() > kHeaderSize && read_header(frame).type == Describe<Rlerror>::code &&
      decode(frame_body(frame), kDotL, error))
    reply.append(" (").append(errno_text(Errno{error.ecode})).append(")");
  give_up(asked, " was answered by ", reply);
}

}  // namespace ninep::load
