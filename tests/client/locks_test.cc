// Locks over a connection that is lost: of 9pserve's files, as other clients see them, and with
// servers that say what a test wants.
#include <mutex>

#include <asio/detached.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "client/client.h"
#include "tests/client/client_test.h"
#include "tests/client/scripted.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Client;
using client::Expected;
using client::File;
using client::Lock;
using client::Node;

TEST_F(ClientTest, Locks) {
  write("f", "");
  Node f = get(at_root().walk("f"));
  Node other_f = get(connect().root().walk("f"));
  File file = get(f.open(lopen::kReadWrite));
  File other = get(other_f.open(lopen::kReadWrite));
  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 5, 1, 2, "other"};
  EXPECT_TRUE(get(file.lock(mine, false)));
  EXPECT_FALSE(get(other.lock(theirs, false)));
  EXPECT_EQ(get(other.test_lock(theirs)).type, lock::kWrite);
  restart();
  get(file.fsync());  // finds the file again, and takes the lock again
  EXPECT_FALSE(get(other.lock(theirs, false)));
  get(file.unlock(mine));
  EXPECT_TRUE(get(other.lock(theirs, false)));
}

/// Locks as other clients see them.
class LocksOverConnections : public ClientTest {
 protected:
  LocksOverConnections() { write("f", "content"); }
  File opened(Node& root) { return get(get(root.walk("f")).open(lopen::kReadWrite)); }
  /// A client that the proxy doesn't part from the server.
  File others() { return opened(connect_straight().root()); }
  Client& connect_straight() {
    return clients.emplace_back(get(Client::connect("unix:" + folder.path() + "/server", {})));
  }
  bool can(File& file, Lock lock) { return get(file.lock(lock, false)); }

  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 5, 1, 2, "other"};
};

// Who has one, and does nothing with the file, has it again all the same.
TEST_F(LocksOverConnections, AreTakenAgainAtOnce) {
  File file = opened(at_root()), other = others();
  ASSERT_TRUE(can(file, mine));
  for (int i = 0; i < 20; ++i) {
    const int before = proxy->connections();
    proxy->cut();
    while (proxy->connections() == before) context.run_one();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (get(other.test_lock(theirs)).type == lock::kUnlock)
      ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
  EXPECT_FALSE(can(other, theirs));
  EXPECT_TRUE(file.has_its_locks());
}

// Whoever waits for it on the same connection doesn't get it before.
TEST_F(LocksOverConnections, BeforeOthersOfTheClient) {
  File file = opened(at_root()), rival = opened(at_root());
  ASSERT_TRUE(can(file, mine));
  for (int i = 0; i < 20; ++i) {
    proxy->cut();
    EXPECT_FALSE(can(rival, theirs));
  }
  get(file.unlock(mine));
  proxy->cut();
  EXPECT_TRUE(can(rival, theirs));
}

// One owner's are those of all his Files: the last one of a range is what he has.
TEST_F(LocksOverConnections, OfOneOwnerByTwoFiles) {
  std::list<File> files;
  for (int i = 0; i < 8; ++i) files.push_back(opened(at_root()));
  Lock reads = mine;
  reads.type = lock::kRead;
  for (File& file : files) ASSERT_TRUE(can(file, reads));
  ASSERT_TRUE(can(files.front(), mine));
  restart();
  File other = others();
  for (File& file : files) get(file.stat());
  Lock wanted = theirs;
  wanted.type = lock::kRead;
  EXPECT_FALSE(can(other, wanted)) << "the write lock has become one for reading";
  get(files.front().close());  // which had it
  EXPECT_TRUE(can(other, wanted));
}

// One that somebody else took meanwhile is lost, and that is said: of the file, by whatever File.
TEST_F(LocksOverConnections, AreLost) {
  File file = opened(at_root()), second = opened(at_root());
  Node node = get(at_root().walk("f"));
  ASSERT_TRUE(can(file, mine));
  proxy.reset();
  File other = others();
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!can(other, theirs)) ASSERT_LT(std::chrono::steady_clock::now(), end);
  start_proxy();
  std::byte byte{};
  for (File* const one : {&second, &file}) {
    EXPECT_NE(error(one->read(0, {&byte, 1})).find("lock"), std::string::npos);
    EXPECT_NE(error(one->write(0, {&byte, 1})).find("lock"), std::string::npos);
    EXPECT_NE(error(one->change({.size = 0})).find("lock"), std::string::npos);
  }
  EXPECT_NE(error(node.change({.size = 0})).find("lock"), std::string::npos);
  EXPECT_FALSE(file.has_its_locks());
  EXPECT_FALSE(second.has_its_locks());
  get(file.unlock(mine));
  get(second.write(0, {&byte, 1}));
  get(file.write(0, {&byte, 1}));
}

