// A tree of a server's over as many connections as it takes: against servers that say what a test
// wants.
#include "client/attachment.h"

#include <atomic>

#include <asio/detached.hpp>
#include <sys/stat.h>

#include "tests/client/on_loop.h"
#include "tests/client/scripted.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Expected;
using client::Lock;

/// Of what was asked.
template <Message T>
bool has(const std::vector<U8>& types) {
  return std::ranges::count(types, U8{Describe<T>::code}) != 0;
}

class AttachmentTest : public OnLoop {
 protected:
  /// One connection after the other, as long as there are `ends`.
  client::Attachment::Connect connects_to(std::vector<int>& ends) {
    return [this, &ends](std::chrono::milliseconds) -> awaitable<Expected<client::Stream>> {
      if (ends.empty()) co_return client::error(ECONNREFUSED, "connect");
      const int end = ends.front();
      ends.erase(ends.begin());
      co_return stream_to(end);
    };
  }
  using Work = std::function<awaitable<void>(client::Node& root)>;
  /// Cancels `work` at the first request of that type that it makes, but for the root's own walk,
  /// which isn't answered. What was asked.
  std::vector<U8> cancelled_at(U8 type, const Work& work) {
    std::atomic<bool> is_there = false;
    bool has_root = false;
    std::vector<U8> seen;
    {
      Scripted server([&](Bytes f) -> std::optional<Frame> {
        seen.push_back(read_header(f).type);
        if (seen.back() == type && has_root && !is_there) {
          is_there = true;
          return std::nullopt;
        }
        switch (seen.back()) {
          case Describe<Tflush>::code:
            return reply(f, Rflush{});
          case Describe<Tlopen>::code:
            return reply(f, Rlopen{});
          case Describe<Tgetattr>::code:
            return reply(f, Rgetattr{});
          case Describe<Tclunk>::code:
            return reply(f, Rclunk{});
          case Describe<Twalk>::code:
            has_root = true;
            [[fallthrough]];
          default:
            return attaches(f);
        }
      });
      {
        std::vector<int> ends{server.client};
        const auto attachment = get(client::Attachment::make(connects_to(ends), true, {}));
        client::Node root(attachment, get(attachment->root()));
        run_cancelled(context, work(root), is_there);
        attachment->end();
      }
      settle();
    }
    return seen;
  }
};

// A server that has done what was flushed has the fid.
TEST_F(AttachmentTest, FidsOfWhatIsGivenUp) {
  std::vector<U32> made, clunked;
  {
    Scripted server([&](Bytes f) -> std::optional<Frame> {
      switch (read_header(f).type) {
        case Describe<Tflush>::code:
          return reply(f, Rflush{});
        case Describe<Txattrwalk>::code: {
          Txattrwalk request{};
          EXPECT_TRUE(decode(frame_body(f), kDotL, request));
          made.push_back(static_cast<U32>(request.newfid));
          return std::nullopt;
        }
        case Describe<Tclunk>::code: {
          Tclunk request{};
          EXPECT_TRUE(decode(frame_body(f), kDotL, request));
          clunked.push_back(static_cast<U32>(request.fid));
          return reply(f, Rclunk{});
        }
        default:
          return attaches(f);
      }
    });
    client::Options options;
    options.session.patience = 1000ms;
    auto client = get(client::Client::on(stream_to(server.client), options));
    EXPECT_NE(error(client.root().xattr("user.a")).find("timed out"), std::string::npos);
    EXPECT_NE(error(client.root().xattr("user.a")).find("timed out"), std::string::npos);
    client = client::Client();
    settle();
  }
  ASSERT_EQ(made.size(), 2u);
  EXPECT_NE(made[0], made[1]) << "one that may still be in use is taken again at once";
  ASSERT_GE(clunked.size(), 2u);
  EXPECT_EQ(clunked[0], made[0]);
  EXPECT_EQ(clunked[1], made[1]);
}

