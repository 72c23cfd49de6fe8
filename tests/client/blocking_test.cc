// The facade for programs that wait: 9pserve behind a proxy, and a server that is held up.
#include "client/blocking.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <list>
#include <regex>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "server/fs/memory.h"
#include "tests/client/pattern.h"
#include "tests/client/served.h"
#include "tests/conversation/gate.h"
#include "tests/conversation/host.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
namespace coroutines = ninep::client;
namespace blocking = ninep::client::blocking;
using blocking::Directory;
using blocking::File;
using blocking::Node;
using client::Attributes;
using client::Change;
using client::Entry;
using client::Expected;
using client::Lock;

// ------------------------------------------------------------------ the same names

/// What waiting for `T` gives in the facade.
template <class T>
struct Waited {
  using Type = T;
};
template <class T>
struct Waited<asio::awaitable<Expected<T>>> {
  using Type = Expected<typename Waited<T>::Type>;
};
template <>
struct Waited<coroutines::Node> {
  using Type = blocking::Node;
};
template <>
struct Waited<coroutines::File> {
  using Type = blocking::File;
};
template <>
struct Waited<coroutines::Directory> {
  using Type = blocking::Directory;
};
template <>
struct Waited<coroutines::Client> {
  using Type = blocking::Client;
};

/// Both have it, for the same arguments, and give the same.
template <class There, class Here>
constexpr bool kSame =
    std::same_as<std::remove_cvref_t<typename Waited<std::remove_cvref_t<There>>::Type>,
                 std::remove_cvref_t<Here>>;

// Each public call of client/client.h: X(class, name, arguments).
// clang-format off
#define NINEP_CALLS(X)                                              \
  X(Node, qid, ())                                                  \
  X(Node, path, ())                                                 \
  X(Node, is_directory, ())                                         \
  X(Node, is_symlink, ())                                           \
  X(Node, walk, (std::string()))                                    \
  X(Node, stat, ())                                                 \
  X(Node, change, (Change()))                                       \
  X(Node, readlink, ())                                             \
  X(Node, statfs, ())                                               \
  X(Node, open, (U32()))                                            \
  X(Node, open_itself, (U32()))                                     \
  X(Node, open_directory, ())                                       \
  X(Node, create, (std::string(), U32(), U32()))                    \
  X(Node, mkdir, (std::string(), U32()))                            \
  X(Node, symlink, (std::string(), std::string()))                  \
  X(Node, mknod, (std::string(), U32(), U64()))                     \
  X(Node, link, (std::string(), node))                              \
  X(Node, link, (std::string(), file))                              \
  X(Node, remove, (std::string()))                                  \
  X(Node, remove, (std::string(), true))                            \
  X(Node, remove, (std::string(), true, U64{1}))                    \
  X(Node, rename, (std::string(), node, std::string()))             \
  X(Node, rename, (std::string(), directory, std::string(), &file)) \
  X(Node, xattrs, ())                                               \
  X(Node, xattr, (std::string()))                                   \
  X(Node, set_xattr, (std::string(), std::string()))                \
  X(Node, set_xattr, (std::string(), std::string(), U32()))         \
  X(Node, remove_xattr, (std::string()))                            \
  X(Node, close, ())                                                \
  X(Node, rest, ())                                                 \
  X(Node, learn_from, (file))                                       \
  X(File, walk, (std::string()))                                    \
  X(File, iounit, ())                                               \
  X(File, read, (U64(), Room()))                                    \
  X(File, write, (U64(), Bytes()))                                  \
  X(File, append, (Bytes()))                                        \
  X(File, fsync, ())                                                \
  X(File, fsync, (true))                                            \
  X(File, lock, (Lock(), true))                                     \
  X(File, unlock, (Lock()))                                         \
  X(File, has_locks, ())                                            \
  X(File, has_its_locks, ())                                        \
  X(File, test_lock, (Lock()))                                      \
  X(Directory, stat, ())                                            \
  X(Directory, fsync, ())                                           \
  X(Directory, next, ())                                            \
  X(Directory, seek, (U64()))                                       \
  X(Client, connect, (transport::Address(), client::Options()))     \
  X(Client, connect, (std::string(), client::Options()))            \
  X(Client, root, ())                                               \
  X(Client, dialect, ())
