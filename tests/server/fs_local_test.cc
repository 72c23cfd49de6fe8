// What only the local back end can get wrong: it must not lead out of the export, whatever is on
// the disk and whatever happens there, and the kernel must check each user's rights.
#include <fstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/fs/local.h"
#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

namespace stdfs = std::filesystem;

/// What is mounted here is mounted for this process alone. Before there are threads.
const bool mounts_are_ours =
    ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;

std::vector<Backend> local_backends(bool of_a_user) {
  std::vector<Backend> rows;
  for (const Backend& row : backends())
    if (row.name != "Memory" && row.name.contains("User") == of_a_user) rows.push_back(row);
  return rows;
}

class FsLocalBase : public FsTest {
 protected:
  void SetUp() override {
    FsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    outside_ = host().parent_path() / "outside";
    stdfs::create_directory(outside_);
    put(outside_ / "secret", "secret");
  }
  const stdfs::path& host() { return exported().host; }
  static void put(const stdfs::path& path, Str text) { std::ofstream(path) << text; }
  static std::string get(const stdfs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  stdfs::path outside_;
};

// ------------------------------------------------------------------ ways out

class FsLocal : public FsLocalBase {};
INSTANTIATE_TEST_SUITE_P(Fs, FsLocal, testing::ValuesIn(local_backends(false)), backend_name);

// Symbolic links that lie in the export lead the client's kernel, never the server.
TEST_P(FsLocal, SymlinksLeadNowhere) {
  stdfs::create_symlink(outside_, host() / "dir");
  stdfs::create_symlink(outside_ / "secret", host() / "file");
  stdfs::create_symlink("/proc/self/root", host() / "magic");
  for (const Str name : {"dir", "file", "magic"}) {
    const auto l = walk(root(), name);
    EXPECT_EQ(l->qid().type, kQtSymlink);
    EXPECT_EQ(error(l->walk(ctx(), "secret")), ENOTDIR);
    EXPECT_EQ(error(l->walk(ctx(), "..")), ENOTDIR);
    EXPECT_EQ(error(l->open(ctx(), lopen::kReadWrite | lopen::kTruncate)), ELOOP);
    EXPECT_EQ(error(l->create(ctx(), "new", lopen::kReadWrite, 0644, kOwnGid)), ENOTDIR);
    EXPECT_EQ(error(l->unlink(ctx(), "secret", false)), ENOTDIR);
    EXPECT_EQ(error(root().create(ctx(), name, lopen::kWriteOnly, 0644, kOwnGid)), ELOOP);
    EXPECT_EQ(error(l->setattr(ctx(), {.valid = setattr::kSize, .size = 0}, nullptr)), EINVAL);
  }
  const auto attach = [&](Str aname) { return error(exported().tree->attach(ctx(), aname)); };
  EXPECT_NE(attach("dir"), 0);
  EXPECT_NE(attach("magic/tmp"), 0);
  EXPECT_EQ(get(outside_ / "secret"), "secret");
}

// A directory that is replaced by a link between two steps of a walk: the steps go by descriptors.
TEST_P(FsLocal, DirectoryBecomesALink) {
  const auto d = dir(root(), "d");
  file(*d, "f", "inside");
  stdfs::rename(host() / "d", host() / "d.old");
  stdfs::create_directory_symlink(outside_, host() / "d");
  EXPECT_EQ(error(d->walk(ctx(), "secret")), ENOENT);
  EXPECT_EQ(content(*walk(*d, "f")), "inside");
  EXPECT_EQ(walk(*d, "..")->qid().path, root().qid().path);
  EXPECT_EQ(error(walk(root(), "d")->walk(ctx(), "secret")), ENOTDIR);
}

// A directory that the host moves out of the export takes its fids along, but not up: ".." from
// there would be a walk through the whole machine.
TEST_P(FsLocal, MovedOut) {
  const auto d = dir(root(), "d");
  const auto e = dir(*d, "e");
  stdfs::rename(host() / "d", outside_ / "d");
  EXPECT_NE(error(d->walk(ctx(), "..")), 0);
  const auto up = go(e->walk(ctx(), ".."));
  if (up) {
    EXPECT_EQ((*up)->qid().path, d->qid().path);
    EXPECT_NE(error((*up)->walk(ctx(), "..")), 0);
  }
}

// Nor is what lies outside by now removed or renamed by its own fid; also where the place's path
// looks like one below the export's.
TEST_P(FsLocal, MovedOutHasNoName) {
  const stdfs::path beside = host().string() + "-2";
  stdfs::create_directory(beside);
  stdfs::create_directory(host() / "2");
  put(host() / "2" / "f", "stranger");
  for (const stdfs::path& to : {outside_, beside}) {
    const auto f = file(root(), "f", "data");
    stdfs::rename(host() / "f", to / "f");
    EXPECT_EQ(error(f->remove_self(ctx())), ENOENT);
    EXPECT_EQ(error(f->rename_self(ctx(), root(), "g")), ENOENT);
    EXPECT_EQ(get(to / "f"), "data");
    EXPECT_EQ(content(*f), "data");
  }
  EXPECT_EQ(get(host() / "2" / "f"), "stranger");
}

// The export itself may be moved, and everything goes on.
TEST_P(FsLocal, TheExportMoves) {
  const auto d = dir(root(), "d");
  const auto f = file(*d, "f", "data");
  stdfs::rename(host(), outside_ / "export");
  EXPECT_EQ(walk(*d, "..")->qid().path, root().qid().path);
  EXPECT_EQ(walk(root(), "..")->qid().path, root().qid().path);
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "g")), 0);
  EXPECT_EQ(error(f->remove_self(ctx())), 0);
  EXPECT_EQ(names(root()), std::vector<std::string>{"d"});
}

