// Clients that vanish in the middle of anything leave nothing behind: no descriptor, no memory, no
// lock, and no harm to others. NINEP_COUNT is how many vanish in the test that counts them.
#include <cstdlib>
#include <iostream>

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "tests/conversation/conversation.h"

// AddressSanitizer keeps what was freed for a while; here that would look like a leak.
extern "C" [[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes();
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=1"; }

namespace ninep::test {
namespace {

class DisconnectTest : public Conversation {
 protected:
  /// A conversation with a bit of everything, as the bytes of its requests.
  static std::vector<std::byte> script(U32 number) {
    std::vector<std::byte> all;
    const auto say = [&](U16 tag, const auto& m) {
      const auto frame = frame_of(Tag{tag}, m, kDotL);
      all.insert(all.end(), frame.begin(), frame.end());
    };
    const std::string name = "n" + std::to_string(number % 7);
    say(0xFFFF, Tversion{kMsize, "9P2000.L"});
    say(0, Tattach{Fid{0}, kNoFid, "", "", 0});
    say(1, Twalk{Fid{0}, Fid{1}, {}});
    say(2, Tlcreate{Fid{1}, name, lopen::kReadWrite, 0644, 0});
    say(3, Twrite{Fid{1}, 0, as_bytes("some data")});
    say(4, Tlock{Fid{1}, lock::kWrite, 0, 0, 0, 1, "host"});
    say(5, Tread{Fid{1}, 0, 4096});
    say(6, Twalk{Fid{0}, Fid{2}, {name}});
    say(7, Txattrcreate{Fid{2}, "user.a", 100, 0});
    say(8, Twrite{Fid{2}, 0, as_bytes("half of it")});
    say(9, Tflush{Tag{5}});
    say(10, Twalk{Fid{0}, Fid{3}, {}});
    say(11, Tlopen{Fid{3}, 0});
    say(12, Treaddir{Fid{3}, 0, 4096});
    say(13, Tfsync{Fid{1}, 0});
    return all;
  }
  enum class End { kClose, kReset, kHalf };
  /// Says `bytes` and leaves, without having read a reply or with some read.
  void leave(Bytes bytes, End end, bool reads) {
    Client c = host().connect_tcp();
    c.send_raw(bytes);
    Received first;
    if (reads && bytes.size() > 40) c.receive(first);
    if (end == End::kReset) c.reset_on_close();
    if (end == End::kHalf) {
      c.half_close();
      while (c.receive(first)) continue;  // what was asked for in full may still come
    }
  }

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
  static unsigned count() {
    const char* given = std::getenv("NINEP_COUNT");
    return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 300;
  }
};
NINEP_CONVERSATION(DisconnectTest);

// At each byte of the conversation, in each way that a client can leave.
TEST_P(DisconnectTest, AtEachByte) {
  Client good = session();
  const auto all = script(0);
  // Each byte in one of the ways; all of them within three bytes.
  for (std::size_t size = 0; size <= all.size(); ++size)
    leave(Bytes(all).first(size), static_cast<End>(size % 3), size % 2 == 0);
  host().wait_for_connections(1);
  good.make_file(0, "after", "all");
  EXPECT_EQ(good.content(0, "after"), "all");
  // The locks are free, and nothing was set of what was half written.
  if (good.walk(0, 1, {"n0"}).error() == 0) {
    good.open(1, lopen::kReadWrite);
    const Tlock wanted{Fid{1}, lock::kWrite, 0, 0, 0, 9, "host"};
    EXPECT_EQ(good.get<Rlock>(wanted).status, lock::kSuccess);
    EXPECT_EQ(good.error(Txattrwalk{Fid{1}, Fid{2}, "user.a"}), ENODATA);
  }
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
  const auto vanish = [&](unsigned number) {
    const auto all = script(number);
    const std::size_t size = (number * 7919u) % (all.size() + 1);
    leave(Bytes(all).first(size), static_cast<End>(number % 3), number % 2 == 0);
  };
  for (unsigned i = 0; i < 200; ++i) vanish(i);  // what is kept for reuse is there now
  host().wait_for_connections(1);
  const std::size_t descriptors_before = descriptors();
  const std::size_t before = in_use();
  for (unsigned i = 0; i < count(); ++i) vanish(i);
  host().wait_for_connections(1);
  EXPECT_LE(descriptors(), descriptors_before + 3);
  EXPECT_EQ(good.attr(0).qid.type, kQtDir);
  std::cout << "in use: " << before << " bytes before, " << in_use() << " after\n";
  EXPECT_LE(in_use(), before + 256 * 1024);
}

}  // namespace
}  // namespace ninep::test
