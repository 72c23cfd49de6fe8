// Tauth, Tattach, Twalk, Tclunk: how fids come and go.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class WalkTest : public Conversation {
 protected:
  /// d/, d/e/, d/e/f and l -> d.
  Client tree_of_three() {
    Client c = session();
    c.make_dir(0, "d");
    c.reach(0, 1, {"d"});
    c.make_dir(1, "e");
    c.reach(1, 2, {"e"});
    c.make_file(2, "f", "content");
    c.get<Rsymlink>(Tsymlink{Fid{0}, "l", "d", 0});
    for (const U32 fid : {1u, 2u}) c.clunk(fid);
    return c;
  }
  static constexpr int kGone = EBADF;  // what an unknown fid gives
};
NINEP_CONVERSATION(WalkTest);
class LocalWalkTest : public WalkTest {};
NINEP_LOCAL_CONVERSATION(LocalWalkTest);

// ------------------------------------------------------------------ auth, attach

// Authentication isn't wanted; the client goes on with afid NOFID. auth(5).
TEST_P(WalkTest, AuthIsRefused) {
  Client c = connect();
  c.version();
  EXPECT_EQ(c.error(Tauth{Fid{5}, "root", "", 0}), ENOENT);
  EXPECT_EQ(c.clunk(5), EBADF);
  c.attach(5);
}

// An afid that nobody made is an error, although none is needed.
TEST_P(WalkTest, AttachWithAnAfid) {
  Client c = session();
  EXPECT_EQ(c.error(Tattach{Fid{1}, Fid{9}, "", "", 0}), EBADF);
  EXPECT_EQ(c.error(Tattach{Fid{1}, Fid{0}, "", "", 0}), EBADF);
  EXPECT_EQ(c.clunk(1), EBADF);
}

// One connection may attach often, with fids of its choice; the root is a directory each time.
TEST_P(WalkTest, ManyAttaches) {
  Client c = session();
  const Qid root = c.attach(1);
  EXPECT_EQ(root.type, kQtDir);
  EXPECT_EQ(c.attach(0xFFFFFFFE), root);
  EXPECT_EQ(c.attach(0x80000000), root);
  EXPECT_EQ(c.clunk(0), 0);
  EXPECT_EQ(c.walk(1, 2, {}).error(), 0);
}

// A fid in use stays what it is; NOFID is none.
TEST_P(WalkTest, AttachToAFidInUse) {
  Client c = tree_of_three();
  c.reach(0, 1, {"d"});
  EXPECT_EQ(c.error(Tattach{Fid{1}, kNoFid, "", "", 0}), EINVAL);
  EXPECT_EQ(c.walk(1, 2, {"e"}).error(), 0);
  EXPECT_EQ(c.error(Tattach{kNoFid, kNoFid, "", "", 0}), EINVAL);
}

// "" and "/" are the default tree; a path of directories goes on from there.
TEST_P(WalkTest, AttachNames) {
  Client c = tree_of_three();
  EXPECT_EQ(c.attach(1, "/"), c.attach(2, ""));
  EXPECT_EQ(c.attach(3, "/d/e"), c.reach(0, 4, {"d", "e"}));
  EXPECT_EQ(c.attach(5, "d"), c.reach(0, 6, {"d"}));
  EXPECT_EQ(c.content(3, "f"), "content");
}

// The exported directory's own path is a name for it too, as Linux users type it.
TEST_P(LocalWalkTest, AttachByTheExportsPath) {
  Client c = tree_of_three();
  EXPECT_EQ(c.attach(1, directory().path()), c.attach(2));
  EXPECT_EQ(c.attach(3, directory() / "d"), c.reach(0, 4, {"d"}));
  EXPECT_NE(c.error(Tattach{Fid{5}, kNoFid, "", directory().path() + "x", 0}), 0);
}