// clang-format on

#define NINEP_CALLED(space, type, name, arguments)                                                 \
  decltype([](space::Node& node, space::File& file, space::Directory& directory,                   \
              space::type& object) -> decltype(auto) {                                             \
    return (static_cast<void>(node), static_cast<void>(file), static_cast<void>(directory),        \
            object.name arguments);                                                                \
  }(std::declval<space::Node&>(), std::declval<space::File&>(), std::declval<space::Directory&>(), \
                                   std::declval<space::type&>()))
#define NINEP_IS_THE_SAME(type, name, arguments)                       \
  static_assert(kSame<NINEP_CALLED(coroutines, type, name, arguments), \
                      NINEP_CALLED(blocking, type, name, arguments)>);
NINEP_CALLS(NINEP_IS_THE_SAME)

// And the list above has them all.
TEST(Blocking, HasEveryCallOfTheCoroutines) {
  std::set<std::string> listed{"Client::on",  // takes descriptors here: a stream is of an executor
                               "Node::attachment", "Client::attachment",  // of coroutines
                               "Node::Node", "Client::Client"};
#define NINEP_NAME(type, name, arguments) listed.insert(#type "::" #name);
  NINEP_CALLS(NINEP_NAME)
  std::ifstream in(NINEP_SOURCE_DIR "/client/client.h");
  static const std::regex kClass(R"(class (\w+) .*\{)");
  static const std::regex kCall(R"(  [^/(]*?(\w+)\(.*)");
  std::string type;
  bool is_public = false;
  int calls = 0;
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_match(line, match, kClass))
      type = match[1], is_public = false;
    else if (line.starts_with(" public:"))
      is_public = true;
    else if (line.starts_with(" private:") || line.starts_with(" protected:"))
      is_public = false;
    else if (is_public && !line.starts_with("   ") && std::regex_match(line, match, kCall)) {
      ++calls;
      EXPECT_TRUE(listed.contains(type + "::" + match[1].str())) << line;
    }
  }
  EXPECT_GT(calls, 40);
}

static_assert(!std::is_copy_constructible_v<Node> && !std::is_copy_assignable_v<Node>);
static_assert(std::is_nothrow_move_constructible_v<File> &&
              std::is_nothrow_move_assignable_v<File>);

// ------------------------------------------------------------------ files

