// Tmkdir, Tsymlink, Treadlink, Tmknod, Tlink, Trename, Trenameat, Tunlinkat, Tremove.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class NamesTest : public Conversation {
 protected:
  /// d/, e/ and f ("content"); fids 1, 2 and 3.
  Client with_three() {
    Client c = session();
    c.make_dir(0, "d");
    c.make_dir(0, "e");
    c.make_file(0, "f", "content");
    c.reach(0, 1, {"d"});
    c.reach(0, 2, {"e"});
    c.reach(0, 3, {"f"});
    return c;
  }
  using List = std::vector<std::string>;
};
NINEP_CONVERSATION(NamesTest);
class LocalNamesTest : public NamesTest {};
NINEP_LOCAL_CONVERSATION(LocalNamesTest);

// A name is one component that can exist: refused in each message that takes one, and nothing
// comes of it.
TEST_P(NamesTest, BadNames) {
  Client c = with_three();
  const std::string nul("a\0b", 3);
  const std::string too_long(256, 'n');
  for (const Str bad : {Str(""), Str("."), Str(".."), Str("/"), Str("a/b"), Str("/a"), Str("a/"),
                        Str("../a"), Str(nul), Str(too_long)}) {
    const int wanted = bad.size() > 255 ? ENAMETOOLONG : EINVAL;
    const auto refuses = [&](const auto& m) { return c.error(m) == wanted; };
    c.reach(0, 9, {});
    EXPECT_TRUE(refuses(Tlcreate{Fid{9}, bad, lopen::kReadWrite, 0644, 0})) << bad;
    c.clunk(9);
    EXPECT_TRUE(refuses(Tsymlink{Fid{0}, bad, "target", 0})) << bad;
    EXPECT_TRUE(refuses(Tmknod{Fid{0}, bad, 0100644, 0, 0, 0})) << bad;
    EXPECT_TRUE(refuses(Tmkdir{Fid{0}, bad, 0755, 0})) << bad;
    EXPECT_TRUE(refuses(Tlink{Fid{0}, Fid{3}, bad})) << bad;
    EXPECT_TRUE(refuses(Trename{Fid{3}, Fid{0}, bad})) << bad;
    EXPECT_TRUE(refuses(Trenameat{Fid{0}, bad, Fid{1}, "n"})) << bad;
    EXPECT_TRUE(refuses(Trenameat{Fid{0}, "f", Fid{1}, bad})) << bad;
    EXPECT_TRUE(refuses(Tunlinkat{Fid{0}, bad, 0})) << bad;
    EXPECT_TRUE(refuses(Tunlinkat{Fid{0}, bad, kUnlinkRemoveDir})) << bad;
  }
  EXPECT_EQ(c.names(0), (List{"d", "e", "f"}));
  EXPECT_EQ(c.names(1), List{});
}

// 255 bytes are a name, and any bytes but "/" and NUL are.
TEST_P(NamesTest, StrangeNames) {
  Client c = session();
  for (const std::string& name :
       {std::string(255, 'n'), std::string("\xff\xfe\x80"), std::string("a\nb \t\x01"),
        std::string("..."), std::string("-")}) {
    c.make_file(0, name, "x");
    EXPECT_EQ(c.content(0, name), "x");
  }
  EXPECT_EQ(c.names(0).size(), 5u);
}

TEST_P(NamesTest, Mkdir) {
  Client c = with_three();
  const Qid made = c.get<Rmkdir>(Tmkdir{Fid{1}, "new", 0751, 0}).qid;
  EXPECT_EQ(made.type, kQtDir);
  EXPECT_EQ(c.reach(1, 4, {"new"}).path, made.path);
  EXPECT_EQ(c.attr(4).mode, 040751u);
  EXPECT_EQ(c.error(Tmkdir{Fid{1}, "new", 0755, 0}), EEXIST);
  EXPECT_EQ(c.error(Tmkdir{Fid{0}, "f", 0755, 0}), EEXIST);
  EXPECT_EQ(c.error(Tmkdir{Fid{3}, "new", 0755, 0}), ENOTDIR);
}

// A link's target is any bytes, and nobody's business here.
TEST_P(NamesTest, SymlinkAndReadlink) {
  Client c = with_three();
  const std::string longest(4095, 't');
  int number = 4;
  for (const Str target :
       {Str("f"), Str("/etc/passwd"), Str("../../.."), Str("\xff\x01"), Str(longest)}) {
    const std::string name = "l" + std::to_string(number);
    const Qid made = c.get<Rsymlink>(Tsymlink{Fid{0}, name, target, 0}).qid;
    EXPECT_EQ(made.type, kQtSymlink);
    const auto fid = static_cast<U32>(number++);
    EXPECT_EQ(c.reach(0, fid, {name}).path, made.path);
    EXPECT_EQ(c.get<Rreadlink>(Treadlink{Fid{fid}}).target, target);
  }
  EXPECT_EQ(c.error(Tsymlink{Fid{0}, "l4", "x", 0}), EEXIST);
  EXPECT_EQ(c.error(Tsymlink{Fid{3}, "l", "x", 0}), ENOTDIR);
  EXPECT_EQ(c.error(Tsymlink{Fid{0}, "l", "", 0}), ENOENT);
  EXPECT_EQ(c.error(Tsymlink{Fid{0}, "l", Str("a\0b", 3), 0}), EINVAL);
  EXPECT_EQ(c.error(Tsymlink{Fid{0}, "l", std::string(4096, 't'), 0}), ENAMETOOLONG);
  EXPECT_EQ(c.error(Treadlink{Fid{0}}), EINVAL);
  EXPECT_EQ(c.error(Treadlink{Fid{3}}), EINVAL);
}

