// Attributes: getattr, setattr, statfs.
#include <thread>

#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class FsAttr : public FsTest {
 protected:
  int set(fs::Node& node, const Tsetattr& to, fs::File* open = nullptr) {
    return error(node.setattr(ctx(), to, open));
  }
  /// Longer than a file system's clock takes to tick.
  static void let_time_pass() { std::this_thread::sleep_for(std::chrono::milliseconds(15)); }
};
NINEP_FS_SUITE(FsAttr);

// Everything that stat(2) shows, at once: Linux asks for kBasic and believes all of it.
TEST_P(FsAttr, Basic) {
  const auto f = file(root(), "f", std::string(10'000, 'x'), 0640);
  const auto got = value(f->getattr(ctx(), getattr::kBasic, nullptr));
  EXPECT_EQ(got.valid & getattr::kBasic, getattr::kBasic);
  const Attr& a = got.attr;
  EXPECT_EQ(a.qid.path, f->qid().path);
  EXPECT_EQ(a.qid.type, kQtFile);
  EXPECT_EQ(a.mode, U32{S_IFREG | 0640});
  EXPECT_EQ(a.nlink, 1u);
  EXPECT_EQ(a.size, 10'000u);
  EXPECT_GT(a.blksize, 0u);
  EXPECT_LT(a.atime_nsec, 1'000'000'000u);
  EXPECT_LT(a.mtime_nsec, 1'000'000'000u);
  EXPECT_LT(a.ctime_nsec, 1'000'000'000u);
  EXPECT_EQ(a.rdev, 0u);
  EXPECT_EQ(attr(root()).mode & S_IFMT, U32{S_IFDIR});
  EXPECT_EQ(attr(root()).qid.type, kQtDir);
}

// qid.version and mtime are another when the content is: a client with a cache keeps stale data
// otherwise. They are the same when nothing has happened: or it would drop its cache every time.
TEST_P(FsAttr, VersionFollowsChange) {
  const auto f = file(root(), "f", "data");
  const auto opened = open(*f, lopen::kReadWrite);
  const auto changed_by = [&](const std::function<void()>& what, fs::Node& node) {
    const Attr before = attr(node);
    EXPECT_EQ(before.qid.version, attr(node).qid.version);
    EXPECT_NE(before.qid.version, 0u) << "0: do not cache";
    let_time_pass();
    what();
    const Attr after = attr(node);
    EXPECT_NE(before.qid.version, after.qid.version);
    EXPECT_TRUE(before.mtime_sec != after.mtime_sec || before.mtime_nsec != after.mtime_nsec);
  };
  changed_by([&] { write(*opened, 0, "DATA"); }, *f);
  changed_by([&] { set(*f, {.valid = setattr::kSize, .size = 2}); }, *f);
  changed_by([&] { set(*f, {.valid = setattr::kSize, .size = 20}); }, *f);
  changed_by([&] { file(root(), "g"); }, root());
  changed_by([&] { go(root().rename(ctx(), "g", root(), "h")); }, root());
  changed_by([&] { go(root().unlink(ctx(), "h", false)); }, root());
  const U32 before = attr(*f).qid.version;
  read(*opened, 0, 2);
  EXPECT_EQ(attr(*f).qid.version, before);
}

// Any set of valid bits does what it says and nothing else.
TEST_P(FsAttr, AllCombinations) {
  const auto f = file(root(), "f", "data");
  const U32 uid = exported().privileged ? 1234 : attr(*f).uid;
  const U32 gid = exported().privileged ? 5678 : attr(*f).gid;
  const U32 own_uid = attr(*f).uid;
  const U32 own_gid = attr(*f).gid;
  constexpr U32 kTimes = setattr::kAtimeSet | setattr::kMtimeSet;
  for (U32 valid = 0; valid < 512; ++valid) {
    SCOPED_TRACE(valid);
    const auto has = [&](U32 bit) { return (valid & bit) != 0; };
    ASSERT_EQ(set(*f, {.valid = 0x1F | setattr::kMtime | kTimes,
                       .mode = 0600,
                       .uid = own_uid,
                       .gid = own_gid,
                       .size = 4,
                       .atime_sec = 100,
                       .mtime_sec = 100}),
              0);
    ASSERT_EQ(set(*f, {.valid = valid,
                       .mode = 0640,
                       .uid = uid,
                       .gid = gid,
                       .size = 2,
                       .atime_sec = 1'000'000'007,
                       .atime_nsec = 123'456'000,
                       .mtime_sec = 2'000'000'007,
                       .mtime_nsec = 654'321'000}),
              0);
    const Attr a = attr(*f);
    EXPECT_EQ(a.mode, S_IFREG | (has(setattr::kMode) ? 0640u : 0600u));
    EXPECT_EQ(a.uid, has(setattr::kUid) ? uid : own_uid);
    EXPECT_EQ(a.gid, has(setattr::kGid) ? gid : own_gid);
    EXPECT_EQ(a.size, has(setattr::kSize) ? 2u : 4u);
    if (!has(setattr::kAtime)) {
      EXPECT_EQ(a.atime_sec, 100u);
    } else if (has(setattr::kAtimeSet)) {
      EXPECT_EQ(a.atime_sec, 1'000'000'007u);
      EXPECT_EQ(a.atime_nsec, 123'456'000u);
    } else {
      EXPECT_GT(a.atime_sec, 1'000'000'007u) << "the server's now";
    }
    if (has(setattr::kMtime) && has(setattr::kMtimeSet)) {
      EXPECT_EQ(a.mtime_sec, 2'000'000'007u);
      EXPECT_EQ(a.mtime_nsec, 654'321'000u);
    } else if (!has(setattr::kMtime) && !has(setattr::kSize)) {
      EXPECT_EQ(a.mtime_sec, 100u);
    } else {
      EXPECT_GT(a.mtime_sec, 1'000'000'007u) << "the server's now";
    }
  }
}

// All of it or nothing: what can't be done is known before anything is.
TEST_P(FsAttr, RefusedAsAWhole) {
  const auto f = file(root(), "f", "data", 0600);
  const Attr before = attr(*f);
  constexpr U32 kAll = setattr::kMode | setattr::kSize;
  const U32 atime = setattr::kAtime | setattr::kAtimeSet;
  const U32 mtime = setattr::kMtime | setattr::kMtimeSet;
  EXPECT_EQ(set(*f, {.valid = kAll | setattr::kUid, .mode = 0640, .uid = ~0u, .size = 1}), EINVAL);
  EXPECT_EQ(set(*f, {.valid = kAll | setattr::kGid, .mode = 0640, .gid = ~0u, .size = 1}), EINVAL);
  // The last two mean "now" and "leave it" to utimensat(2), and are not the client's to send.
  for (const U64 nsec : {U64{1'000'000'000}, ~U64{0}, U64{0x3FFFFFFF}, U64{0x3FFFFFFE}}) {
    EXPECT_EQ(set(*f, {.valid = kAll | atime, .mode = 0640, .size = 1, .atime_nsec = nsec}),
              EINVAL);
    EXPECT_EQ(set(*f, {.valid = kAll | mtime, .mode = 0640, .size = 1, .mtime_nsec = nsec}),
              EINVAL);
  }
  EXPECT_EQ(attr(*f).mode, before.mode);
  EXPECT_EQ(attr(*f).size, before.size);
  EXPECT_EQ(attr(*f).mtime_sec, before.mtime_sec);
}

// Times before 1970 are negative, in 64 bits.
TEST_P(FsAttr, OldTimes) {
  const auto f = file(root(), "f");
  constexpr U64 kBefore = ~U64{0} - 99;
  EXPECT_EQ(set(*f, {.valid = setattr::kMtime | setattr::kMtimeSet, .mtime_sec = kBefore}), 0);
  EXPECT_EQ(attr(*f).mtime_sec, kBefore);
}

// Only regular files have a size to set.
TEST_P(FsAttr, SizeOfOthers) {
  const Tsetattr to{.valid = setattr::kSize, .size = 0};
  EXPECT_EQ(set(*dir(root(), "d"), to), EISDIR);
  const auto f = file(root(), "f", "data");
  EXPECT_EQ(set(*symlink(root(), "l", "f"), to), EINVAL);
  value(root().mknod(ctx(), "p", S_IFIFO | 0644, 0, 0, kOwnGid));
  EXPECT_EQ(set(*walk(root(), "p"), to), EINVAL);
  EXPECT_EQ(content(*f), "data");
}

// What a file grows by is zeros, also where it had data before.
TEST_P(FsAttr, ShrinkAndGrow) {
  const auto f = file(root(), "f", std::string(10'000, 'x'));
  EXPECT_EQ(set(*f, {.valid = setattr::kSize, .size = 3}), 0);
  EXPECT_EQ(set(*f, {.valid = setattr::kSize, .size = 9000}), 0);
  EXPECT_EQ(content(*f), "xxx" + std::string(8997, '\0'));
  EXPECT_EQ(set(*f, {.valid = setattr::kSize, .size = U64{1} << 40}), 0);
  EXPECT_EQ(attr(*f).size, U64{1} << 40);
  EXPECT_LT(attr(*f).blocks * 512, U64{1} << 20);
}

// "Setting size on an open fid uses the descriptor": who opened a file for writing may, whatever
// its mode has become. An fid opened for reading goes by the file's mode, as truncate(2) does.
TEST_P(FsAttr, SizeOfAnOpenFile) {
  const auto f = file(root(), "f", "data");
  const auto writer = open(*f, lopen::kReadWrite);
  const auto reader = open(*f, lopen::kReadOnly);
  EXPECT_EQ(set(*f, {.valid = setattr::kSize, .size = 3}, reader.get()), 0);
  EXPECT_EQ(set(*f, {.valid = setattr::kMode, .mode = 0400}), 0);
  EXPECT_EQ(set(*f, {.valid = setattr::kSize, .size = 2}, writer.get()), 0);
  EXPECT_EQ(attr(*f, writer.get()).size, 2u);
}

// Mode, times and owner of other types than files; a symbolic link's are its own: chmod of a link
// must not be one of what it leads to.
TEST_P(FsAttr, OtherTypes) {
  const auto f = file(root(), "f", "data", 0644);
  const auto d = dir(root(), "d");
  const auto l = symlink(root(), "l", "f");
  value(root().mknod(ctx(), "p", S_IFIFO | 0644, 0, 0, kOwnGid));
  const auto p = walk(root(), "p");
  EXPECT_EQ(set(*d, {.valid = setattr::kMode, .mode = 01700}), 0);
  EXPECT_EQ(attr(*d).mode, U32{S_IFDIR | 01700});
  EXPECT_EQ(set(*p, {.valid = setattr::kMode, .mode = 0600}), 0);
  EXPECT_EQ(attr(*p).mode, U32{S_IFIFO | 0600});
  const int link_mode = set(*l, {.valid = setattr::kMode, .mode = 0600});
  EXPECT_TRUE(link_mode == 0 || link_mode == EOPNOTSUPP) << link_mode;
  EXPECT_EQ(attr(*f).mode, U32{S_IFREG | 0644});
  for (const auto& node : {d, l, p}) {
    const U32 times = setattr::kAtime | setattr::kAtimeSet | setattr::kMtime | setattr::kMtimeSet;
    EXPECT_EQ(set(*node, {.valid = times, .atime_sec = 5, .mtime_sec = 7}), 0);
    EXPECT_EQ(attr(*node).atime_sec, 5u);
    EXPECT_EQ(attr(*node).mtime_sec, 7u);
  }
  EXPECT_GT(attr(*f).mtime_sec, 7u);
  if (exported().privileged) {
    EXPECT_EQ(set(*l, {.valid = setattr::kUid | setattr::kGid, .uid = 12, .gid = 34}), 0);
    EXPECT_EQ(attr(*l).uid, 12u);
    EXPECT_EQ(attr(*l).gid, 34u);
    EXPECT_NE(attr(*f).uid, 12u);
  }
}

// A new owner takes set-uid along with him in no case: chown(2). A mode that comes in the same
// message is the later word.
TEST_P(FsAttr, NewOwnersClearSetUid) {
  if (!exported().privileged) GTEST_SKIP() << "may not give files away";
  const auto f = file(root(), "f");
  EXPECT_EQ(set(*f, {.valid = setattr::kMode, .mode = 06755}), 0);
  EXPECT_EQ(attr(*f).mode & 07777, 06755u);
  EXPECT_EQ(set(*f, {.valid = setattr::kUid, .uid = 1234}), 0);
  EXPECT_EQ(attr(*f).mode & 07777, 0755u);
  EXPECT_EQ(set(*f, {.valid = setattr::kUid | setattr::kMode, .mode = 04755, .uid = 0}), 0);
  EXPECT_EQ(attr(*f).mode & 07777, 04755u);
}

// ctime moves with every change and can't be set: kCtime alone asks for a change of nothing.
TEST_P(FsAttr, Ctime) {
  const auto f = file(root(), "f");
  for (const Tsetattr& to :
       {Tsetattr{.valid = setattr::kMode, .mode = 0600}, Tsetattr{.valid = setattr::kCtime},
        Tsetattr{.valid = setattr::kAtime | setattr::kAtimeSet}}) {
    const Attr before = attr(*f);
    let_time_pass();
    EXPECT_EQ(set(*f, to), 0);
    const Attr after = attr(*f);
    EXPECT_TRUE(before.ctime_sec != after.ctime_sec || before.ctime_nsec != after.ctime_nsec);
    EXPECT_EQ(before.mtime_nsec, after.mtime_nsec);
  }
}

// df(1) divides by bsize, and believes that what is available is free.
TEST_P(FsAttr, Statfs) {
  const auto f = file(root(), "f");
  EXPECT_EQ(error(root().unlink(ctx(), "f", false)), 0);
  for (fs::Node* node : {&root(), f.get()}) {
    const Rstatfs s = value(node->statfs(ctx()));
    EXPECT_EQ(s.type, kStatfsMagic);
    EXPECT_GT(s.bsize, 0u);
    EXPECT_LE(s.bavail, s.bfree);
    EXPECT_LE(s.bfree, s.blocks);
    EXPECT_LE(s.ffree, s.files);
    EXPECT_GE(s.namelen, 255u);
  }
}

}  // namespace
}  // namespace ninep::test
