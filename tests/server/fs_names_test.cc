// Names in directories: making, linking, removing, renaming.
#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class FsNames : public FsTest {
 protected:
  int mkdir(fs::Node& dir, Str name) { return error(dir.mkdir(ctx(), name, 0755, kOwnGid)); }
  int unlink(fs::Node& dir, Str name) { return error(dir.unlink(ctx(), name, false)); }
  int rmdir(fs::Node& dir, Str name) { return error(dir.unlink(ctx(), name, true)); }
  int link(fs::Node& dir, fs::Node& file, Str name) { return error(dir.link(ctx(), file, name)); }
  int rename(fs::Node& from, Str name, fs::Node& to_dir, Str to) {
    return error(from.rename(ctx(), name, to_dir, to));
  }
  int symlink_error(Str name, Str target) {
    return error(root().symlink(ctx(), name, target, kOwnGid));
  }
};
NINEP_FS_SUITE(FsNames);
using Names = std::vector<std::string>;

// A name that is taken is not made again, by none of the calls, and what has it is left alone.
TEST_P(FsNames, TakenNames) {
  const auto f = file(root(), "f", "data");
  dir(root(), "d");
  symlink(root(), "l", "nowhere");
  for (const Str name : {"f", "d", "l"}) {
    EXPECT_EQ(mkdir(root(), name), EEXIST);
    EXPECT_EQ(error(root().mknod(ctx(), name, S_IFREG | 0644, 0, 0, kOwnGid)), EEXIST);
    EXPECT_EQ(symlink_error(name, "x"), EEXIST);
    EXPECT_EQ(link(root(), *f, name), EEXIST);
  }
  EXPECT_EQ(content(*f), "data");
  EXPECT_EQ(names(root()), (Names{"d", "f", "l"}));
}

// Only directories have names in them.
TEST_P(FsNames, NotInAFile) {
  const auto f = file(root(), "f");
  EXPECT_EQ(mkdir(*f, "x"), ENOTDIR);
  EXPECT_EQ(error(f->mknod(ctx(), "x", S_IFREG | 0644, 0, 0, kOwnGid)), ENOTDIR);
  EXPECT_EQ(error(f->symlink(ctx(), "x", "y", kOwnGid)), ENOTDIR);
  EXPECT_EQ(link(*f, *f, "x"), ENOTDIR);
  EXPECT_EQ(unlink(*f, "x"), ENOTDIR);
  EXPECT_EQ(rename(*f, "x", root(), "y"), ENOTDIR);
  EXPECT_EQ(rename(root(), "f", *f, "y"), ENOTDIR);
}

// mkdir: the mode as it was sent; a directory's links are "." and the ".." of those in it, which
// find(1) counts.
TEST_P(FsNames, Mkdir) {
  const auto d = dir(root(), "d", 01777);
  EXPECT_EQ(attr(*d).mode, U32{S_IFDIR | 01777});
  const U64 links = attr(*d).nlink;
  const auto e = dir(*d, "e", 0700);
  EXPECT_EQ(attr(*e).mode, U32{S_IFDIR | 0700});
  if (links == 2) {  // Btrfs doesn't count
    EXPECT_EQ(attr(*d).nlink, 3u);
    EXPECT_EQ(rmdir(*d, "e"), 0);
    EXPECT_EQ(attr(*d).nlink, 2u);
  }
}

// mknod: each type with its mode; no type is a regular file, a directory is not made this way.
TEST_P(FsNames, Mknod) {
  const auto mknod = [&](Str name, U32 mode) {
    return error(root().mknod(ctx(), name, mode, 0, 0, kOwnGid));
  };
  for (const U32 type : {U32{S_IFIFO}, U32{S_IFSOCK}, U32{S_IFREG}}) {
    EXPECT_EQ(mknod("n", type | 0642), 0);
    EXPECT_EQ(attr(*walk(root(), "n")).mode, type | 0642);
    EXPECT_EQ(unlink(root(), "n"), 0);
  }
  EXPECT_EQ(mknod("n", 0600), 0);
  EXPECT_EQ(attr(*walk(root(), "n")).mode, U32{S_IFREG | 0600});
  EXPECT_EQ(mknod("x", S_IFDIR | 0755), EPERM);
  EXPECT_NE(mknod("x", S_IFLNK | 0755), 0);
  EXPECT_EQ(mknod("x", 0150000 | 0644), EINVAL);
  EXPECT_EQ(names(root()), Names{"n"});
}