// Nobody waits for a server because of locks that nobody has any more.
TEST_F(LocksOverConnections, OfFilesThatAreClosed) {
  {
    File file = opened(at_root());
    ASSERT_TRUE(can(file, mine));
    kill();
    proxy.reset();
  }
  clients.clear();
  settle();
}

// What its owner has given up is not taken again, though the server has not heard of it.
TEST_F(ClientTest, UnlockedWhileTheServerIsGone) {
  write("f", "x");
  client::Options options;
  options.reconnect_patience = 300ms;
  File file = get(get(connect(options).root().walk("f")).open(lopen::kReadWrite));
  const Lock lock{lock::kWrite, 0, 0, 7, "me"};
  ASSERT_TRUE(get(file.lock(lock, false)));
  kill();
  get(file.unlock(lock));  // what it had is gone with the connection
  start();
  get(file.stat());
  File other = get(get(connect().root().walk("f")).open(lopen::kReadWrite));
  EXPECT_EQ(get(other.test_lock({lock::kWrite, 0, 0, 8, "other"})).type, lock::kUnlock);
}

// ------------------------------------------------------------------ servers that are told what to
// say

/// One file, at one server after the other.
class LocksFoundAgain : public OnLoop {
 protected:
  /// Scripted::Answer, over a connection: the first is 1.
  using Answer = std::function<std::optional<Frame>(int connection, Bytes request)>;

  ~LocksFoundAgain() override {
    root.reset();
    attachment.reset();
    if (!is_left) settle();
  }
  void connect(Answer answer, client::Options options = {}) {
    const auto to = [this,
                     answer](std::chrono::milliseconds) -> awaitable<Expected<client::Stream>> {
      if (is_gone) co_return client::error(ECONNREFUSED, "connect");
      const int number = ++connections;
      servers.emplace_back([this, answer, number](Bytes f) {
        const std::lock_guard guard(mutex);
        return answer(number, f);
      });
      co_return stream_to(servers.back().client);
    };
    attachment = get(client::Attachment::make(to, true, options));
    root.emplace(attachment, get(attachment->root()));
  }
  File opened() { return get(get(root->walk("f")).open(lopen::kReadWrite)); }
  /// What it answers else.
  static std::optional<Frame> says(Bytes f) {
    switch (read_header(f).type) {
      case Describe<Tversion>::code:
        return agrees(f);
      case Describe<Tattach>::code:
        return reply(f, Rattach{{kQtDir, 0, 1}});
      case Describe<Twalk>::code: {
        Rwalk r{};
        if (is_walk_to_it(f)) r.wqid.push_back(kFile);
        return reply(f, r);
      }
      case Describe<Tlopen>::code:
        return reply(f, Rlopen{kFile, 0});
      case Describe<Tgetattr>::code:
        return was_born(f, 1);
      case Describe<Tlock>::code:
        return reply(f, Rlock{lock::kSuccess});
      case Describe<Tgetlock>::code:
        return reply(f, Rgetlock{lock::kUnlock, 0, 0, 0, ""});
      case Describe<Tread>::code:
        return reply(f, Rread{as_bytes(Str("x"))});
      case Describe<Tflush>::code:
        return reply(f, Rflush{});
      case Describe<Tclunk>::code:
        return reply(f, Rclunk{});
      default:
        return Frame();
    }
  }
  /// The connection that there is.
  void cut() { ::shutdown(servers.back().client, SHUT_RDWR); }
  template <class Until>
  void run_until(const Until& is_there) {
    context.restart();
    while (!is_there()) context.run_one_for(10ms);
  }
  void run_for(std::chrono::milliseconds time) {
    context.restart();
    context.run_for(time);
  }
  awaitable<void> noted(awaitable<Expected<void>> work, std::string& said) {
    const auto done = co_await std::move(work);
    said = done ? "done" : done.error().text();
  }
  void start(awaitable<Expected<void>> work, std::string& said) {
    asio::co_spawn(context, noted(std::move(work), said), asio::detached);
  }
  static awaitable<Expected<void>> locked(File& file, Lock lock) {
    const auto has = co_await file.lock(lock, false);
    NINEP_CO_RETURN_IF_WRONG(has);
    if (!*has) co_return client::error(EAGAIN, "lock");
    co_return Expected<void>();
  }
  static Tlock lock_of(Bytes f) {
    Tlock request{};
    EXPECT_TRUE(decode(frame_body(f), kDotL, request));
    return request;
  }
  /// Of the file's name.
  static bool is_walk_to_it(Bytes f) {
    Twalk request{};
    return read_header(f).type == Describe<Twalk>::code && decode(frame_body(f), kDotL, request) &&
           request.wname.size() != 0;
  }
  template <Message T>
  static bool is(Bytes f) {
    return read_header(f).type == Describe<T>::code;
  }
  /// A file that was born then.
  static Frame was_born(Bytes f, U64 second) {
    Rgetattr r{};
    r.valid = getattr::kBasic | getattr::kBtime;
    r.attr.qid = kFile;
    r.attr.mode = S_IFREG | 0600;
    r.attr.btime_sec = second;
    return reply(f, r);
  }

