// A session whose replies go into a guest's memory: what is flushed, what doesn't fit, and that
// data go there without a copy.
#include <algorithm>

#include <gtest/gtest.h>

#include "server/fs/memory.h"
#include "server/session.h"
#include "tests/conversation/client.h"
#include "tests/conversation/gate.h"
#include "tests/transports/io/loops.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

constexpr U32 kRoom = 8192;
constexpr std::byte kUntouched{0x55};

/// A request and its reply in the guest's memory.
struct Asked {
  U16 head;
  U64 request;  // guest address of the frame
  U64 room;
};

class VirtioSession : public EachLoop {
 protected:
  void SetUp() override {
    EachLoop::SetUp();
    if (IsSkipped()) return;
    const auto make = [this](io::Loop& loop, const transport::Peer& peer) {
      return std::make_unique<server::Session>(loop, shared, exported, peer.name);
    };
    host =
        std::make_unique<DeviceHost>(std::move(loop_), transport::Protocol::Kind::kVhostUser, make);
    front.emplace(host->connect());
    front->start(ram, driver);
    ask<Rversion>(Tversion{kMsize, "9P2000.L"});
    ask<Rattach>(Tattach{Fid{0}, kNoFid, "", "", 0});
    ask<Rwalk>(Twalk{Fid{0}, Fid{1}, {}});
    ask<Rlcreate>(Tlcreate{Fid{1}, "f", lopen::kReadWrite, 0644, 0});
    const std::string content(6000, 'c');
    ask<Rwrite>(Twrite{Fid{1}, 0, as_bytes(content)});
  }
  void TearDown() override {
    gate.open();
    gate.release_all();
    front.reset();
    host.reset();
  }

  /// Puts a request into the ring, and doesn't wait. Its reply may have `size` bytes.
  template <Message T>
  Asked offer(U16 tag, const T& request, U32 size = kRoom) {
    const auto bytes = frame_of(Tag{tag}, request, kDotL);
    Asked asked{0, ram.put(bytes), ram.take(kRoom)};
    std::fill_n(ram.at(asked.room), kRoom, kUntouched);
    const U32 first = std::min(size, 11u);  // as Linux does: the head, then the pages
    std::vector<Piece> pieces{{asked.request, static_cast<U32>(bytes.size())},
                              {asked.room, first, kWrite}};
    if (size > first) pieces.push_back({asked.room + first, size - first, kWrite});
    asked.head = driver.indirect(pieces);
    front->kick();
    return asked;
  }
  /// The next chain that comes back, which has to be that one: the bytes that it says are there,
  /// and nothing behind them was written.
  Bytes back(const Asked& asked) {
    const auto used = front->wait_used(driver);
    EXPECT_TRUE(used && used->head == asked.head);
    if (!used) return {};
    const Bytes all(ram.at(asked.room), kRoom);
    EXPECT_TRUE(untouched(all.subspan(used->length)));
    return all.first(used->length);
  }
  static bool untouched(Bytes bytes) {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == kUntouched; });
  }
  Bytes room(const Asked& asked) const { return {ram.at(asked.room), kRoom}; }
  template <Message R>
  static R decoded(Bytes frame) {
    R reply{};
    EXPECT_TRUE(frame.size() >= kHeaderSize && read_header(frame).size == frame.size() &&
                read_header(frame).type == Describe<R>::code &&
                decode(frame_body(frame), kDotL, reply));
    return reply;
  }
  template <Message R, Message T>
  R ask(const T& request) {
    return decoded<R>(back(offer(1, request)));
  }

  Gate gate;
  server::Shared shared;
  const server::Export exported{make_gated_tree(std::make_shared<fs::MemoryTree>(), gate)};
  GuestRam ram;
  Driver driver{ram};
  std::unique_ptr<DeviceHost> host;
  std::optional<FrontEnd> front;
};
INSTANTIATE_TEST_SUITE_P(, VirtioSession, testing::Values(Which{"io_uring"}, Which{"portable"}),
                         loop_name);

