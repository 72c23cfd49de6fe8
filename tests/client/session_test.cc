// The client's session: against our own server, and against one that says anything.
#include "client/session.h"

#include <atomic>
#include <functional>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include "server/fs/memory.h"
#include "tests/client/on_loop.h"
#include "tests/client/scripted.h"
#include "tests/conversation/gate.h"
#include "tests/conversation/host.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Expected;
using client::Session;
using Opened = std::shared_ptr<Session>;

class ClientSession : public OnLoop {
 protected:
  /// Our server, with a file "f" of 3,000,000 bytes, each of them its offset's last digits.
  void serve(U32 msize_max = 1 << 20) {
    host = std::make_unique<Host>(
        io::make_portable_loop(),
        server::Export{make_gated_tree(std::make_shared<fs::MemoryTree>(), gate)}, msize_max);
    Client c = host->connect();
    c.version();
    c.attach(0);
    content.resize(3'000'000);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 / 5);
    c.make_file(0, "f", "");
    c.reach(0, 1, {"f"});
    c.get<Rlopen>(Tlopen{Fid{1}, lopen::kWriteOnly});
    for (std::size_t at = 0; at < content.size(); at += 60'000)
      ASSERT_EQ(c.write(1, at, Str(content).substr(at, 60'000)), 0);
  }
  void TearDown() override {
    gate.open();
    gate.release_all();
  }
  Opened open(Session::Options options = {}) {
    Client c = host->connect();
    const int fd = ::dup(c.fd());
    auto session = run(context, Session::open(stream_to(fd), options));
    EXPECT_TRUE(session) << session.error().text();
    return session.value_or(nullptr);
  }
  static awaitable<Expected<void>> attach(Session& s) {
    auto attaching = s.call(Tattach{Fid{0}, kNoFid, "", "", 0});
    const auto attached = co_await std::move(attaching);
    NINEP_CO_RETURN_IF_WRONG(attached);
    auto walking = s.call(Twalk{Fid{0}, Fid{1}, {"f"}});
    const auto walked = co_await std::move(walking);
    NINEP_CO_RETURN_IF_WRONG(walked);
    auto opening = s.call(Tlopen{Fid{1}, lopen::kReadWrite});
    const auto opened = co_await std::move(opening);
    NINEP_CO_RETURN_IF_WRONG(opened);
    co_return Expected<void>();
  }
  template <Message T>
  auto ask(Session& s, const T& request, std::chrono::milliseconds patience = {}) {
    return run(context, s.call(request, patience));
  }

  Gate gate;
  std::unique_ptr<Host> host;
  std::string content;
};

TEST_F(ClientSession, Talks) {
  serve();
  const Opened s = open();
  EXPECT_EQ(s->dialect(), kDotL);
  EXPECT_EQ(s->msize(), 1u << 20);
  ASSERT_TRUE(run(context, attach(*s)));
  const auto attributes = ask(*s, Tgetattr{Fid{1}, getattr::kBasic});
  ASSERT_TRUE(attributes);
  EXPECT_EQ((*attributes)->attr.size, content.size());
  const auto none = ask(*s, Twalk{Fid{0}, Fid{2}, {"none"}});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text(), "Twalk: No such file or directory");
  EXPECT_FALSE(ask(*s, Tstat{Fid{0}}));  // not in this dialect: it isn't even asked
  EXPECT_FALSE(s->lost());
}

awaitable<std::string> read_through(Session& s, std::size_t size) {
  std::string got(size, '\0');
  for (std::size_t at = 0; at < size;) {
    auto reading = s.read(Fid{1}, at, std::as_writable_bytes(std::span(got)).subspan(at));
    const auto count = co_await std::move(reading);
    if (!count || *count == 0) co_return "";
    at += *count;
  }
  co_return got;
}

TEST_F(ClientSession, DataOfEverySize) {
  for (const U32 msize : {4096u, 8192u, 65536u, 1u << 20, 4u << 20}) {
    serve(4 << 20);
    const Opened s = open({.msize = msize});
    EXPECT_EQ(s->msize(), msize);
    ASSERT_TRUE(run(context, attach(*s)));
    EXPECT_TRUE(run(context, read_through(*s, content.size())) == content) << msize;
    std::string changed(std::min<std::size_t>(s->payload_max(), 2'000'000), 'w');
    const auto written = ask(*s, Twrite{Fid{1}, 5, as_bytes(changed)});
    ASSERT_TRUE(written) << written.error().text();
    EXPECT_EQ((*written)->count, changed.size());
    content.replace(5, changed.size(), changed);
    EXPECT_TRUE(run(context, read_through(*s, content.size())) == content) << msize;
    const std::string too_much(s->payload_max() + 2, 'x');
    EXPECT_FALSE(ask(*s, Twrite{Fid{1}, 0, as_bytes(too_much)}));
  }
}

awaitable<void> count_one(Session& s, Str content, std::size_t at, unsigned& good) {
  std::array<std::byte, 1000> room;
  auto reading = s.read(Fid{1}, at, room);
  const auto size = co_await std::move(reading);
  if (size && *size == room.size() && as_str(room) == content.substr(at, room.size())) ++good;
}

// Many coroutines on one connection, more than may be under way.
TEST_F(ClientSession, ManyAtOnce) {
  serve();
  const Opened s = open({.requests_max = 7});
  ASSERT_TRUE(run(context, attach(*s)));
  unsigned good = 0;
  for (std::size_t i = 0; i < 1000; ++i)
    asio::co_spawn(context, count_one(*s, content, i * 2000, good), asio::detached);
  ASSERT_TRUE(ask(*s, Tstatfs{Fid{0}}));
  while (good < 1000) context.run_one();
  EXPECT_EQ(good, 1000u);
}

// Time is over, or the caller has given up: the server is told, drops it, and the tag is free.
TEST_F(ClientSession, GivesUp) {
  using asio::experimental::awaitable_operators::operator||;
  serve();
  const Opened s = open({.requests_max = 1});
  ASSERT_TRUE(run(context, attach(*s)));
  gate.hold("getattr");
  const auto late = ask(*s, Tgetattr{Fid{1}, getattr::kBasic}, 50ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errno{ETIMEDOUT});
  asio::steady_timer timer(context, 50ms);
  const auto first = run(
      context, s->call(Tgetattr{Fid{1}, getattr::kBasic}) || timer.async_wait(asio::use_awaitable));
  EXPECT_EQ(first.index(), 1u);
  gate.open();
  gate.release_all();
  EXPECT_TRUE(ask(*s, Tgetattr{Fid{1}, getattr::kBasic}));
  // What can't be dropped is answered, and that is what counts.
  gate.hold("getattr", false);
  std::thread later([&] {
    gate.wait_for(1);
    std::this_thread::sleep_for(200ms);
    gate.release_all();
  });
  EXPECT_TRUE(ask(*s, Tgetattr{Fid{1}, getattr::kBasic}, 50ms));
  later.join();
}

TEST_F(ClientSession, OtherDialects) {
  const auto unknown = [](Bytes f) { return reply(f, Rversion{8192, "unknown"}); };
  const auto refuses = [](Bytes f) { return reply(f, Rlerror{EIO}); };
  {
    Scripted server({unknown, [](Bytes f) { return reply(f, Rversion{8192, "9P2000.u"}); },
                     [](Bytes f) { return reply(f, Rerror{"whatever", ENOSPC}, kDotU); }});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_TRUE(s) << s.error().text();
    EXPECT_EQ((*s)->dialect(), kDotU);
    EXPECT_EQ(ask(**s, Tclunk{Fid{1}}).error().text(),
              "Tclunk: No space left on device (whatever)");
  }
  {
    Scripted server({refuses, refuses, [](Bytes f) { return reply(f, Rversion{8192, "9P2000"}); },
                     [](Bytes f) { return reply(f, Rerror{"file does not exist", 0}, k9P2000); }});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_TRUE(s) << s.error().text();
    EXPECT_EQ((*s)->dialect(), k9P2000);
    EXPECT_EQ(ask(**s, Tclunk{Fid{1}}).error().code, Errno{ENOENT});
  }
  {
    Scripted server({unknown, unknown, unknown});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, Errno{EPROTONOSUPPORT});
  }
}

// nfs-ganesha sends errors so: Rerror's type, with Rlerror's body. Behind that type is nothing
// else.
TEST_F(ClientSession, ErrorsOfType107) {
  const auto sends = [](const char* body) {
    return [body](Bytes f) {
      std::vector<std::byte> frame = reply(f, Rlerror{0});
      frame.resize(kHeaderSize);
      const auto bytes = hex(body);
      frame.insert(frame.end(), bytes.begin(), bytes.end());
      frame[0] = static_cast<std::byte>(frame.size());
      frame[4] = std::byte{107};
      return frame;
    };
  };
  Scripted server({agrees, sends("1c000000"), sends("00000000"), sends("ffffffff"),
                   sends("02006e6f"), sends("1c0000"), sends("1c00000000"), sends("")});
  const auto s = run(context, Session::open(stream_to(server.client), {}));
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_EQ(ask(**s, Tclunk{Fid{1}}).error().text(), "Tclunk: No space left on device");
  for (int i = 0; i < 6; ++i) {
    const auto answered = ask(**s, Tclunk{Fid{1}});
    ASSERT_FALSE(answered);
    EXPECT_EQ(answered.error().text(), "Tclunk: Protocol error (a reply that is none)") << i;
  }
}

// What is no answer ends the session with an error that says so; nothing is believed.
TEST_F(ClientSession, HostileServers) {
  using Answer = std::function<std::vector<std::byte>(Bytes)>;
  const auto raw = [](U32 size, U8 type, U16 tag, std::size_t more) {
    std::vector<std::byte> bytes(7 + more);
    std::memcpy(bytes.data(), &size, 4);
    bytes[4] = static_cast<std::byte>(type);
    std::memcpy(bytes.data() + 5, &tag, 2);
    return bytes;
  };
  const std::pair<const char*, Answer> cases[] = {
      {"another tag", [&](Bytes) { return raw(11, 7, 5, 4); }},
      {"a flush's tag", [&](Bytes) { return raw(7, 109, 0x8000, 0); }},
      {"no tag", [&](Bytes) { return raw(7, 101, 0xFFFF, 0); }},
      {"another type", [&](Bytes) { return raw(7, 121, 0, 0); }},
      {"too large", [&](Bytes) { return raw(8193, 117, 0, 100); }},
      {"too small", [&](Bytes) { return raw(6, 117, 0, 0); }},
      {"no count", [&](Bytes) { return raw(7, 117, 0, 0); }},
      {"more than asked for",
       [](Bytes f) { return reply(f, Rread{as_bytes(std::string(101, 'x'))}); }},
      {"cut off",
       [](Bytes f) {
         auto bytes = reply(f, Rread{as_bytes(std::string(50, 'x'))});
         bytes[0] = std::byte{20};
         return bytes;
       }},
      {"an end", [](Bytes) { return std::vector<std::byte>(); }},
      {"half a reply",
       [](Bytes f) {
         auto bytes = reply(f, Rread{as_bytes(std::string(50, 'x'))});
         bytes.resize(30);
         return bytes;
       }},
  };
  for (const auto& [name, answer] : cases) {
    SCOPED_TRACE(name);
    Scripted server({agrees, answer});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_TRUE(s) << s.error().text();
    std::array<std::byte, 100> room;
    const auto read = run(context, (*s)->read(Fid{1}, 0, room));
    ASSERT_FALSE(read);
    const bool is_no_answer = Str(name) == "an end" || Str(name) == "half a reply";
    EXPECT_EQ(read.error().code, is_no_answer ? Errno{ECONNRESET} : Errno{EPROTO})
        << read.error().text();
    EXPECT_TRUE((*s)->lost());
  }
}

/// Three calls of one coroutine; what came of each.
template <Message T>
awaitable<void> call_thrice(Session& s, T request, std::vector<std::string>& said) {
  co_await asio::this_coro::throw_if_cancelled(false);
  for (int i = 0; i < 3; ++i) {
    auto calling = s.call(request);
    const auto answered = co_await std::move(calling);
    said.push_back(answered ? "done" : answered.error().text());
  }
}

/// What call_thrice() says that is cancelled when the server has its first request.
template <Message T>
std::vector<std::string> cancelled_calls(asio::io_context& context, Session& s, const T& request,
                                         const std::atomic<bool>& is_there) {
  std::vector<std::string> said;
  run_cancelled(context, call_thrice(s, request, said), is_there);
  return said;
}

// A caller is told of its cancellation once: by the call that had no answer, or by the next one.
TEST_F(ClientSession, Cancelled) {
  const Tstatfs request{Fid{1}};
  const auto answers = [](Bytes f) { return reply(f, Rstatfs{}); };
  {
    std::atomic<bool> is_there = false;
    const auto waits = [&](Bytes) {
      is_there = true;
      return std::vector<std::byte>();
    };
    const auto drops = [](Bytes f) { return reply(f, Rflush{}); };
    Scripted server({agrees, waits, drops, answers, answers});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_TRUE(s) << s.error().text();
    EXPECT_THAT(cancelled_calls(context, **s, request, is_there),
                testing::ElementsAre("Tstatfs: Operation canceled", "done", "done"));
  }
  {
    std::atomic<bool> is_there = false;
    std::vector<std::byte> first;
    const auto waits = [&](Bytes f) {
      first.assign(f.begin(), f.end());
      is_there = true;
      return std::vector<std::byte>();
    };
    const auto answers_both = [&](Bytes f) {
      auto bytes = answers(first);
      const auto flushed = reply(f, Rflush{});
      bytes.insert(bytes.end(), flushed.begin(), flushed.end());
      return bytes;
    };
    Scripted server({agrees, waits, answers_both, answers});
    const auto s = run(context, Session::open(stream_to(server.client), {}));
    ASSERT_TRUE(s) << s.error().text();
    EXPECT_THAT(cancelled_calls(context, **s, request, is_there),
                testing::ElementsAre("done", "Tstatfs: Operation canceled", "done"));
  }
}

// That the connection is lost meanwhile is no reason to do it again.
TEST_F(ClientSession, CancelledWithoutAnAnswer) {
  std::atomic<bool> is_there = false;
  const auto waits = [&](Bytes) {
    is_there = true;
    return std::vector<std::byte>();
  };
  Scripted server({agrees, waits}, Scripted::Then::kSayNothing);
  const auto s = run(context, Session::open(stream_to(server.client), {.flush_patience = 50ms}));
  ASSERT_TRUE(s) << s.error().text();
  const std::string lost = "Tstatfs: Connection timed out (no answer to Tflush)";
  EXPECT_THAT(
      cancelled_calls(context, **s, Tstatfs{Fid{1}}, is_there),
      testing::ElementsAre("Tstatfs: Operation canceled (no answer to Tflush)", lost, lost));
}

// What gives a fid back is done all the same.
TEST_F(ClientSession, ClunksAreNotCancelled) {
  std::atomic<bool> is_there = false;
  const auto takes_its_time = [&](Bytes f) {
    is_there = true;
    std::this_thread::sleep_for(50ms);
    return reply(f, Rclunk{});
  };
  const auto answers = [](Bytes f) { return reply(f, Rclunk{}); };
  Scripted server({agrees, takes_its_time, answers, answers});
  const auto s = run(context, Session::open(stream_to(server.client), {}));
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_THAT(cancelled_calls(context, **s, Tclunk{Fid{1}}, is_there),
              testing::ElementsAre("done", "done", "done"));
}

// Who waits behind others' requests waits no longer than he wants to.
TEST_F(ClientSession, PatienceInLine) {
  Scripted server({agrees}, Scripted::Then::kSayNothing);
  const auto s = run(context, Session::open(stream_to(server.client), {.requests_max = 1}));
  ASSERT_TRUE(s) << s.error().text();
  std::string first;
  const auto call = [](Session& session, std::string& said) -> awaitable<void> {
    auto calling = session.call(Tstatfs{Fid{1}}, 600s);
    const auto answered = co_await std::move(calling);
    said = answered ? "done" : answered.error().text();
  };
  asio::co_spawn(context, call(**s, first), asio::detached);
  context.restart();
  context.poll();
  EXPECT_EQ(ask(**s, Tstatfs{Fid{1}}, 50ms).error().text(), "Tstatfs: Connection timed out");
  EXPECT_EQ(first, "");
  (*s)->close();
  settle();
}

// What is before Tflush on a slow link takes longer than an answer may.
TEST_F(ClientSession, SlowLinks) {
  static constexpr std::size_t kSize = 60'000, kPiece = 4096;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const int small = 4096;
  ASSERT_EQ(::setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  std::thread server([fd = pair[1]] {
    const auto receive = [&](std::size_t most) {
      Frame frame(most);
      const ssize_t size = ::recv(fd, frame.data(), most, 0);
      frame.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      return frame;
    };
    const auto answer = [&](const Frame& frame) {
      EXPECT_EQ(::send(fd, frame.data(), frame.size(), 0), std::ssize(frame));
    };
    answer(reply(receive(kPiece), Rversion{65536, "9P2000.L"}));
    for (std::size_t left = kHeaderSize + 16 + kSize; left > 0;) {
      std::this_thread::sleep_for(150ms);
      const std::size_t size = receive(std::min(left, kPiece)).size();
      if (size == 0) break;
      left -= size;
    }
    const Frame flush = receive(kPiece);
    if (!flush.empty()) answer(reply(flush, Rflush{}));
    while (!receive(kPiece).empty()) continue;
    ::close(fd);
  });
  {
    const auto s =
        run(context, Session::open(stream_to(pair[0]), {.msize = 65536, .flush_patience = 1000ms}));
    ASSERT_TRUE(s) << s.error().text();
    const std::string data(kSize, 'x');
    EXPECT_EQ(ask(**s, Twrite{Fid{1}, 0, as_bytes(data)}, 50ms).error().text(),
              "Twrite: Connection timed out");
  }
  server.join();
}

// A server that doesn't answer even Tflush is given up.
TEST_F(ClientSession, SilentServers) {
  Scripted server({agrees}, Scripted::Then::kSayNothing);
  const auto s = run(context, Session::open(stream_to(server.client), {.flush_patience = 50ms}));
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_EQ(ask(**s, Tclunk{Fid{1}}, 50ms).error().code, Errno{ETIMEDOUT});
  EXPECT_TRUE((*s)->lost());
}

}  // namespace
}  // namespace ninep::test
