// Files over a connection, and over one that is lost: 9pserve behind a proxy.
#include "client/client.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "client/together.h"
#include "tests/client/client_test.h"
#include "tests/client/pattern.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Attributes;
using client::Client;
using client::Directory;
using client::Entry;
using client::Expected;
using client::File;
using client::Node;

TEST_F(ClientTest, Files) {
  Node& r = at_root();
  {
    File file = get(r.create("f", lopen::kReadWrite, 0640));
    get(file.write(0, as_bytes("hello, world")));
    EXPECT_EQ(read_all(file, 100), "hello, world");
    EXPECT_EQ(read_all(file, 5, 7), "world");
    get(file.fsync());
    get(file.close());
    std::byte byte;
    EXPECT_EQ(error(file.read(0, {&byte, 1})), "read f: Bad file descriptor (it is closed)");
  }
  const Attributes a = get(get(r.walk("f")).stat());
  EXPECT_TRUE(a.is_regular());
  EXPECT_EQ(a.attr.size, 12u);
  EXPECT_EQ(a.attr.mode & 07777, 0640u);
  get(r.mkdir("d", 0755));
  Node d = get(r.walk("d"));
  EXPECT_TRUE(d.is_directory());
  get(r.rename("f", d, "g"));
  EXPECT_EQ(content("d/g"), "hello, world");
  Node g = get(r.walk("d/g"));
  EXPECT_EQ(g.path(), "d/g");
  get(r.link("h", g));
  EXPECT_EQ(get(g.stat()).attr.nlink, 2u);
  get(r.symlink("l", "d/g"));
  Node l = get(r.walk("l"));
  EXPECT_TRUE(l.is_symlink());
  EXPECT_EQ(get(l.readlink()), "d/g");
  get(r.mknod("p", S_IFIFO | 0600, 0));
  client::Change change;
  change.mode = 0600;
  change.size = 5;
  change.mtime = timespec{1'000'000, 5};
  get(g.change(change));
  const Attributes b = get(g.stat());
  EXPECT_EQ(b.attr.mode & 07777, 0600u);
  EXPECT_EQ(b.attr.size, 5u);
  EXPECT_EQ(b.attr.mtime_sec, 1'000'000u);
  EXPECT_EQ(b.attr.mtime_nsec, 5u);
  get(g.set_xattr("user.a", "one"));
  get(g.set_xattr("user.b", ""));
  EXPECT_EQ(get(g.xattr("user.a")), "one");
  EXPECT_EQ(get(g.xattrs()).size(), 2u);
  get(g.remove_xattr("user.a"));
  EXPECT_EQ(error(g.xattr("user.a")), "read an attribute of d/g: No data available");
  EXPECT_GT(get(r.statfs()).blocks, 0u);
  std::string names;
  Directory directory = get(r.open_directory());
  for (std::vector<Entry> entries; !(entries = get(directory.next())).empty();)
    for (const Entry& entry : entries) names += entry.name;
  std::ranges::sort(names);
  EXPECT_EQ(names, "dhlp");
  get(r.remove("h"));
  EXPECT_EQ(error(r.walk("h")), "find h: No such file or directory");
  EXPECT_EQ(error(r.remove("d", true)), "remove d: Directory not empty");
  EXPECT_EQ(error(r.walk("d/g/x")), "find d/g/x: Not a directory");
  EXPECT_EQ(error(r.create("a/b", 0, 0)),
            "create a/b: Invalid argument (\"a/b\" is no file's name)");
  EXPECT_EQ(get(d.walk("../../..")).path(), "/");
}

// A fid means another file on another connection.
TEST_F(ClientTest, FilesOfTwoConnections) {
  write("f", "");
  write("g", "");
  Node f = get(at_root().walk("f"));
  Node& other = connect().root();
  Node g = get(other.walk("g"));
  EXPECT_EQ(error(at_root().link("h", g)),
            "link h: Invalid cross-device link (they are of two connections)");
  EXPECT_EQ(error(at_root().rename("f", other, "h")),
            "rename f: Invalid cross-device link (they are of two connections)");
  EXPECT_FALSE(std::filesystem::exists(tree() + "/h"));
  get(other.link("h", g));
}

