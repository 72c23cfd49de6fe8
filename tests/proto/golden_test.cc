// Frames that other programs sent decode in their dialect and encode back to the same bytes.
#include "tests/golden.h"

#include <cstdlib>
#include <map>
#include <new>
#include <set>

#include <gtest/gtest.h>

#include "client/dump/json.h"
#include "client/dump/reencode.h"
#include "tests/bytes.h"

// ------------------------------------------------------------------ counting allocations

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes the two halves of a replacement for each other's strangers where it inlines them.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {
std::size_t allocations = 0;
}
void* operator new(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (!memory) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ninep {
namespace {

using test::golden_frames;
using test::GoldenFrame;

TEST(Golden, AllFramesAreHere) {
  std::map<Dialects, int> count;
  std::set<std::pair<U8, Dialects>> kinds;
  for (const GoldenFrame& frame : golden_frames()) {
    ++count[frame.dialect()];
    kinds.insert({read_header(frame.bytes()).type, frame.dialect()});
    EXPECT_EQ(frame.file.substr(0, frame.file.find('_')), dialect_name(frame.dialect()));
  }
  EXPECT_EQ(count[k9P2000], 102);
  EXPECT_EQ(count[kDotU], 89);
  EXPECT_EQ(count[kDotL], 376);
  // Every message, but these three, in at least one dialect.
  std::set<U8> codes;
  for (const auto& [code, dialect] : kinds) codes.insert(code);
  std::set<std::string> missing;
  each_message([&]<class M>() {
    if (!codes.contains(Describe<M>::code)) missing.insert(Describe<M>::name);
  });
  EXPECT_EQ(missing, (std::set<std::string>{"Rrename", "Ropenfd", "Rauth"}));
}

TEST(Golden, EncodeBackToTheSameBytes) {
  for (const GoldenFrame& frame : golden_frames()) {
    const Reencoded again = reencode(frame.bytes(), frame.dialect());
    ASSERT_EQ(again.outcome, Outcome::kDone) << frame.where();
    EXPECT_EQ(to_hex(again.frame), to_hex(frame.bytes())) << frame.where();
  }
}

TEST(Golden, AreRefusedCutAtAnyByte) {
  for (const GoldenFrame& frame : golden_frames()) {
    const U8 code = read_header(frame.bytes()).type;
    for (std::size_t size = kHeaderSize; size < frame.bytes().size(); ++size) {
      const std::vector<std::byte> cut(frame.bytes().begin(),
                                       frame.bytes().begin() + static_cast<std::ptrdiff_t>(size));
      const Outcome outcome = visit_frame(cut, frame.dialect(), [](const auto&) {});
      const bool left_out = frame.bytes().size() - size == 4 &&
                            (code == Describe<Tfsync>::code ||
                             (frame.dialect() == kDotU && code == Describe<Tattach>::code));
      EXPECT_EQ(outcome, left_out ? Outcome::kDone : Outcome::kMalformed) << frame.where();
    }
  }
}

TEST(Golden, DecodeAllocatesNothing) {
  const std::size_t before = allocations;
  {
    const std::string probe(100, 'x');
  }
  ASSERT_GT(allocations, before) << "the counter counts";
  std::size_t decoded = 0;
  for (const GoldenFrame& frame : golden_frames()) {
    const std::size_t at_start = allocations;
    visit_frame(frame.bytes(), frame.dialect(), [&](const auto&) { ++decoded; });
    EXPECT_EQ(allocations, at_start) << frame.where();
  }
  EXPECT_EQ(decoded, 567u);
}

TEST(Golden, EncodeAllocatesNothing) {
  std::vector<std::byte> room(8192);
  std::size_t encoded = 0;
  for (const GoldenFrame& frame : golden_frames()) {
    const std::size_t at_start = allocations;
    visit_frame(frame.bytes(), frame.dialect(), [&](const auto& m) {
      encoded += encode_frame(Tag{1}, m, frame.dialect(), room) != 0;
    });
    EXPECT_EQ(allocations, at_start) << frame.where();
  }
  EXPECT_EQ(encoded, 567u);
}

// The data of every Rreaddir are whole entries.
TEST(Golden, DirectoriesAreWholeRecords) {
  std::size_t entries = 0;
  for (const GoldenFrame& frame : golden_frames()) {
    visit_frame(frame.bytes(), frame.dialect(), [&](const auto& m) {
      if constexpr (std::same_as<std::decay_t<decltype(m)>, Rreaddir>) {
        for (Bytes rest = m.data.bytes; !rest.empty(); ++entries) {
          Dirent entry{};
          ASSERT_TRUE(decode_front(rest, kDotL, entry)) << frame.where();
          EXPECT_FALSE(entry.name.empty()) << frame.where();
        }
      }
    });
  }
  EXPECT_GT(entries, 20u);
}

// ------------------------------------------------------------------ frames that break the rules

TEST(Quirks, GaneshaSendsRlerrorAsType107) {
  std::vector<U32> ecodes;
  for (const GoldenFrame& frame : test::golden_file("quirks.txt")) {
    if (frame.text.source != "nfs-ganesha-4.3") continue;
    const Reencoded again = reencode(frame.bytes(), frame.dialect());
    ASSERT_EQ(again.outcome, Outcome::kDone) << frame.where();
    EXPECT_EQ(read_header(again.frame).type, Describe<Rlerror>::code) << "we send the right type";
    ecodes.push_back(frame_to_json(frame.bytes(), frame.dialect())["body"]["ecode"].get<U32>());
  }
  EXPECT_EQ(ecodes, (std::vector<U32>{2, 22, 95, 39}));
}

TEST(Quirks, QemuSendsRstatWithNstat0) {
  std::vector<std::string> names;
  for (const GoldenFrame& frame : test::golden_file("quirks.txt")) {
    if (frame.text.source != "qemu-9pfs-7.2") continue;
    const Reencoded again = reencode(frame.bytes(), frame.dialect());
    ASSERT_EQ(again.outcome, Outcome::kDone) << frame.where();
    // We send what nstat should have been, and the rest as it came.
    const std::size_t nstat = frame.bytes().size() - kHeaderSize - 2;
    auto expected = frame.text.frame;
    EXPECT_EQ(to_hex(frame.bytes().subspan(7, 2)), "0000");
    expected[7] = static_cast<std::byte>(nstat & 0xff);
    expected[8] = static_cast<std::byte>(nstat >> 8);
    EXPECT_EQ(to_hex(again.frame), to_hex(expected)) << frame.where();
    names.push_back(frame_to_json(frame.bytes(), frame.dialect())["body"]["stat"]["extension"]
                        .get<std::string>());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"HARDLINKCOUNT 3", "HARDLINKCOUNT 3"}));
}

}  // namespace
}  // namespace ninep