// What isn't a directory in the tree can't be attached to: nothing, a file, a symbolic link, and
// never a way up.
TEST_P(WalkTest, BadAttachNames) {
  Client c = tree_of_three();
  const auto attach = [&](Str aname) { return c.error(Tattach{Fid{9}, kNoFid, "", aname, 0}); };
  EXPECT_EQ(attach("no"), ENOENT);
  EXPECT_EQ(attach("/d/no/e"), ENOENT);
  EXPECT_EQ(attach("/d/e/f"), ENOTDIR);
  EXPECT_EQ(attach("/d/e/f/g"), ENOTDIR);
  EXPECT_EQ(attach(".."), ENOENT);
  EXPECT_EQ(attach("/.."), ENOENT);
  EXPECT_EQ(attach("d/../.."), ENOENT);
  EXPECT_EQ(attach("/d/../d"), ENOENT);
  EXPECT_EQ(attach(Str("d\0e", 3)), ENOENT);
  EXPECT_NE(attach("/l"), 0);
  EXPECT_NE(attach("/l/e"), 0);
  EXPECT_NE(attach(std::string(300, 'n')), 0);
  EXPECT_NE(attach(std::string(60000, '/') + "no"), 0);
  EXPECT_EQ(c.clunk(9), kGone);  // and none of them left a fid
}

// Somebody whom the system doesn't know isn't let in by name, when names decide.
TEST_P(WalkTest, UnknownUsers) {
  Client c = session();
  const Tattach stranger{Fid{1}, kNoFid, "no-such-user", "", kNoNumericUid};
  if (!host().shared().users.acts_as_others()) {
    GTEST_SKIP() << "not root: everybody is the server's user";
  }
  EXPECT_EQ(c.error(stranger), EACCES);
  const std::string with_nul("ro\0ot", 5);
  EXPECT_EQ(c.error(Tattach{Fid{1}, kNoFid, with_nul, "", kNoNumericUid}), EACCES);
  EXPECT_EQ(c.error(Tattach{Fid{1}, kNoFid, "root", "", kNoNumericUid}), 0);
  // A number needs no name.
  EXPECT_EQ(c.error(Tattach{Fid{2}, kNoFid, "no-such-user", "", 12345}), 0);
}

// ------------------------------------------------------------------ walk

// No names: a second fid for the same file, whatever kind it is. On the fid itself: nothing.
TEST_P(WalkTest, Clone) {
  Client c = tree_of_three();
  c.reach(0, 1, {"d", "e", "f"});
  EXPECT_EQ(c.walk(1, 2, {}).as<Rwalk>().wqid.size(), 0);
  EXPECT_EQ(c.attr(2).qid, c.attr(1).qid);
  EXPECT_EQ(c.walk(1, 1, {}).error(), 0);
  EXPECT_EQ(c.clunk(1), 0);
  EXPECT_EQ(c.attr(2).size, 7u);
}

// Each name gives a qid; the last one's is the new fid's.
TEST_P(WalkTest, Path) {
  Client c = tree_of_three();
  const Received got = c.walk(0, 1, {"d", "e", "f"});
  const Qids qids = got.as<Rwalk>().wqid;
  ASSERT_EQ(qids.size(), 3);
  EXPECT_EQ(qids[0].type, kQtDir);
  EXPECT_EQ(qids[1].type, kQtDir);
  EXPECT_EQ(qids[2].type, kQtFile);
  EXPECT_EQ(c.attr(1).qid.path, qids[2].path);
}

// The fid itself may be the new one; if the way ends early it stays where it was.
TEST_P(WalkTest, OntoItself) {
  Client c = tree_of_three();
  const Qid d = c.reach(0, 1, {"d"});
  EXPECT_EQ(c.walk(1, 1, {"no"}).error(), ENOENT);
  EXPECT_EQ(c.walk(1, 1, {"e", "no"}).as<Rwalk>().wqid.size(), 1);
  EXPECT_EQ(c.attr(1).qid.path, d.path);
  const Qid f = c.reach(1, 1, {"e", "f"});
  EXPECT_EQ(c.attr(1).qid.path, f.path);
}

// The first name that fails is an error. A later one isn't: the qids that worked are told, and
// newfid doesn't come into being. walk(5).
TEST_P(WalkTest, PartOfTheWay) {
  Client c = tree_of_three();
  EXPECT_EQ(c.walk(0, 1, {"no", "e"}).error(), ENOENT);
  EXPECT_EQ(c.walk(0, 1, {"d", "no"}).as<Rwalk>().wqid.size(), 1);
  EXPECT_EQ(c.walk(0, 1, {"d", "e", "f", "g"}).as<Rwalk>().wqid.size(), 3);
  EXPECT_EQ(c.walk(0, 1, {"d", "a/b", "f"}).as<Rwalk>().wqid.size(), 1);
  EXPECT_EQ(c.clunk(1), kGone);
  c.reach(0, 1, {"d", "e", "f"});
  EXPECT_EQ(c.walk(1, 2, {"g"}).error(), ENOTDIR);
}