// A device's numbers arrive as Linux's client reads them: its own 32-bit encoding.
TEST_P(FsNames, Devices) {
  const int made = error(root().mknod(ctx(), "c", S_IFCHR | 0600, 0x123, 0x45678, kOwnGid));
  if (made == EPERM) GTEST_SKIP() << "may not make devices";
  ASSERT_EQ(made, 0);
  const Attr a = attr(*walk(root(), "c"));
  EXPECT_EQ(a.mode, U32{S_IFCHR | 0600});
  EXPECT_EQ(a.rdev, 0x45612378u);
}

// A symbolic link's target is bytes, up to 4095 of them, given back as they came. A server that
// interprets them, or cuts them at its buffer, gives the client another file.
TEST_P(FsNames, SymlinkTargets) {
  for (const std::string& target :
       {std::string("x"), std::string("/"), std::string("../../../etc/passwd"),
        std::string("a//b/./"), std::string("\xff\n "), std::string(255, 'y'),
        std::string(256, 'y'), std::string(1000, 'z'), std::string(4095, 't')}) {
    const auto l = symlink(root(), "l", target);
    EXPECT_EQ(value(l->readlink(ctx())), target);
    const Attr a = attr(*l);
    EXPECT_EQ(a.mode & S_IFMT, U32{S_IFLNK});
    EXPECT_EQ(a.size, target.size());
    EXPECT_EQ(unlink(root(), "l"), 0);
  }
  EXPECT_EQ(symlink_error("l", std::string(4096, 't')), ENAMETOOLONG);
  EXPECT_EQ(symlink_error("l", ""), ENOENT);
  EXPECT_TRUE(names(root()).empty());
}

// readlink is for symbolic links.
TEST_P(FsNames, ReadlinkOfOthers) {
  EXPECT_EQ(error(root().readlink(ctx())), EINVAL);
  EXPECT_EQ(error(file(root(), "f")->readlink(ctx())), EINVAL);
}

// A hard link is the file: one content, one qid path, a count of the names.
TEST_P(FsNames, HardLinks) {
  const auto f = file(root(), "f", "data");
  const auto d = dir(root(), "d");
  EXPECT_EQ(link(*d, *f, "g"), 0);
  const auto g = walk(*d, "g");
  EXPECT_EQ(g->qid().path, f->qid().path);
  EXPECT_EQ(attr(*f).nlink, 2u);
  EXPECT_EQ(write(*open(*g, lopen::kWriteOnly), 0, "DATA"), 4);
  EXPECT_EQ(content(*f), "DATA");
  EXPECT_EQ(unlink(root(), "f"), 0);
  EXPECT_EQ(attr(*g).nlink, 1u);
  EXPECT_EQ(content(*g), "DATA");
}

// A directory has no second name; a file without any gets none; of a symbolic link it is the link
// that gets one, not what it leads to.
TEST_P(FsNames, WhatIsNotLinked) {
  const auto d = dir(root(), "d");
  EXPECT_EQ(link(root(), *d, "e"), EPERM);
  const auto f = file(root(), "f", "data");
  const auto l = symlink(root(), "l", "f");
  EXPECT_EQ(link(root(), *l, "l2"), 0);
  EXPECT_EQ(walk(root(), "l2")->qid().path, l->qid().path);
  EXPECT_EQ(attr(*f).nlink, 1u);
  EXPECT_EQ(unlink(root(), "f"), 0);
  EXPECT_EQ(link(root(), *f, "g"), ENOENT);
}

// Tunlinkat: what is a directory goes by kUnlinkRemoveDir, when it is empty, and nothing else does.
TEST_P(FsNames, Unlink) {
  const auto d = dir(root(), "d");
  file(*d, "x");
  file(root(), "f");
  symlink(root(), "l", "d");
  EXPECT_EQ(unlink(root(), "no"), ENOENT);
  EXPECT_EQ(rmdir(root(), "no"), ENOENT);
  EXPECT_EQ(unlink(root(), "d"), EISDIR);
  EXPECT_EQ(rmdir(root(), "d"), ENOTEMPTY);
  EXPECT_EQ(rmdir(root(), "f"), ENOTDIR);
  EXPECT_EQ(rmdir(root(), "l"), ENOTDIR);
  EXPECT_EQ(unlink(*d, "x"), 0);
  EXPECT_EQ(rmdir(root(), "d"), 0);
  EXPECT_EQ(unlink(root(), "f"), 0);
  EXPECT_EQ(unlink(root(), "l"), 0);
  EXPECT_TRUE(names(root()).empty());
}