  static constexpr Qid kFile{kQtFile, 0, 5};
  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 20, 1, 2, "other"};

  std::atomic<int> connections = 0;
  bool is_gone = false;
  bool is_left = false;  // as it is, for the executor to destroy
  std::mutex mutex;      // held while a server answers
  std::list<Scripted> servers;
  std::shared_ptr<client::Attachment> attachment;
  std::optional<Node> root;
};

// A server that ends at what finds the file again is asked ever more rarely, and whoever uses the
// file is told.
TEST_F(LocksFoundAgain, AtAServerThatHangsUp) {
  std::atomic<bool> hangs = true;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && hangs && is_walk_to_it(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  std::byte byte{};
  EXPECT_NE(error(file.read(0, {&byte, 1})), "");
  const int before = connections;
  run_for(1s);
  EXPECT_GT(connections, before) << "its locks aren't looked for";
  EXPECT_LT(connections, before + 200);
  hangs = false;
  EXPECT_EQ(read_all(file, 1), "x");
  get(file.unlock(mine));
}

// A request that is lost says nothing of the lock.
TEST_F(LocksFoundAgain, ByARequestThatIsLost) {
  std::vector<int> asked;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (is<Tlock>(f)) asked.push_back(connection);
    if (connection != 2) return says(f);
    if (is<Tlock>(f)) return reply(f, Rlock{lock::kBlocked});
    if (is<Tgetlock>(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  EXPECT_EQ(read_all(file, 1), "x");
  EXPECT_TRUE(file.has_its_locks());
  EXPECT_EQ(asked, (std::vector<int>{1, 2, 3}));
}

// Who waits for what is being found isn't forgotten when the server goes away once more.
TEST_F(LocksFoundAgain, NotAtAServerThatGoesAgain) {
  std::atomic<bool> is_asked = false;
  client::Options options;
  options.reconnect_patience = 300ms;
  connect(
      [&](int connection, Bytes f) -> std::optional<Frame> {
        if (connection != 2 || !is<Tlock>(f)) return says(f);
        EXPECT_EQ(lock_of(f).proc_id, mine.proc_id) << "somebody else goes first";
        is_asked = true;
        return std::nullopt;
      },
      options);
  File file = opened(), rival = opened();
  get(locked(file, mine));
  cut();
  run_until([&] { return is_asked.load(); });
  std::string said, read;
  start(locked(rival, theirs), said);
  std::byte byte{};
  const auto reads = [](File& of, std::byte& to) -> awaitable<Expected<void>> {
    const auto got = co_await of.read(0, {&to, 1});
    NINEP_CO_RETURN_IF_WRONG(got);
    co_return Expected<void>();
  };
  start(reads(rival, byte), read);
  run_for(100ms);
  EXPECT_EQ(said, "");
  is_gone = true;
  cut();
  run_until([&] { return !said.empty() && !read.empty(); });
  EXPECT_NE(said.find("has been gone for"), std::string::npos) << said;
  EXPECT_NE(read.find("has been gone for"), std::string::npos) << read;
  // And when it is back, all are.
  is_gone = false;
  get(locked(rival, theirs));
  EXPECT_TRUE(file.has_its_locks());
}

// However many a lost connection seems to have yet: it is waited for once.
TEST_F(LocksFoundAgain, OrLostTogether) {
  std::map<U64, int> asked;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 1) return says(f);
    if (is<Tlock>(f) && lock_of(f).type != lock::kUnlock) {
      ++asked[lock_of(f).start];
      return reply(f, Rlock{lock::kBlocked});
    }
    if (is<Tgetlock>(f)) return reply(f, Rgetlock{lock::kWrite, 0, 0, mine.proc_id, "me"});
    return says(f);
  });
  File file = opened();
  Lock lock = mine;
  for (lock.start = 0; lock.start < 100; lock.start += 10) get(locked(file, lock));
  cut();
  std::byte byte{};
  EXPECT_NE(error(file.read(0, {&byte, 1})).find("a lock on it was lost"), std::string::npos);
  ASSERT_EQ(asked.size(), 10u);
  EXPECT_GT(asked[0], 10);
  for (lock.start = 10; lock.start < 100; lock.start += 10) EXPECT_EQ(asked[lock.start], 1);
  lock.start = lock.length = 0;
  get(file.unlock(lock));
  EXPECT_EQ(read_all(file, 1), "x");
}