/// What is there without an error, or the test ends.
template <class T>
T get(Expected<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
template <class T>
std::string error(const Expected<T>& result) {
  return result ? "" : result.error().text();
}
template <class T>
int code(const Expected<T>& result) {
  return result ? 0 : static_cast<int>(result.error().code);
}
std::string read_all(File& file, std::size_t size, U64 offset = 0) {
  std::string got(size, '\0');
  got.resize(get(file.read(offset, std::as_writable_bytes(std::span(got)))));
  return got;
}
/// Threads of this process; what its sanitizer runs is among them.
std::vector<std::filesystem::path> threads() {
  std::vector<std::filesystem::path> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    threads.push_back(entry.path());
  return threads;
}

class BlockingTest : public testing::Test, protected Served {
 protected:
  blocking::Client connect(client::Options options = {}) {
    return get(blocking::Client::connect(address(), options));
  }
};

TEST_F(BlockingTest, Files) {
  blocking::Client c = connect();
  EXPECT_EQ(c.dialect(), kDotL);
  Node& r = c.root();
  EXPECT_EQ(r.path(), "/");
  {
    File file = get(r.create("f", lopen::kReadWrite, 0640));
    EXPECT_GT(file.iounit(), 0u);
    get(file.write(0, as_bytes("hello, world")));
    EXPECT_EQ(read_all(file, 100), "hello, world");
    EXPECT_EQ(read_all(file, 5, 7), "world");
    get(file.fsync());
    get(file.close());
    std::byte byte;
    EXPECT_EQ(error(file.read(0, {&byte, 1})), "read f: Bad file descriptor (it is closed)");
  }
  {
    File file = get(get(r.walk("f")).open(lopen::kWriteOnly | lopen::kAppend));
    get(file.append(as_bytes("!")));
    EXPECT_EQ(content("f"), "hello, world!");
  }
  const std::string large = pattern(9'000'001);
  File file = get(r.create("large", lopen::kReadWrite, 0600));
  get(file.write(0, as_bytes(large)));
  EXPECT_TRUE(content("large") == large);
  EXPECT_TRUE(read_all(file, large.size() + 1) == large);

  const Attributes a = get(get(r.walk("f")).stat());
  EXPECT_EQ(a.attr.size, 13u);
  EXPECT_EQ(a.attr.mode & 07777, 0640u);
  EXPECT_TRUE(get(r.mkdir("d", 0755)).type & kQtDir);
  Node d = get(r.walk("d"));
  EXPECT_TRUE(d.is_directory());
  get(r.rename("f", d, "g"));
  Node g = get(r.walk("d/g"));
  EXPECT_EQ(g.path(), "d/g");
  get(d.rename("g", r, "f", &g));
  EXPECT_EQ(g.path(), "f");
  get(r.link("h", g));
  EXPECT_EQ(get(g.stat()).attr.nlink, 2u);
  get(r.symlink("l", "d/g"));
  Node l = get(r.walk("l"));
  EXPECT_TRUE(l.is_symlink());
  EXPECT_EQ(get(l.readlink()), "d/g");
  get(r.mknod("p", S_IFIFO | 0600, 0));
  EXPECT_EQ(get(get(r.walk("p")).stat()).attr.mode & S_IFMT, static_cast<U32>(S_IFIFO));
  Change change;
  change.size = 5;
  get(g.change(change));
  EXPECT_EQ(content("f"), "hello");
  get(g.set_xattr("user.a", "one"));
  get(g.set_xattr("user.b", ""));
  EXPECT_EQ(get(g.xattr("user.a")), "one");
  EXPECT_EQ(get(g.xattrs()).size(), 2u);
  get(g.remove_xattr("user.a"));
  EXPECT_EQ(error(g.xattr("user.a")), "read an attribute of f: No data available");
  EXPECT_GT(get(r.statfs()).blocks, 0u);
  Node once_more = get(r.walk("f"));
  EXPECT_EQ(get(once_more.open_itself(lopen::kReadOnly)).qid().path, g.qid().path);
  EXPECT_EQ(code(once_more.stat()), EBADF);
  Directory directory = get(r.open_directory());
  std::string names;
  for (int i = 0; i < 2; ++i, directory.seek(0))
    for (std::vector<Entry> entries; !(entries = get(directory.next())).empty();)
      for (const Entry& entry : entries) names += entry.name[0];
  std::ranges::sort(names);
  EXPECT_EQ(names, "ddffhhllllpp");
  get(r.remove("h"));
  get(r.remove("d", true));
  EXPECT_EQ(error(r.walk("h")), "find h: No such file or directory");
  EXPECT_EQ(error(r.create("a/b", 0, 0)),
            "create a/b: Invalid argument (\"a/b\" is no file's name)");
}

TEST_F(BlockingTest, Locks) {
  write("f", "");
  blocking::Client one = connect();
  blocking::Client two = connect();
  File file = get(get(one.root().walk("f")).open(lopen::kReadWrite));
  File other = get(get(two.root().walk("f")).open(lopen::kReadWrite));
  const Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const Lock theirs{lock::kWrite, 5, 1, 2, "other"};
  EXPECT_TRUE(get(file.lock(mine, false)));
  EXPECT_TRUE(file.has_locks());
  EXPECT_FALSE(get(other.lock(theirs, false)));
  EXPECT_EQ(get(other.test_lock(theirs)).client_id, "me");
  auto waiting = std::async(std::launch::async, [&] { return other.lock(theirs, true); });
  // The connection that one of them waits on is there for the others.
  for (int i = 0; i < 20; ++i) get(other.stat());
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  get(file.unlock(mine));
  EXPECT_TRUE(get(waiting.get()));
  EXPECT_FALSE(get(file.lock(mine, false)));
  get(other.unlock(theirs));
}

// ------------------------------------------------------------------ several threads

/// Runs `work(number)` in so many threads, to their end.
template <class Work>
void in_threads(int count, Work work) {
  std::vector<std::future<void>> all;
  for (int i = 0; i < count; ++i)
    all.push_back(std::async(std::launch::async, [&work, i] { work(i); }));
  for (auto& one : all) one.get();
}

TEST_F(BlockingTest, SeveralThreadsOnOneFile) {
  constexpr std::size_t kPart = 300'000;
  constexpr int kThreads = 8;
  blocking::Client c = connect();
  File file = get(c.root().create("f", lopen::kReadWrite, 0600));
  Directory directory = get(c.root().open_directory());
  in_threads(kThreads, [&](int number) {
    const std::string part = pattern(kPart, static_cast<U32>(number));
    const U64 at = static_cast<U64>(number) * kPart;
    for (int i = 0; i < 5; ++i) {
      get(file.write(at, as_bytes(part)));
      EXPECT_TRUE(read_all(file, kPart, at) == part);
      // What is no message, but changes with what others do.
      EXPECT_GT(file.iounit(), 0u);
      EXPECT_EQ(file.path(), "f");
      EXPECT_FALSE(file.has_locks());
      EXPECT_EQ(c.dialect(), kDotL);
      directory.seek(0);
    }
  });
  for (int i = 0; i < kThreads; ++i)
    EXPECT_TRUE(content("f").substr(static_cast<std::size_t>(i) * kPart, kPart) ==
                pattern(kPart, static_cast<U32>(i)));
}

TEST_F(BlockingTest, SeveralThreadsOnManyFiles) {
  blocking::Client shared = connect();
  in_threads(8, [&](int number) {
    blocking::Client own;
    if (number % 2) own = connect();
    Node& r = number % 2 ? own.root() : shared.root();
    const std::string name = std::to_string(number);
    for (int i = 0; i < 20; ++i) {
      {
        File file = get(r.create(name, lopen::kReadWrite | lopen::kExclusive, 0600));
        get(file.write(0, as_bytes(name)));
        EXPECT_EQ(read_all(file, 9), name);
        get(r.rename(name, r, name + "x"));
      }
      get(r.remove(name + "x"));
    }
  });
  EXPECT_TRUE(std::filesystem::is_empty(tree()));
}

TEST_F(BlockingTest, RestartsOfTheServer) {
  const std::string all = pattern(2'000'000);
  write("f", all);
  blocking::Client c = connect();
  File file = get(get(c.root().walk("f")).open(lopen::kReadWrite));
  std::atomic<int> rounds{0};
  std::atomic<bool> over{false};
  auto working = std::async(std::launch::async, [&] {
    in_threads(4, [&](int number) {
      std::string got(all.size(), '\0');
      while (!over) {
        std::string wrong;
        if (number % 2) {
          const auto size = file.read(0, std::as_writable_bytes(std::span(got)));
          wrong = size ? got == all ? "" : "other bytes" : error(size);
        } else {
          wrong = error(file.write(0, as_bytes(all)));
        }
        EXPECT_EQ(wrong, "");
        if (!wrong.empty()) over = true;
        EXPECT_EQ(file.path(), "f");
        ++rounds;
        rounds.notify_all();
      }
    });
  });
  const auto some_rounds = [&] {
    for (int then = rounds, now; (now = rounds) < then + 8 && !over;) rounds.wait(now);
  };
  for (int i = 0; i < 3; ++i) {
    some_rounds();
    kill();
    start();
  }
  some_rounds();
  over = true;
  working.get();
  EXPECT_GE(proxy->connections(), 4);
  EXPECT_TRUE(content("f") == all);
}

// ------------------------------------------------------------------ errors

TEST_F(BlockingTest, ServersThatAreGone) {
  client::Options options;
  options.reconnect_patience = 300ms;
  blocking::Client c = connect(options);
  write("f", "x");
  kill();
  EXPECT_EQ(code(c.root().walk("f")), ETIMEDOUT);
  start();
  get(c.root().walk("f"));
  options.reconnect_patience = 0ms;
  blocking::Client once = connect(options);
  kill();
  EXPECT_NE(error(once.root().walk("f")), "");
  EXPECT_NE(error(once.root().walk("f")), "");
  EXPECT_EQ(code(blocking::Client::connect("unix:" + folder.path() + "/none", {})), ENOENT);
  EXPECT_EQ(code(blocking::Client::connect("nowhere", {})), EINVAL);
  EXPECT_EQ(
      code(blocking::Client::connect(transport::Address{.kind = transport::Address::Kind::kUnix,
                                                        .path = folder.path() + "/none"},
                                     {})),
      ENOENT);
}

TEST_F(BlockingTest, FilesOfTwoConnections) {
  write("f", "");
  blocking::Client one = connect();
  blocking::Client two = connect();
  Node f = get(two.root().walk("f"));
  EXPECT_EQ(code(one.root().link("g", f)), EXDEV);
  EXPECT_EQ(code(one.root().rename("f", two.root(), "g")), EXDEV);
  EXPECT_EQ(content("f"), "");
  get(two.root().link("g", f));
}

TEST_F(BlockingTest, None) {
  Node none;
  File file;
  EXPECT_EQ(code(none.stat()), EBADF);
  EXPECT_EQ(code(none.walk("a")), EBADF);
  EXPECT_EQ(code(file.open_directory()), EBADF);
  EXPECT_EQ(code(none.rename("a", file, "b")), EBADF);
  EXPECT_EQ(file.iounit(), 0u);
  EXPECT_EQ(none.path(), "");
  EXPECT_EQ(blocking::Client().dialect(), kNone);
  blocking::Client c = connect();
  Node r = get(c.root().walk(""));
  none = std::move(r);
  EXPECT_EQ(code(r.stat()), EBADF);  // NOLINT: what was moved from is none
  EXPECT_EQ(code(c.root().link("a", r)), EBADF);
  get(none.stat());
  r = std::move(none);
  get(r.stat());
}

struct Thrown {
  int number;
};

TEST(Blocking, WhatIsThrownComesOut) {
#ifdef NINEP_TSAN
  GTEST_SKIP() << "libstdc++ counts who has an exception, unseen by ThreadSanitizer";
#endif
  blocking::Worker worker;
  const auto good = []() -> asio::awaitable<Expected<int>> { co_return 1; };
  const auto throws = []() -> asio::awaitable<Expected<int>> {
    throw Thrown{2};
    co_return 1;
  };
  const auto is_none = []() -> asio::awaitable<Expected<int>> { throw Thrown{3}; };
  const auto thrown = [&](auto start, auto finish) {
    try {
      (void)worker.wait(start, finish);
      return 0;
    } catch (const Thrown& t) {
      return t.number;
    }
  };
  EXPECT_EQ(thrown(good, std::identity()), 0);
  EXPECT_EQ(thrown(throws, std::identity()), 2);
  EXPECT_EQ(thrown(is_none, std::identity()), 3);
  EXPECT_EQ(thrown(good, [](Expected<int>) -> Expected<int> { throw Thrown{4}; }), 4);
  EXPECT_THROW(worker.ask([]() -> int { throw Thrown{5}; }), Thrown);
  EXPECT_EQ(get(worker.wait(good)), 1);
}

TEST(Blocking, DescriptorsThatAreNone) { EXPECT_EQ(code(blocking::Client::on(-1, -1, {})), EBADF); }

// ------------------------------------------------------------------ what goes when

TEST_F(BlockingTest, ItsThread) {
  const auto before = threads();
  {
    blocking::Client c = connect();
    auto now = threads();
    std::erase_if(now,
                  [&](const auto& one) { return std::ranges::find(before, one) != before.end(); });
    int without_signals = 0;
    for (const auto& thread : now) {
      std::ifstream in(thread / "status");
      const std::string status{std::istreambuf_iterator<char>(in), {}};
      // All but those that nobody can block: SIGKILL, SIGSTOP, and two of the C library's own.
      without_signals += status.find("SigBlk:\tfffffffe7ffbfeff") != status.npos;
    }
    EXPECT_EQ(without_signals, 1);
    sigset_t blocked;
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &blocked), 0);
    EXPECT_EQ(sigismember(&blocked, SIGTERM), 0);
  }
  // It has gone with its connection; the system takes a moment more to forget it.
  proxy.reset();  // which has threads too
  while (threads().size() >= before.size()) std::this_thread::yield();
}

