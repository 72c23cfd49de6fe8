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
  EXPECT_EQ(read_all(file, 1), "c");  // by now it has them
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
  options.reconnect_patience = 3s;
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

  ~LocksFoundAgain() override { leave(); }
  /// Until the servers are gone too.
  void leave() {
    root.reset();
    attachment.reset();
    if (!is_left) settle();
    servers.clear();
  }
  void connect(Answer answer, client::Options options = {}) {
    const auto to = [this,
                     answer](std::chrono::milliseconds) -> awaitable<Expected<client::Stream>> {
      if (is_gone) co_return client::error(ECONNREFUSED, "connect");
      const int number = ++connections;
      servers.emplace_back([this, answer, number](Bytes f) {
        const std::lock_guard guard(mutex);
        types.push_back(read_header(f).type);
        if (is<Tlock>(f)) locks.push_back(lock_of(f));
        return answer(number, f);
      });
      co_return stream_to(servers.back().client);
    };
    attachment = get(client::Attachment::make(to, true, options));
    root.emplace(attachment, get(attachment->root()));
  }
  File opened(const std::string& name = "f") {
    return get(get(root->walk(name)).open(lopen::kReadWrite));
  }
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
      case Describe<Tlcreate>::code:
        return reply(f, Rlcreate{kFile, 0});
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
  bool has_unlocked(const Lock& lock) {
    const std::lock_guard guard(mutex);
    return std::ranges::any_of(locks, [&](const Tlock& one) {
      return one.type == lock::kUnlock && one.start == lock.start && one.length == lock.length;
    });
  }
  int count(U8 type) {
    const std::lock_guard guard(mutex);
    return static_cast<int>(std::ranges::count(types, type));
  }
  template <class Until>
  void run_until(const Until& is_there) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    context.restart();
    while (!is_there()) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("it doesn't come");
      context.run_one_for(10ms);
    }
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
  static awaitable<Expected<void>> read(File& file) {
    std::byte byte{};
    const auto got = co_await file.read(0, {&byte, 1});
    NINEP_CO_RETURN_IF_WRONG(got);
    co_return Expected<void>();
  }
  static Tlock lock_of(Bytes f) {
    Tlock request{};
    EXPECT_TRUE(decode(frame_body(f), kDotL, request));
    request.client_id = "";
    return request;
  }
  /// Of a file's name.
  static bool is_walk_to_it(Bytes f, Str name = "") {
    Twalk request{};
    return read_header(f).type == Describe<Twalk>::code && decode(frame_body(f), kDotL, request) &&
           request.wname.size() != 0 && (name.empty() || *request.wname.begin() == name);
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

  static constexpr Qid kFile{kQtFile, 0, 5}, kOther{kQtFile, 0, 6};
  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 20, 1, 2, "other"};

  std::atomic<int> connections = 0;
  bool is_gone = false;
  // What servers and tests tell each other.
  std::atomic<bool> is_asked = false, may_answer = false;
  std::vector<Fid> fids;               // of another file
  std::vector<Tlock> locks;            // that were asked for; without their owners' names
  std::vector<U8> types;               // of requests
  std::optional<Frame> held, flushed;  // replies that come later
  bool is_left = false;                // as it is, for the executor to destroy
  std::mutex mutex;                    // held while a server answers
  std::list<Scripted> servers;
  std::shared_ptr<client::Attachment> attachment;
  std::optional<Node> root;
};

// A server that ends at what finds the file again is asked ever more rarely, and whoever uses the
// file is told.
TEST_F(LocksFoundAgain, AtAServerThatHangsUp) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && !may_answer && is_walk_to_it(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  EXPECT_NE(error(read(file)), "");
  const int before = connections;
  run_for(1s);
  EXPECT_GT(connections, before + 1) << "its locks aren't looked for";
  EXPECT_LT(connections, before + 200);
  may_answer = true;
  get(read(file));
  get(file.unlock(mine));
}

