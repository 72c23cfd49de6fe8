// Walking: what a name leads to, and what a held node stays.
#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class FsWalk : public FsTest {};
NINEP_FS_SUITE(FsWalk);

// A walk gives a node of the file's type whose qid is what getattr says. Clients key their inodes
// by it: two paths for one file would be two files with two caches.
TEST_P(FsWalk, GivesTypeAndPath) {
  const auto d = dir(root(), "d");
  const auto f = file(root(), "f");
  const auto l = symlink(root(), "l", "f");
  EXPECT_EQ(d->qid().type, kQtDir);
  EXPECT_EQ(f->qid().type, kQtFile);
  EXPECT_EQ(l->qid().type, kQtSymlink);
  for (const auto& node : {d, f, l}) EXPECT_EQ(node->qid().path, attr(*node).qid.path);
  EXPECT_EQ(walk(root(), "f")->qid().path, f->qid().path);
  EXPECT_NE(f->qid().path, d->qid().path);
  EXPECT_NE(f->qid().path, l->qid().path);
}

// The qid that a call announces is the file's: clients make their inode from it without asking.
TEST_P(FsWalk, CreationAnnouncesTheSameQid) {
  const Qid made = value(root().mkdir(ctx(), "d", 0755, kOwnGid));
  EXPECT_EQ(made.path, walk(root(), "d")->qid().path);
  EXPECT_EQ(made.type, kQtDir);
  const Qid link = value(root().symlink(ctx(), "l", "d", kOwnGid));
  EXPECT_EQ(link.path, walk(root(), "l")->qid().path);
  EXPECT_EQ(link.type, kQtSymlink);
  const Qid fifo = value(root().mknod(ctx(), "p", S_IFIFO | 0644, 0, 0, kOwnGid));
  EXPECT_EQ(fifo.path, walk(root(), "p")->qid().path);
  const fs::Created created = value(root().create(ctx(), "f", lopen::kReadWrite, 0644, kOwnGid));
  EXPECT_EQ(created.node->qid().path, walk(root(), "f")->qid().path);
}

// Only directories have names in them. A symbolic link is never followed: the client resolves it,
// or the server's own paths would be reachable.
TEST_P(FsWalk, Errors) {
  dir(root(), "d");
  const auto f = file(root(), "f");
  const auto l = symlink(root(), "l", "d");
  EXPECT_EQ(error(root().walk(ctx(), "no")), ENOENT);
  EXPECT_EQ(error(f->walk(ctx(), "x")), ENOTDIR);
  EXPECT_EQ(error(f->walk(ctx(), "..")), ENOTDIR);
  EXPECT_EQ(error(l->walk(ctx(), "x")), ENOTDIR);
}

// ".." is the parent, and the attach's root its own: beyond lie files that are not exported.
TEST_P(FsWalk, DotDotStopsAtTheRoot) {
  const auto d = dir(root(), "d");
  const auto e = dir(*d, "e");
  EXPECT_EQ(walk(*e, "..")->qid().path, d->qid().path);
  EXPECT_EQ(walk(*d, "..")->qid().path, root().qid().path);
  const auto top = walk(root(), "..");
  EXPECT_EQ(top->qid().path, root().qid().path);
  EXPECT_EQ(walk(*top, "..")->qid().path, root().qid().path);
  EXPECT_EQ(walk(*walk(*walk(*e, ".."), ".."), "d")->qid().path, d->qid().path);
}

// A directory that was moved has a new parent. A server that remembers paths gives the old one.
TEST_P(FsWalk, DotDotFollowsARename) {
  const auto a = dir(root(), "a");
  const auto b = dir(root(), "b");
  const auto d = dir(*a, "d");
  EXPECT_EQ(error(a->rename(ctx(), "d", *b, "d2")), 0);
  EXPECT_EQ(walk(*d, "..")->qid().path, b->qid().path);
}

// An attach may name a directory below the tree's root; that is as far up as it goes.
TEST_P(FsWalk, AttachBelow) {
  const auto e = dir(*dir(root(), "d"), "e");
  file(root(), "f");
  const auto attach = [&](Str aname) { return exported().tree->attach(ctx(), aname); };
  EXPECT_EQ(value(attach("/"))->qid().path, root().qid().path);
  const auto below = value(attach("d/e"));
  EXPECT_EQ(below->qid().path, e->qid().path);
  EXPECT_EQ(walk(*below, "..")->qid().path, e->qid().path);
  EXPECT_EQ(value(attach("/d/e/"))->qid().path, e->qid().path);
  EXPECT_EQ(error(attach("no")), ENOENT);
  EXPECT_EQ(error(attach("f")), ENOTDIR);
  EXPECT_NE(error(attach("d/../..")), 0);
  EXPECT_NE(error(attach("..")), 0);
}