TEST_F(BlockingTest, AnyOrderOfGoing) {
  write("f", "content");
  File file;
  Directory directory;
  {
    blocking::Client c = connect();
    file = get(get(c.root().walk("f")).open(lopen::kReadWrite));
    directory = get(c.root().open_directory());
    blocking::Client moved = std::move(c);
    Node root = std::move(moved.root());
    get(root.stat());
  }
  EXPECT_EQ(read_all(file, 100), "content");
  EXPECT_EQ(get(directory.next()).size(), 1u);
  // The last one is replaced by one of another connection.
  blocking::Client other = connect();
  file = get(get(other.root().walk("f")).open(lopen::kReadWrite));
  EXPECT_EQ(read_all(file, 100), "content");
  directory = Directory();
  other = blocking::Client();
  File& same = file;
  file = std::move(same);
  // Many, in an order of their own.
  blocking::Client c = connect();
  std::list<File> files;
  for (int i = 0; i < 50; ++i)
    files.push_back(get(c.root().create(std::to_string(i), lopen::kReadWrite, 0600)));
  files.remove_if([i = 0](const File&) mutable { return i++ % 3 == 0; });
  c = connect();
  files.reverse();
  get(files.front().fsync());
}

TEST_F(BlockingTest, GoingWaitsForNoServer) {
  client::Options options;
  options.session.patience = options.session.flush_patience = 24h;
  blocking::Client c = connect(options);
  File file = get(c.root().create("f", lopen::kReadWrite, 0600));
  server->signal(SIGSTOP);
  file = File();
  c = blocking::Client();
  server->signal(SIGCONT);
}

