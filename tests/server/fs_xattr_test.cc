// Extended attributes.
#include <algorithm>

#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class FsXattr : public FsTest {
 protected:
  void SetUp() override {
    FsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    node_ = file(root(), "f");
    if (set("user.probe", "") == EOPNOTSUPP) GTEST_SKIP() << "no user attributes on this one";
    ASSERT_EQ(remove("user.probe"), 0);
  }
  void TearDown() override {
    node_ = nullptr;
    FsTest::TearDown();
  }

  int set(Str name, Str value, U32 flags = 0) {
    return error(node_->setxattr(ctx(), name, as_bytes(value), flags));
  }
  int remove(Str name) { return error(node_->removexattr(ctx(), name)); }
  std::string get(Str name) {
    const auto got = go(node_->getxattr(ctx(), name));
    return std::string(got ? as_str(*got) : errno_name(got.error()));
  }
  std::vector<std::string> list() {
    const auto bytes = value(node_->listxattr(ctx()));
    std::vector<std::string> names;
    for (Str rest = as_str(bytes); !rest.empty();) {
      names.emplace_back(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(names.back().size() + 1);
    }
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("user."); });
    std::sort(names.begin(), names.end());
    return names;
  }

  Ref<fs::Node> node_;
};
NINEP_FS_SUITE(FsXattr);
using NameList = std::vector<std::string>;

// A value is bytes, and is replaced as a whole. Absent is ENODATA, which Linux takes quietly.
TEST_P(FsXattr, SetAndGet) {
  EXPECT_EQ(get("user.a"), "ENODATA");
  EXPECT_EQ(set("user.a", Str("long\0value", 10)), 0);
  EXPECT_EQ(get("user.a"), Str("long\0value", 10));
  EXPECT_EQ(set("user.a", "short"), 0);
  EXPECT_EQ(get("user.a"), "short");
  EXPECT_EQ(get("user.b"), "ENODATA");
}

// The empty value is a value: there are servers that take it for a removal.
TEST_P(FsXattr, TheEmptyValue) {
  EXPECT_EQ(set("user.a", ""), 0);
  EXPECT_EQ(get("user.a"), "");
  EXPECT_EQ(list(), NameList{"user.a"});
  EXPECT_EQ(set("user.a", "x"), 0);
  EXPECT_EQ(set("user.a", "", kXattrReplace), 0);
  EXPECT_EQ(get("user.a"), "");
}

// kXattrCreate: it must not be there; kXattrReplace: it must.
TEST_P(FsXattr, Flags) {
  EXPECT_EQ(set("user.a", "1", kXattrReplace), ENODATA);
  EXPECT_EQ(get("user.a"), "ENODATA");
  EXPECT_EQ(set("user.a", "1", kXattrCreate), 0);
  EXPECT_EQ(set("user.a", "2", kXattrCreate), EEXIST);
  EXPECT_EQ(get("user.a"), "1");
  EXPECT_EQ(set("user.a", "3", kXattrReplace), 0);
  EXPECT_EQ(get("user.a"), "3");
  EXPECT_EQ(set("user.a", "4", 0x80), EINVAL);
}

TEST_P(FsXattr, Remove) {
  EXPECT_EQ(set("user.a", "1"), 0);
  EXPECT_EQ(set("user.b", "2"), 0);
  EXPECT_EQ(remove("user.a"), 0);
  EXPECT_EQ(remove("user.a"), ENODATA);
  EXPECT_EQ(get("user.a"), "ENODATA");
  EXPECT_EQ(get("user.b"), "2");
}

// The list has every name once; cp -a copies by it.
TEST_P(FsXattr, List) {
  EXPECT_EQ(list(), NameList{});
  NameList names;
  for (int i = 0; i < 20; ++i) {
    names.push_back("user.attribute-" + std::to_string(i + 10));
    EXPECT_EQ(set(names.back(), "value"), 0);
  }
  EXPECT_EQ(list(), names);
  EXPECT_EQ(remove(names[7]), 0);
  names.erase(names.begin() + 7);
  EXPECT_EQ(list(), names);
}