// An attach may name the export by its path on the host, as diod's clients do; nothing beside it.
TEST_P(FsLocal, AttachByHostPath) {
  const auto d = dir(root(), "d");
  const auto attach = [&](const stdfs::path& aname) {
    return exported().tree->attach(ctx(), aname.native());
  };
  EXPECT_EQ(value(attach(host()))->qid().path, root().qid().path);
  EXPECT_EQ(value(attach(host() / "d"))->qid().path, d->qid().path);
  // As it was given, too: by a link, with a slash, from where one stands.
  stdfs::create_symlink(host(), host().parent_path() / "link");
  const std::string link = host().parent_path() / "link";
  const auto tree = *fs::make_local_tree(link + "/");
  for (const std::string& name : {link, link + "/", link + "/d", host().string()})
    EXPECT_EQ(error(tree->attach(ctx(), name)), 0) << name;
  EXPECT_NE(error(tree->attach(ctx(), link + "x")), 0);
  const std::string to_all = host().parent_path() / "all";
  stdfs::create_symlink("/", to_all);
  const auto all = *fs::make_local_tree(to_all);
  for (const std::string& name : {to_all, to_all + host().string(), host().string()})
    EXPECT_EQ(error(all->attach(ctx(), name)), 0) << name;
  EXPECT_NE(error(attach(host() / "..")), 0);
  EXPECT_NE(error(attach(host().string() + "/../outside")), 0);
  EXPECT_NE(error(attach(outside_)), 0);
  EXPECT_NE(error(attach("/etc")), 0);
}

// Another file system below the export is walked into; its files are told from the export's own by
// their qid paths, and ".." leads back.
TEST_P(FsLocal, MountedBelow) {
  if (!mounts_are_ours) GTEST_SKIP() << "may not mount";
  const auto below = host() / "below";
  stdfs::create_directory(below);
  ASSERT_EQ(::mount("none", below.c_str(), "tmpfs", 0, ""), 0) << std::strerror(errno);
  struct Unmount {
    const char* path;
    ~Unmount() { ::umount2(path, MNT_DETACH); }
  } unmount{below.c_str()};
  {
    put(below / "f", "data");
    stdfs::create_directory(below / "d");
    const auto to = walk(root(), "below");
    const auto f = walk(*to, "f");
    struct stat status;
    ASSERT_EQ(::stat((below / "f").c_str(), &status), 0);
    EXPECT_EQ(f->qid().path & 0xffff'ffff'ffff, status.st_ino);
    EXPECT_NE(f->qid().path >> 48, 0u);
    EXPECT_EQ(content(*f), "data");
    EXPECT_EQ(walk(*walk(*to, "d"), "..")->qid().path, to->qid().path);
    EXPECT_EQ(walk(*to, "..")->qid().path, root().qid().path);
    // A server that is started anew says the same.
    const auto tree = *fs::make_local_tree(host());
    const auto again = value(tree->attach(ctx(), "below"));
    EXPECT_EQ(walk(*again, "f")->qid().path, f->qid().path);
    EXPECT_EQ(error(root().rename(ctx(), "below", *to, "x")), EXDEV);
    EXPECT_EQ(error(to->link(ctx(), *file(root(), "own"), "x")), EXDEV);
  }
}

