#include "client/bench/wire.h"

#include <array>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "client/bench/error.h"
#include "client/bench/interrupt.h"
#include "proto/print.h"
#include "proto/result.h"

namespace ninep::bench {
namespace {

using Frame = std::array<std::byte, 4096>;

constexpr std::size_t kNamesMax = 16;  // in a Twalk, walk(5)

void receive_exactly(const Socket& socket, Room room) {
  while (!room.empty()) {
    const ssize_t n = recv(socket.fd(), room.data(), room.size(), 0);
    if (n < 0 && errno == EINTR) {
      give_up_if_interrupted();
      continue;
    }
    if (n == 0) give_up("the server closed the connection");
    if (n < 0 && errno == EAGAIN) give_up("the server does not answer");
    if (n < 0) give_up_errno("receive");
    room = room.subspan(static_cast<std::size_t>(n));
  }
}

/// Sends one request and waits for its reply, a small frame, in `frame`.
template <Message T>
Bytes call(const Socket& socket, Dialects dialect, Tag tag, const T& request, Frame& frame) {
  const std::size_t size = encode_frame(tag, request, dialect, frame);
  if (size == 0) give_up(Describe<T>::name, " does not fit: a name is too long");
  if (send(socket.fd(), frame.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
    give_up_errno("send");
  receive_exactly(socket, Room(frame).first(kHeaderSize));
  const Header header = read_header(frame);
  if (header.size < kHeaderSize || header.size > frame.size() || header.tag != tag)
    unexpected_reply(Bytes(frame).first(kHeaderSize), dialect, Describe<T>::name);
  receive_exactly(socket, Room(frame).subspan(kHeaderSize, header.size - kHeaderSize));
  return Bytes(frame).first(header.size);
}

template <Message R>
R decode_reply(Bytes frame, Dialects dialect, Str asked) {
  R reply{};
  if (reply_code(frame, dialect) != Describe<R>::code || !decode(frame_body(frame), dialect, reply))
    unexpected_reply(frame, dialect, asked);
  return reply;
}

void walk_to_root(const Socket& socket, Dialects dialect, Fid from,
                  const std::vector<std::string>& names) {
  Frame frame;
  for (std::size_t at = 0; at < names.size(); at += kNamesMax) {
    Twalk walk{from, kRootFid, {}};
    for (std::size_t i = at; i < names.size() && i < at + kNamesMax; ++i)
      walk.wname.push_back(names[i]);
    const Bytes reply = call(socket, dialect, Tag{0}, walk, frame);
    if (decode_reply<Rwalk>(reply, dialect, Describe<Twalk>::name).wqid.size() != walk.wname.size())
      unexpected_reply(reply, dialect, Describe<Twalk>::name);
    from = kRootFid;
  }
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Socket connect_to(const Endpoint& server, std::chrono::milliseconds patience) {
  Socket socket(::socket(server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) give_up_errno("socket");
  const timeval limit{.tv_sec = patience.count() / 1000, .tv_usec = patience.count() % 1000 * 1000};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // connect(2) too
  if (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&server.address), server.size) != 0)
    give_up_errno("connect to ", server.name);
  const int on = 1;
  if (server.address.ss_family == AF_INET || server.address.ss_family == AF_INET6)
    setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

U32 shake_hands(const Socket& socket, const Options& options,
                const std::vector<std::string>& names) {
  Frame frame;
  const Dialects dialect = options.dialect;
  const Tversion version{options.msize, dialect_name(dialect)};
  const auto agreed = decode_reply<Rversion>(call(socket, dialect, kNoTag, version, frame), dialect,
                                             Describe<Tversion>::name);
  if (agreed.version != version.version)
    give_up("the server was asked for ", version.version, " and now speaks ", agreed.version);
  if (agreed.msize > options.msize || agreed.msize < 4096)
    give_up("Tversion: the server offers msize ", agreed.msize);
  const U32 msize = agreed.msize;
  // Behind those of the lanes, and no larger than it has to be: nfs-ganesha takes 0 to 1023.
  const Fid attached = names.empty() ? kRootFid : Fid{2 * options.depth + 1};
  const Tattach attach{attached, kNoFid, options.uname, options.aname, options.uid};
  decode_reply<Rattach>(call(socket, dialect, Tag{0}, attach, frame), dialect,
                        Describe<Tattach>::name);
  walk_to_root(socket, dialect, attached, names);
  return msize;
}

bool knows_unlinkat(const Socket& socket) {
  Frame frame;
  const Tunlinkat unlink{kRootFid, "no such file", 0};
  const Bytes reply = call(socket, kDotL, Tag{0}, unlink, frame);
  const auto error = decode_reply<Rlerror>(reply, kDotL, Describe<Tunlinkat>::name);
  if (error.ecode == ENOENT) return true;
  if (error.ecode == EOPNOTSUPP || error.ecode == ENOSYS) return false;
  unexpected_reply(reply, kDotL, Describe<Tunlinkat>::name);
}

void unexpected_reply(Bytes frame, Dialects dialect, Str asked) {
  std::string reply = print_frame(frame, dialect);
  Rlerror error{};
  if (frame.size() > kHeaderSize && reply_code(frame, dialect) == Describe<Rlerror>::code &&
      decode(frame_body(frame), dialect, error))
    reply.append(" (").append(errno_text(Errno{error.ecode})).append(")");
  give_up(asked, " was answered by ", reply);
}

}  // namespace ninep::bench