// A reply that a frame can't hold is an error, never a frame above msize.
TEST_P(NamesTest, ALinkThatDoesNotFit) {
  Client big = session();
  const std::string target(4095, 't');  // 4095 + 7 + 2 is over 4096
  big.get<Rsymlink>(Tsymlink{Fid{0}, "l", target, 0});
  big.get<Rsymlink>(Tsymlink{Fid{0}, "m", target.substr(0, 4096 - 9), 0});
  Client c = session(4096);
  c.reach(0, 1, {"l"});
  EXPECT_EQ(c.error(Treadlink{Fid{1}}), EMSGSIZE);
  c.reach(0, 2, {"m"});
  EXPECT_EQ(c.get<Rreadlink>(Treadlink{Fid{2}}).target.size(), 4096u - 9);
}

TEST_P(NamesTest, Mknod) {
  Client c = with_three();
  EXPECT_EQ(c.get<Rmknod>(Tmknod{Fid{0}, "fifo", 0010640, 0, 0, 0}).qid.type, kQtFile);
  c.get<Rmknod>(Tmknod{Fid{0}, "socket", 0140600, 0, 0, 0});
  c.get<Rmknod>(Tmknod{Fid{0}, "file", 0100644, 0, 0, 0});
  c.reach(0, 4, {"fifo"});
  EXPECT_EQ(c.attr(4).mode, 0010640u);
  c.reach(0, 5, {"file"});
  c.open(5, lopen::kReadWrite);
  EXPECT_EQ(c.error(Tmknod{Fid{0}, "fifo", 0010640, 0, 0, 0}), EEXIST);
  EXPECT_EQ(c.error(Tmknod{Fid{3}, "n", 0010640, 0, 0, 0}), ENOTDIR);
  EXPECT_EQ(c.error(Tmknod{Fid{0}, "n", 0040755, 0, 0, 0}), EPERM);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "socket", 0}), 0);
  EXPECT_EQ(c.error(Trenameat{Fid{0}, "fifo", Fid{1}, "fifo"}), 0);
}

TEST_P(NamesTest, Link) {
  Client c = with_three();
  EXPECT_EQ(c.error(Tlink{Fid{1}, Fid{3}, "g"}), 0);
  EXPECT_EQ(c.content(1, "g"), "content");
  EXPECT_EQ(c.attr(3).nlink, 2u);
  EXPECT_EQ(c.reach(1, 4, {"g"}).path, c.attr(3).qid.path);
  EXPECT_EQ(c.error(Tlink{Fid{1}, Fid{3}, "g"}), EEXIST);
  EXPECT_EQ(c.error(Tlink{Fid{0}, Fid{1}, "h"}), EPERM);    // directories have one name
  EXPECT_EQ(c.error(Tlink{Fid{3}, Fid{3}, "h"}), ENOTDIR);  // the directory stands first
}

// Both renames do as rename(2): what is in the way of the same kind gives way.
TEST_P(NamesTest, Rename) {
  for (const bool at : {true, false}) {
    Client c = with_three();
    const auto rename = [&](U32 from_dir, Str from, U32 to_dir, Str to) {
      if (at) return c.error(Trenameat{Fid{from_dir}, from, Fid{to_dir}, to});
      const Received got = c.walk(from_dir, 50, {from});
      if (got.error()) return got.error();
      const int failed = c.error(Trename{Fid{50}, Fid{to_dir}, to});
      c.clunk(50);
      return failed;
    };
    EXPECT_EQ(rename(0, "f", 1, "g"), 0);
    EXPECT_EQ(c.content(1, "g"), "content");
    c.make_file(1, "h", "other");
    EXPECT_EQ(rename(1, "g", 1, "h"), 0);
    EXPECT_EQ(c.content(1, "h"), "content");
    EXPECT_EQ(rename(0, "no", 1, "x"), ENOENT);
    EXPECT_EQ(rename(1, "h", 0, "e"), EISDIR);
    EXPECT_EQ(rename(0, "e", 1, "h"), ENOTDIR);
    EXPECT_EQ(rename(0, "e", 0, "d"), ENOTEMPTY);
    EXPECT_EQ(rename(0, "d", 1, "below"), EINVAL);
    EXPECT_EQ(rename(0, "d", 3, "x"), ENOTDIR);
    EXPECT_EQ(rename(0, "e", 1, "e"), 0);
    EXPECT_EQ(c.reach(2, 4, {".."}).path, c.attr(1).qid.path);  // fids go with their files
    // For the next round:
    EXPECT_EQ(c.error(Tunlinkat{Fid{1}, "h", 0}), 0);
    EXPECT_EQ(c.error(Tunlinkat{Fid{1}, "e", kUnlinkRemoveDir}), 0);
    EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "d", kUnlinkRemoveDir}), 0);
  }
}

