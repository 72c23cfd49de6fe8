// Reading directories.
#include <algorithm>
#include <map>
#include <set>

#include <dirent.h>
#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

constexpr std::size_t kDirentSize = 24;  // and the name

class FsReaddir : public FsTest {
 protected:
  void fill(fs::Node& dir, int count) {
    for (int i = 0; i < count; ++i) value(dir.mknod(ctx(), name(i), S_IFREG | 0644, 0, 0, kOwnGid));
  }
  static std::string name(int i) { return "entry-" + std::to_string(i); }
  static std::vector<std::string> names_of(const std::vector<Listed>& listed) {
    std::vector<std::string> names;
    for (const Listed& entry : listed) names.push_back(entry.name);
    return names;
  }
};
NINEP_FS_SUITE(FsReaddir);

// All entries once, "." and ".." among them, of the type and with the qid path that a walk gives:
// find(1) and ls -i go by these alone.
TEST_P(FsReaddir, ListsWhatIsThere) {
  const auto d = dir(root(), "d");
  dir(*d, "dir");
  file(*d, "file");
  symlink(*d, "link", "file");
  value(d->mknod(ctx(), "fifo", S_IFIFO | 0644, 0, 0, kOwnGid));
  value(d->mknod(ctx(), "socket", S_IFSOCK | 0644, 0, 0, kOwnGid));
  const std::map<std::string, U8> types = {{".", DT_DIR},      {"..", DT_DIR},   {"dir", DT_DIR},
                                           {"file", DT_REG},   {"link", DT_LNK}, {"fifo", DT_FIFO},
                                           {"socket", DT_SOCK}};
  const auto listed = list(*open(*d, lopen::kReadOnly));
  EXPECT_EQ(listed.size(), types.size());
  std::set<std::string> seen;
  for (const Listed& entry : listed) {
    ASSERT_TRUE(types.contains(entry.name)) << entry.name;
    EXPECT_TRUE(seen.insert(entry.name).second) << entry.name;
    EXPECT_EQ(entry.type, types.at(entry.name)) << entry.name;
    const auto node = entry.name == "." ? d : walk(*d, entry.name);
    EXPECT_EQ(entry.qid.path, node->qid().path) << entry.name;
    EXPECT_EQ(entry.qid.type, node->qid().type) << entry.name;
  }
}

// The root of an attach is its own parent here too; another inode there tells what lies above.
TEST_P(FsReaddir, TheRootIsItsOwnParent) {
  const auto d = dir(root(), "d");
  for (const auto& node : {Ref<fs::Node>(&root()), value(exported().tree->attach(ctx(), "d"))}) {
    int dots = 0;
    for (const Listed& entry : list(*open(*node, lopen::kReadOnly))) {
      if (entry.name != "." && entry.name != "..") continue;
      EXPECT_EQ(entry.qid.path, node->qid().path) << entry.name;
      ++dots;
    }
    EXPECT_EQ(dots, 2);
  }
}

// Whole entries only, as many as fit; if not even one does, EINVAL: an empty reply is the end, and
// the rest of the directory would be gone without a word.
TEST_P(FsReaddir, SmallRooms) {
  const auto d = dir(root(), "d");
  const std::string longest(255, 'n');
  for (const Str name : {Str("a"), Str("bc"), Str(longest)}) file(*d, name);
  const auto opened = open(*d, lopen::kReadOnly);
  const auto all = list(*opened);
  ASSERT_EQ(all.size(), 5u);
  for (std::size_t room = 0; room <= 800; ++room) {
    U64 offset = 0;
    for (std::size_t at = 0; at < all.size();) {
      const auto some = list_some(*opened, offset, room);
      if (room < kDirentSize + all[at].name.size()) {
        ASSERT_FALSE(some) << room;
        EXPECT_EQ(some.error(), Errno{EINVAL});
        break;
      }
      ASSERT_TRUE(some) << room;
      ASSERT_FALSE(some->empty()) << room;
      for (const Listed& entry : *some) EXPECT_EQ(entry.name, all[at++].name);
      offset = some->back().offset;
    }
  }
}

// At the end: nothing, as often as it is asked, in any room.
TEST_P(FsReaddir, TheEnd) {
  const auto opened = open(root(), lopen::kReadOnly);
  const auto all = list(*opened);
  ASSERT_EQ(all.size(), 2u);
  for (const std::size_t room : {std::size_t{0}, std::size_t{1}, std::size_t{4096}}) {
    const auto some = list_some(*opened, all.back().offset, room);
    ASSERT_TRUE(some) << room;
    EXPECT_TRUE(some->empty());
  }
}

// Offset 0 is rewinddir(3): the directory as it is then, not as it was.
TEST_P(FsReaddir, Restart) {
  const auto d = dir(root(), "d");
  file(*d, "a");
  const auto opened = open(*d, lopen::kReadOnly);
  EXPECT_EQ(list(*opened).size(), 3u);
  file(*d, "b");
  EXPECT_EQ(list(*opened).size(), 4u);
  EXPECT_EQ(error(d->unlink(ctx(), "a", false)), 0);
  EXPECT_EQ(list(*opened).size(), 3u);
}