// rename replaces what has the name, if it is of the same kind and not a full directory.
TEST_P(FsNames, RenameOver) {
  const auto f = file(root(), "f", "new");
  file(root(), "g", "old");
  EXPECT_EQ(rename(root(), "f", root(), "g"), 0);
  EXPECT_EQ(content(*walk(root(), "g")), "new");
  EXPECT_EQ(names(root()), Names{"g"});

  const auto d = dir(root(), "d");
  const auto e = dir(root(), "e");
  file(*d, "x");
  EXPECT_EQ(rename(root(), "g", root(), "d"), EISDIR);
  EXPECT_EQ(rename(root(), "d", root(), "g"), ENOTDIR);
  EXPECT_EQ(rename(root(), "e", root(), "d"), ENOTEMPTY);
  EXPECT_EQ(rename(root(), "d", root(), "e"), 0);
  EXPECT_EQ(names(root()), (Names{"e", "g"}));
  EXPECT_EQ(walk(root(), "e")->qid().path, d->qid().path);
  EXPECT_EQ(names(*d), Names{"x"});
  EXPECT_EQ(attr(*e).nlink, 0u);
  EXPECT_EQ(content(*f), "new");
}

// The cases that are no move at all, and the missing ones.
TEST_P(FsNames, RenameNothing) {
  const auto f = file(root(), "f", "data");
  const auto d = dir(root(), "d");
  EXPECT_EQ(rename(root(), "f", root(), "f"), 0);
  EXPECT_EQ(rename(root(), "d", root(), "d"), 0);
  EXPECT_EQ(rename(root(), "no", root(), "f"), ENOENT);
  EXPECT_EQ(rename(root(), "no", root(), "no"), ENOENT);
  EXPECT_EQ(link(*d, *f, "g"), 0);
  EXPECT_EQ(rename(root(), "f", *d, "g"), 0);  // POSIX: two names of one file stay
  EXPECT_EQ(attr(*f).nlink, 2u);
  EXPECT_EQ(names(root()), (Names{"d", "f"}));
  EXPECT_EQ(names(*d), Names{"g"});
}

// A directory doesn't go into itself: it would be reachable from nowhere, for ever.
TEST_P(FsNames, RenameIntoItself) {
  const auto a = dir(root(), "a");
  const auto b = dir(*a, "b");
  const auto c = dir(*b, "c");
  file(*c, "f");
  EXPECT_EQ(rename(root(), "a", *a, "x"), EINVAL);
  EXPECT_EQ(rename(root(), "a", *c, "x"), EINVAL);
  EXPECT_EQ(rename(*b, "c", root(), "a"), ENOTEMPTY);
  EXPECT_EQ(rename(*c, "f", root(), "a"), ENOTEMPTY);
  EXPECT_EQ(error(a->rename_self(ctx(), *c, "x")), EINVAL);
  EXPECT_EQ(names(root()), Names{"a"});
  EXPECT_EQ(names(*c), Names{"f"});
}

// Nothing moves into a directory that is gone.
TEST_P(FsNames, RenameIntoARemovedDirectory) {
  file(root(), "f");
  const auto d = dir(root(), "d");
  EXPECT_EQ(rmdir(root(), "d"), 0);
  EXPECT_EQ(rename(root(), "f", *d, "f"), ENOENT);
  EXPECT_EQ(names(root()), Names{"f"});
}

// "All fids at or below the moved file must go on working", open ones too.
TEST_P(FsNames, RenameKeepsFids) {
  const auto a = dir(root(), "a");
  const auto b = dir(*a, "b");
  const auto f = file(*b, "f", "data");
  const auto opened = open(*f, lopen::kReadWrite);
  const auto listing = open(*b, lopen::kReadOnly);
  const auto c = dir(root(), "c");
  EXPECT_EQ(rename(root(), "a", *c, "moved"), 0);
  EXPECT_EQ(content(*f), "data");
  EXPECT_EQ(write(*opened, 4, "+"), 1);
  EXPECT_EQ(content(*walk(*b, "f")), "data+");
  EXPECT_EQ(list(*listing).size(), 3u);
  file(*b, "g");
  EXPECT_EQ(names(*walk(*walk(*c, "moved"), "b")), (Names{"f", "g"}));
  EXPECT_EQ(rename(*b, "f", root(), "f"), 0);
  EXPECT_EQ(names(root()), (Names{"c", "f"}));
}

// Tremove: "the file under its present name", wherever others have moved it.
TEST_P(FsNames, RemoveSelf) {
  const auto f = file(root(), "f");
  const auto d = dir(root(), "d");
  EXPECT_EQ(rename(root(), "f", *d, "g"), 0);
  const auto stranger = file(root(), "f", "stranger");
  EXPECT_EQ(error(f->remove_self(ctx())), 0);
  EXPECT_EQ(names(*d), Names{});
  EXPECT_EQ(content(*walk(root(), "f")), "stranger");
  EXPECT_EQ(error(f->remove_self(ctx())), ENOENT);
  EXPECT_EQ(error(stranger->remove_self(ctx())), 0);
  EXPECT_EQ(error(d->remove_self(ctx())), 0);
  EXPECT_TRUE(names(root()).empty());
}