// What the host does is seen.
TEST_P(FsLocal, HostChanges) {
  const auto d = dir(root(), "d");
  put(host() / "d" / "f", "data");
  const auto f = walk(*d, "f");
  EXPECT_EQ(content(*f), "data");
  put(host() / "d" / "f", "more data");
  EXPECT_EQ(attr(*f).size, 9u);
  EXPECT_EQ(content(*f), "more data");
  stdfs::remove(host() / "d" / "f");
  EXPECT_EQ(error(d->walk(ctx(), "f")), ENOENT);
  EXPECT_EQ(content(*f), "more data");
}

// ------------------------------------------------------------------ users' rights

class FsLocalUser : public FsLocalBase {
 protected:
  /// Does something on the host as root: calls for users have left the thread in their name.
  static void as_root(const std::function<void()>& what) {
    NINEP_CHECK(io::assume(*io::Identity::make(0, 0, {})));
    what();
  }
};
INSTANTIATE_TEST_SUITE_P(Fs, FsLocalUser, testing::ValuesIn(local_backends(true)), backend_name);

// Another's files are what their modes say. The server is root, and must not be it for everybody.
TEST_P(FsLocalUser, FilesOfOthers) {
  as_root([&] {
    put(host() / "private", "data");
    ::chmod((host() / "private").c_str(), 0600);
    put(host() / "readable", "data");
    ::chmod((host() / "readable").c_str(), 0644);
  });
  const auto closed = walk(root(), "private");
  const auto readable = walk(root(), "readable");
  EXPECT_EQ(error(closed->open(ctx(), lopen::kReadOnly)), EACCES);
  EXPECT_EQ(error(root().create(ctx(), "private", lopen::kReadOnly, 0644, kOwnGid)), EACCES);
  EXPECT_EQ(content(*readable), "data");
  for (const U32 flags :
       {lopen::kWriteOnly, lopen::kReadWrite, lopen::kReadOnly | lopen::kTruncate})
    EXPECT_EQ(error(readable->open(ctx(), flags)), EACCES);
  const auto set = [&](const Tsetattr& to) { return error(readable->setattr(ctx(), to, nullptr)); };
  EXPECT_EQ(set({.valid = setattr::kMode, .mode = 0666}), EPERM);
  EXPECT_EQ(set({.valid = setattr::kUid, .uid = 65534}), EPERM);
  EXPECT_EQ(set({.valid = setattr::kSize, .size = 0}), EACCES);
  EXPECT_EQ(set({.valid = setattr::kMtime | setattr::kMtimeSet}), EPERM);
  EXPECT_EQ(set({.valid = setattr::kMtime}), EPERM);
  EXPECT_EQ(error(readable->setxattr(ctx(), "user.a", as_bytes("x"), 0)), EACCES);
  EXPECT_EQ(content(*readable), "data");
}

