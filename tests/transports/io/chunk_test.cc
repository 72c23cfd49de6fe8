#include "transports/io/chunk.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ninep::io {
namespace {

// Out of line: g++ 12 takes a chunk for no more than its own fields.
[[gnu::noinline]] void fill(Room room, std::byte value) { std::ranges::fill(room, value); }

TEST(Chunk, IsLargeEnough) {
  for (std::size_t size = 1; size < (std::size_t{40} << 20); size = size * 3 / 2 + 1) {
    const Ref<Chunk> chunk = Chunk::take(size);
    ASSERT_GE(chunk->capacity(), size);
    ASSERT_LT(chunk->capacity(), std::max<std::size_t>(2 * (size + 64), 4096));
    fill(chunk->room(size - 1, size), std::byte{1});
  }
}

TEST(Chunk, StaysWhileAnyReferenceIsHeld) {
  Ref<Chunk> first = Chunk::take(5000);
  Ref<Chunk> second = first;
  EXPECT_FALSE(first.unique());
  fill(first->room(0, 5000), std::byte{7});
  first = nullptr;
  EXPECT_TRUE(second.unique());
  const Ref<Chunk> other = Chunk::take(5000);
  EXPECT_NE(other.get(), second.get());
  fill(other->room(0, 5000), std::byte{8});
  EXPECT_EQ(std::count(second->data(), second->data() + 5000, std::byte{7}), 5000);
}

TEST(Chunk, ComesBackFromTheList) {
  Ref<Chunk> chunk = Chunk::take(100'000);
  const Chunk* const before = chunk.get();
  chunk = nullptr;
  const Ref<Chunk> small = Chunk::take(1'000);
  EXPECT_NE(small.get(), before);
  chunk = Chunk::take(99'000);
  EXPECT_EQ(chunk.get(), before);
}

TEST(Chunk, ManyAtOnceAreApartAndAllGoBack) {
  // Far more than are kept; what isn't goes back to the heap (LeakSanitizer counts at the end).
  std::vector<Ref<Chunk>> held;
  std::set<std::byte*> places;
  for (int i = 0; i < 600; ++i) {
    held.push_back(Chunk::take(60'000));
    places.insert(held.back()->data());
  }
  EXPECT_EQ(places.size(), held.size());
}

#if defined(__SANITIZE_ADDRESS__)
TEST(Chunk, UseAfterTheLastReferenceIsReported) {
  std::byte* data = Chunk::take(100)->data();
  EXPECT_DEATH(data[10] = std::byte{1}, "use-after-poison");
}
#endif

TEST(Ref, CountsMovesAndConversions) {
  struct Base : RefCounted {
    explicit Base(bool& gone) : gone_(gone) {}
    virtual ~Base() { gone_ = true; }
    bool& gone_;
  };
  struct Derived : Base {
    using Base::Base;
  };
  bool gone = false;
  Ref<Derived> derived = make_ref<Derived>(gone);
  Ref<Base> base = derived;
  Ref<Base> moved = std::move(base);
  EXPECT_FALSE(base);
  derived = nullptr;
  EXPECT_FALSE(gone);
  EXPECT_TRUE(moved.unique());
  moved = Ref<Base>(moved);  // itself
  EXPECT_FALSE(gone);
  moved = nullptr;
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace ninep::io