// Nor does one that refuses for a while end it, or one request that fails in passing.
TEST_F(LocksFoundAgain, AtAServerThatRefusesAtFirst) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 2 && is<Tattach>(f)) return reply(f, Rlerror{EACCES});
    if (connection == 3 && is_walk_to_it(f) && !is_asked.exchange(true))
      return reply(f, Rlerror{ENFILE});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) == 2; });
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
  EXPECT_EQ(connections, 3);
}

// A request that is lost says nothing of the lock.
TEST_F(LocksFoundAgain, ByARequestThatIsLost) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection != 2) return says(f);
    if (is<Tlock>(f)) return reply(f, Rlock{lock::kBlocked});
    if (is<Tgetlock>(f)) return Frame();
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
  EXPECT_EQ(connections, 3);
  EXPECT_EQ(count(Describe<Tlock>::code), 3);
}

// Who waits for what is being found isn't forgotten when the server goes away once more.
TEST_F(LocksFoundAgain, NotAtAServerThatGoesAgain) {
  client::Options options;
  options.reconnect_patience = 1s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (connection == 1 || may_answer || !is<Tlock>(f)) return says(f);
        EXPECT_EQ(lock_of(f).proc_id, mine.proc_id) << "somebody else goes first";
        is_asked = true;
        return std::nullopt;
      },
      options);
  File file = opened(), rival = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  std::string said, has_read;
  start(locked(rival, theirs), said);
  start(read(rival), has_read);
  run_for(100ms);
  EXPECT_EQ(said, "");
  is_gone = true;
  cut();
  run_until([&] { return !said.empty() && !has_read.empty(); });
  EXPECT_NE(said.find("has been gone for"), std::string::npos) << said;
  EXPECT_NE(has_read.find("has been gone for"), std::string::npos) << has_read;
  // And when it is back, all are.
  may_answer = true;
  is_gone = false;
  get(locked(rival, theirs));
  EXPECT_TRUE(file.has_its_locks());
}

// The time that a server has to come back is each call's own, whatever is being looked for.
TEST_F(LocksFoundAgain, ByCallsWithTheirOwnTime) {
  client::Options options;
  options.reconnect_patience = 600ms;
  connect([](int, Bytes f) { return says(f); }, options);
  File file = opened();
  get(locked(file, mine));
  is_gone = true;
  cut();
  run_for(400ms);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_NE(error(read(file)).find("gone for"), std::string::npos);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 600ms);
  get(file.unlock(mine));
}

// However many a lost connection seems to have yet: it is waited for once.
TEST_F(LocksFoundAgain, OrLostTogether) {
  client::Options options;
  options.reconnect_patience = 2s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        if (connection == 1) return says(f);
        if (is<Tlock>(f) && lock_of(f).type != lock::kUnlock)
          return reply(f, Rlock{lock::kBlocked});
        if (is<Tgetlock>(f)) return reply(f, Rgetlock{lock::kWrite, 0, 0, mine.proc_id, "me"});
        return says(f);
      },
      options);
  File file = opened();
  Lock lock = mine;
  lock.length = 5;
  for (lock.start = 0; lock.start < 100; lock.start += 10) get(locked(file, lock));
  cut();
  EXPECT_NE(error(read(file)), "");
  run_until([&] { return !file.has_its_locks(); });
  EXPECT_NE(error(read(file)).find("a lock on it was lost"), std::string::npos);
  std::map<U64, int> asked;
  for (const Tlock& one : locks) ++asked[one.start];
  ASSERT_EQ(asked.size(), 10u);
  EXPECT_GT(asked[0], 2);
  for (lock.start = 10; lock.start < 100; lock.start += 10) EXPECT_EQ(asked[lock.start], 2);
  lock.start = lock.length = 0;
  get(file.unlock(lock));
  get(read(file));
}

