// Files by 9P2000 and 9P2000.u.
#include <functional>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/client.h"
#include "tests/bytes.h"
#include "tests/client/old_dialects/fixture.h"

namespace ninep::test {
namespace {

using client::Attributes;
using client::Change;
using client::Directory;
using client::Entry;
using client::File;
using client::Lock;
using client::Node;

INSTANTIATE_TEST_SUITE_P(Each, OldDialect, testing::Values(k9P2000, kDotU), dialect_text);

TEST_P(OldDialect, Files) {
  Node& r = root();
  {
    File file = get(r.create("f", lopen::kReadWrite, 0640));
    EXPECT_EQ(file.iounit(), 8192u - kIoHeaderSize);
    const std::string all = pattern(300'000);
    get(file.write(0, as_bytes(all)));
    EXPECT_TRUE(facts("f").content == all);
    EXPECT_TRUE(read_all(file, 400'000) == all);
    EXPECT_TRUE(read_all(file, 100'000, 12'345) == all.substr(12'345, 100'000));
    get(file.fsync());
    get(file.close());
  }
  EXPECT_EQ(facts("f").mode, 0640u);
  const Attributes is = get(get(r.walk("f")).stat());
  EXPECT_TRUE(is.is_regular());
  EXPECT_EQ(is.attr.size, 300'000u);
  EXPECT_EQ(is.user + " " + is.group, "glenda sys");
  EXPECT_EQ(is.has(getattr::kUid), is_dot_u());
  EXPECT_EQ(is.attr.uid, is_dot_u() ? 1000u : 0u);

  // What is there is opened, as open(2) does it, or refused.
  server->put("there", 0600, "content");
  {
    File there = get(r.create("there", lopen::kReadWrite, 0600));
    EXPECT_EQ(read_all(there, 100), "content");
    EXPECT_EQ(there.path(), "there");
    get(there.write(0, as_bytes("C")));
    File empty = get(r.create("there", lopen::kReadWrite | lopen::kTruncate, 0600));
    EXPECT_EQ(read_all(empty, 100), "");
  }
  EXPECT_EQ(error(r.create("there", lopen::kReadWrite | lopen::kExclusive, 0600)),
            "create there: File exists (there is one)");
  get(r.mkdir("d", 0750));
  EXPECT_EQ(facts("d").mode, 0x80000000u | 0750);
  EXPECT_EQ(error(r.mkdir("d", 0750)), "mkdir d: File exists (file already exists)");
  EXPECT_EQ(error(r.create("d", lopen::kReadOnly, 0600)), "create d: Is a directory");
  EXPECT_EQ(error(r.mkdir("f/d", 0750)), "mkdir f/d: Invalid argument (\"f/d\" is no file's name)");

  EXPECT_EQ(error(r.walk("none")), "find none: No such file or directory (file does not exist)");
  EXPECT_EQ(error(r.walk("d/none/x")),
            "find d/none/x: No such file or directory (file does not exist)");
  EXPECT_EQ(error(r.walk("f/x")), "find f/x: Not a directory (not a directory)");
  Node f = get(r.walk("f"));
  EXPECT_EQ(error(f.open_directory()), "open f: Not a directory");
  Node d = get(r.walk("d"));
  EXPECT_EQ(error(d.open(lopen::kReadWrite)), "open d: Is a directory (is a directory)");

  // By its kind, as unlink(2) and rmdir(2) do it.
  EXPECT_EQ(error(r.remove("d")), "remove d: Is a directory");
  EXPECT_EQ(error(r.remove("f", true)), "remove f: Not a directory");
  server->put("d/x", 0600, "");
  EXPECT_EQ(error(r.remove("d", true)), "remove d: Directory not empty (directory not empty)");
  get(d.remove("x"));
  get(r.remove("d", true));
  get(r.remove("f"));
  EXPECT_FALSE(server->facts("d") || server->facts("f"));
  EXPECT_EQ(error(r.remove("f")), "remove f: No such file or directory (file does not exist)");
}

// Nothing that a call needs for a moment stays at the server.
TEST_P(OldDialect, FidsAreGivenBack) {
  Node& r = root();
  server->put("f", 0600, "x");
  server->put("ro", 0400, "x");
  server->put("d", 0x80000000 | 0700, "");
  {
    File file = get(r.create("n", lopen::kReadWrite, 0600));
    File there = get(r.create("f", lopen::kReadWrite, 0600));
    Directory directory = get(r.open_directory());
    get(directory.next());
    get(r.mkdir("e", 0700));
    get(r.rename("f", r, "g"));
    get(r.remove("g"));
    get(r.remove("e", true));
    Node d = get(r.walk("d"));
    for (const std::string& wrong :
         {error(r.walk("none/x")), error(r.create("ro", lopen::kReadWrite, 0600)),
          error(r.create("d", lopen::kReadWrite, 0600)), error(r.remove("none")),
          error(r.remove("d")), error(r.rename("none", r, "x")), error(r.rename("n", d, "n")),
          error(r.mkdir("d", 0700)), error(r.open(lopen::kReadWrite)),
          error(r.create("ro", lopen::kReadWrite | lopen::kExclusive, 0600))})
      EXPECT_NE(wrong, "");
  }
  get(r.stat());
  EXPECT_EQ(server->fids(), 2u);  // the attachment's, and its root
}

TEST_P(OldDialect, Renames) {
  Node& r = root();
  server->put("d", 0x80000000 | 0700, "");
  server->put("a", 0600, "a's");
  server->put("b", 0600, "b's");
  get(r.rename("a", r, "c"));
  EXPECT_EQ(facts("c").content, "a's");
  EXPECT_FALSE(server->facts("a"));
  // What has the name there is gone, though Plan 9 leaves that to the client.
  get(r.rename("c", r, "b"));
  EXPECT_EQ(facts("b").content, "a's");
  EXPECT_FALSE(server->facts("c"));
  get(r.rename("b", r, "b"));
  EXPECT_EQ(facts("b").content, "a's");
  // But not what can't make way.
  server->put("d/x", 0600, "x's");
  EXPECT_NE(error(r.rename("b", r, "d")), "");
  EXPECT_NE(error(r.rename("d", r, "b")), "");
  EXPECT_EQ(facts("d/x").content, "x's");
  EXPECT_EQ(facts("b").content, "a's");
  // Another fid of the same directory is the same directory.
  Node same = get(r.walk("d/.."));
  get(r.rename("b", same, "e"));
  EXPECT_EQ(facts("e").content, "a's");
  Node d = get(r.walk("d"));
  EXPECT_EQ(error(r.rename("e", d, "e")),
            "rename e: Operation not supported (a file can't leave its directory before 9P2000.L)");
  EXPECT_EQ(facts("e").content, "a's");
  EXPECT_EQ(error(r.rename("e", r, "d/e")),
            "rename e: Invalid argument (\"d/e\" is no file's name)");
  EXPECT_EQ(error(r.remove("d/x")), "remove d/x: Invalid argument (\"d/x\" is no file's name)");
  EXPECT_EQ(error(r.rename("none", r, "x")),
            "rename none: No such file or directory (file does not exist)");
}

TEST_P(OldDialect, Changes) {
  Node& r = root();
  server->put("f", 0x40000000 | 0600, "content");  // append-only
  server->put("d", 0x80000000 | 0700, "");
  server->put("exclusive", 0x20000000 | 0600, "");
  Node f = get(r.walk("f"));
  const U32 mtime = facts("f").mtime;
  Change mode;
  mode.mode = 0644;
  get(f.change(mode));
  // It stays append-only, and a directory a directory.
  EXPECT_EQ(facts("f").mode, 0x40000000u | 0644);
  EXPECT_EQ(facts("f").content, "content");
  EXPECT_EQ(facts("f").mtime, mtime);
  get(get(r.walk("d")).change(mode));
  EXPECT_EQ(facts("d").mode, 0x80000000u | 0644);
  get(get(r.walk("exclusive")).change(mode));
  EXPECT_EQ(facts("exclusive").mode, 0x20000000u | 0644);
  mode.mode = S_IFREG | 04755;
  get(f.change(mode));
  EXPECT_EQ(facts("f").mode, (0x40000000u | 0755) + (is_dot_u() ? 0x80000u : 0u));
  EXPECT_EQ(get(f.stat()).attr.mode, S_IFREG | (is_dot_u() ? 04755u : 0755u));

  Change size;
  size.size = 4;
  get(f.change(size));
  EXPECT_EQ(facts("f").content, "cont");

  Change times;
  times.mtime = timespec{1'000'000, 999};
  times.atime = timespec{0, UTIME_OMIT};
  const U32 atime = facts("f").atime;
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 1'000'000u);
  EXPECT_EQ(facts("f").atime, atime);
  // 9P2000 has no way to set the other; a server that insists sets the one.
  times.atime = timespec{2'000'000, 0};
  times.mtime = timespec{3'000'000, 0};
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 3'000'000u);
  EXPECT_EQ(facts("f").atime, is_dot_u() ? 2'000'000u : atime);
  times.mtime = timespec{-5, 0};
  times.atime.reset();
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 0u);
  times.mtime = timespec{0xFFFFFFFF, 0};  // all ones: "don't touch"
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 0xFFFFFFFEu);
  times.mtime = timespec{0, UTIME_NOW};
  get(f.change(times));
  EXPECT_LT(std::labs(static_cast<long>(facts("f").mtime) - ::time(nullptr)), 1000);

  Change owner;
  owner.uid = 5;
  owner.gid = 6;
  if (is_dot_u()) {
    get(f.change(owner));
    EXPECT_EQ(facts("f").n_uid, 5u);
    EXPECT_EQ(facts("f").n_gid, 6u);
    owner.uid.reset();
    owner.gid = 8;
    get(f.change(owner));
    EXPECT_EQ(facts("f").n_uid, 5u);
    EXPECT_EQ(facts("f").n_gid, 8u);
  } else {
    EXPECT_EQ(error(f.change(owner)),
              "change f: Operation not supported (9P2000 has no numbers of users)");
  }
}

TEST_P(OldDialect, TimesOfAServerThatSetsBoth) {
  Node& r = serve({.sets_atime = true});
  server->put("f", 0600, "");
  Node f = get(r.walk("f"));
  Change times;
  times.atime = timespec{2'000'000, 0};
  times.mtime = timespec{3'000'000, 0};
  get(f.change(times));
  EXPECT_EQ(facts("f").atime, 2'000'000u);
  EXPECT_EQ(facts("f").mtime, 3'000'000u);
}

TEST_P(OldDialect, SpecialFiles) {
  Node& r = root();
  server->put("f", 0600, "f's");
  Node f = get(r.walk("f"));
  const std::string only_dot_u = "Operation not supported (9P2000 has files and directories alone)";
  get(r.mknod("plain", S_IFREG | 0600, 0));
  EXPECT_EQ(facts("plain").mode, 0600u);
  EXPECT_EQ(error(r.mknod("x", S_IFDIR | 0600, 0)), "mknod x: Invalid argument");
  if (!is_dot_u()) {
    EXPECT_EQ(error(r.symlink("l", "to")), "symlink l: " + only_dot_u);
    EXPECT_EQ(error(r.link("h", f)), "link h: " + only_dot_u);
    EXPECT_EQ(error(r.mknod("p", S_IFIFO | 0600, 0)), "mknod p: " + only_dot_u);
    EXPECT_EQ(error(r.mknod("c", S_IFCHR | 0600, 0)), "mknod c: " + only_dot_u);
    EXPECT_EQ(error(f.readlink()), "readlink f: Invalid argument (not a symbolic link)");
    // What .u makes of these bits isn't said in 9P2000.
    server->put("bits", 0x02000000 | 0x00080000 | 0644, "");
    EXPECT_EQ(get(get(r.walk("bits")).stat()).attr.mode, S_IFREG | 0644u);
    return;
  }
  get(r.symlink("l", "to/where it is"));
  EXPECT_EQ(facts("l").extension, "to/where it is");
  Node l = get(r.walk("l"));
  EXPECT_TRUE(l.is_symlink());
  EXPECT_EQ(get(l.readlink()), "to/where it is");
  EXPECT_EQ(error(f.readlink()), "readlink f: Invalid argument (not a symbolic link)");
  get(r.link("h", f));
  EXPECT_EQ(facts("h").path, facts("f").path);
  EXPECT_EQ(error(r.link("h", f)), "link h: File exists (file already exists)");
  get(r.mknod("p", S_IFIFO | 0600, 0));
  get(r.mknod("s", S_IFSOCK | 0600, 0));
  get(r.mknod("c", S_IFCHR | 0600, makedev(4, 65)));
  get(r.mknod("b", S_IFBLK | 0600, makedev(8, 1000)));
  const std::pair<const char*, U32> kinds[] = {
      {"l", S_IFLNK}, {"p", S_IFIFO}, {"s", S_IFSOCK}, {"c", S_IFCHR}, {"b", S_IFBLK}};
  for (const auto& [name, kind] : kinds) {
    Node node = get(r.walk(name));
    EXPECT_EQ(get(node.stat()).attr.mode & S_IFMT, kind) << name;
    // The type goes along, as QEMU wants it.
    Change change;
    change.mode = 0640;
    get(node.change(change));
    EXPECT_EQ(get(node.stat()).attr.mode, kind | 0640) << name;
  }
  EXPECT_EQ(get(get(r.walk("c")).stat()).attr.rdev, makedev(4, 65));
  EXPECT_EQ(get(get(r.walk("b")).stat()).attr.rdev, makedev(8, 1000));
  for (const Entry& entry : entries(r))
    EXPECT_EQ(entry.attributes->target, entry.name == "l" ? "to/where it is" : "");
}

TEST_P(OldDialect, Directories) {
  for (const U32 msize : {1024u, 8192u, 65536u}) {
    SCOPED_TRACE(msize);
    Node& r = serve({.msize_max = msize});
    EXPECT_EQ(clients.front().attachment()->msize(), msize);
    std::vector<std::string> names;
    server->put("d", 0x80000000 | 0700, "");
    server->put("empty", 0x80000000 | 0700, "");
    for (int i = 0; i < 300; ++i) {
      names.push_back("n" + std::to_string(i) +
                      std::string(static_cast<std::size_t>(i) % 190, '-'));
      server->put("d/" + names.back(), 0600, std::string(static_cast<std::size_t>(i), 'x'));
    }
    std::ranges::sort(names);
    Node d = get(r.walk("d"));
    const std::vector<Entry> all = entries(d);
    ASSERT_EQ(all.size(), names.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].name, names[i]);
      EXPECT_EQ(all[i].type, DT_REG);
      EXPECT_EQ(all[i].attributes->attr.size, facts("d/" + names[i]).content.size());
      EXPECT_TRUE(i == 0 || all[i].offset > all[i - 1].offset);
    }
    Node empty = get(r.walk("empty"));
    EXPECT_EQ(entries(empty).size(), 0u);
    // On from any entry, back and forth, and from the start, though the server only goes on.
    Directory directory = get(d.open_directory());
    for (const std::size_t at : {7u, 250u, 3u, 299u, 0u}) {
      directory.seek(all[at].offset);
      const std::vector<Entry> next = get(directory.next());
      ASSERT_EQ(next.empty(), at == 299u);
      EXPECT_EQ(next.empty() ? "" : next.front().name, at == 299u ? "" : names[at + 1]);
    }
    directory.seek(0);
    EXPECT_EQ(get(directory.next()).front().name, names[0]);
    // A connection that is made again begins anew at the server.
    directory.seek(0);
    std::vector<std::string> got;
    for (std::vector<Entry> some; !(some = get(directory.next())).empty();) {
      for (const Entry& entry : some) got.push_back(entry.name);
      if (got.size() < 290) server->cut();
    }
    EXPECT_EQ(got, names);
  }
}

