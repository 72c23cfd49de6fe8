#include "transports/stream/inbox.h"

#include <deque>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "proto/check.h"

namespace ninep::transport {
namespace {

using Frame = std::vector<std::byte>;

Frame make_frame(U32 size, U8 content) {
  Frame frame(size, static_cast<std::byte>(content));
  std::memcpy(frame.data(), &size, sizeof size);
  return frame;
}

// A stream that is received through an inbox, whose frames may be held.
struct Receiver {
  struct Held {
    Ref<io::Chunk> chunk;
    Bytes bytes;
  };

  // Receives as recv() would: at most what there is room for. Takes all whole frames.
  Front receive(Bytes bytes) {
    Front front = Front::kIncomplete;
    while (!bytes.empty()) {
      const Room room = inbox.room(msize);
      NINEP_CHECK(!room.empty());
      const std::size_t size = std::min(room.size(), bytes.size());
      std::memcpy(room.data(), bytes.data(), size);
      bytes = bytes.subspan(size);
      inbox.received(size);
      ++receives;
      largest_chunk = std::max(largest_chunk, inbox.chunk()->capacity());
      Bytes frame;
      while ((front = inbox.next(msize, frame)) == Front::kFrame)
        held.push_back({inbox.chunk(), frame});
      if (front == Front::kBroken) break;
    }
    return front;
  }

  U32 msize = 1 << 20;
  Inbox inbox;
  std::deque<Held> held;
  std::size_t receives = 0;
  std::size_t largest_chunk = 0;
};

// Sizes as they occur: mostly small, some around a chunk's size, some large.
rc::Gen<U32> frame_size() {
  return rc::gen::weightedOneOf<U32>({{6, rc::gen::inRange<U32>(7, 200)},
                                      {3, rc::gen::inRange<U32>(3900, 4200)},
                                      {1, rc::gen::inRange<U32>(60'000, 300'000)}});
}
rc::Gen<std::size_t> segment_size() {
  return rc::gen::weightedOneOf<std::size_t>({{2, rc::gen::inRange<std::size_t>(1, 20)},
                                              {2, rc::gen::inRange<std::size_t>(20, 5'000)},
                                              {2, rc::gen::inRange<std::size_t>(5'000, 400'000)}});
}

RC_GTEST_PROP(Inbox, AnySegmentationGivesTheSameFrames, ()) {
  const auto sizes = *rc::gen::container<std::vector<U32>>(frame_size());
  const auto segments =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(segment_size()));
  const auto hold = *rc::gen::inRange<std::size_t>(0, 40);
  Frame stream;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Frame frame = make_frame(sizes[i], static_cast<U8>(i));
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  Receiver receiver;
  std::size_t taken = 0;
  const auto check_front = [&] {
    const Receiver::Held& front = receiver.held.front();
    const Frame expected = make_frame(sizes[taken], static_cast<U8>(taken));
    RC_ASSERT(std::equal(front.bytes.begin(), front.bytes.end(), expected.begin(), expected.end()));
    receiver.held.pop_front();
    ++taken;
  };
  Bytes left = stream;
  for (std::size_t i = 0; !left.empty(); ++i) {
    // Tiny segments of a long stream would take for ever.
    const std::size_t least = stream.size() / 3'000;
    const std::size_t size = std::min(left.size(), std::max(segments[i % segments.size()], least));
    RC_ASSERT(receiver.receive(left.first(size)) == Front::kIncomplete);
    left = left.subspan(size);
    // What is held stays as it is while more is received.
    while (receiver.held.size() > hold) check_front();
  }
  while (!receiver.held.empty()) check_front();
  RC_ASSERT(taken == sizes.size());
  RC_ASSERT(receiver.largest_chunk <= std::size_t{1} << 20);
}

TEST(Inbox, OneByteAtATime) {
  Receiver receiver;
  Frame stream;
  for (U32 size = 7; size < 40; ++size) {
    const Frame frame = make_frame(size, static_cast<U8>(size));
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (const std::byte& byte : stream) receiver.receive({&byte, 1});
  ASSERT_EQ(receiver.held.size(), 33u);
  for (U32 size = 7; size < 40; ++size) {
    EXPECT_EQ(Frame(receiver.held.front().bytes.begin(), receiver.held.front().bytes.end()),
              make_frame(size, static_cast<U8>(size)));
    receiver.held.pop_front();
  }
}

TEST(Inbox, SizesBelowAHeaderAndAboveMsizeBreak) {
  for (const U32 size : {0u, 1u, 6u, 8193u, 1u << 24, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
    Receiver receiver{.msize = 8192};
    const Frame good = make_frame(100, 1);
    EXPECT_EQ(receiver.receive(good), Front::kIncomplete);
    Frame header(4);
    std::memcpy(header.data(), &size, 4);
    EXPECT_EQ(receiver.receive(Bytes(header).first(3)), Front::kIncomplete);
    EXPECT_EQ(receiver.receive(Bytes(header).last(1)), Front::kBroken) << size;
    EXPECT_EQ(receiver.held.size(), 1u);
  }
}

TEST(Inbox, FramesOfExactlyMsizeAndOfAHeaderAlone) {
  for (const U32 msize : {4096u, 8192u, 65536u, 262144u, 1u << 20, 4u << 20}) {
    Receiver receiver{.msize = msize};
    for (const U32 size : {msize, 7u, msize, msize - 1}) {
      EXPECT_EQ(receiver.receive(make_frame(size, 9)), Front::kIncomplete);
      ASSERT_EQ(receiver.held.size(), 1u);
      EXPECT_EQ(receiver.held.front().bytes.size(), size);
      receiver.held.clear();
    }
    EXPECT_LE(receiver.largest_chunk, std::max<std::size_t>(2 * std::size_t{msize}, 256 << 10));
  }
}

// A frame that is announced takes its memory once its bytes come; copying stays in bounds.
TEST(Inbox, ALargeFrameIsReceivedIntoItsPlace) {
  Receiver receiver{.msize = 4 << 20};
  const Frame frame = make_frame(4 << 20, 5);
  receiver.receive(Bytes(frame).first(100));
  receiver.receive(Bytes(frame).subspan(100));
  ASSERT_EQ(receiver.held.size(), 1u);
  EXPECT_LE(receiver.receives, 4u);
}

TEST(Inbox, AnIdlePeerKeepsLittle) {
  Receiver receiver;
  for (int i = 0; i < 50; ++i) receiver.receive(make_frame(200'000, 1));  // busy
  receiver.held.clear();
  EXPECT_GT(receiver.inbox.chunk()->capacity(), 100'000u);
  for (int i = 0; i < 1000; ++i) {
    receiver.receive(make_frame(30, 2));
    receiver.held.clear();
  }
  EXPECT_LE(receiver.inbox.chunk()->capacity(), 8192u);
}

// Small frames that are all held share chunks: 512 of them may be under way.
TEST(Inbox, HeldFramesShareChunks) {
  Receiver receiver;
  for (int i = 0; i < 512; ++i) receiver.receive(make_frame(30, static_cast<U8>(i)));
  std::size_t bytes = 0;
  io::Chunk* last = nullptr;
  for (const Receiver::Held& held : receiver.held) {
    if (held.chunk.get() != last) bytes += held.chunk->capacity();
    last = held.chunk.get();
  }
  EXPECT_LE(bytes, 64u << 10);
}

}  // namespace
}  // namespace ninep::transport