TEST_F(ClientTest, LargeOnes) {
  const std::string all = pattern(20'000'001);
  for (const U32 msize : {8192u, 65536u, 1u << 20, 4u << 20}) {
    SCOPED_TRACE(msize);
    client::Options options;
    options.session.msize = msize;
    Node& r = connect(options).root();
    EXPECT_EQ(r.attachment()->msize(), msize);
    File file = get(r.create("large", lopen::kReadWrite, 0600));
    get(file.write(0, as_bytes(all)));
    EXPECT_TRUE(content("large") == all);
    EXPECT_TRUE(read_all(file, all.size() + 1000) == all);
    EXPECT_TRUE(read_all(file, 5'000'000, 3) == all.substr(3, 5'000'000));
  }
}

TEST_F(ClientTest, Appends) {
  write("log", "one\n");
  File file = get(get(at_root().walk("log")).open(lopen::kWriteOnly | lopen::kAppend));
  get(file.append(as_bytes("two\n")));
  write("other", "");
  for (const bool reply : {false, true}) {
    if (reply)
      proxy->lose_reply(118);
    else
      proxy->lose_request(118);
    get(file.append(as_bytes("three\n")));
    EXPECT_TRUE(proxy->has_lost());
  }
  EXPECT_EQ(content("log"), "one\ntwo\nthree\nthree\n");
  // Others append and truncate: what was seen before says nothing.
  std::ofstream(tree() + "/log", std::ios::app) << "another's\n";
  proxy->lose_request(118);
  get(file.append(as_bytes("four\n")));
  EXPECT_EQ(content("log"), "one\ntwo\nthree\nthree\nanother's\nfour\n");
  std::filesystem::resize_file(tree() + "/log", 0);
  get(file.append(as_bytes("one\n")));
  std::filesystem::resize_file(tree() + "/log", 0);
  proxy->lose_reply(118);
  get(file.append(as_bytes("one\n")));
  EXPECT_EQ(content("log"), "one\n");
  File another = get(get(at_root().walk("log")).open(lopen::kWriteOnly | lopen::kAppend));
  get(file.append(as_bytes("tick\n")));
  get(another.append(as_bytes("tick\n")));
  proxy->lose_request(118);
  get(file.append(as_bytes("tick\n")));
  EXPECT_EQ(content("log"), "one\ntick\ntick\ntick\n");
  // What is written to a file that was opened to be appended to is appended, once.
  proxy->lose_reply(118);
  get(file.write(0, as_bytes("end\n")));
  EXPECT_EQ(content("log"), "one\ntick\ntick\ntick\nend\n");
  // Just then somebody else does.
  proxy->at_loss = [this] { std::ofstream(tree() + "/log", std::ios::app) << "another's"; };
  proxy->lose_request(118);
  EXPECT_NE(error(file.append(as_bytes("four\n"))).find("not known whether"), std::string::npos);
}

TEST_F(ClientTest, RestartsOfTheServer) {
  const std::string all = pattern(3'000'000);
  write("f", all);
  write("gone", "x");
  Node& r = at_root();
  File file = get(get(r.walk("f")).open(lopen::kReadWrite));
  File gone = get(get(r.walk("gone")).open(lopen::kReadWrite));
  File renamed = get(r.create("before", lopen::kReadWrite, 0600));
  Directory directory = get(r.open_directory());
  get(r.remove("gone"));
  get(r.rename("before", r, "after"));
  for (int i = 0; i < 3; ++i) {
    restart();
    EXPECT_TRUE(read_all(file, 1'000'000, 1000) == all.substr(1000, 1'000'000));
    get(file.write(0, as_bytes(all)));
    get(renamed.write(0, as_bytes("here")));
  }
  EXPECT_EQ(content("after"), "here");
  EXPECT_EQ(get(directory.next()).size(), 2u);
  std::byte byte{};
  EXPECT_NE(error(gone.read(0, {&byte, 1})).find("Stale"), std::string::npos);
  // Another file of that name is another file.
  std::filesystem::remove(tree() + "/f");
  write("x", "");
  write("f", "other");
  restart();
  EXPECT_NE(error(file.fsync()).find("Stale"), std::string::npos);
}