// Only what the server itself appends is appended: by others meanwhile nothing is overwritten.
TEST_P(OldDialect, Appends) {
  Node& r = root();
  server->put("plain", 0600, "plain");
  server->put("log", 0x40000000 | 0600, "one\n");
  const std::string no_way =
      "Operation not supported (before 9P2000.L only files that always are can be appended to)";
  EXPECT_EQ(error(get(r.walk("plain")).open(lopen::kWriteOnly | lopen::kAppend)),
            "open plain: " + no_way);
  EXPECT_EQ(error(r.create("new", lopen::kWriteOnly | lopen::kAppend, 0600)),
            "create new: " + no_way);
  EXPECT_FALSE(server->facts("new"));
  File plain = get(get(r.walk("plain")).open(lopen::kWriteOnly));
  EXPECT_EQ(error(plain.append(as_bytes("x"))), "append to plain: " + no_way);
  EXPECT_EQ(facts("plain").content, "plain");
  File log = get(get(r.walk("log")).open(lopen::kWriteOnly | lopen::kAppend));
  get(log.append(as_bytes("two\n")));
  server->lose_reply(Describe<Rwrite>::code);
  get(log.append(as_bytes("three\n")));
  EXPECT_TRUE(server->has_lost());
  EXPECT_EQ(facts("log").content, "one\ntwo\nthree\n");
  // To such a file each write appends: in order, and once.
  File writer = get(get(r.walk("log")).open(lopen::kWriteOnly));
  const std::string all = pattern(50'000);
  server->lose_reply(Describe<Rwrite>::code);
  get(writer.write(0, as_bytes(all)));
  EXPECT_TRUE(server->has_lost());
  EXPECT_TRUE(facts("log").content == "one\ntwo\nthree\n" + all);
}

// Servers of Unix files open by Tcreate what is there: who wants a new file is told.
TEST_P(OldDialect, ExclusiveIsExclusive) {
  Node& r = serve({.opens_existing = true});
  server->put("there", 0600, "content");
  EXPECT_EQ(error(r.create("there", lopen::kReadWrite | lopen::kExclusive, 0600)),
            "create there: File exists (there is one)");
  File file = get(r.create("there", lopen::kReadWrite, 0600));
  EXPECT_EQ(read_all(file, 100), "content");
}

TEST_P(OldDialect, WhatOnlyDotLHas) {
  Node& r = root();
  server->put("f", 0600, "");
  Node f = get(r.walk("f"));
  File file = get(f.open(lopen::kReadWrite));
  const std::string none = ": Operation not supported (the server speaks no 9P2000.L)";
  EXPECT_EQ(error(f.xattrs()), "read an attribute of f" + none);
  EXPECT_EQ(error(f.xattr("user.a")), "read an attribute of f" + none);
  EXPECT_EQ(error(f.set_xattr("user.a", "x")), "set an attribute of f" + none);
  EXPECT_EQ(error(f.remove_xattr("user.a")), "remove an attribute of f" + none);
  EXPECT_EQ(error(r.statfs()), "statfs /" + none);
  const Lock lock{lock::kWrite, 0, 0, 1, "me"};
  EXPECT_EQ(error(file.lock(lock, false)), "lock f" + none);
  EXPECT_EQ(error(file.lock(lock, true)), "lock f" + none);
  EXPECT_EQ(error(file.unlock(lock)), "unlock f" + none);
  EXPECT_EQ(error(file.test_lock(lock)), "test a lock of f" + none);
}

// Names that don't fit into one message are walked in several.
TEST_P(OldDialect, LongPaths) {
  Node& r = serve({.msize_max = 1024});
  std::string path;
  for (int i = 0; i < 40; ++i) {
    path += (i ? "/" : "") + std::string(i < 20 ? 200 : 1, static_cast<char>('a' + i % 26));
    server->put(path, 0x80000000 | 0700, "");
  }
  server->put(path + "/f", 0600, "deep");
  File file = get(get(r.walk(path + "/f")).open(lopen::kReadOnly));
  EXPECT_EQ(read_all(file, 100), "deep");
  server->cut();
  EXPECT_EQ(read_all(file, 100), "deep");
  EXPECT_NE(error(r.walk(path + "/none/x")).find("file does not exist"), std::string::npos);
}

TEST_P(OldDialect, Restarts) {
  Node& r = root();
  const std::string all = pattern(100'000);
  server->put("f", 0600, all);
  server->put("other", 0600, "");
  Node node = get(r.walk("f"));
  File file = get(node.open(lopen::kReadOnly));
  File renamed = get(r.create("before", lopen::kReadWrite, 0600));
  get(renamed.write(0, as_bytes("renamed")));
  get(r.rename("before", r, "after"));
  for (int i = 0; i < 3; ++i) {
    server->cut();
    EXPECT_TRUE(read_all(file, 200'000) == all);
    EXPECT_EQ(get(node.stat()).attr.size, all.size());
  }
  EXPECT_EQ(read_all(renamed, 10), "renamed");
  // The tree of a server that lost it has other files of these names.
  server->put("f", 0600, "another");
  server->cut();
  EXPECT_NE(error(file.fsync()).find("Stale"), std::string::npos);
}

// What was lost with its connection: done once, or reported.
TEST_P(OldDialect, FatesOfRequests) {
  Node& r = root();
  server->put("f", 0600, "content");
  struct Case {
    const char* what;
    U8 type;  // of the reply that is lost
    std::function<std::string(std::string name)> act;
    bool decided;
    std::function<bool(std::string name)> is_done = nullptr;
  };
  const auto is_there = [&](const std::string& name) { return server->facts(name).has_value(); };
  const Case cases[] = {
      {"mkdir", 115, [&](std::string n) { return error(r.mkdir(n, 0700)); }, false, is_there},
      {"create", 115, [&](std::string n) { return error(r.create(n, lopen::kReadWrite, 0600)); },
       true, is_there},
      {"exclusive", 115,
       [&](std::string n) {
         return error(r.create(n, lopen::kReadWrite | lopen::kExclusive, 0600));
       },
       false, is_there},
      {"remove", 123,
       [&](std::string n) {
         server->put(n, 0600, "");
         return error(r.remove(n));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"rename", 127,
       [&](std::string n) {
         server->put(n, 0600, n);
         Node node = get(r.walk(n));
         return error(r.rename(n, r, n + "2", &node));
       },
       true,
       [&](std::string n) {
         const auto moved = server->facts(n + "2");
         return !is_there(n) && moved && moved->content == n;
       }},
      {"open", 113, [&](std::string) { return error(get(r.walk("f")).open(lopen::kReadOnly)); },
       true},
      {"stat", 125, [&](std::string) { return error(get(r.walk("f")).stat()); }, true},
  };
  int number = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    server->lose_reply(c.type);
    const std::string name = "a" + std::to_string(++number);
    const std::string said = c.act(name);
    EXPECT_TRUE(server->has_lost());
    if (c.decided)
      EXPECT_EQ(said, "");
    else
      EXPECT_NE(said.find("not known whether this was done"), std::string::npos) << said;
    const bool is_done = !c.is_done || c.is_done(name);
    EXPECT_TRUE(is_done);
  }
}

}  // namespace
}  // namespace ninep::test