TEST_F(BlockingTest, GoingOnItsOwnThread) {
  write("f", "content");
  struct All {
    blocking::Client client;
    Node node;
    File file;
  };
  const auto all = std::make_shared<std::optional<All>>();
  {
    blocking::Client c = connect();
    Node node = get(c.root().walk("f"));
    File file = get(node.open(lopen::kReadOnly));
    all->emplace(std::move(c), std::move(node), std::move(file));
  }
  std::promise<int> done;
  asio::post((*(*all)->file).attachment()->executor(), [all, &done] {
    // To wait there would be forever.
    const int waited = code((*all)->file.stat());
    EXPECT_EQ((*all)->file.path(), "f");
    (*all)->client = {};
    all->reset();
    done.set_value(waited);
  });
  EXPECT_EQ(done.get_future().get(), EDEADLK);
}

// ------------------------------------------------------------------ a server that is held up

class HeldUp : public testing::Test {
 protected:
  HeldUp() {
    Client c = host.connect();
    c.version();
    c.attach(0);
    c.make_file(0, "f", "content");
  }
  ~HeldUp() override {
    gate.open();
    gate.release_all();
  }
  blocking::Client connect() {
    client::Options options;
    options.session.patience = options.session.flush_patience = 24h;
    Client c = host.connect();
    const int fd = ::fcntl(c.fd(), F_DUPFD_CLOEXEC, 0);
    return get(blocking::Client::on(fd, fd, options));
  }

  Gate gate;
  Host host{io::make_portable_loop(),
            server::Export{make_gated_tree(std::make_shared<fs::MemoryTree>(), gate)}};
};

TEST_F(HeldUp, ObjectsGoWhileOthersWaitInThem) {
  std::optional<blocking::Client> c = connect();
  std::optional<Node> node = get(c->root().walk("f"));
  std::optional<File> file = get(node->open(lopen::kReadWrite));
  gate.hold("getattr");
  gate.hold("read");
  auto first = std::async(std::launch::async, [&] { return node->stat(); });
  gate.wait_for(1);
  std::array<std::byte, 7> room;
  auto second = std::async(std::launch::async, [&] { return file->read(0, room); });
  gate.wait_for(2);
  c.reset();
  node.reset();
  file.reset();
  gate.open();
  gate.release_all();
  EXPECT_EQ(get(first.get()).attr.size, 7u);
  EXPECT_EQ(get(second.get()), 7u);
  EXPECT_EQ(as_str(room), "content");
  host.wait_for_connections();
}

}  // namespace
}  // namespace ninep::test