// A new fid mustn't be in use; the old one isn't touched.
TEST_P(WalkTest, NewfidInUse) {
  Client c = tree_of_three();
  const Qid d = c.reach(0, 1, {"d"});
  EXPECT_EQ(c.walk(0, 1, {"d", "e"}).error(), EINVAL);
  EXPECT_EQ(c.walk(0, 1, {}).error(), EINVAL);
  EXPECT_EQ(c.attr(1).qid.path, d.path);
  EXPECT_EQ(c.walk(0, 0xFFFFFFFF, {"d"}).error(), EINVAL);
}

// 16 names are the most: one more is an error, not a crash.
TEST_P(WalkTest, SixteenNames) {
  Client c = session();
  c.reach(0, 1, {});
  for (int i = 0; i < 16; ++i) {
    c.make_dir(1, "n");
    c.reach(1, 1, {"n"});
  }
  const Received got = c.walk(
      0, 2, {"n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n"});
  EXPECT_EQ(got.as<Rwalk>().wqid.size(), 16);
  EXPECT_EQ(c.attr(2).qid.path, c.attr(1).qid.path);
  for (const U16 count : {U16{17}, U16{18}, U16{255}, U16{65535}}) {
    std::string body("\x00\x00\x00\x00\x03\x00\x00\x00", 8);
    body += static_cast<char>(count & 255);
    body += static_cast<char>(count >> 8);
    for (unsigned i = 0; i < count && body.size() < 60000; ++i) body.append("\x01\x00n", 3);
    std::string frame;
    const U32 size = static_cast<U32>(body.size()) + kHeaderSize;
    frame.append(reinterpret_cast<const char*>(&size), 4).append("\x6e\x07\x00", 3).append(body);
    c.send_raw(as_bytes(frame));
    const Received refused = c.receive();
    EXPECT_EQ(refused.error(), EINVAL) << count;
    EXPECT_EQ(refused.header().tag, Tag{7});
    EXPECT_EQ(c.clunk(3), kGone);
  }
}

// ".." goes to the parent and stops at the root of the attach, whatever lies above that.
TEST_P(WalkTest, DotDot) {
  Client c = tree_of_three();
  const Qid root = c.attr(0).qid;
  EXPECT_EQ(c.reach(0, 1, {".."}).path, root.path);
  EXPECT_EQ(c.reach(0, 2, {"..", "..", ".."}).path, root.path);
  EXPECT_EQ(c.reach(0, 3, {"d", "e", "..", ".."}).path, root.path);
  EXPECT_EQ(c.reach(0, 4, {"d", "..", "..", "d"}).path, c.reach(0, 5, {"d"}).path);
  c.attach(6, "/d");
  EXPECT_EQ(c.reach(6, 7, {".."}).path, c.attr(6).qid.path);
  EXPECT_EQ(c.reach(6, 8, {"e", "..", ".."}).path, c.attr(6).qid.path);
  c.reach(0, 9, {"d", "e", "f"});
  EXPECT_EQ(c.walk(9, 10, {".."}).error(), ENOTDIR);
}

// A name is one component that can exist.
TEST_P(WalkTest, BadNames) {
  Client c = tree_of_three();
  for (const Str name : {Str(""), Str("."), Str("/"), Str("d/e"), Str("/d"), Str("d/"), Str("../d"),
                         Str("d\0", 2), Str("\0d", 2)})
    EXPECT_EQ(c.walk(0, 1, {name}).error(), ENOENT) << name;
  EXPECT_EQ(c.walk(0, 1, {std::string(256, 'n')}).error(), ENAMETOOLONG);
  EXPECT_EQ(c.walk(0, 1, {std::string(60000, 'n')}).error(), ENAMETOOLONG);
  EXPECT_EQ(c.walk(0, 1, {std::string(255, 'n')}).error(), ENOENT);
}

// Symbolic links are the client's to follow: a walk ends on one, and never leads through it.
TEST_P(WalkTest, SymbolicLinks) {
  Client c = tree_of_three();
  EXPECT_EQ(c.reach(0, 1, {"l"}).type, kQtSymlink);
  EXPECT_EQ(c.walk(0, 2, {"l", "e"}).as<Rwalk>().wqid.size(), 1);
  EXPECT_EQ(c.walk(1, 2, {"e"}).error(), ENOTDIR);
}

