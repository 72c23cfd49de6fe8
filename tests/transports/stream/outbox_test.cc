#include "transports/stream/outbox.h"

#include <cstring>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/seed.h"

namespace ninep::transport {
namespace {

struct Reply {
  Outbox::Place place;
  U64 number;
};

void fill(const Outbox::Place& place, std::size_t size, U64 number) {
  std::memset(place.chunk->data() + place.at, static_cast<int>(number % 251), size);
}

// What a send takes from a message, when it completes.
std::size_t take(const msghdr& message, std::size_t size, std::vector<std::byte>& out) {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < message.msg_iovlen && taken < size; ++i) {
    const iovec& piece = message.msg_iov[i];
    const std::size_t part = std::min(piece.iov_len, size - taken);
    const auto* from = static_cast<const std::byte*>(piece.iov_base);
    out.insert(out.end(), from, from + part);
    taken += part;
  }
  return taken;
}

// Replies of any size, finished in any order, sent in parts, with sends under way meanwhile: every
// byte leaves, once, in the order of the commits.
void any_order(U64 seed) {
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::size_t below) { return random() % below; };
  Outbox outbox;
  std::vector<Reply> open;
  std::vector<std::byte> expected;
  std::vector<std::byte> sent;
  std::size_t reserved = 0;
  const msghdr* sending = nullptr;
  const auto complete_send = [&](std::size_t most) {
    outbox.sent(take(*sending, 1 + pick(most), sent));
    sending = nullptr;
  };
  for (U64 step = 0; step < 3'000; ++step) {
    switch (pick(4)) {
      case 0: {
        const std::size_t size = pick(5) ? 7 + pick(300) : 7 + pick(200'000);
        open.push_back({outbox.reserve(size), step});
        ASSERT_GE(open.back().place.size, size);
        fill(open.back().place, size, step);
        reserved += open.back().place.size;
        break;
      }
      case 1:
      case 2: {
        if (open.empty()) break;
        const std::size_t which = pick(2) ? open.size() - 1 : pick(open.size());
        Reply reply = std::move(open[which]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        const std::size_t size = pick(8) ? 1 + pick(reply.place.size) : 0;  // 0: flushed
        const auto* from = reply.place.chunk->data() + reply.place.at;
        ASSERT_TRUE(std::all_of(from, from + size, [&](std::byte b) {
          return b == static_cast<std::byte>(reply.number % 251);
        }));
        reserved -= reply.place.size;
        expected.insert(expected.end(), from, from + size);
        outbox.commit(std::move(reply.place), size);
        break;
      }
      default:
        if (sending) {
          complete_send(100'000);
        } else if (!outbox.empty()) {
          sending = &outbox.message();
        }
    }
    ASSERT_EQ(outbox.load(), reserved + expected.size() - sent.size());
  }
  while (!open.empty()) {
    outbox.commit(std::move(open.back().place), 0);
    open.pop_back();
  }
  if (sending) complete_send(100'000);
  while (!outbox.empty()) {
    sending = &outbox.message();
    complete_send(1'000'000);
  }
  EXPECT_EQ(outbox.load(), 0u);
  ASSERT_EQ(sent.size(), expected.size());
  EXPECT_TRUE(sent == expected);
}

TEST(Outbox, AnyOrderOfRepliesAndAnyShortSends) {
  for (U64 i = 0; i < 12; ++i) any_order(test::seed() + i);
}

TEST(Outbox, RepliesMadeOneAfterTheOtherLeaveAsOneRun) {
  Outbox outbox;
  for (int i = 0; i < 100; ++i) {
    Outbox::Place place = outbox.reserve(8192);
    fill(place, 20, 1);
    outbox.commit(std::move(place), 20);
  }
  EXPECT_EQ(outbox.message().msg_iovlen, 1u);
  EXPECT_EQ(outbox.message().msg_iov[0].iov_len, 2'000u);
}

// Many replies that wait, as for a disk: they share chunks.
TEST(Outbox, WaitingRepliesTakeTheMemoryOfTheirSize) {
  Outbox outbox;
  std::vector<Outbox::Place> places;
  std::set<io::Chunk*> chunks;
  std::size_t bytes = 0;
  for (int i = 0; i < 512; ++i) {
    places.push_back(outbox.reserve(160));
    io::Chunk* const chunk = places.back().chunk.get();
    if (chunks.insert(chunk).second) bytes += chunk->capacity();
  }
  EXPECT_LE(bytes, 512u * 160 + (64 << 10));
  for (Outbox::Place& place : places) outbox.commit(std::move(place), 0);
}

TEST(Outbox, KeepsNoMemoryWhenIdle) {
  Outbox outbox;
  Outbox::Place first = outbox.reserve(100);
  Outbox::Place second = outbox.reserve(100);
  const Ref<io::Chunk> chunk = first.chunk;
  fill(first, 50, 1);
  fill(second, 50, 2);
  outbox.commit(std::move(first), 50);
  outbox.commit(std::move(second), 50);
  while (!outbox.empty()) {
    std::size_t size = 0;
    const msghdr& message = outbox.message();
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) size += message.msg_iov[i].iov_len;
    outbox.sent(size);
  }
  EXPECT_TRUE(chunk.unique());
  EXPECT_EQ(outbox.load(), 0u);
}

TEST(Outbox, ClearForgetsWhatWaits) {
  Outbox outbox;
  Outbox::Place open = outbox.reserve(100);
  outbox.commit(outbox.reserve(100), 100);
  EXPECT_EQ(outbox.load(), 200u);
  outbox.clear();
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.load(), 100u);
  outbox.commit(std::move(open), 0);
  EXPECT_EQ(outbox.load(), 0u);
}

TEST(Outbox, MoreThanItsRoomBreaksAnInvariant) {
  EXPECT_DEATH(
      {
        Outbox outbox;
        outbox.commit(outbox.reserve(10), 11);
      },
      "broken invariant");
}

}  // namespace
}  // namespace ninep::transport
