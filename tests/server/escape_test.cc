// Nothing outside the export is read, changed or named, whatever is in it: symbolic links,
// directories that are swapped or moved away, special files, and races with whoever does that.
//
// NINEP_SECONDS is how long each race goes on.
#include <atomic>
#include <chrono>
#include <fstream>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

namespace fs = std::filesystem;

constexpr Str kSecret = "SECRET";

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}
void write_file(const fs::path& path, Str content) {
  std::ofstream(path, std::ios::trunc) << content;
}

class EscapeTest : public Conversation {
 protected:
  /// share/ is exported; outside/ stands beside it, with a file and a directory of names that are
  /// in share/ too.
  void SetUp() override {
    fs::create_directories(share / "d/e");
    write_file(share / "d/f", "inside");
    write_file(share / "f", "inside");
    fs::create_directories(outside / "d/e");
    write_file(outside / "d/f", kSecret);
    write_file(outside / "f", kSecret);
    outside_before_ = everything(outside);
    if (!start({*ninep::fs::make_local_tree(share)})) GTEST_SKIP() << why();
  }
  void TearDown() override { EXPECT_EQ(everything(outside), outside_before_); }

  /// Names, types, modes, owners, times and contents below a directory, as text.
  static std::string everything(const fs::path& dir) {
    std::string text;
    std::vector<fs::path> paths{dir};
    for (const auto& entry : fs::recursive_directory_iterator(dir)) paths.push_back(entry.path());
    std::ranges::sort(paths);
    for (const fs::path& path : paths) {
      struct stat s{};
      ::lstat(path.c_str(), &s);
      text += path.string() + " " + std::to_string(s.st_mode) + " " + std::to_string(s.st_uid) +
              " " + std::to_string(s.st_nlink) + " " + std::to_string(s.st_mtim.tv_nsec) + " " +
              std::to_string(s.st_ctim.tv_nsec) + "\n";
      if (S_ISREG(s.st_mode)) text += read_file(path) + "\n";
      char names[1000];
      text += std::to_string(::llistxattr(path.c_str(), names, sizeof names)) + "\n";
    }
    return text;
  }
  static std::chrono::steady_clock::time_point race_end() {
    const char* given = std::getenv("NINEP_SECONDS");
    return std::chrono::steady_clock::now() +
           std::chrono::milliseconds(given ? std::atoi(given) * 1000 : 300);
  }
  static void exchange(const fs::path& a, const fs::path& b) {
    ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 2 /* RENAME_EXCHANGE */);
  }

  const TempDir base;
  const fs::path share = fs::path(base.path()) / "share";
  const fs::path outside = fs::path(base.path()) / "outside";

 private:
  std::string outside_before_;
};
NINEP_LOCAL_CONVERSATION(EscapeTest);

// ------------------------------------------------------------------ symbolic links

// No walk leads through a link, wherever it stands and whatever it says.
TEST_P(EscapeTest, WalksDoNotFollowLinks) {
  fs::create_symlink(outside, share / "absolute");
  fs::create_symlink("../outside", share / "relative");
  fs::create_symlink("..", share / "up");
  fs::create_symlink("/", share / "top");
  fs::create_symlink("d", share / "harmless");
  fs::create_symlink("/proc/self/root", share / "magic");
  fs::create_symlink("../../outside", share / "d/deep");
  Client c = session();
  for (const Str link : {"absolute", "relative", "up", "top", "harmless", "magic"}) {
    EXPECT_EQ(c.walk(0, 1, {link, "f"}).as<Rwalk>().wqid.size(), 1) << link;
    EXPECT_EQ(c.walk(0, 1, {link, "d", "f"}).as<Rwalk>().wqid.size(), 1) << link;
    EXPECT_EQ(c.walk(0, 1, {link, "..", "outside"}).as<Rwalk>().wqid.size(), 1) << link;
    EXPECT_EQ(c.clunk(1), EBADF);
  }
  EXPECT_EQ(c.walk(0, 1, {"d", "deep", "f"}).as<Rwalk>().wqid.size(), 2);
}