// Its owner gives it up while it is taken again: it isn't left behind.
TEST_F(LocksFoundAgain, AndGivenUpMeanwhile) {
  enum class Way { kUnlock, kUnlockByAnother, kClose, kDestroy };
  for (const Way way : {Way::kUnlock, Way::kUnlockByAnother, Way::kClose, Way::kDestroy}) {
    SCOPED_TRACE(static_cast<int>(way));
    connect([this](int connection, Bytes f) -> std::optional<Frame> {
      if (connection % 2 == 1 || !is<Tlock>(f) || is_asked.exchange(true)) return says(f);
      while (!may_answer) std::this_thread::sleep_for(1ms);
      return says(f);
    });
    std::optional<File> file = opened();
    File another = opened();
    get(locked(*file, mine));
    run_for(50ms);  // what was walked through is clunked
    const int clunks = count(Describe<Tclunk>::code);
    cut();
    run_until([this] { return is_asked.load(); });
    std::string said;
    if (way == Way::kUnlock) start(file->unlock(mine), said);
    if (way == Way::kUnlockByAnother) start(another.unlock(mine), said);
    if (way == Way::kClose) start(file->close(), said);
    if (way == Way::kDestroy) {
      file.reset();
      said = "done";
    }
    run_for(50ms);
    may_answer = true;
    run_until([&] { return !said.empty(); });
    EXPECT_EQ(said, "done");
    const bool unlocks = way == Way::kUnlock || way == Way::kUnlockByAnother;
    run_until(
        [&] { return unlocks ? has_unlocked(mine) : count(Describe<Tclunk>::code) > clunks; });
    if (unlocks) {
      get(read(*file));
    }
    file.reset();
    cut();
    get(root->stat());  // the next connection
    connections = 0;
    is_asked = may_answer = false;
    locks.clear();
    types.clear();
  }
}

// And whoever gives it up doesn't wait with it for a server that isn't ready.
TEST_F(LocksFoundAgain, AndGivenUpAtAServerThatWaits) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).type != lock::kUnlock)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened(), other = opened();
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 5; });
  get(file.unlock(mine));
  EXPECT_TRUE(has_unlocked(mine));
  get(other.unlock(theirs));
  get(read(file));
}

// Nor does one who has another lock by the same File.
TEST_F(LocksFoundAgain, AndGivenUpByOneOfTwoOwners) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).proc_id == theirs.proc_id && !may_answer)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  get(locked(file, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 5; });
  get(file.unlock(mine));
  EXPECT_TRUE(has_unlocked(mine));
  may_answer = true;
  get(read(file));
  EXPECT_TRUE(file.has_its_locks());
}

// A part that was given up while the whole was asked for isn't kept.
TEST_F(LocksFoundAgain, AndGivenUpInPart) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && lock_of(f).type != lock::kUnlock && !may_answer)
      return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 2; });
  Lock part = mine;
  part.length = 4;
  get(file.unlock(part));
  {
    const std::lock_guard guard(mutex);
    locks.clear();
  }
  may_answer = true;
  get(read(file));
  ASSERT_EQ(locks.front().length, mine.length);
  EXPECT_TRUE(has_unlocked(part));
}

// The locks of one file aren't waited for with another one; its own are, for as long as a server
// that is gone.
TEST_F(LocksFoundAgain, EachFileForItself) {
  client::Options options;
  options.reconnect_patience = 1s;
  connect(
      [this](int connection, Bytes f) -> std::optional<Frame> {
        Twalk walk{};
        if (is_walk_to_it(f, "g") && decode(frame_body(f), kDotL, walk)) {
          fids.push_back(walk.newfid);
          Rwalk r{};
          r.wqid.push_back(kOther);
          return reply(f, r);
        }
        // A fid that is walked nowhere from is the same file's.
        if (is<Twalk>(f) && decode(frame_body(f), kDotL, walk) && walk.wname.size() == 0 &&
            std::ranges::count(fids, walk.fid) != 0)
          fids.push_back(walk.newfid);
        Tlopen open{};
        if (is<Tlopen>(f) && decode(frame_body(f), kDotL, open) &&
            std::ranges::count(fids, open.fid) != 0)
          return reply(f, Rlopen{kOther, 0});
        if (connection == 1 || may_answer || !is<Tlock>(f)) return says(f);
        if (lock_of(f).proc_id == theirs.proc_id) return reply(f, Rlerror{ENOMEM});
        return says(f);
      },
      options);
  File file = opened(), other = opened("g"), second = opened("g");
  get(locked(file, mine));
  get(locked(other, theirs));
  cut();
  run_until([this] { return count(Describe<Tlock>::code) > 4; });
  get(read(file));
  const std::string said = error(read(second));
  EXPECT_NE(said.find("still being taken again"), std::string::npos) << said;
  may_answer = true;
  get(read(second));
  EXPECT_TRUE(other.has_its_locks());
}