// A cookie may be any that was given, not only the last: seekdir(3), and entries that didn't fit
// the user's buffer. What follows it is the same each time.
TEST_P(FsReaddir, AnyCookie) {
  const auto d = dir(root(), "d");
  fill(*d, 300);
  const auto opened = open(*d, lopen::kReadOnly);
  const auto all = names_of(list(*opened, 0, 1000));
  const auto entries = list(*opened, 0, 100'000);
  ASSERT_EQ(names_of(entries), all);
  ASSERT_EQ(all.size(), 302u);
  for (std::size_t i = 0; i < all.size(); i += 7) {
    const std::size_t at = i * 101 % all.size();
    const auto rest = names_of(list(*opened, entries[at].offset, 500 + i));
    EXPECT_EQ(rest, std::vector(all.begin() + static_cast<long>(at) + 1, all.end())) << at;
  }
}

// Each opening has a position of its own, and the positions of two don't mix.
TEST_P(FsReaddir, TwoReaders) {
  const auto d = dir(root(), "d");
  fill(*d, 50);
  const auto one = open(*d, lopen::kReadOnly);
  const auto two = open(*d, lopen::kReadOnly);
  const auto all = names_of(list(*one));
  std::vector<std::string> seen[2];
  U64 offsets[2] = {};
  for (int round = 0; round < 200; ++round) {
    const int i = round % 2;
    const auto some = list_some(i ? *two : *one, offsets[i], i ? 200 : 90);
    ASSERT_TRUE(some);
    if (some->empty()) continue;
    for (const auto& name : names_of(*some)) seen[i].push_back(name);
    offsets[i] = some->back().offset;
  }
  EXPECT_EQ(seen[0], all);
  EXPECT_EQ(seen[1], all);
}

// While a directory is read, others add and remove. What was there all the time is listed exactly
// once: backups that miss a file, or copy it twice, come from cookies that are mere positions.
TEST_P(FsReaddir, ChangesMeanwhile) {
  constexpr int kCount = 10'000;
  const auto d = dir(root(), "d");
  fill(*d, kCount);
  const auto opened = open(*d, lopen::kReadOnly);
  std::map<std::string, int> seen;
  U64 offset = 0;
  for (int round = 0;; ++round) {
    const auto some = list_some(*opened, offset, 4096);
    ASSERT_TRUE(some);
    if (some->empty()) break;
    for (const Listed& entry : *some) ++seen[entry.name];
    offset = some->back().offset;
    // Every third entry goes, from both ends, and new ones come.
    for (int i = round * 6; i < round * 6 + 6; i += 3) {
      go(d->unlink(ctx(), name(i), false));
      go(d->unlink(ctx(), name(kCount - kCount % 3 - 3 - i), false));
      go(d->mknod(ctx(), "new-" + std::to_string(i), S_IFREG | 0644, 0, 0, kOwnGid));
    }
    ASSERT_LT(round, kCount);
  }
  for (const auto& [name, count] : seen) EXPECT_EQ(count, 1) << name;
  for (int i = 1; i < kCount; i += i % 3) EXPECT_TRUE(seen.contains(name(i))) << i;
}

// rm -r removes what it has read and reads on.
TEST_P(FsReaddir, RemoveAsListed) {
  const auto d = dir(root(), "d");
  fill(*d, 2000);
  const auto opened = open(*d, lopen::kReadOnly);
  U64 offset = 0;
  while (true) {
    const auto some = list_some(*opened, offset, 700);
    ASSERT_TRUE(some);
    if (some->empty()) break;
    offset = some->back().offset;
    for (const Listed& entry : *some) {
      if (entry.type == DT_DIR) continue;  // "." and ".."
      EXPECT_EQ(error(d->unlink(ctx(), entry.name, false)), 0) << entry.name;
    }
  }
  EXPECT_TRUE(names(*d).empty());
}

// A name that is replaced all the time (an editor saving) is there all the time.
TEST_P(FsReaddir, ReplacedMeanwhile) {
  const auto d = dir(root(), "d");
  fill(*d, 50);
  const auto opened = open(*d, lopen::kReadOnly);
  std::map<std::string, int> seen;
  U64 offset = 0;
  for (int i = 0;; ++i) {
    const auto some = list_some(*opened, offset, 100);
    ASSERT_TRUE(some);
    if (some->empty()) break;
    for (const Listed& entry : *some) ++seen[entry.name];
    offset = some->back().offset;
    file(*d, "new");
    EXPECT_EQ(error(d->rename(ctx(), "new", *d, name(i % 50))), 0);
  }
  // ext4 may list it once more under the new file's hash, POSIX leaves that open; none is lost.
  for (int i = 0; i < 50; ++i) EXPECT_GE(seen[name(i)], 1) << i;
}

// A directory that was removed has no entries; it is no reason to fail in any other way.
TEST_P(FsReaddir, OfARemovedDirectory) {
  const auto d = dir(root(), "d");
  const auto opened = open(*d, lopen::kReadOnly);
  EXPECT_EQ(error(root().unlink(ctx(), "d", true)), 0);
  const auto some = list_some(*opened, 0, 4096);
  if (some) {
    for (const Listed& entry : *some) EXPECT_TRUE(entry.name.starts_with("."));
  } else {
    EXPECT_EQ(some.error(), Errno{ENOENT});
  }
}

// Cookies that were never given are the client's fault, not the server's problem.
TEST_P(FsReaddir, InventedCookies) {
  fill(root(), 20);
  const auto opened = open(root(), lopen::kReadOnly);
  for (const U64 offset : {~U64{0}, ~U64{0} >> 1, U64{1} << 63, U64{0x123456789}, U64{17}}) {
    const auto some = list_some(*opened, offset, 4096);
    if (some) {
      EXPECT_LE(some->size(), 22u);
    } else {
      EXPECT_EQ(some.error(), Errno{EINVAL});
    }
  }
  EXPECT_EQ(list(*opened).size(), 22u);
}

}  // namespace
}  // namespace ninep::test