// A fid of a link is one of the link itself, in every request that takes a fid.
TEST_P(EscapeTest, FidsOfLinks) {
  fs::create_symlink(outside / "f", share / "link");
  fs::create_symlink(outside / "d", share / "dirlink");
  Client c = session();
  U32 fid = 1;
  for (const Str name : {"link", "dirlink"}) {
    const Fid link{fid};
    ASSERT_EQ(c.reach(0, fid, {name}).type, kQtSymlink);
    for (const U32 flags :
         {lopen::kReadOnly, lopen::kReadWrite, lopen::kReadWrite | lopen::kTruncate,
          lopen::kReadOnly | lopen::kDirectory})
      EXPECT_EQ(c.error(Tlopen{link, flags}), ELOOP);
    EXPECT_EQ(c.attr(fid).mode & S_IFMT, static_cast<U32>(S_IFLNK));
    EXPECT_NE(c.error(Tsetattr{.fid = link, .valid = setattr::kSize, .size = 0}), 0);
    c.call(Tsetattr{.fid = link, .valid = setattr::kMode, .mode = 0777});
    c.call(Tsetattr{.fid = link, .valid = setattr::kUid | setattr::kGid, .uid = 1234, .gid = 1234});
    c.call(Tsetattr{.fid = link, .valid = setattr::kMtime | setattr::kMtimeSet, .mtime_sec = 1});
    EXPECT_NE(c.error(Txattrwalk{link, Fid{50}, "user.a"}), 0);
    EXPECT_EQ(c.walk(fid, 51, {}).error(), 0);
    c.call(Txattrcreate{Fid{51}, "user.a", 1, 0});
    c.call(Twrite{Fid{51}, 0, as_bytes("x")});
    EXPECT_NE(c.clunk(51), 0);
    // As a directory it is none.
    EXPECT_EQ(c.walk(fid, 52, {"f"}).error(), ENOTDIR);
    EXPECT_EQ(c.walk(fid, 52, {".."}).error(), ENOTDIR);
    EXPECT_EQ(c.error(Tlcreate{link, "n", lopen::kReadWrite, 0644, 0}), ENOTDIR);
    EXPECT_EQ(c.error(Tmkdir{link, "n", 0755, 0}), ENOTDIR);
    EXPECT_EQ(c.error(Tsymlink{link, "n", "t", 0}), ENOTDIR);
    EXPECT_EQ(c.error(Tmknod{link, "n", 0010644, 0, 0, 0}), ENOTDIR);
    EXPECT_EQ(c.error(Tunlinkat{link, "f", 0}), ENOTDIR);
    EXPECT_EQ(c.error(Tunlinkat{link, "e", kUnlinkRemoveDir}), ENOTDIR);
    EXPECT_EQ(c.error(Trenameat{link, "f", Fid{0}, "n"}), ENOTDIR);
    EXPECT_EQ(c.error(Trenameat{Fid{0}, "f", link, "n"}), ENOTDIR);
    EXPECT_EQ(c.error(Tlink{link, Fid{0}, "n"}), ENOTDIR);
    // A further name of a link is one of the link.
    EXPECT_EQ(c.error(Tlink{Fid{0}, link, "second"}), 0);
    EXPECT_TRUE(fs::is_symlink(share / "second"));
    EXPECT_EQ(c.error(Trename{link, Fid{0}, "third"}), 0);
    EXPECT_EQ(c.error(Tremove{link}), 0);
    EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "second", 0}), 0);
    ++fid;
  }
}

// A name that is a link is not followed by what creates or removes.
TEST_P(EscapeTest, NamesThatAreLinks) {
  fs::create_symlink(outside / "f", share / "link");
  fs::create_symlink(outside / "no", share / "dangling");
  fs::create_symlink(outside / "d", share / "dirlink");
  Client c = session();
  for (const Str name : {"link", "dangling", "dirlink"}) {
    for (const U32 flags : {lopen::kReadWrite, lopen::kReadWrite | lopen::kTruncate,
                            lopen::kReadWrite | lopen::kExclusive}) {
      c.reach(0, 1, {});
      EXPECT_EQ(c.error(Tlcreate{Fid{1}, name, flags, 0644, 0}),
                flags & lopen::kExclusive ? EEXIST : ELOOP)
          << name;
      c.clunk(1);
    }
    EXPECT_EQ(c.error(Tmkdir{Fid{0}, name, 0755, 0}), EEXIST);
    EXPECT_EQ(c.error(Tmknod{Fid{0}, name, 0100644, 0, 0, 0}), EEXIST);
    EXPECT_EQ(c.error(Tsymlink{Fid{0}, name, "t", 0}), EEXIST);
    EXPECT_EQ(c.error(Tunlinkat{Fid{0}, name, kUnlinkRemoveDir}), ENOTDIR);
    EXPECT_EQ(c.error(Trenameat{Fid{0}, name, Fid{0}, "moved"}), 0);
    EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "moved", 0}), 0);
  }
  fs::create_symlink(outside / "f", share / "link");
  EXPECT_EQ(c.error(Trenameat{Fid{0}, "f", Fid{0}, "link"}), 0);  // replaces the link
  EXPECT_EQ(read_file(share / "link"), "inside");
}