// A file of the same name and qid.path that was born at another time is another file.
TEST_F(AttachmentTest, FilesOfOneNumber) {
  constexpr U64 kPath = 5;
  const Qid qid{kQtFile, 0, kPath};
  // What is written at 1 or read there is lost: with the connection, or by a server that says
  // nothing any more.
  const auto serves = [&](U64 born, U64 gen, bool is_silent) {
    return [&, born, gen, is_silent](Bytes f) -> std::optional<Frame> {
      const std::optional<Frame> lost = is_silent ? std::nullopt : std::optional(Frame());
      switch (read_header(f).type) {
        case Describe<Tversion>::code:
          return agrees(f);
        case Describe<Tattach>::code:
          return reply(f, Rattach{{kQtDir, 0, 1}});
        case Describe<Twalk>::code: {
          Twalk request{};
          EXPECT_TRUE(decode(frame_body(f), kDotL, request));
          Rwalk r{};
          if (request.wname.size() != 0) r.wqid.push_back(qid);
          return reply(f, r);
        }
        case Describe<Tgetattr>::code: {
          Rgetattr r{};
          r.valid = getattr::kBasic | (born ? getattr::kBtime : 0) | (gen ? getattr::kGen : 0);
          r.attr.qid = qid;
          r.attr.mode = S_IFREG | 0600;
          r.attr.btime_sec = born;
          r.attr.gen = gen;
          return reply(f, r);
        }
        case Describe<Tlopen>::code:
          return reply(f, Rlopen{qid, 0});
        case Describe<Twrite>::code: {
          Twrite request{};
          EXPECT_TRUE(decode(frame_body(f), kDotL, request));
          if (request.offset == 1) return lost;
          return reply(f, Rwrite{static_cast<U32>(request.data.size())});
        }
        case Describe<Tread>::code: {
          Tread request{};
          EXPECT_TRUE(decode(frame_body(f), kDotL, request));
          if (request.offset == 1) return lost;
          return reply(f, Rread{as_bytes(Str("x"))});
        }
        case Describe<Tflush>::code:
          return lost;
        case Describe<Tclunk>::code:
          return reply(f, Rclunk{});
        default:
          return Frame();
      }
    };
  };
  const auto used = [&](U32 flags, bool is_silent, std::pair<U64, U64> before,
                        std::pair<U64, U64> behind) {
    Scripted first(serves(before.first, before.second, is_silent));
    Scripted second(serves(behind.first, behind.second, is_silent));
    std::vector<int> ends{first.client, second.client};
    const auto connect = connects_to(ends);
    client::Options options;
    options.reconnect_patience = 2s;
    if (is_silent) options.session.patience = options.session.flush_patience = 200ms;
    std::string said;
    {
      const auto attachment = get(client::Attachment::make(connect, true, options));
      client::Node root(attachment, get(attachment->root()));
      client::File file = get(get(root.walk("f")).open(flags));
      const std::string data = "x";
      std::array<std::byte, 1> room;
      if (flags == lopen::kReadOnly) {
        get(file.read(0, room));
        said = error(file.read(1, room));
      } else {
        get(file.write(0, as_bytes(data)));
        said = error(file.write(1, as_bytes(data)));
      }
    }
    settle();
    return said;
  };
  const auto written = [&](std::pair<U64, U64> before, std::pair<U64, U64> behind) {
    return used(lopen::kReadWrite, false, before, behind);
  };
  const std::string same = written({7, 0}, {7, 0});
  EXPECT_NE(same.find("gone for"), std::string::npos) << "it was not written again: " << same;
  EXPECT_NE(written({7, 0}, {8, 0}).find("another file"), std::string::npos);
  EXPECT_NE(written({0, 3}, {0, 4}).find("another file"), std::string::npos);
  EXPECT_NE(written({0, 0}, {0, 0}).find("tells nothing that only"), std::string::npos);
  // What is read on has to be the same file as well.
  EXPECT_NE(used(lopen::kReadOnly, false, {7, 0}, {8, 0}).find("another file"), std::string::npos);
  // A server that only said nothing may do later what it was asked: it isn't asked again, and what
  // comes after that is.
  const std::string late = used(lopen::kReadWrite, true, {7, 0}, {7, 0});
  EXPECT_NE(late.find("may do it yet"), std::string::npos) << late;
}

awaitable<void> open_it(client::Node& node, std::string& said) {
  const auto opened = co_await node.open(lopen::kReadOnly);
  said = opened ? "opened" : opened.error().text();
}

