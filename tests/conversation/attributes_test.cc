// Tgetattr, Tsetattr, Tstatfs, Txattrwalk, Txattrcreate; and a read-only export.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class AttributesTest : public Conversation {
 protected:
  /// Fid 1 is "f" ("content").
  Client with_file() {
    Client c = session();
    c.make_file(0, "f", "content");
    c.reach(0, 1, {"f"});
    return c;
  }
  /// Sets an attribute of fid 1 as Linux does: clone, create, write, clunk. 0 or the errno.
  static int set(Client& c, Str name, Str value, U32 flags = 0) {
    c.reach(1, 80, {});
    if (const int failed = c.error(Txattrcreate{Fid{80}, name, value.size(), flags})) {
      c.clunk(80);
      return failed;
    }
    if (const int failed = c.write(80, 0, value)) {
      c.clunk(80);
      return failed;
    }
    return c.clunk(80);
  }
  /// The value of fid 1's attribute; or the name of the errno.
  static std::string get(Client& c, Str name) {
    const Received got = c.call(Txattrwalk{Fid{1}, Fid{81}, name});
    if (const int error = got.error())
      return std::string(errno_name(Errno{static_cast<U32>(error)}));
    std::string value = c.read(81);
    EXPECT_EQ(value.size(), got.as<Rxattrwalk>().size);
    EXPECT_EQ(c.clunk(81), 0);
    return value;
  }
};
NINEP_CONVERSATION(AttributesTest);

// ------------------------------------------------------------------ attributes

TEST_P(AttributesTest, Getattr) {
  Client c = with_file();
  const Rgetattr reply = c.get<Rgetattr>(Tgetattr{Fid{1}, getattr::kBasic});
  EXPECT_EQ(reply.valid & getattr::kBasic, getattr::kBasic);
  EXPECT_EQ(reply.attr.mode, 0100644u);
  EXPECT_EQ(reply.attr.size, 7u);
  EXPECT_EQ(reply.attr.nlink, 1u);
  EXPECT_GT(reply.attr.blksize, 0u);
  EXPECT_NE(reply.attr.qid.version, 0u);  // 0: Linux doesn't cache
  EXPECT_EQ(c.call(Tgetattr{Fid{1}, 0}).frame.size(), 160u);
}

// qid.version follows what is in the file.
TEST_P(AttributesTest, VersionFollowsTheContent) {
  Client c = with_file();
  const U32 before = c.attr(1).qid.version;
  c.open(1, lopen::kReadWrite);
  EXPECT_EQ(c.write(1, 0, "CONTENT and more"), 0);
  EXPECT_NE(c.attr(1).qid.version, before);
}

// What Rlopen says is of now, not of when the file was walked to.
TEST_P(AttributesTest, VersionAtTheOpen) {
  Client c = with_file();
  c.reach(0, 2, {"f"});
  c.open(2, lopen::kReadWrite);
  EXPECT_EQ(c.write(2, 0, "longer than it was"), 0);
  const Qid opened = c.get<Rlopen>(Tlopen{Fid{1}, lopen::kReadOnly}).qid;
  EXPECT_EQ(opened.version, c.attr(1).qid.version);
}

TEST_P(AttributesTest, Setattr) {
  Client c = with_file();
  const auto set = [&](Tsetattr to) {
    to.fid = Fid{1};
    return c.error(to);
  };
  EXPECT_EQ(set({.valid = setattr::kMode | setattr::kCtime, .mode = 0100600}), 0);
  EXPECT_EQ(c.attr(1).mode, 0100600u);
  EXPECT_EQ(set({.valid = setattr::kSize, .size = 3}), 0);
  EXPECT_EQ(c.attr(1).size, 3u);
  EXPECT_EQ(c.content(0, "f"), "con");
  EXPECT_EQ(
      set({.valid = setattr::kAtime | setattr::kAtimeSet | setattr::kMtime | setattr::kMtimeSet,
           .atime_sec = 11,
           .atime_nsec = 12,
           .mtime_sec = 13,
           .mtime_nsec = 14}),
      0);
  const Attr attr = c.attr(1);
  EXPECT_EQ(attr.atime_sec, 11u);
  EXPECT_EQ(attr.atime_nsec, 12u);
  EXPECT_EQ(attr.mtime_sec, 13u);
  EXPECT_EQ(attr.mtime_nsec, 14u);
  EXPECT_EQ(set({.valid = setattr::kMtime}), 0);  // the server's now
  EXPECT_GT(c.attr(1).mtime_sec, 1000u);
  EXPECT_EQ(c.attr(1).atime_sec, 11u);
  EXPECT_EQ(set({.valid = setattr::kAtimeSet, .atime_sec = 99}), 0);  // without kAtime: nothing
  EXPECT_EQ(c.attr(1).atime_sec, 11u);
  EXPECT_EQ(set({.valid = 0}), 0);
}