// An attach name is walked as a client's walk is.
TEST_P(EscapeTest, AttachNames) {
  fs::create_symlink(outside, share / "link");
  fs::create_symlink("../../outside", share / "d/link");
  Client c = connect();
  c.version();
  const std::string root = share.string();
  for (const std::string& aname :
       {std::string(".."), root + "/..", root + "/../outside", outside.string(),
        std::string("/etc"), std::string("link"), std::string("link/d"), std::string("d/link/d"),
        root + "/link", std::string("d/../../outside"), std::string("./../outside"), base.path(),
        root + "2", "/" + root + "/../outside"})
    EXPECT_NE(c.error(Tattach{Fid{1}, kNoFid, "", aname, 0}), 0) << aname;
  c.attach(1, "d");
  EXPECT_EQ(c.reach(1, 2, {".."}).path, c.attr(1).qid.path);
}

// ------------------------------------------------------------------ directories that go elsewhere

// A directory that was replaced by a link behind the server's back: the fid is still one of the
// directory, the name leads nowhere.
TEST_P(EscapeTest, SwappedDirectory) {
  Client c = session();
  c.reach(0, 1, {"d"});
  fs::rename(share / "d", share / "old");
  fs::create_symlink(outside / "d", share / "d");
  EXPECT_EQ(c.content(1, "f"), "inside");
  c.make_file(1, "new", "new");
  EXPECT_EQ(read_file(share / "old/new"), "new");
  EXPECT_EQ(c.error(Tunlinkat{Fid{1}, "f", 0}), 0);
  EXPECT_EQ(c.error(Tmkdir{Fid{1}, "sub", 0755, 0}), 0);
  EXPECT_EQ(c.walk(0, 2, {"d", "f"}).as<Rwalk>().wqid.size(), 1);
  c.reach(1, 3, {"new"});
  EXPECT_EQ(c.error(Tremove{Fid{3}}), 0);  // by its present name, not by the one it was walked to
}

// From a directory that was moved out of the export there is no way up.
TEST_P(EscapeTest, MovedOut) {
  Client c = session();
  c.reach(0, 1, {"d"});
  c.reach(0, 2, {"d", "e"});
  const fs::path away = fs::path(base.path()) / "away";
  fs::create_directory(away);
  write_file(away / "f", kSecret);
  fs::rename(share / "d", away / "d");
  EXPECT_EQ(c.walk(1, 3, {".."}).error(), ESTALE);
  EXPECT_EQ(c.walk(2, 3, {".."}).error(), ESTALE);
  EXPECT_EQ(c.walk(2, 3, {"..", "..", "f"}).error(), ESTALE);
  EXPECT_EQ(c.walk(1, 1, {".."}).error(), ESTALE);
  // Nor can what is out there be removed or brought back by a fid.
  EXPECT_EQ(c.error(Trename{Fid{2}, Fid{0}, "back"}), ENOENT);
  EXPECT_EQ(c.error(Tremove{Fid{2}}), ENOENT);
  EXPECT_TRUE(fs::exists(away / "d/e"));
  fs::rename(away / "d", share / "d");  // and in again
  EXPECT_EQ(c.reach(1, 3, {".."}).path, c.attr(0).qid.path);
}

// The same from an attach further down: what is in the export but not below is outside.
TEST_P(EscapeTest, MovedOutOfTheAttach) {
  fs::create_directories(share / "other");
  Client c = connect();
  c.version();
  c.attach(0, "d");
  c.reach(0, 1, {"e"});
  fs::rename(share / "d/e", share / "other/e");
  EXPECT_EQ(c.walk(1, 2, {".."}).error(), ESTALE);
}

// Paths that look alike: share and share2 begin with the same letters.
TEST_P(EscapeTest, MovedToANeighbour) {
  fs::path neighbour = share;
  neighbour += "2";
  fs::create_directories(neighbour / "d");
  Client c = session();
  c.reach(0, 1, {"f"});
  fs::rename(share / "f", neighbour / "d/f");
  EXPECT_EQ(c.error(Trename{Fid{1}, Fid{0}, "back"}), ENOENT);
  EXPECT_EQ(c.error(Tremove{Fid{1}}), ENOENT);
  EXPECT_EQ(read_file(neighbour / "d/f"), "inside");
}

// ------------------------------------------------------------------ special files

// Opening a fifo waits for its other end: nothing here ever does, however it got there.
TEST_P(EscapeTest, Fifos) {
  ASSERT_EQ(::mkfifo((share / "fifo").c_str(), 0666), 0);
  Client c = session();
  for (U32 flags = 0; flags < 3; ++flags) {
    c.reach(0, 1, {"fifo"});
    EXPECT_EQ(c.error(Tlopen{Fid{1}, flags}), ENXIO);
    c.clunk(1);
    c.reach(0, 1, {});
    EXPECT_EQ(c.error(Tlcreate{Fid{1}, "fifo", flags, 0644, 0}), ENXIO);
    c.clunk(1);
  }
  c.reach(0, 1, {"fifo"});
  EXPECT_NE(c.error(Tsetattr{.fid = Fid{1}, .valid = setattr::kSize}), 0);
  EXPECT_EQ(c.error(Tsetattr{.fid = Fid{1}, .valid = setattr::kMode, .mode = 0600}), 0);
  EXPECT_EQ(c.error(Trename{Fid{1}, Fid{0}, "moved"}), 0);
  EXPECT_EQ(c.error(Tremove{Fid{1}}), 0);
}