// So are another's directories: searching, reading and changing are three different things.
TEST_P(FsLocalUser, DirectoriesOfOthers) {
  as_root([&] {
    for (const auto& [name, mode] :
         {std::pair("closed", 0700), std::pair("search", 0711), std::pair("read", 0744)}) {
      stdfs::create_directory(host() / name);
      put(host() / name / "f", "data");
      ::chmod((host() / name).c_str(), static_cast<mode_t>(mode));
    }
  });
  const auto closed = walk(root(), "closed");
  EXPECT_EQ(error(closed->walk(ctx(), "f")), EACCES);
  EXPECT_EQ(error(closed->open(ctx(), lopen::kReadOnly)), EACCES);
  const auto search = walk(root(), "search");
  const auto f = walk(*search, "f");
  EXPECT_EQ(error(search->open(ctx(), lopen::kReadOnly)), EACCES);
  EXPECT_EQ(error(search->mkdir(ctx(), "x", 0755, kOwnGid)), EACCES);
  EXPECT_EQ(error(search->create(ctx(), "x", lopen::kReadWrite, 0644, kOwnGid)), EACCES);
  EXPECT_EQ(error(search->symlink(ctx(), "x", "y", kOwnGid)), EACCES);
  EXPECT_EQ(error(search->mknod(ctx(), "x", S_IFIFO | 0644, 0, 0, kOwnGid)), EACCES);
  EXPECT_EQ(error(search->unlink(ctx(), "f", false)), EACCES);
  EXPECT_EQ(error(search->rename(ctx(), "f", root(), "f")), EACCES);
  EXPECT_EQ(error(f->remove_self(ctx())), EACCES);
  EXPECT_EQ(error(f->rename_self(ctx(), root(), "f")), EACCES);
  const auto read = walk(root(), "read");
  EXPECT_EQ(names(*read), std::vector<std::string>{"f"});
  EXPECT_EQ(error(read->walk(ctx(), "f")), EACCES);
}

// A user's further groups count.
TEST_P(FsLocalUser, SupplementaryGroups) {
  as_root([&] {
    put(host() / "f", "data");
    EXPECT_EQ(::chown((host() / "f").c_str(), 0, 4321), 0);
    ::chmod((host() / "f").c_str(), 0640);
  });
  const auto f = walk(root(), "f");
  EXPECT_EQ(error(f->open(ctx(), lopen::kReadOnly)), EACCES);
  const U32 uid = exported().user->uid;
  fs::Context member(loop(), io::Identity::make(uid, uid, {4321, 99}));
  EXPECT_EQ(error(f->open(member, lopen::kReadOnly)), 0);
  EXPECT_EQ(error(f->open(member, lopen::kReadWrite)), EACCES);
  EXPECT_EQ(error(f->open(ctx(), lopen::kReadOnly)), EACCES);
}

// Users take turns on a loop, and each one's files are his own.
TEST_P(FsLocalUser, UsersTakeTurns) {
  EXPECT_EQ(error(root().setattr(ctx(), {.valid = setattr::kMode, .mode = 01777}, nullptr)), 0);
  fs::Context others[] = {{loop(), io::Identity::make(1001, 2001, {})},
                          {loop(), io::Identity::make(1002, 2002, {2001})},
                          {loop(), io::Identity::make(0, 0, {})}};
  for (int i = 0; i < 30; ++i) {
    fs::Context& who = others[i % 3];
    const std::string name = "f" + std::to_string(i);
    const auto made = value(root().create(who, name, lopen::kReadWrite, 0600, kOwnGid));
    EXPECT_EQ(attr(*made.node).uid, who.user()->uid);
    EXPECT_EQ(attr(*made.node).gid, who.user()->gid);
    value(root().mkdir(who, name + "d", 0700, kOwnGid));
    EXPECT_EQ(attr(*walk(root(), name + "d")).uid, who.user()->uid);
    fs::Context& other = others[(i + 1) % 2];
    if (other.user()->uid == who.user()->uid) continue;
    EXPECT_EQ(error(made.node->open(other, lopen::kReadOnly)), EACCES);
    EXPECT_EQ(error(root().unlink(other, name, false)), EPERM) << "a sticky directory";
  }
}

// The way up from a private directory is the server's business: whoever was served last doesn't
// matter.
TEST_P(FsLocalUser, TheWayUpIsFree) {
  const auto private_one = dir(*dir(root(), "d", 0700), "e", 0700);
  const auto inner = dir(*private_one, "f", 0700);
  ASSERT_TRUE(io::assume(*io::Identity::make(12345, 12345, {})));
  EXPECT_EQ(value(inner->walk(ctx(), ".."))->qid().path, private_one->qid().path);
}

}  // namespace
}  // namespace ninep::test