// What was replaced under its name has no name: the stranger who has it now is not removed.
TEST_P(FsNames, RemoveSelfOfWhatWasReplaced) {
  const auto f = file(root(), "f");
  file(root(), "new", "new");
  EXPECT_EQ(rename(root(), "new", root(), "f"), 0);
  EXPECT_EQ(error(f->remove_self(ctx())), ENOENT);
  EXPECT_EQ(content(*walk(root(), "f")), "new");
}

// The kernel calls an unlinked "x" by "x (deleted)", which may be a stranger's name.
TEST_P(FsNames, RemoveSelfOfDeleted) {
  const auto real = file(root(), "x (deleted)");
  const auto x = file(root(), "x");
  EXPECT_EQ(unlink(root(), "x"), 0);
  EXPECT_EQ(error(x->remove_self(ctx())), ENOENT);
  EXPECT_EQ(names(root()), Names{"x (deleted)"});
  EXPECT_EQ(error(real->remove_self(ctx())), 0);
  EXPECT_TRUE(names(root()).empty());
}

// Of a file with several names it is the one that was walked.
TEST_P(FsNames, RemoveSelfOfALink) {
  const auto f = file(root(), "f");
  EXPECT_EQ(link(root(), *f, "g"), 0);
  const auto g = walk(root(), "g");
  EXPECT_EQ(error(g->remove_self(ctx())), 0);
  EXPECT_EQ(names(root()), Names{"f"});
}

// A full directory stays, and the root of an attach has no name in it.
TEST_P(FsNames, RemoveSelfErrors) {
  const auto d = dir(root(), "d");
  file(*d, "f");
  EXPECT_EQ(error(d->remove_self(ctx())), ENOTEMPTY);
  EXPECT_EQ(error(root().remove_self(ctx())), EBUSY);
  EXPECT_EQ(error(root().rename_self(ctx(), *d, "x")), EBUSY);
  const auto attached = value(exported().tree->attach(ctx(), "d"));
  EXPECT_EQ(error(attached->remove_self(ctx())), EBUSY);
  EXPECT_EQ(names(root()), Names{"d"});
}

// Trename: from the name that the file has now.
TEST_P(FsNames, RenameSelf) {
  const auto f = file(root(), "f", "data");
  const auto d = dir(root(), "d");
  EXPECT_EQ(error(f->rename_self(ctx(), *d, "g")), 0);
  EXPECT_EQ(names(*d), Names{"g"});
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "h")), 0);
  EXPECT_EQ(rename(root(), "h", *d, "i"), 0);
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "j")), 0);
  EXPECT_EQ(names(root()), (Names{"d", "j"}));
  EXPECT_EQ(error(d->rename_self(ctx(), root(), "e")), 0);
  EXPECT_EQ(error(d->rename_self(ctx(), root(), "j")), ENOTDIR);
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "e")), EISDIR);
  EXPECT_EQ(names(root()), (Names{"e", "j"}));
  EXPECT_EQ(unlink(root(), "j"), 0);
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "k")), ENOENT);
}

// New files belong to who asked, of the group that was sent; in a set-group-id directory to the
// directory's group, and new directories there are set-group-id too.
TEST_P(FsNames, Owners) {
  const auto own = attr(*file(root(), "f"));
  if (exported().user) {
    EXPECT_EQ(own.uid, exported().user->uid);
    EXPECT_EQ(own.gid, exported().user->gid);
  }
  const bool own_ids = !exported().user && !exported().host.empty();
  if (own_ids || !exported().privileged) return;  // whose group is not the client's to choose
  const U32 flags = lopen::kReadWrite;
  EXPECT_EQ(attr(*value(root().create(ctx(), "g", flags, 0644, 1234)).node).gid, 1234u);
  value(root().mkdir(ctx(), "d", 0755, 1234));
  const auto d = walk(root(), "d");
  EXPECT_EQ(attr(*d).gid, 1234u);
  value(root().symlink(ctx(), "l", "x", 1234));
  EXPECT_EQ(attr(*walk(root(), "l")).gid, 1234u);
  EXPECT_EQ(error(d->setattr(ctx(), {.valid = setattr::kMode, .mode = 02755}, nullptr)), 0);
  EXPECT_EQ(attr(*value(d->create(ctx(), "f", flags, 0644, 5678)).node).gid, 1234u);
  value(d->mkdir(ctx(), "e", 0755, 5678));
  EXPECT_EQ(attr(*walk(*d, "e")).gid, 1234u);
  EXPECT_EQ(attr(*walk(*d, "e")).mode, U32{S_IFDIR | 02755});
}

}  // namespace
}  // namespace ninep::test
