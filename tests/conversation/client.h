// A client for tests: says exactly what it is told to, right or wrong, and shows what came back.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "proto/print.h"
#include "tests/bytes.h"

namespace ninep::test {

/// Thrown when a conversation goes another way than the test needs to go on; GoogleTest reports it.
struct Unexpected : std::runtime_error {
  using runtime_error::runtime_error;
};

/// A frame that came.
struct Received {
  std::vector<std::byte> frame;

  Header header() const { return read_header(frame); }
  std::string text() const { return print_frame(frame, kDotL); }
  /// The number in an Rlerror; 0 for any other message.
  int error() const;
  /// As that message; its views point into `frame`.
  template <Message R>
  R as() const {
    R r{};
    if (header().type != Describe<R>::code || !decode(frame_body(frame), kDotL, r))
      throw Unexpected("not the reply that was wanted: " + text());
    return r;
  }
};

inline constexpr U32 kMsize = 65536;

class Client {
 public:
  /// Takes a connected stream socket.
  explicit Client(int fd);
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;
  ~Client() { hang_up(); }

  // ---- frames

  template <Message M>
  void send(U16 tag, const M& m) {
    send_raw(frame_of(Tag{tag}, m, kDotL));
  }
  void send_raw(Bytes bytes);
  /// The next frame; false: the connection has ended. A minute of silence is an exception.
  bool receive(Received& out);
  Received receive();
  /// Whether the connection ends, with nothing before that.
  bool ended();

  void hang_up();
  /// The next close makes the peer see a reset.
  void reset_on_close();
  void half_close();
  int fd() const { return fd_; }

  // ---- one request and its reply, when nothing else is under way

  template <Message M>
  Received call(const M& m) {
    const U16 tag = next_tag_++ | 0x4000;  // small ones are the tests' own
    send(tag, m);
    Received got = receive();
    const Header header = got.header();
    if (header.tag != Tag{tag}) throw Unexpected("another tag than asked with: " + got.text());
    if (header.type != Describe<M>::code + 1 && header.type != Describe<Rlerror>::code)
      throw Unexpected("not a reply to what was asked: " + got.text());
    return got;
  }
  /// 0, or the errno in the reply.
  template <Message M>
  int error(const M& m) {
    return call(m).error();
  }
  /// The reply; its views are good until the next call. An error is an exception.
  template <Message R, Message M>
  R get(const M& m) {
    last_ = call(m);
    return last_.as<R>();
  }

  // ---- what most conversations are made of

  U32 version(U32 msize = kMsize, Str version = "9P2000.L");
  Qid attach(U32 fid, Str aname = "", U32 n_uname = 0);
  Received walk(U32 fid, U32 newfid, std::initializer_list<Str> names);
  /// Walks all of it, or that is an exception.
  Qid reach(U32 fid, U32 newfid, std::initializer_list<Str> names);
  void open(U32 fid, U32 flags) { get<Rlopen>(Tlopen{Fid{fid}, flags}); }
  /// Makes a file below directory `dir` and writes `content`; nothing stays open.
  void make_file(U32 dir, Str name, Str content = "", U32 mode = 0644);
  void make_dir(U32 dir, Str name, U32 mode = 0755);
  int clunk(U32 fid) { return error(Tclunk{Fid{fid}}); }
  /// All of an open fid from `offset` on, by as many reads as it takes.
  std::string read(U32 fid, U64 offset = 0, std::size_t size = ~std::size_t{0});
  /// By as many writes as it takes; 0 or the errno.
  int write(U32 fid, U64 offset, Str data);
  /// A file's content, opened by another fid (`spare`), which is clunked.
  std::string content(U32 dir, Str name, U32 spare = 900'000);
  Attr attr(U32 fid) { return get<Rgetattr>(Tgetattr{Fid{fid}, getattr::kBasic}).attr; }
  /// The names in an unopened directory fid, sorted, without "." and "..".
  std::vector<std::string> names(U32 fid, U32 spare = 900'000, U32 count = 4096);

 private:
  bool receive_exactly(Room room);

  int fd_;
  U16 next_tag_ = 0;
  Received last_;
};

}  // namespace ninep::test