// What isn't a server of the protocol any more isn't asked again and again.
TEST_F(LocksFoundAgain, NotWhereTheProtocolIsBroken) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tversion>(f)) return reply(f, Rversion{1u << 30, "9P2000.L"});
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  run_for(300ms);
  EXPECT_LT(connections, 10);
  EXPECT_NE(error(read(file)), "");
  get(file.unlock(mine));
}

// What was lost and not found again by the File that asks: its owner has given it up all the same.
TEST_F(LocksOverConnections, AreGivenUpByAnyFile) {
  File file = opened(at_root()), second = opened(at_root()), other = others();
  Lock whole = mine;
  whole.length = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(can(file, whole));
    const int before = proxy->connections();
    proxy->cut();
    while (proxy->connections() == before) context.run_one();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (get(other.test_lock(theirs)).type == lock::kUnlock)
      ASSERT_LT(std::chrono::steady_clock::now(), end);
    get(second.unlock(whole));
    while (!can(other, theirs)) ASSERT_LT(std::chrono::steady_clock::now(), end);
    get(other.unlock(theirs));
  }
}

// A file that is closed while its call waits has another one's number then.
TEST_F(LocksFoundAgain, NotByFilesThatAreClosed) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tlock>(f) && !may_answer) return reply(f, Rlock{lock::kGrace});
    return says(f);
  });
  File file = opened(), second = opened();
  get(locked(file, mine));
  cut();
  std::string has_read, has_locked;
  start(read(second), has_read);
  start(locked(second, theirs), has_locked);
  run_until([this] { return count(Describe<Tlock>::code) > 3; });
  get(second.close());
  may_answer = true;
  run_until([&] { return !has_read.empty() && !has_locked.empty(); });
  EXPECT_NE(has_read.find("it is closed"), std::string::npos) << has_read;
  EXPECT_NE(has_locked.find("it is closed"), std::string::npos) << has_locked;
  EXPECT_EQ(count(Describe<Tread>::code), 0);
  EXPECT_NE(locks.back().start, theirs.start);
}

// Another file of the number, made since, has no lost locks.
TEST_F(LocksFoundAgain, OfNumbersThatComeAgain) {
  connect([](int connection, Bytes f) -> std::optional<Frame> {
    if (connection > 1 && is<Tgetattr>(f)) return was_born(f, 2);
    return says(f);
  });
  File file = opened();
  get(locked(file, mine));
  cut();
  EXPECT_NE(error(read(file)).find("another file"), std::string::npos);
  File other = opened();
  get(read(other));
  get(locked(other, theirs));
  File made = get(root->create("f", lopen::kReadWrite, 0600));
  get(read(made));
  EXPECT_FALSE(file.has_its_locks());
}

// Files of one number at once: what is given up of one is the other's still.
TEST_F(LocksFoundAgain, OfFilesOfOneNumber) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Tgetattr>(f)) return was_born(f, may_answer ? 2 : 1);
    return says(f);
  });
  File file = opened();
  may_answer = true;
  File other = opened("g");
  may_answer = false;
  get(locked(file, mine));
  get(other.unlock(mine));
  cut();
  run_until([this] { return connections == 2 && count(Describe<Tlock>::code) == 3; });
  EXPECT_EQ(locks.back().type, mine.type);
}

