#include "tests/conversation/client.h"

#include <algorithm>
#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::test {

int Received::error() const {
  if (header().type != Describe<Rlerror>::code) return 0;
  const int error = static_cast<int>(as<Rlerror>().ecode);
  if (error == 0) throw Unexpected("an Rlerror without an error");
  return error;
}

// A conversation that hangs shall say where. Nothing here takes anywhere near as long.
Client::Client(int fd) : fd_(fd) {
  const timeval minute{.tv_sec = 60, .tv_usec = 0};
  NINEP_CHECK(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute) == 0);
  NINEP_CHECK(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute) == 0);
}

void Client::send_raw(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EPIPE || errno == ECONNRESET)) return;  // receive() will tell
    if (size < 0) throw Unexpected(std::string("send: ") + std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

bool Client::receive_exactly(Room room) {
  while (!room.empty()) {
    const ssize_t size = ::recv(fd_, room.data(), room.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size == 0 || (size < 0 && errno == ECONNRESET)) return false;
    if (size < 0) throw Unexpected(std::string("no reply: ") + std::strerror(errno));
    room = room.subspan(static_cast<std::size_t>(size));
  }
  return true;
}

bool Client::receive(Received& out) {
  out.frame.resize(kHeaderSize);
  if (!receive_exactly(out.frame)) return false;
  const U32 size = out.header().size;
  if (size < kHeaderSize || size > (8u << 20)) throw Unexpected("a reply of a bad size");
  out.frame.resize(size);
  return receive_exactly(Room(out.frame).subspan(kHeaderSize));
}

Received Client::receive() {
  Received got;
  if (!receive(got)) throw Unexpected("the connection has ended");
  return got;
}

bool Client::ended() {
  std::byte more;
  return !receive_exactly({&more, 1});
}

void Client::hang_up() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::reset_on_close() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  NINEP_CHECK(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
}

void Client::half_close() { NINEP_CHECK(::shutdown(fd_, SHUT_WR) == 0); }

// ------------------------------------------------------------------ what is said often

U32 Client::version(U32 msize, Str version) {
  send(static_cast<U16>(kNoTag), Tversion{msize, version});
  const Received got = receive();
  const auto reply = got.as<Rversion>();
  if (reply.version != "9P2000.L") throw Unexpected(got.text());
  return reply.msize;
}

Qid Client::attach(U32 fid, Str aname, U32 n_uname) {
  return get<Rattach>(Tattach{Fid{fid}, kNoFid, "", aname, n_uname}).qid;
}

Received Client::walk(U32 fid, U32 newfid, std::initializer_list<Str> names) {
  return call(Twalk{Fid{fid}, Fid{newfid}, Names(names)});
}

Qid Client::reach(U32 fid, U32 newfid, std::initializer_list<Str> names) {
  last_ = walk(fid, newfid, names);
  const Qids qids = last_.as<Rwalk>().wqid;
  if (qids.size() != names.size()) throw Unexpected("walked a part of the way: " + last_.text());
  return qids.size() == 0 ? Qid{} : qids[qids.size() - 1u];
}

void Client::make_file(U32 dir, Str name, Str content, U32 mode) {
  constexpr U32 kSpare = 900'001;
  reach(dir, kSpare, {});
  get<Rlcreate>(Tlcreate{Fid{kSpare}, name, lopen::kReadWrite | lopen::kExclusive, mode, 0});
  if (const int failed = write(kSpare, 0, content)) throw Unexpected(std::strerror(failed));
  clunk(kSpare);
}

void Client::make_dir(U32 dir, Str name, U32 mode) { get<Rmkdir>(Tmkdir{Fid{dir}, name, mode, 0}); }

std::string Client::read(U32 fid, U64 offset, std::size_t size) {
  std::string all;
  while (all.size() < size) {
    const auto count = static_cast<U32>(std::min<std::size_t>(size - all.size(), 1 << 20));
    const auto part = get<Rread>(Tread{Fid{fid}, offset + all.size(), count}).data;
    if (part.size() == 0) break;
    if (part.size() > count) throw Unexpected("more data than asked for");
    all += as_str(part.bytes);
  }
  return all;
}

int Client::write(U32 fid, U64 offset, Str data) {
  while (!data.empty()) {
    const Received got = call(Twrite{Fid{fid}, offset, as_bytes(data)});
    if (const int failed = got.error()) return failed;
    const U32 count = got.as<Rwrite>().count;
    if (count == 0 || count > data.size()) throw Unexpected(got.text());
    data.remove_prefix(count);
    offset += count;
  }
  return 0;
}

std::string Client::content(U32 dir, Str name, U32 spare) {
  reach(dir, spare, {name});
  open(spare, lopen::kReadOnly);
  std::string all = read(spare);
  clunk(spare);
  return all;
}

std::vector<std::string> Client::names(U32 fid, U32 spare, U32 count) {
  std::vector<std::string> names;
  reach(fid, spare, {});
  open(spare, lopen::kReadOnly);
  for (U64 offset = 0;;) {
    Bytes data = get<Rreaddir>(Treaddir{Fid{spare}, offset, count}).data.bytes;
    if (data.empty()) break;
    for (Dirent entry{}; !data.empty(); offset = entry.offset) {
      if (!decode_front(data, kDotL, entry)) throw Unexpected("a torn directory entry");
      if (entry.name != "." && entry.name != "..") names.emplace_back(entry.name);
    }
  }
  clunk(spare);
  std::ranges::sort(names);
  return names;
}

}  // namespace ninep::test
