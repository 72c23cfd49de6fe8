// Qid paths over several file systems.
#include "server/fs/file_systems.h"

#include <cstring>
#include <set>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>

namespace ninep::fs {
namespace {

const FileSystem& find(FileSystems& table, U32 device, U64 fsid) {
  struct statx file{};
  file.stx_dev_minor = device;
  struct statfs about{};
  std::memcpy(&about.f_fsid, &fsid, sizeof about.f_fsid);
  return table.find(file, about);
}

// The first one's files have their inode numbers, those of others a prefix that only the fsid
// makes.
TEST(FileSystemsTest, TheSameAfterARestart) {
  constexpr U64 kFsid = 0x1234'5678'9abc'def0;
  FileSystems table;
  const auto& own = find(table, 1, 1);
  EXPECT_EQ(table.path(own, 77), 77u);
  const auto& other = find(table, 2, kFsid);
  const U64 path = *table.path(other, 77);
  EXPECT_EQ(path & 0xffff'ffff'ffff, 77u);
  EXPECT_NE(path >> 48, 0u);
  EXPECT_EQ(&find(table, 2, kFsid), &other);
  // Started again: other device numbers, and others found before it.
  FileSystems again;
  find(again, 9, 1);
  find(again, 8, 5);
  EXPECT_EQ(again.path(find(again, 7, kFsid), 77), path);
}

// Two that would have the same prefix don't: copies of one image, and any of very many.
TEST(FileSystemsTest, CollisionsAreDetected) {
  FileSystems table;
  find(table, 0, 1);
  std::set<U64> paths;
  for (U32 i = 1; i <= 2000; ++i) paths.insert(*table.path(find(table, i, i), 5));
  for (U32 i = 2001; i <= 2010; ++i) paths.insert(*table.path(find(table, i, 3), 5));
  for (U32 i = 2011; i <= 2020; ++i) paths.insert(*table.path(find(table, i, 0), 5));
  EXPECT_EQ(paths.size(), 2020u);
  EXPECT_FALSE(paths.contains(5));
}

// When all prefixes are taken there is an error, and no search without end.
TEST(FileSystemsTest, TooMany) {
  FileSystems table;
  find(table, 0, 1);
  for (U32 i = 1; i <= 65535; ++i) ASSERT_TRUE(table.path(find(table, i, i), 5));
  EXPECT_EQ(table.path(find(table, 65536, 65536), 5), fail(EOVERFLOW));
  EXPECT_TRUE(table.path(find(table, 77, 77), 5));
}

// A number that could be another file's is an error, and only that.
TEST(FileSystemsTest, LargeInodeNumbers) {
  FileSystems table;
  const auto& own = find(table, 1, 1);
  const U64 large = (U64{0xabcd} << 48) | 6;
  EXPECT_EQ(table.path(own, large), large);
  const auto& other = find(table, 2, 2);
  EXPECT_EQ(table.path(other, U64{1} << 48), fail(EOVERFLOW));
  const U64 taken = *table.path(other, 6);
  EXPECT_EQ(table.path(own, taken), fail(EOVERFLOW));
  EXPECT_EQ(table.path(own, taken ^ U64{1} << 48), taken ^ U64{1} << 48);
}

// The system gives a device number to another file system when the first was unmounted.
TEST(FileSystemsTest, ReusedDeviceNumber) {
  FileSystems table;
  find(table, 1, 1);
  const U64 gone = *table.path(find(table, 2, 0x22), 1);
  EXPECT_NE(table.path(find(table, 2, 0x33), 1), gone);
  EXPECT_EQ(table.path(find(table, 2, 0x22), 1), gone);
}

// What is not known to be quick may take any time.
TEST(FileSystemsTest, Sleep) {
  EXPECT_EQ(sleep_of("tmpfs"), io::Sleep::kNever);
  EXPECT_EQ(sleep_of("ext4"), io::Sleep::kCold);
  for (const char* type : {"9p", "nfs4", "fuse.sshfs", "ext", "tmpfs2", ""})
    EXPECT_EQ(sleep_of(type), io::Sleep::kMay) << type;
  struct statx here{};
  struct statfs about{};
  ASSERT_EQ(::statx(AT_FDCWD, "/proc", 0, STATX_BASIC_STATS | STATX_MNT_ID, &here), 0);
  EXPECT_EQ(FileSystems().find(here, about).sleep, io::Sleep::kMay);
  struct statfs shm{};
  if (::statfs("/dev/shm", &shm) == 0 && shm.f_type == TMPFS_MAGIC) {
    ASSERT_EQ(::statx(AT_FDCWD, "/dev/shm", 0, STATX_BASIC_STATS | STATX_MNT_ID, &here), 0);
    EXPECT_EQ(FileSystems().find(here, about).sleep, io::Sleep::kNever);
  }
  here.stx_mask = 0;  // an old kernel
  EXPECT_EQ(FileSystems().find(here, about).sleep, io::Sleep::kMay);
}

}  // namespace
}  // namespace ninep::fs
