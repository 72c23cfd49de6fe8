// Reads of what isn't cached: they leave the loop's thread, and are as whole as any other.
#include <numeric>

#include <sys/uio.h>

#include "tests/transports/io/loops.h"
#include "tests/transports/temp_dir.h"

namespace ninep::io {
namespace {

using test::run;
using test::TempDir;

class ColdReads : public test::EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    dir_ = test::dir_on_ext4();
    if (!dir_) GTEST_SKIP() << test::kNoExt4;
    make_file();
  }
  void TearDown() override {
    if (file_ >= 0) ::close(file_);
  }

  void make_file() {
    file_ = ::open((*dir_ / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(file_, 0);
    ASSERT_EQ(::pwrite(file_, content_.data(), content_.size(), 0),
              static_cast<ssize_t>(content_.size()));
    ASSERT_EQ(::fsync(file_), 0);
    forget();
  }
  // Takes the file out of the page cache, and read-ahead out of the way.
  void forget() {
    ASSERT_EQ(::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED), 0);
    ASSERT_EQ(::posix_fadvise(file_, 0, 0, POSIX_FADV_RANDOM), 0);
  }
  const Counter& reads() { return loop().counters()[static_cast<std::size_t>(Kind::kRead)]; }

  static Task<void> read(Loop& loop, int fd, std::span<std::byte> room, U64 offset, int& result) {
    const iovec pieces[] = {{room.data(), room.size() / 2},
                            {room.data() + room.size() / 2, room.size() - room.size() / 2}};
    result = co_await loop.run(ops::read(Sleep::kCold, fd, pieces, offset));
  }
  void expect_read(U64 offset, std::size_t size, std::size_t expected) {
    std::vector<std::byte> room(size);
    int result = 0;
    run(loop(), read(loop(), file_, room, offset, result));
    ASSERT_EQ(result, static_cast<int>(expected));
    room.resize(expected);
    EXPECT_TRUE(std::equal(
        room.begin(), room.end(),
        content_.begin() + static_cast<std::ptrdiff_t>(std::min<U64>(offset, content_.size()))));
  }

  static std::vector<std::byte> make_content() {
    std::vector<std::byte> content((1 << 20) + 100);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 7 / 5);
    return content;
  }

  std::unique_ptr<TempDir> dir_;
  int file_ = -1;
  const std::vector<std::byte> content_ = make_content();
};
INSTANTIATE_TEST_SUITE_P(, ColdReads,
                         testing::Values(test::Which{"io_uring"}, test::Which{"portable"}),
                         test::loop_name);

TEST_P(ColdReads, LeaveTheLoopsThread) {
  expect_read(4096, 4096, 4096);
  EXPECT_EQ(is("io_uring") ? reads().ring : reads().pool, 1u);
  EXPECT_EQ(reads().in_place, 0u);
  expect_read(4096, 4096, 4096);  // warm now
  EXPECT_EQ(reads().in_place, 1u);
}

// Partly cached: what is there must not be taken for all that there is.
TEST_P(ColdReads, AreWholeAlsoWhenTheirFrontIsCached) {
  std::byte page[8192];
  ASSERT_EQ(::pread(file_, page, sizeof page, 0), 8192);
  expect_read(0, 256 << 10, 256 << 10);
  expect_read(100, 1 << 20, 1 << 20);
}

TEST_P(ColdReads, EndWithTheFile) {
  const std::size_t size = content_.size();
  expect_read(size - 50, 4096, 50);
  const U64 left_before = reads().ring + reads().pool;
  expect_read(size - 50, 4096, 50);  // short, but for a good reason: nothing to wait for
  expect_read(size, 4096, 0);
  expect_read(size + 1000, 4096, 0);
  EXPECT_EQ(reads().ring + reads().pool, left_before);
  EXPECT_EQ(reads().in_place, 3u);
}

}  // namespace
}  // namespace ninep::io