// A request that was lost with its connection: done once, never twice, or reported.
TEST_F(ClientTest, FatesOfRequests) {
  Node& r = at_root();
  write("f", "content");
  Node f = get(r.walk("f"));
  File known = get(r.create("known", lopen::kReadWrite, 0600));
  get(known.write(0, as_bytes("known")));  // which tells it from others
  struct Case {
    const char* what;
    U8 type;
    std::function<std::string(std::string name)> act;  // the error
    bool decided;                                      // where the reply was lost
    std::function<bool(std::string name)> is_done;
  };
  const auto is_there = [&](const std::string& name) {
    struct stat is;
    return ::lstat((tree() + "/" + name).c_str(), &is) == 0;
  };
  const auto is_moved = [&](const std::string& name) {
    return !is_there(name) && is_there(name + "2");
  };
  const Case cases[] = {
      {"mkdir", 72, [&](std::string n) { return error(r.mkdir(n, 0700)); }, false, is_there},
      {"symlink", 16, [&](std::string n) { return error(r.symlink(n, "t")); }, false, is_there},
      {"mknod", 18, [&](std::string n) { return error(r.mknod(n, S_IFIFO | 0600, 0)); }, false,
       is_there},
      {"exclusive", 14,
       [&](std::string n) {
         return error(r.create(n, lopen::kReadWrite | lopen::kExclusive, 0600));
       },
       false, is_there},
      {"create", 14, [&](std::string n) { return error(r.create(n, lopen::kReadWrite, 0600)); },
       true, is_there},
      {"link", 70, [&](std::string n) { return error(r.link(n, f)); }, true,
       [&](std::string n) {
         return is_there(n) && std::filesystem::equivalent(tree() + "/f", tree() + "/" + n);
       }},
      {"remove", 76,
       [&](std::string n) {
         write(n, "");
         return error(r.remove(n));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"remove of a known file", 76,
       [&](std::string n) {
         write(n, "");
         const Node node = get(r.walk(n));
         return error(r.remove(n));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"remove of a file by its number", 76,
       [&](std::string n) {
         write(n, "");
         return error(r.remove(n, false, get(r.walk(n)).qid().path));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"rename", 74,
       [&](std::string n) {
         write(n, "");
         return error(r.rename(n, r, n + "2"));
       },
       true, is_moved},
      {"rename of a known file", 74,
       [&](std::string n) {
         write(n, "");
         Node node = get(r.walk(n));
         return error(r.rename(n, r, n + "2", &node));
       },
       true, is_moved},
      {"set_xattr", 32, [&](std::string n) { return error(f.set_xattr("user." + n, n)); }, true,
       [&](std::string n) {
         char value[10];
         const auto size = ::getxattr((tree() + "/f").c_str(), ("user." + n).c_str(), value, 10);
         return size > 0 && Str(value, static_cast<std::size_t>(size)) == n;
       }},
      {"remove_xattr", 32,
       [&](std::string n) {
         EXPECT_EQ(::setxattr((tree() + "/f").c_str(), ("user." + n).c_str(), "x", 1, 0), 0);
         return error(f.remove_xattr("user." + n));
       },
       true,
       [&](std::string n) {
         return ::getxattr((tree() + "/f").c_str(), ("user." + n).c_str(), nullptr, 0) < 0;
       }},
      {"rmdir", 76,
       [&](std::string n) {
         EXPECT_TRUE(std::filesystem::create_directory(tree() + "/" + n));
         const Node node = get(r.walk(n));
         return error(r.remove(n, true));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"write", 118,
       [&](std::string n) {
         std::string said = error(known.write(1, as_bytes(n)));
         if (content("known") != "k" + n + "n") said += "; it is not there";
         return said;
       },
       true, nullptr},
      {"getattr", 24, [&](std::string) { return error(f.stat()); }, true, nullptr},
      {"walk", 110, [&](std::string) { return error(r.walk("f")); }, true, nullptr},
  };
  int number = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::string a = "a" + std::to_string(++number);
    const std::string b = "b" + std::to_string(number);
    proxy->lose_request(c.type);
    EXPECT_EQ(c.act(a), "");
    EXPECT_TRUE(proxy->has_lost());
    proxy->lose_reply(c.type);
    const std::string said = c.act(b);
    EXPECT_TRUE(proxy->has_lost());
    if (c.decided)
      EXPECT_EQ(said, "");
    else
      EXPECT_NE(said.find("not known whether this was done"), std::string::npos) << said;
    if (c.is_done) {
      EXPECT_TRUE(c.is_done(a));
      EXPECT_TRUE(c.is_done(b));
    }
  }
}

// What has the name by then may be another's.
TEST_F(ClientTest, NamesOfOthers) {
  Node& r = at_root();
  write("f", "mine");
  write("keep", "so that no other file has the number of the first one");
  proxy->at_loss = [this] {
    write("f2", "another's");
    std::filesystem::rename(tree() + "/f2", tree() + "/f");
  };
  {
    const Node f = get(r.walk("f"));
    const int held = ::open((tree() + "/f").c_str(), O_RDONLY);  // nor that
    proxy->lose_reply(76);
    EXPECT_NE(error(r.remove("f")).find("not known whether this was done"), std::string::npos);
    EXPECT_EQ(content("f"), "another's");
    ::close(held);
  }
  proxy->lose_reply(74);
  EXPECT_NE(error(r.rename("f", r, "g")).find("not known whether this was done"),
            std::string::npos);
  EXPECT_EQ(content("f"), "another's");
  EXPECT_EQ(content("g"), "another's");
}

// What is exported may be made anew: its root is the root.
TEST_F(ClientTest, AnotherRoot) {
  Node& r = at_root();
  get(r.stat());
  struct stat before{}, after{};
  ASSERT_EQ(::stat(tree().c_str(), &before), 0);
  bool came_again = false;
  for (int i = 0; i < 20 && !came_again; ++i) {
    kill();
    std::filesystem::remove(tree());
    std::filesystem::create_directory(tree());
    start();
    ASSERT_EQ(::stat(tree().c_str(), &after), 0);
    came_again = before.st_ino == after.st_ino;
  }
  if (!came_again) GTEST_SKIP() << "this file system doesn't give a number again";
  write("f", "x");
  get(r.stat());
  get(r.walk("f"));
}

// What others moved isn't below itself.
TEST_F(ClientTest, MovedByOthers) {
  Node& r = at_root();
  get(r.mkdir("x", 0755));
  Node x = get(r.walk("x"));
  get(x.mkdir("y", 0755));
  Node y = get(x.walk("y"));
  std::filesystem::rename(tree() + "/x/y", tree() + "/z");
  get(r.rename("x", y, "n"));
  EXPECT_TRUE(std::filesystem::exists(tree() + "/z/n"));
  get(y.stat());
  get(get(y.walk("n")).stat());
  proxy->cut();
  EXPECT_NE(error(y.stat()).find("Stale"), std::string::npos);
  get(r.walk("z/n"));
}

// To be replaced by nothing isn't to be removed.
TEST_F(ClientTest, EmptyAttributes) {
  write("f", "");
  Node f = get(at_root().walk("f"));
  EXPECT_NE(error(f.set_xattr("user.a", "", kXattrReplace)).find("No data"), std::string::npos);
  get(f.set_xattr("user.a", "value"));
  get(f.set_xattr("user.a", "", kXattrReplace));
  EXPECT_EQ(get(f.xattr("user.a")), "");
  EXPECT_EQ(get(f.xattrs()), std::vector<std::string>{"user.a"});
}

// A file that was made in a directory that was found again is a new one.
TEST_F(ClientTest, MadeAndLost) {
  Node& r = at_root();
  proxy->cut();
  File file = get(r.create("f", lopen::kReadWrite, 0600));
  get(file.write(0, as_bytes("one")));
  proxy->lose_reply(118);
  get(file.write(0, as_bytes("two")));
  EXPECT_TRUE(proxy->has_lost());
  EXPECT_EQ(content("f"), "two");
}

// A file that was opened on a connection that is lost before the client knows all of it.
TEST_F(ClientTest, OpenedAndLost) {
  write("f", "content");
  Node node = get(at_root().walk("f"));
  proxy->lose_reply(24);  // of the Tgetattr that goes with the Tlopen
  File file = get(node.open(lopen::kReadWrite));
  EXPECT_TRUE(proxy->has_lost());
  EXPECT_EQ(read_all(file, 7), "content");
  get(file.write(0, as_bytes("C")));
  EXPECT_EQ(content("f"), "Content");
}

awaitable<void> read_a_byte(File& file, std::string& said) {
  std::byte byte{};
  const auto got = co_await file.read(0, {&byte, 1});
  said = got ? "read" : got.error().text();
}
awaitable<void> close_it(File& file, std::string& said) {
  const auto closed = co_await file.close();
  said = closed ? "closed" : closed.error().text();
}

// A file that is closed while it is found again, by others, is closed: its fid is not taken twice.
TEST_F(ClientTest, ClosedWhileItIsFoundAgain) {
  write("f", "content");
  for (int i = 0; i < 20; ++i) {
    File file = get(get(at_root().walk("f")).open(lopen::kReadOnly));
    proxy->cut();
    std::string first, second, closed;
    std::vector<awaitable<void>> all;
    all.push_back(read_a_byte(file, first));
    all.push_back(read_a_byte(file, second));
    all.push_back(close_it(file, closed));
    const auto wait_for = [](std::vector<awaitable<void>> each) -> awaitable<bool> {
      co_await client::together(std::move(each));
      co_return true;
    };
    EXPECT_TRUE(wait(wait_for(std::move(all))));
    EXPECT_EQ(closed, "closed");
    for (const std::string& said : {first, second})
      EXPECT_TRUE(said == "read" || said.find("it is closed") != said.npos) << said;
    for (int k = 0; k < 5; ++k) EXPECT_EQ(error(at_root().walk("f")), "");
  }
}

awaitable<Expected<void>> one_of_many(Node& root, int number, int& good) {
  const std::string name = "n" + std::to_string(number);
  auto made = co_await root.create(name, lopen::kReadWrite, 0600);
  NINEP_CO_RETURN_IF_WRONG(made);
  File& file = *made;
  const auto written = co_await file.write(0, as_bytes(name));
  NINEP_CO_RETURN_IF_WRONG(written);
  std::array<std::byte, 20> room;
  const auto got = co_await file.read(0, room);
  NINEP_CO_RETURN_IF_WRONG(got);
  if (as_str(Bytes(room).first(*got)) == name) ++good;
  co_return Expected<void>();
}
awaitable<void> shown(awaitable<Expected<void>> work) {
  const auto done = co_await std::move(work);
  EXPECT_TRUE(done) << done.error().text();
}
awaitable<Expected<void>> many(Node& root, int count, int& good) {
  std::vector<awaitable<void>> all;
  for (int i = 0; i < count; ++i) all.push_back(shown(one_of_many(root, i, good)));
  co_await client::together(std::move(all));
  co_return Expected<void>();
}

TEST_F(ClientTest, ManyAtOnce) {
  int good = 0;
  get(many(at_root(), 2000, good));
  EXPECT_EQ(good, 2000);
}

TEST_F(ClientTest, ServersThatAreGone) {
  client::Options options;
  options.reconnect_patience = 300ms;
  Node& r = connect(options).root();
  write("f", "x");
  server->signal(SIGKILL);
  server->wait();
  EXPECT_NE(error(r.walk("f")).find("has been gone for"), std::string::npos);
  start();
  get(r.walk("f"));
  const auto none = wait(Client::connect("unix:" + folder.path() + "/none", {}));
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().text().find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace ninep::test