// What is made of several requests tells by its result that it was cancelled, wherever it was.
TEST_F(AttachmentTest, CancelledBetweenTwoRequests) {
  std::atomic<bool> is_there = false;
  std::optional<Frame> walk;
  int walks = 0;  // the first is the root's
  Scripted server([&](Bytes f) -> std::optional<Frame> {
    if (read_header(f).type == Describe<Twalk>::code && ++walks == 2) {
      walk = reply(f, Rwalk{});
      is_there = true;
      return std::nullopt;
    }
    if (read_header(f).type != Describe<Tflush>::code) return attaches(f);
    Frame both = *walk;
    const Frame flushed = reply(f, Rflush{});
    both.insert(both.end(), flushed.begin(), flushed.end());
    return both;
  });
  {
    auto c = get(client::Client::on(stream_to(server.client), {}));
    std::string said;
    run_cancelled(context, open_it(c.root(), said), is_there);
    EXPECT_EQ(said, "open /: Operation canceled");
  }
  settle();
}

/// Has an answer to Tflush late enough for what stands in line behind the flushed.
std::optional<Frame> flushes_slowly(Bytes f) {
  std::this_thread::sleep_for(600ms);
  return reply(f, Rflush{});
}
/// With a server that answers one request at a time.
client::Options one_at_a_time() {
  client::Options options;
  options.session.requests_max = 1;
  options.session.patience = 200ms;
  return options;
}
awaitable<void> stat_it(client::Node& node, std::string& said) {
  const auto is = co_await node.stat();
  said = is ? "done" : is.error().text();
}

// What gives back goes out when its turn comes, however late that is.
TEST_F(AttachmentTest, SentLate) {
  std::atomic<bool> is_unlocked = false;
  Scripted server([&](Bytes f) -> std::optional<Frame> {
    switch (read_header(f).type) {
      case Describe<Tlopen>::code:
        return reply(f, Rlopen{});
      case Describe<Tlock>::code: {
        Tlock request{};
        EXPECT_TRUE(decode(frame_body(f), kDotL, request));
        is_unlocked = request.type == lock::kUnlock;
        return reply(f, Rlock{lock::kSuccess});
      }
      case Describe<Tgetattr>::code:
        return std::nullopt;
      case Describe<Tflush>::code:
        return flushes_slowly(f);
      case Describe<Tclunk>::code:
        return reply(f, Rclunk{});
      default:
        return attaches(f);
    }
  });
  {
    auto c = get(client::Client::on(stream_to(server.client), one_at_a_time()));
    client::File file = get(c.root().open(lopen::kReadWrite));
    const Lock lock{lock::kWrite, 0, 0, 1, "me"};
    EXPECT_TRUE(get(file.lock(lock, false)));
    std::string first;
    asio::co_spawn(context, stat_it(c.root(), first), asio::detached);
    get(file.unlock(lock));
    EXPECT_TRUE(is_unlocked);
    while (first.empty()) context.run_one();
  }
  settle();
}
// What never went out, for its time was over in line, wasn't done: a Tremove's fid is still there.
TEST_F(AttachmentTest, NeverRemoved) {
  std::vector<U8> seen;
  {
    Scripted server([&](Bytes f) -> std::optional<Frame> {
      seen.push_back(read_header(f).type);
      switch (seen.back()) {
        case Describe<Tversion>::code:
          return reply(f, Rversion{8192, "9P2000"});
        case Describe<Tattach>::code:
          return reply(f, Rattach{{kQtDir, 0, 1}}, k9P2000);
        case Describe<Twalk>::code: {
          Twalk request{};
          EXPECT_TRUE(decode(frame_body(f), k9P2000, request));
          Rwalk r{};
          if (request.wname.size() != 0) r.wqid.push_back({kQtFile, 0, 5});
          return reply(f, r, k9P2000);
        }
        case Describe<Tstat>::code:
          return std::nullopt;
        case Describe<Tflush>::code:
          return flushes_slowly(f);
        case Describe<Tclunk>::code:
          return reply(f, Rclunk{}, k9P2000);
        default:
          return Frame();
      }
    });
    {
      auto c = get(client::Client::on(stream_to(server.client), one_at_a_time()));
      std::string removed, stat;
      const auto remove = [](client::Node& root, std::string& said) -> awaitable<void> {
        const auto done = co_await root.remove("f", false);
        said = done ? "done" : done.error().text();
      };
      asio::co_spawn(context, remove(c.root(), removed), asio::detached);
      asio::co_spawn(context, stat_it(c.root(), stat), asio::detached);
      context.restart();
      while (removed.empty() || stat.empty()) context.run_one();
      EXPECT_NE(removed.find("timed out"), std::string::npos);
    }
    settle();
  }
  EXPECT_TRUE(has<Tclunk>(seen));
  EXPECT_FALSE(has<Tremove>(seen));
}

