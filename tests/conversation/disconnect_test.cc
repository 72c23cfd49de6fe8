// Clients that vanish in the middle of anything leave nothing behind: no descriptor, no memory, no
// lock, and no harm to others. NINEP_COUNT is how many vanish in the test that
// counts them.
#include <cstdlib>
#include <iostream>

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "tests/conversation/conversation.h"
#include "tests/conversation/vanish.h"

// The sanitizers' own.
extern "C" [[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes();

namespace ninep::test {
namespace {

class DisconnectTest : public Conversation {
 protected:
  static std::size_t descriptors() {
    std::size_t count = 0;
    DIR* dir = ::opendir("/proc/self/fd");
    while (::readdir(dir)) ++count;
    ::closedir(dir);
    return count;
  }
  /// Bytes that are allocated and neither freed nor kept for reuse; not what is resident, which
  /// holds the sanitizers' own tables too.
  std::size_t in_use() {
    const std::size_t kept = host().kept();
    if (__sanitizer_get_current_allocated_bytes)
      return __sanitizer_get_current_allocated_bytes() - kept;
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd - kept;
  }
};
NINEP_CONVERSATION(DisconnectTest);

// At each byte of the conversation, in each way that a client can leave.
TEST_P(DisconnectTest, AtEachByte) {
  Client good = session();
  const auto all = bit_of_everything(0);
  // Each byte in one of the ways; all of them within three bytes.
  for (std::size_t size = 0; size <= all.size(); ++size)
    leave(host().connect_tcp(), Bytes(all).first(size), static_cast<End>(size % 3), size % 2 == 0);
  host().wait_for_connections(1);
  good.make_file(0, "after", "all");
  EXPECT_EQ(good.content(0, "after"), "all");
  // The locks are free, and nothing was set of what was half written.
  ASSERT_EQ(good.walk(0, 1, {"n0"}).error(), 0);
  good.open(1, lopen::kReadWrite);
  const Tlock wanted{Fid{1}, lock::kWrite, 0, 0, 0, 9, "host"};
  EXPECT_EQ(good.get<Rlock>(wanted).status, lock::kSuccess);
  EXPECT_EQ(good.error(Txattrwalk{Fid{1}, Fid{2}, "user.a"}), ENODATA);
}

// A half-closed client gets the replies to what it has asked.
TEST_P(DisconnectTest, HalfClosed) {
  Client c = session();
  c.make_file(0, "f", "content");
  c.reach(0, 1, {"f"});
  c.send(1, Tclunk{Fid{1}});
  host().wait_until_read(c);
  c.half_close();
  EXPECT_EQ(c.receive().header().type, Describe<Rclunk>::code);
  EXPECT_TRUE(c.ended());
}

// After many, descriptors and memory are where they were.
TEST_P(DisconnectTest, LeavesNothing) {
  Client good = session();
  for (unsigned i = 0; i < 200; ++i) vanish(host().connect_tcp(), i);  // tables have grown
  host().wait_for_connections(1);
  const std::size_t descriptors_before = descriptors();
  const std::size_t before = in_use();
  for (unsigned i = 0; i < count_of_vanishing(300); ++i) vanish(host().connect_tcp(), i);
  host().wait_for_connections(1);
  EXPECT_LE(descriptors(), descriptors_before + 3);
  EXPECT_EQ(good.attr(0).qid.type, kQtDir);
  std::cout << "in use: " << before << " bytes before, " << in_use() << " after\n";
  EXPECT_LE(in_use(), before + 256 * 1024);
}

}  // namespace
}  // namespace ninep::test