// The root has no name to change.
TEST_P(NamesTest, TheRootStays) {
  Client c = with_three();
  EXPECT_NE(c.error(Trename{Fid{0}, Fid{1}, "x"}), 0);
  c.attach(10);
  EXPECT_NE(c.error(Tremove{Fid{10}}), 0);
  EXPECT_EQ(c.clunk(10), EBADF);
  EXPECT_EQ(c.names(0), (List{"d", "e", "f"}));
}

TEST_P(NamesTest, Unlinkat) {
  Client c = with_three();
  c.make_file(1, "g");
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "d", 0}), EISDIR);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "f", kUnlinkRemoveDir}), ENOTDIR);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "d", kUnlinkRemoveDir}), ENOTEMPTY);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "no", 0}), ENOENT);
  EXPECT_EQ(c.error(Tunlinkat{Fid{3}, "x", 0}), ENOTDIR);
  for (const U32 flags : {1u, 0x100u, kUnlinkRemoveDir | 1, ~0u})
    EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "f", flags}), EINVAL) << flags;
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "f", 0}), 0);
  EXPECT_EQ(c.error(Tunlinkat{Fid{1}, "g", 0}), 0);
  EXPECT_EQ(c.error(Tunlinkat{Fid{0}, "d", kUnlinkRemoveDir}), 0);
  EXPECT_EQ(c.names(0), List{"e"});
  EXPECT_EQ(c.attr(3).nlink, 0u);  // its fid lives on
}

// Tremove clunks the fid, whatever comes of it. remove(5)
TEST_P(NamesTest, RemoveAlwaysClunks) {
  Client c = with_three();
  c.make_file(1, "g");
  EXPECT_EQ(c.error(Tremove{Fid{1}}), ENOTEMPTY);
  EXPECT_EQ(c.clunk(1), EBADF);
  c.open(3, lopen::kReadOnly);
  EXPECT_EQ(c.error(Tremove{Fid{3}}), 0);
  EXPECT_EQ(c.clunk(3), EBADF);
  EXPECT_EQ(c.error(Tremove{Fid{2}}), 0);
  EXPECT_EQ(c.names(0), List{"d"});
  c.reach(0, 4, {"d", "g"});
  c.reach(0, 5, {"d", "g"});
  EXPECT_EQ(c.error(Tremove{Fid{4}}), 0);
  EXPECT_NE(c.error(Tremove{Fid{5}}), 0);  // it has no name any more
  EXPECT_EQ(c.clunk(5), EBADF);
}

// By fid means the file, by the name that it has now, also if somebody else gave it that.
TEST_P(NamesTest, RemoveAndRenameAfterARename) {
  Client c = with_three();
  Client other = session();
  other.get<Rrenameat>(Trenameat{Fid{0}, "f", Fid{0}, "g"});
  c.make_file(0, "f", "another file of the old name");
  EXPECT_EQ(c.error(Trename{Fid{3}, Fid{1}, "h"}), 0);
  EXPECT_EQ(c.content(1, "h"), "content");
  other.reach(0, 1, {"d"});
  other.get<Rrenameat>(Trenameat{Fid{1}, "h", Fid{0}, "i"});
  EXPECT_EQ(c.error(Tremove{Fid{3}}), 0);
  EXPECT_EQ(c.names(0), (List{"d", "e", "f"}));
  EXPECT_EQ(c.content(0, "f"), "another file of the old name");
}

// The same when the names changed on the host, behind the server's back.
TEST_P(LocalNamesTest, RemoveAndRenameAfterTheHostsRename) {
  Client c = with_three();
  std::filesystem::rename(directory() / "f", directory() / "d/g");
  c.make_file(0, "f", "another");
  EXPECT_EQ(c.error(Trename{Fid{3}, Fid{2}, "h"}), 0);
  EXPECT_EQ(c.content(2, "h"), "content");
  std::filesystem::rename(directory() / "e", directory() / "d/e");
  EXPECT_EQ(c.error(Tremove{Fid{3}}), 0);
  EXPECT_EQ(c.names(2), List{});
  EXPECT_EQ(c.content(0, "f"), "another");
  // A name that several files have had: the one that is gone is gone.
  c.reach(0, 3, {"f"});
  std::filesystem::remove(directory() / "f");
  c.make_file(0, "f", "a third");
  EXPECT_EQ(c.error(Tremove{Fid{3}}), ENOENT);
  EXPECT_EQ(c.content(0, "f"), "a third");
}

}  // namespace
}  // namespace ninep::test