// A directory that another session moves out of an attach's tree takes nobody along: ".." from a
// node held in it doesn't lead to what that attach never had.
TEST_P(FsWalk, MovedOutOfTheAttach) {
  const auto outside = dir(root(), "outside");
  const auto d = dir(root(), "d");
  dir(*dir(*d, "in"), "deep");
  const auto attached = value(exported().tree->attach(ctx(), "d"));
  const auto in = walk(*attached, "in");
  const auto deep = walk(*in, "deep");
  EXPECT_EQ(error(d->rename(ctx(), "in", *outside, "in")), 0);
  const auto up = go(in->walk(ctx(), ".."));
  if (up) {
    EXPECT_EQ((*up)->qid().path, attached->qid().path);
  }
  const auto out = go(deep->walk(ctx(), ".."));
  if (out) {
    const auto further = go((*out)->walk(ctx(), ".."));
    if (further) {
      EXPECT_EQ((*further)->qid().path, attached->qid().path);
    }
  }
}

// No names: the same file, with nothing of an open one.
TEST_P(FsWalk, Clone) {
  const auto f = file(root(), "f", "text");
  const auto clone = value(f->clone(ctx()));
  EXPECT_EQ(clone->qid().path, f->qid().path);
  EXPECT_EQ(content(*clone), "text");
}

// A name is up to 255 bytes, any but "/" and NUL. Servers that take them for text lose files.
TEST_P(FsWalk, NamesAreBytes) {
  const std::string longest(255, 'n');
  const std::vector<std::string> all = {longest, "...",  ".a",          " ",
                                        "a\nb",  "-rf",  "*",           "\xff",
                                        "\\",    "a\tb", "x (deleted)", "caf\xc3\xa9"};
  std::vector<std::string> sorted = all;
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& name : all) file(root(), name, name);
  for (const std::string& name : all) EXPECT_EQ(content(*walk(root(), name)), name);
  EXPECT_EQ(names(root()), sorted);
  for (const std::string& name : all) EXPECT_EQ(error(root().unlink(ctx(), name, false)), 0);
  EXPECT_TRUE(names(root()).empty());
}

// A node is a file, not a name: whoever renames it or removes it, it stays that file.
TEST_P(FsWalk, ANodeStaysItsFile) {
  const auto f = file(root(), "f", "first");
  const auto d = dir(root(), "d");
  EXPECT_EQ(error(root().rename(ctx(), "f", *d, "g")), 0);
  const auto other = file(root(), "f", "second");
  EXPECT_EQ(content(*f), "first");
  EXPECT_EQ(attr(*f).size, 5u);
  EXPECT_EQ(error(d->unlink(ctx(), "g", false)), 0);
  EXPECT_EQ(attr(*f).nlink, 0u);
  EXPECT_EQ(attr(*f).qid.path, f->qid().path);
  EXPECT_NE(f->qid().path, other->qid().path);
}

// A directory that was removed is empty for ever; its nodes still answer.
TEST_P(FsWalk, ARemovedDirectory) {
  const auto d = dir(root(), "d");
  EXPECT_EQ(error(root().unlink(ctx(), "d", true)), 0);
  EXPECT_EQ(error(d->walk(ctx(), "x")), ENOENT);
  EXPECT_EQ(error(d->mkdir(ctx(), "x", 0755, kOwnGid)), ENOENT);
  EXPECT_EQ(error(d->create(ctx(), "x", lopen::kReadWrite, 0644, kOwnGid)), ENOENT);
  EXPECT_EQ(error(d->symlink(ctx(), "x", "y", kOwnGid)), ENOENT);
  EXPECT_EQ(attr(*d).mode & S_IFMT, U32{S_IFDIR});
  const auto up = go(d->walk(ctx(), ".."));  // Linux finds the parent still
  if (up) {
    EXPECT_EQ((*up)->qid().path, root().qid().path);
  }
}

// Deeper than any path is long, and down again from above: neither joins names nor recurses.
TEST_P(FsWalk, DeeperThanAnyPath) {
  constexpr int kDepth = 40;
  const std::string name(200, 'd');
  Ref<fs::Node> at(&root());
  for (int i = 0; i < kDepth; ++i) at = dir(*at, name);
  file(*at, "f", "deep");
  EXPECT_EQ(content(*walk(*at, "f")), "deep");
  EXPECT_EQ(error(at->unlink(ctx(), "f", false)), 0);
  for (int i = 0; i < kDepth; ++i) {
    at = walk(*at, "..");
    EXPECT_EQ(error(at->unlink(ctx(), name, true)), 0);
  }
  EXPECT_EQ(at->qid().path, root().qid().path);
}

}  // namespace
}  // namespace ninep::test