TEST_P(AttributesTest, BadSetattr) {
  Client c = with_file();
  const auto set = [&](U32 fid, Tsetattr to) {
    to.fid = Fid{fid};
    return c.error(to);
  };
  EXPECT_EQ(set(1, {.valid = setattr::kUid, .uid = ~0u}), EINVAL);
  EXPECT_EQ(set(1, {.valid = setattr::kGid, .gid = ~0u}), EINVAL);
  EXPECT_EQ(set(1, {.valid = setattr::kSize, .size = 1ull << 63}), EFBIG);
  EXPECT_EQ(set(1, {.valid = setattr::kSize, .size = ~0ull}), EFBIG);
  EXPECT_EQ(set(0, {.valid = setattr::kSize, .size = 0}), EISDIR);
  EXPECT_EQ(set(1, {.valid = setattr::kMtime | setattr::kMtimeSet, .mtime_nsec = 1'000'000'000}),
            EINVAL);
  EXPECT_EQ(c.content(0, "f"), "content");
}

TEST_P(AttributesTest, Statfs) {
  Client c = with_file();
  for (const U32 fid : {0u, 1u}) {
    const Rstatfs reply = c.get<Rstatfs>(Tstatfs{Fid{fid}});
    EXPECT_GT(reply.bsize, 0u);
    EXPECT_LE(reply.bavail, reply.bfree);
    EXPECT_LE(reply.bfree, reply.blocks);
    EXPECT_EQ(reply.namelen, 255u);
  }
}

// ------------------------------------------------------------------ extended attributes

TEST_P(AttributesTest, Xattrs) {
  Client c = with_file();
  EXPECT_EQ(get(c, "user.a"), "ENODATA");
  EXPECT_EQ(get(c, ""), "");
  EXPECT_EQ(set(c, "user.a", "value"), 0);
  EXPECT_EQ(set(c, "user.b", std::string("\0\xff", 2)), 0);
  EXPECT_EQ(get(c, "user.a"), "value");
  EXPECT_EQ(get(c, "user.b"), std::string("\0\xff", 2));
  const std::string list = get(c, "");
  EXPECT_TRUE(list == std::string("user.a\0user.b\0", 14) ||
              list == std::string("user.b\0user.a\0", 14));
  EXPECT_EQ(set(c, "user.a", "other"), 0);
  EXPECT_EQ(get(c, "user.a"), "other");
  EXPECT_EQ(c.content(0, "f"), "content");
}

// CREATE and REPLACE, told when the value is set: at the clunk.
TEST_P(AttributesTest, XattrFlags) {
  Client c = with_file();
  EXPECT_EQ(set(c, "user.a", "1", kXattrReplace), ENODATA);
  EXPECT_EQ(set(c, "user.a", "1", kXattrCreate), 0);
  EXPECT_EQ(set(c, "user.a", "2", kXattrCreate), EEXIST);
  EXPECT_EQ(set(c, "user.a", "2", kXattrReplace), 0);
  EXPECT_EQ(get(c, "user.a"), "2");
  EXPECT_EQ(set(c, "user.a", "3", 4), EINVAL);
}

// Size 0 removes if it replaces (Linux's removexattr), and else sets an empty value.
TEST_P(AttributesTest, XattrOfNoBytes) {
  Client c = with_file();
  EXPECT_EQ(set(c, "user.a", ""), 0);
  EXPECT_EQ(get(c, "user.a"), "");
  EXPECT_EQ(set(c, "user.a", "", kXattrReplace), 0);
  EXPECT_EQ(get(c, "user.a"), "ENODATA");
  EXPECT_EQ(set(c, "user.a", "", kXattrReplace), ENODATA);
}

// The value comes in any pieces, in order, and all of it or nothing is set.
TEST_P(AttributesTest, XattrWrites) {
  Client c = with_file();
  const auto begin = [&] {
    c.reach(1, 80, {});
    c.get<Rxattrcreate>(Txattrcreate{Fid{80}, "user.a", 6, 0});
  };
  begin();
  EXPECT_EQ(c.write(80, 0, "ab"), 0);
  EXPECT_EQ(c.write(80, 2, ""), 0);
  EXPECT_EQ(c.write(80, 2, "cdef"), 0);
  EXPECT_EQ(c.clunk(80), 0);
  EXPECT_EQ(get(c, "user.a"), "abcdef");
  begin();
  EXPECT_EQ(c.write(80, 0, "short"), 0);
  EXPECT_EQ(c.clunk(80), EINVAL);
  EXPECT_EQ(c.clunk(80), EBADF);
  begin();
  EXPECT_EQ(c.error(Twrite{Fid{80}, 1, as_bytes("x")}), EINVAL);
  EXPECT_EQ(c.error(Twrite{Fid{80}, 0, as_bytes("1234567")}), EINVAL);
  for (const U64 offset : {6ull, 7ull, (1ull << 63) - 1, ~0ull})
    EXPECT_EQ(c.error(Twrite{Fid{80}, offset, as_bytes("xx")}), EINVAL) << offset;
  EXPECT_EQ(c.clunk(80), EINVAL);
  EXPECT_EQ(get(c, "user.a"), "abcdef");
}

// A value is read at any offset; behind its end there is nothing.
TEST_P(AttributesTest, XattrReads) {
  Client c = with_file();
  EXPECT_EQ(set(c, "user.a", "value"), 0);
  c.get<Rxattrwalk>(Txattrwalk{Fid{1}, Fid{81}, "user.a"});
  const auto read = [&](U64 offset, U32 count) {
    return std::string(as_str(c.get<Rread>(Tread{Fid{81}, offset, count}).data.bytes));
  };
  EXPECT_EQ(read(0, ~0u), "value");
  EXPECT_EQ(read(2, 2), "lu");
  EXPECT_EQ(read(5, 10), "");
  EXPECT_EQ(read((1ull << 63) - 1, 10), "");
  EXPECT_EQ(read(~0ull, ~0u), "");
}

// A fid of an attribute reads, writes and clunks; it is no file.
TEST_P(AttributesTest, XattrFidsAreNoFiles) {
  Client c = with_file();
  EXPECT_EQ(set(c, "user.a", "value"), 0);
  c.get<Rxattrwalk>(Txattrwalk{Fid{1}, Fid{81}, "user.a"});
  c.reach(1, 80, {});
  c.get<Rxattrcreate>(Txattrcreate{Fid{80}, "user.b", 3, 0});
  EXPECT_EQ(c.error(Twrite{Fid{81}, 0, as_bytes("x")}), EBADF);
  EXPECT_EQ(c.error(Tread{Fid{80}, 0, 10}), EBADF);  // what isn't written yet is nobody's to read
  for (const Fid fid : {Fid{80}, Fid{81}}) {
    EXPECT_EQ(c.error(Tgetattr{fid, getattr::kBasic}), EBADF);
    EXPECT_EQ(c.error(Tsetattr{.fid = fid}), EBADF);
    EXPECT_EQ(c.error(Tlopen{fid, 0}), EBADF);
    EXPECT_EQ(c.error(Tstatfs{fid}), EBADF);
    EXPECT_EQ(c.error(Twalk{fid, Fid{82}, {}}), EBADF);
    EXPECT_EQ(c.error(Twalk{fid, fid, {}}), EBADF);
    EXPECT_EQ(c.error(Txattrcreate{fid, "user.c", 1, 0}), EBADF);
    EXPECT_EQ(c.error(Txattrwalk{fid, Fid{82}, "user.a"}), EBADF);
    EXPECT_EQ(c.error(Tlock{fid, lock::kRead, 0, 0, 0, 1, "h"}), EBADF);
    EXPECT_EQ(c.error(Tlink{Fid{0}, fid, "n"}), EBADF);
    EXPECT_EQ(c.error(Trename{fid, Fid{0}, "n"}), EBADF);
  }
  EXPECT_EQ(c.error(Tremove{Fid{81}}), EBADF);
  EXPECT_EQ(c.clunk(81), EBADF);
  EXPECT_EQ(c.error(Tremove{Fid{80}}), EBADF);
  EXPECT_EQ(get(c, "user.b"), "ENODATA");
  EXPECT_EQ(c.content(0, "f"), "content");
}

// What can't be is refused before anything is kept: names, sizes, fids.
TEST_P(AttributesTest, BadXattrs) {
  Client c = with_file();
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, Fid{1}, "user.a"}), EINVAL);
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, Fid{0}, "user.a"}), EINVAL);
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, kNoFid, "user.a"}), EINVAL);
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, Fid{81}, Str("user.\0a", 7)}), EINVAL);
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, Fid{81}, "user." + std::string(251, 'a')}), ERANGE);
  c.reach(1, 80, {});
  EXPECT_EQ(c.error(Txattrcreate{Fid{80}, "", 1, 0}), EINVAL);
  EXPECT_EQ(c.error(Txattrcreate{Fid{80}, Str("user.\0a", 7), 1, 0}), EINVAL);
  EXPECT_EQ(c.error(Txattrcreate{Fid{80}, "user." + std::string(251, 'a'), 1, 0}), ERANGE);
  for (const U64 size : {65537ull, 1ull << 32, 1ull << 63, ~0ull})
    EXPECT_EQ(c.error(Txattrcreate{Fid{80}, "user.a", size, 0}), E2BIG) << size;
  EXPECT_EQ(c.attr(80).size, 7u);  // the fid is still a file's
  c.open(80, lopen::kReadOnly);
  EXPECT_EQ(c.error(Txattrcreate{Fid{80}, "user.a", 1, 0}), EBUSY);
  EXPECT_EQ(c.error(Txattrwalk{Fid{80}, Fid{81}, ""}), 0);  // of an open one it may be read
}