// ------------------------------------------------------------------ races

// A directory and a link to one outside change places all the time. Whatever the client does by
// the name, it does in the directory or not at all.
TEST_P(EscapeTest, RaceOfADirectoryAndALink) {
  fs::create_symlink(outside / "d", share / "x");
  std::atomic<bool> over = false;
  std::thread host([&] {
    while (!over) exchange(share / "d", share / "x");
  });
  Client c = session();
  c.make_dir(0, "to");
  c.reach(0, 9, {"to"});
  const auto end = race_end();
  int inside = 0;
  int refused = 0;
  for (U32 i = 0; std::chrono::steady_clock::now() < end || inside < 10 || refused < 10; ++i) {
    const auto qids = [](const Received& got) {
      return got.error() ? std::size_t{0} : std::size_t{got.as<Rwalk>().wqid.size()};
    };
    if (qids(c.walk(0, 1, {"d", "f"})) == 2) {
      ++inside;
      c.open(1, lopen::kReadOnly);
      EXPECT_EQ(c.read(1), "inside");
      c.clunk(1);
    } else {
      ++refused;
    }
    // Each change below the name is done through a fid that was walked to by it.
    if (qids(c.walk(0, 2, {"d"})) == 1) {
      const std::string name = "n" + std::to_string(i % 50);
      switch (i % 5) {
        case 0:
          c.call(Tlcreate{Fid{2}, name, lopen::kReadWrite | lopen::kTruncate, 0644, 0});
          c.call(Twrite{Fid{2}, 0, as_bytes("client")});
          break;
        case 1:
          c.call(Tmkdir{Fid{2}, name, 0755, 0});
          break;
        case 2:
          c.call(Tunlinkat{Fid{2}, name, i % 2 ? kUnlinkRemoveDir : 0});
          break;
        case 3:
          c.call(Trenameat{Fid{2}, name, Fid{9}, name});
          break;
        case 4:
          c.call(Tsetattr{.fid = Fid{2}, .valid = setattr::kMode, .mode = 0755});
      }
      c.clunk(2);
    }
  }
  over = true;
  host.join();
}

// A directory goes out of the export and comes back all the time: ".." is the root or an error.
TEST_P(EscapeTest, RaceOfAMovedDirectory) {
  const fs::path away = fs::path(base.path()) / "away";
  fs::create_directories(away / "deeper");
  std::atomic<bool> over = false;
  std::thread host([&] {
    std::error_code ignored;
    while (!over) {
      fs::rename(share / "d", away / "deeper/d", ignored);
      fs::rename(away / "deeper/d", share / "d", ignored);
    }
  });
  Client c = session();
  const U64 root = c.attr(0).qid.path;
  while (c.walk(0, 1, {"d", "e"}).error() || c.walk(1, 2, {}).error()) continue;
  std::string d;
  const auto end = race_end();
  int up = 0;
  int refused = 0;
  while (std::chrono::steady_clock::now() < end || up < 10 || refused < 10) {
    const Received got = c.walk(1, 3, {"..", ".."});
    if (got.error() || got.as<Rwalk>().wqid.size() < 2) {
      ++refused;
      continue;
    }
    ++up;
    EXPECT_EQ(got.as<Rwalk>().wqid[1].path, root);
    EXPECT_EQ(c.clunk(3), 0);
  }
  over = true;
  host.join();
}

// A file and a fifo change places: no open hangs, and what is read is the file.
TEST_P(EscapeTest, RaceOfAFileAndAFifo) {
  ASSERT_EQ(::mkfifo((share / "x").c_str(), 0666), 0);
  std::atomic<bool> over = false;
  std::thread host([&] {
    while (!over) exchange(share / "f", share / "x");
  });
  Client c = session();
  const auto end = race_end();
  int opened = 0;
  int refused = 0;
  while (std::chrono::steady_clock::now() < end || opened < 10 || refused < 10) {
    c.reach(0, 1, {});
    const int error = c.error(Tlcreate{Fid{1}, "f", lopen::kReadOnly, 0644, 0});
    if (error == 0) {
      ++opened;
      EXPECT_EQ(c.read(1), "inside");
    } else {
      ++refused;
      EXPECT_EQ(error, ENXIO);
    }
    c.clunk(1);
  }
  over = true;
  host.join();
}

}  // namespace
}  // namespace ninep::test