// What is flushed and can be interrupted: its chain comes back with nothing in it, before Rflush,
// and its room is never written to again, for the guest uses the pages for something else.
TEST_P(VirtioSession, AFlushedChainComesBackEmpty) {
  gate.hold("read");
  const Asked read = offer(7, Tread{Fid{1}, 0, 4096});
  gate.wait_for(1);
  const Asked flush = offer(8, Tflush{Tag{7}});
  EXPECT_EQ(back(read).size(), 0u);
  decoded<Rflush>(back(flush));
  gate.open();
  gate.release_all();
  EXPECT_EQ(decoded<Rread>(back(offer(7, Tread{Fid{1}, 0, 4096}))).data.size(), 4096u);
  EXPECT_TRUE(untouched(room(read)));
}

// What can't be interrupted is finished first: its reply, then Rflush.
TEST_P(VirtioSession, AFlushWaitsForWhatCanNotBeInterrupted) {
  gate.hold("read", false);
  const Asked read = offer(7, Tread{Fid{1}, 0, 4096});
  gate.wait_for(1);
  const Asked flush = offer(8, Tflush{Tag{7}});
  ask<Rstatfs>(Tstatfs{Fid{0}});  // the flush was seen, and isn't answered
  gate.release_all();
  EXPECT_EQ(decoded<Rread>(back(read)).data.size(), 4096u);
  decoded<Rflush>(back(flush));
}

// Nothing is said to be there that isn't: the used length is the frame's size, whatever room the
// guest gives, and an error always has some.
TEST_P(VirtioSession, RepliesThatDoNotFit) {
  const std::size_t whole = frame_size(Rgetattr{}, kDotL);
  for (U32 size = 11; size <= whole; ++size) {
    const Bytes reply = back(offer(1, Tgetattr{Fid{1}, getattr::kBasic}, size));
    if (size == whole) {
      decoded<Rgetattr>(reply);
    } else {
      decoded<Rlerror>(reply);
    }
  }
  for (const U32 size : {12u, 100u, 4095u, 4107u, 4108u}) {
    const Bytes reply = back(offer(1, Tread{Fid{1}, 0, 4096}, size));
    EXPECT_EQ(decoded<Rread>(reply).data.size(), std::min(size - 11, 4096u)) << size;
  }
  for (U32 size = 0; size < 11; ++size)
    EXPECT_EQ(back(offer(1, Tgetattr{Fid{1}, getattr::kBasic}, size)).size(), 0u) << size;
}

// A file's data land in the guest's pages before there is a reply, so nothing is between the two.
TEST_P(VirtioSession, ReadsLandInGuestMemory) {
  gate.hold("read done");
  const Asked read = offer(7, Tread{Fid{1}, 0, 4096});
  gate.wait_for(1);
  EXPECT_EQ(as_str(room(read).subspan(11, 4096)), std::string(4096, 'c'));
  gate.release_all();
  EXPECT_EQ(back(read).size(), 11u + 4096);
}

// What is written is taken from the guest's pages when it is written, and not before.
TEST_P(VirtioSession, WritesComeFromGuestMemory) {
  const std::string before(4096, 'a');
  const std::string after(4096, 'b');
  gate.hold("write");
  const Asked write = offer(7, Twrite{Fid{1}, 0, as_bytes(before)});
  gate.wait_for(1);
  std::ranges::copy(as_bytes(after), ram.at(write.request + kWriteFrontSize));
  gate.open();
  gate.release_all();
  EXPECT_EQ(decoded<Rwrite>(back(write)).count, 4096u);
  const Bytes reply = back(offer(1, Tread{Fid{1}, 0, 4096}));
  EXPECT_EQ(as_str(decoded<Rread>(reply).data.bytes), after);
}

}  // namespace
}  // namespace ninep::test