// All the values that one client's fids hold are bounded, and what is given up counts no more.
TEST_P(AttributesTest, XattrBytesAreBounded) {
  Client c = with_file();
  constexpr U64 kEach = server::kXattrSizeMax;
  constexpr auto kFit = static_cast<U32>(server::kXattrBytesMax / kEach);
  for (U32 i = 0; i < kFit; ++i) {
    c.reach(1, 100 + i, {});
    ASSERT_EQ(c.error(Txattrcreate{Fid{100 + i}, "user.a", kEach, 0}), 0) << i;
  }
  c.reach(1, 99, {});
  EXPECT_EQ(c.error(Txattrcreate{Fid{99}, "user.a", kEach, 0}), ENOSPC);
  Client other = session();
  other.reach(0, 1, {"f"});
  EXPECT_EQ(other.error(Txattrcreate{Fid{1}, "user.a", kEach, 0}), 0);
  EXPECT_EQ(c.clunk(100), EINVAL);  // nothing was written
  EXPECT_EQ(c.error(Txattrcreate{Fid{99}, "user.a", kEach, 0}), 0);
}

// ------------------------------------------------------------------ read-only

// A read-only export reads as ever, and refuses each request that would change something.
TEST_P(AttributesTest, ReadOnly) {
  {
    Client c = with_file();
    c.make_dir(0, "d");
    EXPECT_EQ(set(c, "user.a", "value"), 0);
  }
  ASSERT_TRUE(start({.tree = nullptr, .read_only = true}));
  Client c = session();
  c.reach(0, 1, {"f"});
  c.reach(0, 2, {"d"});
  EXPECT_EQ(c.content(0, "f"), "content");
  EXPECT_EQ(c.names(0), (std::vector<std::string>{"d", "f"}));
  EXPECT_EQ(get(c, "user.a"), "value");
  for (const U32 flags :
       {lopen::kWriteOnly, lopen::kReadWrite, lopen::kReadOnly | lopen::kTruncate}) {
    c.reach(1, 3, {});
    EXPECT_EQ(c.error(Tlopen{Fid{3}, flags}), EROFS) << flags;
    c.clunk(3);
  }
  c.reach(0, 3, {});
  EXPECT_EQ(c.error(Tlcreate{Fid{3}, "n", lopen::kReadWrite, 0644, 0}), EROFS);
  EXPECT_EQ(c.error(Tlcreate{Fid{3}, "f", lopen::kReadOnly | lopen::kTruncate, 0644, 0}), EROFS);
  EXPECT_EQ(c.error(Tmkdir{Fid{0}, "n", 0755, 0}), EROFS);
  EXPECT_EQ(c.error(Tsymlink{Fid{0}, "n", "t", 0}), EROFS);
  EXPECT_EQ(c.error(Tmknod{Fid{0}, "n", 0100644, 0, 0, 0}), EROFS);
  EXPECT_EQ(c.error(Tlink{Fid{0}, Fid{1}, "n"}), EROFS);
  EXPECT_EQ(c.error(Trename{Fid{1}, Fid{0}, "n"}), EROFS);
  EXPECT_EQ(c.error(Trenameat{Fid{0}, "f", Fid{0}, "n"}), EROFS);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "f", 0}), EROFS);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "d", kUnlinkRemoveDir}), EROFS);
  EXPECT_EQ(c.error(Tsetattr{.fid = Fid{1}, .valid = setattr::kMode, .mode = 0}), EROFS);
  EXPECT_EQ(c.error(Txattrcreate{Fid{1}, "user.a", 0, 0}), EROFS);
  c.reach(0, 4, {"f"});
  EXPECT_EQ(c.error(Tremove{Fid{4}}), EROFS);
  EXPECT_EQ(c.clunk(4), EBADF);  // removed or not, the fid is gone
  c.open(1, lopen::kReadOnly);
  EXPECT_NE(c.error(Twrite{Fid{1}, 0, as_bytes("x")}), 0);
  EXPECT_EQ(c.names(0), (std::vector<std::string>{"d", "f"}));
  EXPECT_EQ(c.content(0, "f"), "content");
}

}  // namespace
}  // namespace ninep::test