// Values of any size that the file system takes come back whole, also those that are larger than a
// first guess.
TEST_P(FsXattr, Sizes) {
  for (const std::size_t size : {1u, 255u, 256u, 257u, 1000u, 3000u}) {
    std::string value(size, 'v');
    value.back() = '.';
    ASSERT_EQ(set("user.a", value), 0) << size;
    EXPECT_EQ(get("user.a"), value);
  }
  const int large = set("user.a", std::string(65'536, 'v'));
  EXPECT_TRUE(large == 0 || large == ENOSPC || large == E2BIG) << large;
  EXPECT_EQ(get("user.a").size(), large ? 3000u : 65'536u);
  EXPECT_EQ(set("user.a", std::string(65'537, 'v')), E2BIG);
}

// Names have up to 255 bytes; what is no name in a namespace is refused.
TEST_P(FsXattr, Names) {
  const std::string longest = "user." + std::string(250, 'n');
  EXPECT_EQ(set(longest, "x"), 0);
  EXPECT_EQ(get(longest), "x");
  EXPECT_EQ(list(), NameList{longest});
  EXPECT_EQ(set("user.", "x"), EINVAL);
  EXPECT_EQ(set("nonsense", "x"), EOPNOTSUPP);
  EXPECT_EQ(get("nonsense"), "EOPNOTSUPP");
}

// They are the file's: seen by every name and node of it, also when it was unlinked.
TEST_P(FsXattr, BelongToTheFile) {
  EXPECT_EQ(error(root().link(ctx(), *node_, "g")), 0);
  EXPECT_EQ(set("user.a", "1"), 0);
  node_ = walk(root(), "g");
  EXPECT_EQ(get("user.a"), "1");
  EXPECT_EQ(error(root().unlink(ctx(), "f", false)), 0);
  EXPECT_EQ(error(root().unlink(ctx(), "g", false)), 0);
  EXPECT_EQ(set("user.a", "2"), 0);
  EXPECT_EQ(get("user.a"), "2");
}

// A value that is held for long takes what it is worth.
TEST_P(FsXattr, TakeNoMoreThanTheirSize) {
  EXPECT_EQ(set("user.a", std::string(300, 'x')), 0);
  EXPECT_LT(value(node_->getxattr(ctx(), "user.a")).capacity(), 1000u);
  EXPECT_LT(value(node_->listxattr(ctx())).capacity(), 1000u);
}

// Whom the server acts as has that user's rights, and none of its own.
TEST_P(FsXattr, OfThePrivileged) {
  if (!exported().user || exported().privileged) GTEST_SKIP() << "not as an ordinary user";
  EXPECT_EQ(set("trusted.a", "x"), EPERM);
  const Str capability("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  EXPECT_EQ(set("security.capability", capability), EPERM);
}

// Directories have them too.
TEST_P(FsXattr, OfADirectory) {
  node_ = dir(root(), "d");
  EXPECT_EQ(set("user.a", "1"), 0);
  EXPECT_EQ(get("user.a"), "1");
  EXPECT_EQ(list(), NameList{"user.a"});
}

// Symbolic links and special files have no user attributes. A link's must not turn out to be those
// of what it leads to.
TEST_P(FsXattr, OfOthers) {
  EXPECT_EQ(set("user.a", "the file's"), 0);
  value(root().mknod(ctx(), "p", S_IFIFO | 0644, 0, 0, kOwnGid));
  for (const auto& other : {symlink(root(), "l", "f"), walk(root(), "p")}) {
    node_ = other;
    EXPECT_EQ(get("user.a"), "ENODATA");
    EXPECT_EQ(set("user.a", "x"), EPERM);
    EXPECT_EQ(remove("user.a"), EPERM);
    EXPECT_EQ(list(), NameList{});
  }
  node_ = walk(root(), "f");
  EXPECT_EQ(get("user.a"), "the file's");
}

}  // namespace
}  // namespace ninep::test