// Its owner gives it up while it is taken again: it isn't left behind.
TEST_F(LocksFoundAgain, AndGivenUpMeanwhile) {
  std::atomic<bool> is_asked = false, may_answer = false;
  std::vector<U8> types;
  int clunks = 0;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection % 2 == 1) return says(f);
    if (is<Tclunk>(f)) ++clunks;
    if (!is<Tlock>(f)) return says(f);
    types.push_back(lock_of(f).type);
    if (types.size() > 1) return says(f);
    is_asked = true;
    while (!may_answer) std::this_thread::sleep_for(1ms);
    return says(f);
  });
  enum class Way { kUnlock, kClose, kDestroy };
  for (const Way way : {Way::kUnlock, Way::kClose, Way::kDestroy}) {
    SCOPED_TRACE(static_cast<int>(way));
    std::optional<File> file = opened();
    get(locked(*file, mine));
    cut();
    run_until([&] { return is_asked.load(); });
    std::string said;
    if (way == Way::kUnlock) start(file->unlock(mine), said);
    if (way == Way::kClose) start(file->close(), said);
    if (way == Way::kDestroy) {
      file.reset();
      said = "done";
    }
    run_for(50ms);
    may_answer = true;
    run_until([&] { return !said.empty(); });
    EXPECT_EQ(said, "done");
    run_for(50ms);
    {
      const std::lock_guard guard(mutex);
      if (way == Way::kUnlock) {
        EXPECT_EQ(types, (std::vector<U8>{lock::kWrite, lock::kUnlock}));
      } else {
        EXPECT_EQ(clunks, 1);
      }
      types.clear();
      clunks = 0;
    }
    is_asked = may_answer = false;
    if (way == Way::kUnlock) {
      EXPECT_EQ(read_all(*file, 1), "x");
    }
    file.reset();
    cut();
    get(root->stat());  // the next connection
  }
}

// Another file of the number, made since, has no lost locks.
TEST_F(LocksFoundAgain, OfNumbersThatComeAgain) {
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tgetattr>(f)) return was_born(f, 2);
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  std::byte byte{};
  EXPECT_NE(error(file.read(0, {&byte, 1})).find("another file"), std::string::npos);
  File other = opened();
  EXPECT_EQ(read_all(other, 1), "x");
  get(locked(other, theirs));
  EXPECT_FALSE(file.has_its_locks());
}

// All goes at once, the executor last, with one being found.
TEST_F(LocksFoundAgain, BehindItsExecutor) {
  std::atomic<bool> is_asked = false;
  connect([&](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 1 || !is<Tlock>(f)) return says(f);
    is_asked = true;
    return std::nullopt;
  });
  std::optional<File> file = opened();
  get(locked(*file, mine));
  cut();
  run_until([&] { return is_asked.load(); });
  file.reset();
  cut();
  is_left = true;
}

}  // namespace
}  // namespace ninep::test