// Who asks for a number first, and is cancelled there, goes no further.
TEST_F(AttachmentTest, CancelledBeforeARemoval) {
  std::string said;
  const auto remove = [&](client::Node& root) -> awaitable<void> {
    const auto done = co_await root.remove("f", false);
    said = done ? "done" : done.error().text();
  };
  EXPECT_FALSE(has<Tunlinkat>(cancelled_at(Describe<Twalk>::code, remove)));
  EXPECT_NE(said.find("canceled"), std::string::npos) << said;
}
TEST_F(AttachmentTest, CancelledBeforeATruncation) {
  std::string said;
  const auto truncate = [&](client::Node& root) -> awaitable<void> {
    const auto done = co_await root.change({.size = 0});
    said = done ? "done" : done.error().text();
  };
  EXPECT_FALSE(has<Tsetattr>(cancelled_at(Describe<Tgetattr>::code, truncate)));
  EXPECT_NE(said.find("canceled"), std::string::npos) << said;
}
// Who has what he wanted, but for what it takes to find it again, has it: it is the next call that
// is cancelled.
TEST_F(AttachmentTest, CancelledBehindAnOpen) {
  std::string said, next;
  const auto open = [&](client::Node& root) -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto opened = co_await root.open(lopen::kReadWrite);
    said = opened ? "opened" : opened.error().text();
    const auto is = co_await root.stat();
    next = is ? "done" : is.error().text();
  };
  EXPECT_TRUE(has<Tlopen>(cancelled_at(Describe<Tgetattr>::code, open)));
  EXPECT_EQ(said, "opened");
  EXPECT_NE(next.find("canceled"), std::string::npos) << next;
}

// A server that waits itself answers when it likes.
TEST_F(AttachmentTest, ServersThatWaitForLocks) {
  std::optional<Frame> granted;
  Scripted server([&](Bytes f) -> std::optional<Frame> {
    switch (read_header(f).type) {
      case Describe<Tlopen>::code:
        return reply(f, Rlopen{});
      case Describe<Tlock>::code: {
        Tlock request{};
        EXPECT_TRUE(decode(frame_body(f), kDotL, request));
        EXPECT_EQ(request.flags, lock::kBlock);
        granted = reply(f, Rlock{lock::kSuccess});
        return std::nullopt;
      }
      case Describe<Tgetlock>::code: {
        Frame both = reply(f, Rgetlock{});
        both.insert(both.end(), granted->begin(), granted->end());
        return both;
      }
      case Describe<Tgetattr>::code:
        return reply(f, Rgetattr{});
      default:
        return attaches(f);
    }
  });
  {
    client::Options options;
    options.session.patience = options.session.flush_patience = 100ms;
    auto c = get(client::Client::on(stream_to(server.client), options));
    client::File file = get(c.root().open(lopen::kReadWrite));
    std::string said;
    const auto lock_it = [](client::File& of, std::string& what) -> awaitable<void> {
      const Lock wanted{lock::kWrite, 0, 0, 1, "me"};
      const auto locked = co_await of.lock(wanted, true);
      what = locked ? (*locked ? "locked" : "not locked") : locked.error().text();
    };
    asio::co_spawn(context, lock_it(file, said), asio::detached);
    asio::steady_timer timer(context, 500ms);  // longer than an answer may take else
    bool is_late = false;
    timer.async_wait([&](std::error_code) { is_late = true; });
    context.restart();
    while (!is_late) context.run_one();
    EXPECT_EQ(said, "");
    get(file.test_lock({lock::kWrite, 0, 0, 2, "other"}));
    while (said.empty()) context.run_one();
    EXPECT_EQ(said, "locked");
  }
  settle();
}

