// What holds for every message in every dialect that has it, whatever its fields are.
// A failure prints a seed; RC_PARAMS="seed=..." repeats it.
#include <gtest/gtest.h>

#include "fuzz/check.h"
#include "tests/arbitrary.h"
#include "tests/bytes.h"
#include "tests/proto/lengths.h"

namespace ninep {
namespace {

using test::Arena;
using test::draw;
using test::Length;

/// One instance of RapidCheck's machinery for all messages: it takes long to compile.
bool check(const std::function<void()>& property) { return rc::check(property); }

template <class M>
class Every : public testing::Test {
 protected:
  /// Runs property(m, bytes of m, dialect) for many m, in each dialect.
  static void holds(auto&& property) {
    for (const Dialects d : test::kDialects) {
      if (!has(Describe<M>::dialects, d)) continue;
      EXPECT_TRUE(check([&] {
        Arena arena;
        const M m = draw<M>(arena, d);
        const auto body = test::body_of(m, d);
        RC_LOG() << Describe<M>::name << " in " << dialect_name(d) << ", body " << to_hex(body)
                 << std::endl;
        property(m, body, d);
      }));
    }
  }
};

template <class List>
struct AsTypes;
template <class... M>
struct AsTypes<std::tuple<M...>> {
  using Types = testing::Types<M...>;
};
struct Names {
  template <class M>
  static std::string GetName(int) {
    return Describe<M>::name;
  }
};
TYPED_TEST_SUITE(Every, AsTypes<AllMessages>::Types, Names);

/// Decodes bytes that end where their block ends, so that AddressSanitizer sees a read past them.
template <class M>
bool decodes_at_end(const std::vector<std::byte>& block, std::size_t size, Dialects d, M& m) {
  m = M{};
  return decode(Bytes(block).last(size), d, m);
}

TYPED_TEST(Every, SurvivesARoundTrip) {
  using M = TypeParam;
  this->holds([](const M& m, const std::vector<std::byte>& body, Dialects d) {
    RC_ASSERT(body.size() == encoded_size(m, d));
    M again{};
    RC_ASSERT(decode(body, d, again));
    RC_ASSERT(again == m);
    const std::string fault = fuzz::frame_fault(test::frame_of(Tag{1}, m, d), d);
    RC_ASSERT(fault.empty());
    // Room of one byte less takes nothing.
    if (body.empty()) return;
    std::vector<std::byte> room(body.size() - 1, std::byte{0x55});
    RC_ASSERT(!encode(m, d, room));
    RC_ASSERT(std::ranges::count(room, std::byte{0x55}) == std::ssize(room));
  });
}

/// The size of the field if old programs leave it out in `d`; else 0.
template <class T>
std::size_t lax_size(const T&, Dialects) {
  return 0;
}
template <Dialects set, class T, Dialects lax>
std::size_t lax_size(const Only<set, T, lax>&, Dialects d) {
  return has(lax, d) ? sizeof(T) : 0;
}

TYPED_TEST(Every, IsRefusedCutAtAnyByte) {
  using M = TypeParam;
  this->holds([](const M& whole, const std::vector<std::byte>& body, Dialects d) {
    std::size_t lax = 0;
    each_field<M>([&](const auto& field) { lax += lax_size(whole.*field.at, d); });
    std::vector<std::byte> block(body.size());
    for (std::size_t size = 0; size < body.size(); ++size) {
      std::copy_n(body.begin(), size, block.end() - static_cast<std::ptrdiff_t>(size));
      M m{};
      const bool left_out = lax != 0 && size == body.size() - lax;
      RC_ASSERT(decodes_at_end(block, size, d, m) == left_out);
    }
  });
}

TYPED_TEST(Every, IsRefusedWithMoreBehindIt) {
  using M = TypeParam;
  this->holds([](const M&, std::vector<std::byte> body, Dialects d) {
    body.push_back(static_cast<std::byte>(*rc::gen::arbitrary<U8>()));
    M m{};
    RC_ASSERT(!decode(body, d, m));
  });
}

TYPED_TEST(Every, IsRefusedWithALengthPastTheEnd) {
  using M = TypeParam;
  this->holds([](const M& m, const std::vector<std::byte>& body, Dialects d) {
    test::each_length(m, d, [&](const Length& length) {
      const U64 left = body.size() - length.at - length.width;
      const U64 most = (U64{1} << (8 * length.width)) - 1;
      const U64 random = *rc::gen::inRange<U64>(left + 1, most + 1);
      // Of a list, which is the last field, one item more is past the end already.
      const U64 one_more = length.of_list ? length.value + 1 : left + 1;
      for (const U64 wrong : {left + 1, one_more, random, most}) {
        auto bytes = body;
        std::memcpy(bytes.data() + length.at, &wrong, length.width);
        M again{};
        RC_ASSERT(decode(bytes, d, again) == !length.checked);
      }
    });
  });
}

TYPED_TEST(Every, StaysSoundWithAnyByteChanged) {
  using M = TypeParam;
  this->holds([](const M& m, const std::vector<std::byte>& body, Dialects d) {
    if (body.empty()) return;
    auto frame = test::frame_of(Tag{1}, m, d);
    for (int i = 0; i < 4; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(kHeaderSize, frame.size());
      frame[at] = static_cast<std::byte>(*rc::gen::arbitrary<U8>());
      const std::string fault = fuzz::frame_fault(frame, d);
      RC_ASSERT(fault.empty());
    }
  });
}

TYPED_TEST(Every, TakesOrRefusesArbitraryBytes) {
  using M = TypeParam;
  for (const Dialects d : test::kDialects) {
    EXPECT_TRUE(check([&] {
      const auto bytes = *rc::gen::arbitrary<std::vector<U8>>();
      const Bytes body = std::as_bytes(std::span(bytes));
      M m{};
      if (!decode(body, d, m)) return;
      const std::string fault = fuzz::encoding_fault(m, body, d);
      RC_ASSERT(fault.empty());
    }));
  }
}

// ------------------------------------------------------------------ records of directories

template <Described R>
void records_follow_each_other(Dialects d) {
  EXPECT_TRUE(check([&] {
    Arena arena;
    std::vector<R> records(*rc::gen::inRange<std::size_t>(0, 6));
    for (R& record : records) record = draw<R>(arena, d);
    std::vector<std::byte> bytes(1 << 16);
    Room room = bytes;
    for (const R& record : records) RC_ASSERT(encode_front(record, d, room));
    bytes.resize(bytes.size() - room.size());
    bytes.shrink_to_fit();
    Bytes rest = bytes;
    for (const R& record : records) {
      R again{};
      RC_ASSERT(decode_front(rest, d, again));
      RC_ASSERT(again == record);
    }
    RC_ASSERT(rest.empty());
    // Cut anywhere: as many records as are whole, and the rest is refused and left alone.
    if (bytes.empty()) return;
    rest = Bytes(bytes).first(*rc::gen::inRange<std::size_t>(0, bytes.size()));
    std::size_t whole = 0;
    R again{};
    while (decode_front(rest, d, again)) RC_ASSERT(again == records[whole++]);
    RC_ASSERT(whole < records.size());
  }));
}

TEST(Records, DirentsFollowEachOther) { records_follow_each_other<Dirent>(kDotL); }
TEST(Records, StatsFollowEachOther) {
  records_follow_each_other<Stat>(k9P2000);
  records_follow_each_other<Stat>(kDotU);
}

// ------------------------------------------------------------------ the checker itself

TEST(Check, FindsWhatDoesNotEncodeBack) {
  const auto body = test::hex("01000000");
  EXPECT_EQ(fuzz::encoding_fault(Tclunk{Fid{1}}, body, kDotL), "");
  EXPECT_EQ(fuzz::encoding_fault(Tclunk{Fid{2}}, body, kDotL), "encodes to other bytes");
  const std::string text(kStringMax + 1, 'x');
  EXPECT_EQ(fuzz::encoding_fault(Rreadlink{text}, {}, kDotL), "decodes, but cannot be encoded");
  static_assert(fuzz::tolerant<Rstat>() && fuzz::tolerant<Tfsync>() && fuzz::tolerant<Tattach>());
  static_assert(!fuzz::tolerant<Tcreate>() && !fuzz::tolerant<Rerror>() &&
                !fuzz::tolerant<Twalk>());
}

}  // namespace
}  // namespace ninep
