// Locks over a connection that is lost: of 9pserve's files, as other clients see them.
#include <gtest/gtest.h>

#include "client/client.h"
#include "tests/client/client_test.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using client::Client;
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
  template <class Is>
  static void until(const Is& is) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!is()) ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
  /// The proxy's connections; until there is a lock again.
  void lose(File& other) {
    const int before = proxy->connections();
    proxy->cut();
    while (proxy->connections() == before) context.run_one();
    until([&] { return get(other.test_lock(theirs)).type != lock::kUnlock; });
  }

  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 5, 1, 2, "other"};
};

// Who has one, and does nothing with the file, has it again all the same.
TEST_F(LocksOverConnections, AreTakenAgainAtOnce) {
  File file = opened(at_root()), other = others();
  ASSERT_TRUE(can(file, mine));
  for (int i = 0; i < 20; ++i) {
    lose(other);
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
  until([&] { return can(other, theirs); });
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

// What was lost and not found again by the File that asks: its owner has given it up all the same.
TEST_F(LocksOverConnections, AreGivenUpByAnyFile) {
  File file = opened(at_root()), second = opened(at_root()), other = others();
  Lock whole = mine;
  whole.length = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(can(file, whole));
    lose(other);
    get(second.unlock(whole));
    until([&] { return can(other, theirs); });  // once the lost connection has none
    get(other.unlock(theirs));
  }
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

}  // namespace
}  // namespace ninep::test
