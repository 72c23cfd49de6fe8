// A guest's memory: the table of regions, and mappings that are cut short.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/resource.h>

#include "tests/transports/virtio/driver.h"
#include "transports/io/aside.h"

namespace ninep::virtio {
namespace {

using test::GuestRam;

Region region(const GuestRam& ram, U64 guest, U64 size, U64 user = 0x1000) {
  Region r = ram.region();
  r.guest = guest;
  r.size = size;
  r.user = user;
  return r;
}

TEST(Memory, RefusesRegionsThatAreNone) {
  const GuestRam ram(1 << 20);
  Memory memory;
  EXPECT_EQ(memory.add(region(ram, 0, 0)).error(), Errno{EINVAL});
  EXPECT_EQ(memory.add(region(ram, ~U64{0} - 4095, 8192)).error(), Errno{EINVAL});
  EXPECT_EQ(memory.add(region(ram, 0x1000, 4096, ~U64{0} - 100)).error(), Errno{EINVAL});
  EXPECT_EQ(memory.add(region(ram, 0, (1 << 20) + 1)).error(), Errno{EINVAL});
  Region shifted = region(ram, 0, 1 << 20);
  shifted.offset = 4096;
  EXPECT_EQ(memory.add(shifted).error(), Errno{EINVAL});
  shifted.offset = ~U64{0};
  EXPECT_EQ(memory.add(shifted).error(), Errno{EINVAL});
  EXPECT_EQ(memory.size(), 0u);
  EXPECT_TRUE(memory.add(region(ram, ~U64{0} - 4095, 4096)));  // up to the very last byte
}

TEST(Memory, RefusesOverlaps) {
  const GuestRam ram(1 << 20);
  Memory memory;
  ASSERT_TRUE(memory.add(region(ram, 0x10000, 0x10000)));
  for (const auto& [guest, size] : {std::pair<U64, U64>{0x10000, 0x10000},
                                    {0x1F000, 0x1000},
                                    {0x1FFFF, 0x1000},
                                    {0xF000, 0x1001},
                                    {0, 0x80000},
                                    {0x12000, 0x1000}})
    EXPECT_EQ(memory.add(region(ram, guest, size)).error(), Errno{EEXIST}) << guest;
  EXPECT_TRUE(memory.add(region(ram, 0xF000, 0x1000)));
  EXPECT_TRUE(memory.add(region(ram, 0x20000, 0x1000)));
  EXPECT_EQ(memory.size(), 3u);
}

TEST(Memory, RemovesJustWhatWasAdded) {
  const GuestRam ram(1 << 20);
  Memory memory;
  ASSERT_TRUE(memory.add(region(ram, 0x10000, 0x10000)));
  EXPECT_EQ(memory.remove(0x10000, 0x8000).error(), Errno{ENOENT});
  EXPECT_EQ(memory.remove(0x11000, 0x10000).error(), Errno{ENOENT});
  EXPECT_TRUE(memory.remove(0x10000, 0x10000));
  EXPECT_EQ(memory.remove(0x10000, 0x10000).error(), Errno{ENOENT});
}

TEST(Memory, IsBounded) {
  const GuestRam ram(1 << 20);
  const Region one = ram.region();
  Memory memory;
  for (U64 i = 0; i < Memory::kRegionsMax; ++i) {
    Region r = one;
    r.guest = i * 4096;
    r.size = 4096;
    ASSERT_TRUE(memory.add(r));
  }
  EXPECT_EQ(memory.add(region(ram, U64{1} << 40, 4096)).error(), Errno{ENOSPC});
}

TEST(Memory, PiecesAreBounded) {
  const GuestRam ram(1 << 20);
  Memory memory;
  for (U64 i = 0; i < 4; ++i) {  // neighbours for the guest, in another order for us
    Region r = ram.region();
    r.guest = i * 4096;
    r.size = 4096;
    r.offset = (3 - i) * 4096;
    ASSERT_TRUE(memory.add(r));
  }
  std::vector<iovec> pieces;
  EXPECT_TRUE(memory.pieces(100, 3 * 4096, Access::kRead, 4, pieces));
  EXPECT_EQ(pieces.size(), 4u);
  pieces.clear();
  EXPECT_FALSE(memory.pieces(100, 3 * 4096, Access::kRead, 3, pieces));
  EXPECT_EQ(memory.whole(100, 4096), nullptr);
  EXPECT_NE(memory.whole(100, 3996), nullptr);
  EXPECT_EQ(memory.whole(100, 0), nullptr);
}

TEST(Mapping, NeedsWholePagesThatTheFileHas) {
  const GuestRam ram(1 << 20);
  for (const auto& [offset, size] : {std::pair<U64, U64>{0, 0},
                                     {0, 4095},
                                     {1, 4096},
                                     {0, (1 << 20) + 4096},
                                     {1 << 20, 4096},
                                     {~U64{0} - 4095, 4096},
                                     {~U64{0} - 4095, 8192},
                                     {4096, ~U64{0} - 4095}})
    EXPECT_FALSE(Mapping::make(test::another(ram.fd()), offset, size, true))
        << offset << " " << size;
  EXPECT_TRUE(Mapping::make(test::another(ram.fd()), 4096, 8192, true));
  EXPECT_EQ(Mapping::make({}, 0, 4096, true).error(), Errno{EBADF});
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_EQ(Mapping::make(test::another(pipe[0]), 0, 4096, true).error(), Errno{EINVAL});
  ::close(pipe[0]);
  ::close(pipe[1]);
}

// A file system, which may be the VMM's own, is not waited for: memory alone is mapped.
TEST(Mapping, NeedsMemory) {
  const io::OwnedFd file(::open(NINEP_SOURCE_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file || ::fcntl(file.get(), F_GET_SEALS) >= 0) GTEST_SKIP() << "no file on a disk here";
  ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
  EXPECT_EQ(Mapping::make(test::another(file.get()), 0, 4096, true).error(), Errno{EINVAL});
}

// Whoever gave us the file cuts it off while it is mapped: we go on, and know.
TEST(Mapping, OutlivesItsFile) {
  const GuestRam ram(1 << 20);
  const auto mapping = Mapping::make(test::another(ram.fd()), 0, 1 << 20, true);
  const auto other = Mapping::make(test::another(ram.fd()), 0, 4096, true);
  ASSERT_TRUE(mapping && other);
  (*mapping)->data()[0] = std::byte{1};
  ASSERT_EQ(::ftruncate(ram.fd(), 4096), 0);
  EXPECT_FALSE((*mapping)->broken());
  (*mapping)->data()[8192] = std::byte{7};
  EXPECT_TRUE((*mapping)->broken());
  EXPECT_EQ((*mapping)->data()[8192], std::byte{7});
  EXPECT_EQ((*mapping)->data()[8193], std::byte{0});
  EXPECT_EQ((*mapping)->data()[0], std::byte{1});
  EXPECT_FALSE((*other)->broken());
  Memory memory;
  ASSERT_TRUE(memory.add({.guest = 0, .size = 1 << 20, .user = 0, .mapping = *mapping}));
  EXPECT_TRUE(memory.broken());
}

// However much of it is touched when it is gone, it costs the system one mapping more, of which a
// process has 65,530.
TEST(Mapping, BreaksAsOnePiece) {
  constexpr U64 kSize = 64 << 20;
  const GuestRam ram(kSize);
  const auto mapping = Mapping::make(test::another(ram.fd()), 0, kSize, true);
  ASSERT_TRUE(mapping);
  ASSERT_EQ(::ftruncate(ram.fd(), 0), 0);
  const auto maps = [] {
    std::ifstream file("/proc/self/maps");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  const auto before = maps();
  for (U64 at = kSize; at > 0; at -= 8192) (*mapping)->data()[at - 8192] = std::byte{7};
  EXPECT_TRUE((*mapping)->broken());
  EXPECT_LT(maps(), before + 16);
}

/// Huge pages of the system's, as far as this user may have some made.
class HugePages {
 public:
  explicit HugePages(int more) : before_(get()) { set(before_ + more); }
  ~HugePages() { set(before_); }

 private:
  static constexpr char kPath[] = "/proc/sys/vm/nr_hugepages";
  static int get() {
    int count = 0;
    std::ifstream(kPath) >> count;
    return count;
  }
  static void set(int count) { std::ofstream(kPath) << count; }
  const int before_;
};

// The same with huge pages. Those that the system hasn't are refused, not missed later on.
TEST(Mapping, HugePages) {
  constexpr U64 kHuge = 2 << 20;
  const io::OwnedFd fd(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB));
  if (!fd) GTEST_SKIP() << "no huge pages in this kernel";
  ASSERT_EQ(::ftruncate(fd.get(), 2 * kHuge), 0);
  EXPECT_EQ(Mapping::make(test::another(fd.get()), 4096, kHuge, true).error(), Errno{EINVAL});
  EXPECT_EQ(Mapping::make(test::another(fd.get()), 0, 4096, true).error(), Errno{EINVAL});
  const HugePages some(4);
  const auto mapping = Mapping::make(test::another(fd.get()), 0, 2 * kHuge, true);
  if (!mapping) {
    EXPECT_EQ(mapping.error(), Errno{ENOMEM});
    GTEST_SKIP() << "no huge pages to be had";
  }
  std::byte* const data = (*mapping)->data();
  data[0] = std::byte{1};
  ASSERT_EQ(::ftruncate(fd.get(), kHuge), 0);
  data[kHuge + 4096] = std::byte{7};
  EXPECT_TRUE((*mapping)->broken());
  EXPECT_EQ(data[kHuge + 4096], std::byte{7});
  EXPECT_EQ(data[kHuge], std::byte{0});
  EXPECT_EQ(data[0], std::byte{1});
}

// Mappings come and go in one thread while pages go in another.
TEST(Mapping, ComesWhileAnotherBreaks) {
  std::atomic<bool> stop{false};
  std::thread others([&] {
    const GuestRam ram(1 << 20);
    while (!stop) ASSERT_TRUE(Mapping::make(test::another(ram.fd()), 0, 1 << 20, true));
  });
  for (int i = 0; i < 300; ++i) {
    const GuestRam ram(1 << 20);
    const auto mapping = Mapping::make(test::another(ram.fd()), 0, 1 << 20, true);
    ASSERT_TRUE(mapping);
    ASSERT_EQ(::ftruncate(ram.fd(), 4096), 0);
    (*mapping)->data()[8192] = std::byte{7};
    EXPECT_TRUE((*mapping)->broken());
  }
  stop = true;
  others.join();
}

// There are descriptors left for others.
TEST(Mapping, AreBounded) {
  const GuestRam ram(1 << 20);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit less = limit;
  less.rlim_cur = 400;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
  while (io::Aside::waiting_everywhere() != 0) std::this_thread::yield();
  std::vector<std::shared_ptr<Mapping>> mappings;
  for (int i = 0; i < 100; ++i) {
    const auto mapping = Mapping::make(test::another(ram.fd()), 0, 4096, true);
    ASSERT_TRUE(mapping);
    mappings.push_back(*mapping);
  }
  EXPECT_EQ(Mapping::make(test::another(ram.fd()), 0, 4096, true).error(), Errno{ENOSPC});
  mappings.pop_back();
  while (io::Aside::waiting_everywhere() != 0) std::this_thread::yield();
  EXPECT_TRUE(Mapping::make(test::another(ram.fd()), 0, 4096, true));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

// Whoever is writing, writes to copies; the guest's pages are mapped anew.
TEST(Mapping, IsCutOff) {
  const GuestRam ram(1 << 20);
  const auto mapping = Mapping::make(test::another(ram.fd()), 4096, 8192, true);
  ASSERT_TRUE(mapping);
  std::byte* const at = (*mapping)->data();
  at[0] = std::byte{1};
  const auto again = (*mapping)->again();
  ASSERT_TRUE(again);
  ASSERT_TRUE((*mapping)->cut_off());
  EXPECT_EQ((*mapping)->data(), at);
  EXPECT_EQ(at[0], std::byte{1});
  at[0] = std::byte{2};
  at[4096] = std::byte{3};
  EXPECT_EQ(*ram.at(ram.guest() + 4096), std::byte{1});
  EXPECT_EQ((*again)->data()[4096], std::byte{0});
  (*again)->data()[1] = std::byte{4};
  EXPECT_EQ(*ram.at(ram.guest() + 4097), std::byte{4});
  ASSERT_TRUE((*mapping)->cut_off());  // once more: the copies stay
  EXPECT_EQ(at[0], std::byte{2});
  EXPECT_EQ(at[4096], std::byte{3});
}

// What is kept is as it was, whatever the guest does to its pages; the others are the guest's.
TEST(Mapping, KeepsWhatIsReadLater) {
  const GuestRam ram(1 << 20);
  const auto mapping = Mapping::make(test::another(ram.fd()), 0, 4 * 4096, true);
  ASSERT_TRUE(mapping);
  std::byte* const at = (*mapping)->data();
  const auto write = [&](std::byte value) { std::fill_n(ram.at(ram.guest()), 4 * 4096, value); };
  write(std::byte{1});
  ASSERT_TRUE((*mapping)->cut_off());
  const iovec pieces[]{{at + 4095, 2}, {at + 3 * 4096 + 4095, 1}};
  Mapping::keep(pieces);
  write(std::byte{2});
  EXPECT_EQ(at[4095], std::byte{1});
  EXPECT_EQ(at[4096], std::byte{1});
  EXPECT_EQ(at[2 * 4096], std::byte{2});
  EXPECT_EQ(at[4 * 4096 - 1], std::byte{1});
}

// One party's bytes leave some for the others.
TEST(Mapping, OfOneParty) {
  Allowance one;
  Allowance other;
  const U64 half = Allowance::kBytesMax / 2;
  EXPECT_FALSE(one.take(Allowance::kBytesMax + 1));
  EXPECT_FALSE(one.take(~U64{0}));
  ASSERT_TRUE(one.take(half));
  ASSERT_TRUE(one.take(half));
  EXPECT_FALSE(one.take(1));
  EXPECT_TRUE(other.take(half));
  one.give_back(half);
  EXPECT_TRUE(one.take(half));
  for (int i = 0; i < 2; ++i) one.give_back(half);
  other.give_back(half);
  EXPECT_EQ(Mapping::make_private(Allowance::kBytesMax + 4096).error(), Errno{ENOSPC});
}

// What one isn't given, the others don't miss, not for a moment.
TEST(Mapping, OneAsksForTooMuch) {
  std::atomic<bool> over{false};
  unsigned given = 0;
  std::thread greedy([&] {
    Allowance one;
    while (!over) given += one.take(Allowance::kShares * Allowance::kBytesMax);
  });
  Allowance other;
  unsigned refused = 0;
  for (int i = 0; i < 300'000; ++i) {
    if (other.take(4096)) {
      other.give_back(4096);
    } else {
      ++refused;
    }
  }
  over = true;
  greedy.join();
  EXPECT_EQ(given, 0u);
  EXPECT_EQ(refused, 0u);
}

TEST(Mapping, OtherBusErrorsEndTheProgram) {
  EXPECT_DEATH(
      {
        const GuestRam ram(1 << 20);
        const auto mapping = Mapping::make(test::another(ram.fd()), 0, 4096, true);
        if (::ftruncate(ram.fd(), 4096) == 0) *ram.at(ram.guest() + 8192) = std::byte{1};
      },
      "");
}

}  // namespace
}  // namespace ninep::virtio