// Linux walks from open fids (since 5.11, for each ls -l): allowed, and the new fid isn't open. On
// the fid itself it would move an open file.
TEST_P(WalkTest, FromAnOpenFid) {
  Client c = tree_of_three();
  c.reach(0, 1, {"d"});
  c.open(1, lopen::kReadOnly);
  c.reach(1, 2, {"e"});
  c.reach(1, 3, {});
  EXPECT_EQ(c.error(Treaddir{Fid{3}, 0, 4096}), EBADF);
  EXPECT_EQ(c.walk(1, 1, {"e"}).error(), EBUSY);
  EXPECT_EQ(c.walk(1, 1, {}).error(), EBUSY);
  EXPECT_EQ(c.error(Treaddir{Fid{1}, 0, 4096}), 0);
}

// ------------------------------------------------------------------ fids

// Each request that names a fid says EBADF to one that isn't there, and NOFID never is.
TEST_P(WalkTest, UnknownFids) {
  Client c = session();
  for (const Fid fid : {Fid{77}, kNoFid}) {
    EXPECT_EQ(c.error(Tstatfs{fid}), EBADF);
    EXPECT_EQ(c.error(Tlopen{fid, 0}), EBADF);
    EXPECT_EQ(c.error(Tlcreate{fid, "n", 0, 0644, 0}), EBADF);
    EXPECT_EQ(c.error(Tsymlink{fid, "n", "t", 0}), EBADF);
    EXPECT_EQ(c.error(Tmknod{fid, "n", 0100644, 0, 0, 0}), EBADF);
    EXPECT_EQ(c.error(Trename{fid, Fid{0}, "n"}), EBADF);
    EXPECT_EQ(c.error(Trename{Fid{0}, fid, "n"}), EBADF);
    EXPECT_EQ(c.error(Treadlink{fid}), EBADF);
    EXPECT_EQ(c.error(Tgetattr{fid, getattr::kBasic}), EBADF);
    EXPECT_EQ(c.error(Tsetattr{.fid = fid}), EBADF);
    EXPECT_EQ(c.error(Txattrwalk{fid, Fid{1}, ""}), EBADF);
    EXPECT_EQ(c.error(Txattrcreate{fid, "user.a", 0, 0}), EBADF);
    EXPECT_EQ(c.error(Treaddir{fid, 0, 100}), EBADF);
    EXPECT_EQ(c.error(Tfsync{fid, 0}), EBADF);
    EXPECT_EQ(c.error(Tlock{fid, lock::kRead, 0, 0, 0, 0, ""}), EBADF);
    EXPECT_EQ(c.error(Tgetlock{fid, lock::kRead, 0, 0, 0, ""}), EBADF);
    EXPECT_EQ(c.error(Tlink{fid, Fid{0}, "n"}), EBADF);
    EXPECT_EQ(c.error(Tlink{Fid{0}, fid, "n"}), EBADF);
    EXPECT_EQ(c.error(Tmkdir{fid, "n", 0755, 0}), EBADF);
    EXPECT_EQ(c.error(Trenameat{fid, "a", Fid{0}, "b"}), EBADF);
    EXPECT_EQ(c.error(Trenameat{Fid{0}, "a", fid, "b"}), EBADF);
    EXPECT_EQ(c.error(Tunlinkat{fid, "n", 0}), EBADF);
    EXPECT_EQ(c.error(Twalk{fid, Fid{1}, {}}), EBADF);
    EXPECT_EQ(c.error(Tread{fid, 0, 1}), EBADF);
    EXPECT_EQ(c.error(Twrite{fid, 0, {}}), EBADF);
    EXPECT_EQ(c.error(Tclunk{fid}), EBADF);
    EXPECT_EQ(c.error(Tremove{fid}), EBADF);
  }
  EXPECT_EQ(c.error(Tgetattr{Fid{0}, getattr::kBasic}), 0);
}

// A clunked fid is gone and its number free again.
TEST_P(WalkTest, Clunk) {
  Client c = tree_of_three();
  c.reach(0, 1, {"d"});
  EXPECT_EQ(c.clunk(1), 0);
  EXPECT_EQ(c.clunk(1), kGone);
  EXPECT_EQ(c.error(Tgetattr{Fid{1}, getattr::kBasic}), EBADF);
  EXPECT_EQ(c.reach(0, 1, {"d", "e", "f"}).type, kQtFile);
}

}  // namespace
}  // namespace ninep::test