// Who waits for a lock and is cancelled is over when the lock comes, at some servers: it comes.
TEST_F(LocksFoundAgain, ByWhomItIsGivenUp) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Tlock>(f) && lock_of(f).flags == lock::kBlock) {
      held = reply(f, Rlock{lock::kSuccess});
      is_asked = true;
      return std::nullopt;
    }
    if (is<Tflush>(f)) {
      flushed = reply(f, Rflush{});
      may_answer = true;
      return std::nullopt;
    }
    if (!is<Tlock>(f) || lock_of(f).type != lock::kUnlock || !held) return says(f);
    Frame all = *says(f);
    for (const auto& one : {held, flushed}) all.insert(all.end(), one->begin(), one->end());
    return all;
  });
  File file = opened(), second = opened();
  get(locked(file, mine));
  std::string said;
  asio::cancellation_signal cancel;
  const Lock wanted{lock::kWrite, 0, 10, 2, "other"};
  const auto wait_for_it = [&]() -> awaitable<void> {
    const auto has = co_await second.lock(wanted, true);
    said = has ? "locked" : has.error().text();
  };
  asio::co_spawn(context, wait_for_it(),
                 asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  run_until([this] { return is_asked.load(); });
  cancel.emit(asio::cancellation_type::terminal);
  run_until([this] { return may_answer.load(); });
  get(file.unlock(mine));
  run_until([&] { return !said.empty(); });
  EXPECT_EQ(said, "locked");
}

// What was written under a lock and given up may be done yet: until that is over the lock stays,
// however it is given up.
TEST_F(LocksFoundAgain, BehindWhatIsWritten) {
  connect([this](int, Bytes f) -> std::optional<Frame> {
    if (is<Twrite>(f)) {
      is_asked = true;
      return std::nullopt;
    }
    if (is<Tflush>(f)) {
      flushed = reply(f, Rflush{});
      return std::nullopt;
    }
    if (!flushed || !is<Tgetlock>(f)) return says(f);
    Frame both = *says(f);
    both.insert(both.end(), flushed->begin(), flushed->end());
    flushed.reset();
    return both;
  });
  for (const U8 gives_up : {Describe<Tlock>::code, Describe<Tclunk>::code}) {
    std::optional<File> file = opened();
    File other = opened();
    get(locked(*file, mine));
    std::string has_written, said;
    asio::cancellation_signal cancel;
    const std::byte byte{};
    const auto write = [&]() -> awaitable<void> {
      const auto written = co_await file->write(0, {&byte, 1});
      has_written = written ? "written" : written.error().text();
    };
    is_asked = false;
    asio::co_spawn(context, write(), asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    run_until([this] { return is_asked.load(); });
    const int before = count(gives_up);
    cancel.emit(asio::cancellation_type::terminal);
    start(gives_up == Describe<Tlock>::code ? file->unlock(mine) : file->close(), said);
    run_until([this] { return count(Describe<Tflush>::code) > 0; });
    run_for(50ms);
    EXPECT_EQ(count(gives_up), before);
    get(other.test_lock(theirs));
    run_until([&] { return !said.empty() && !has_written.empty(); });
    EXPECT_EQ(said, "done");
    EXPECT_EQ(count(gives_up), before + 1);
    types.clear();
  }
}

// There is an end to how many an owner has; those that touch are one.
TEST_F(LocksFoundAgain, AsFewAsThereAre) {
  connect([](int, Bytes f) { return says(f); });
  File file = opened();
  Lock byte = mine;
  byte.length = 1;
  for (byte.start = 0; byte.start < 100; ++byte.start) get(locked(file, byte));
  locks.clear();
  cut();
  get(read(file));
  ASSERT_EQ(locks.size(), 1u);
  EXPECT_EQ(locks.front().length, 100u);
  Lock whole = mine;
  whole.start = whole.length = 0;
  get(locked(file, whole));
  std::string said;
  for (byte.start = 1; byte.start < 10'000 && said.empty(); byte.start += 2)
    said = error(file.unlock(byte));
  EXPECT_NE(said.find("No locks"), std::string::npos);
  get(file.unlock(whole));
  locks.clear();
  cut();
  get(read(file));
  EXPECT_TRUE(locks.empty());
}

// All goes at once, the executor last, with one being found.
TEST_F(LocksFoundAgain, BehindItsExecutor) {
  connect([this](int connection, Bytes f) -> std::optional<Frame> {
    if (connection == 1 || !is<Tlock>(f)) return says(f);
    is_asked = true;
    return std::nullopt;
  });
  std::optional<File> file = opened();
  get(locked(*file, mine));
  cut();
  run_until([this] { return is_asked.load(); });
  file.reset();
  cut();
  is_left = true;
}

}  // namespace
}  // namespace ninep::test