// Who hangs up at the newest dialect may know the older ones alone, or have been ended just then.
TEST_F(AttachmentTest, HungUp) {
  const auto hangs_up = [](Bytes) { return Frame(); };
  const auto knows = [](Str dialect) {
    return [dialect](Bytes f) -> std::optional<Frame> {
      if (read_header(f).type != Describe<Tversion>::code) return attaches(f);
      Tversion request{};
      EXPECT_TRUE(decode(frame_body(f), kDotL, request));
      return reply(f, Rversion{65536, request.version == dialect ? dialect : "unknown"});
    };
  };
  const auto agreed = [&](std::vector<int> ends) {
    const auto made = run(context, client::Attachment::make(connects_to(ends), true, {}));
    const std::string said =
        made ? std::string(dialect_name((*made)->dialect())) : made.error().text();
    if (made) (*made)->end();
    settle();
    return said;
  };
  {
    Scripted first(hangs_up), second(knows("9P2000"));
    EXPECT_EQ(agreed({first.client, second.client}), "9P2000");
  }
  {
    Scripted first(hangs_up), second(knows("9P2000.L")), third(knows("9P2000.L"));
    EXPECT_EQ(agreed({first.client, second.client, third.client}), "9P2000.L");
  }
  {
    Scripted first(hangs_up), second(knows("none")), third(hangs_up);
    EXPECT_NE(agreed({first.client, second.client, third.client}).find("closed the connection"),
              std::string::npos);
  }
}

// What is waited for of a server that comes back and says nothing can be ended.
TEST_F(AttachmentTest, EndOfAnAttempt) {
  Scripted first(attaches);
  Scripted silent(std::vector<std::function<Frame(Bytes)>>(), Scripted::Then::kSayNothing);
  std::vector<int> ends{first.client, silent.client};
  const auto connect = connects_to(ends);
  client::Options options;
  options.session.patience = options.reconnect_patience = 5s;
  const auto attachment = get(client::Attachment::make(connect, true, options));
  client::Node root(attachment, get(attachment->root()));
  asio::steady_timer timer(context, 200ms);
  timer.async_wait([&](std::error_code) { attachment->end(); });
  EXPECT_NE(error(root.stat()).find("closed"), std::string::npos);
}

// A program that ends by destroying its executor, with all that its coroutines have.
TEST_F(AttachmentTest, DestroyedWithItsExecutor) {
  using Use = std::function<awaitable<void>(client::Client & client)>;
  const auto left_at = [](U8 type, const Use& use) {
    std::atomic<bool> is_there = false;
    Scripted server([&](Bytes f) -> std::optional<Frame> {
      if (read_header(f).type == type) {
        is_there = true;
        return std::nullopt;
      }
      switch (read_header(f).type) {
        case Describe<Tlopen>::code:
          return reply(f, Rlopen{});
        case Describe<Tgetattr>::code:
          return reply(f, Rgetattr{});
        default:
          return attaches(f);
      }
    });
    asio::io_context own;
    const auto main = [&]() -> awaitable<void> {
      auto connecting = client::Client::on({own.get_executor(), server.client, server.client}, {});
      auto client = co_await std::move(connecting);
      EXPECT_TRUE(client);
      co_await use(*client);
    };
    asio::co_spawn(own, main(), asio::detached);
    while (!is_there) own.run_one_for(10ms);
    own.run_for(50ms);
    ::shutdown(server.client, SHUT_RDWR);
  };
  const auto with_file = [](const std::function<awaitable<void>(client::File & file)>& use) -> Use {
    return [use](client::Client& client) -> awaitable<void> {
      auto file = co_await client.root().open(lopen::kReadWrite);
      EXPECT_TRUE(file);
      co_await use(*file);
    };
  };
  left_at(Describe<Tgetattr>::code,
          [](client::Client& c) -> awaitable<void> { (void)co_await c.root().stat(); });
  left_at(Describe<Tread>::code, with_file([](client::File& file) -> awaitable<void> {
            std::vector<std::byte> room(20 << 20);
            (void)co_await file.read(0, room);
          }));
  left_at(Describe<Twrite>::code, with_file([](client::File& file) -> awaitable<void> {
            const std::vector<std::byte> data(20 << 20);
            (void)co_await file.write(0, data);
          }));
  left_at(Describe<Tlock>::code, with_file([](client::File& file) -> awaitable<void> {
            const Lock lock{lock::kWrite, 0, 0, 1, "me"};
            (void)co_await file.lock(lock, true);
          }));
}

}  // namespace
}  // namespace ninep::test
