// Input that no good client sends: an error or a closed connection for that client alone.
#include "proto/dispatch.h"
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class BadInputTest : public Conversation {
 protected:
  void SetUp() override {
    Conversation::SetUp();
    if (IsSkipped()) return;
    good_ = std::make_unique<Client>(session());
    good_->make_file(0, "f", "content");
  }
  /// Whoever behaves well notices nothing of the others.
  void TearDown() override {
    if (good_ && !HasFatalFailure()) {
      EXPECT_EQ(good_->content(0, "f"), "content");
    }
    good_.reset();
  }

  /// One good T-message of each type in .L, none of which changes what later ones need.
  static std::vector<std::vector<std::byte>> requests() {
    std::vector<std::vector<std::byte>> all;
    const auto add = [&](const auto& m) { all.push_back(frame_of(Tag{1}, m, kDotL)); };
    add(Tstatfs{Fid{0}});
    add(Tlopen{Fid{0}, 0});
    add(Tlcreate{Fid{0}, "name", 0, 0644, 0});
    add(Tsymlink{Fid{0}, "name", "target", 0});
    add(Tmknod{Fid{0}, "name", 0100644, 0, 0, 0});
    add(Trename{Fid{0}, Fid{0}, "name"});
    add(Treadlink{Fid{0}});
    add(Tgetattr{Fid{0}, getattr::kBasic});
    add(Tsetattr{.fid = Fid{0}});
    add(Txattrwalk{Fid{0}, Fid{9}, "user.name"});
    add(Txattrcreate{Fid{0}, "user.name", 1, 0});
    add(Treaddir{Fid{0}, 0, 100});
    add(Tfsync{Fid{0}, 0});
    add(Tlock{Fid{0}, lock::kRead, 0, 0, 0, 1, "host"});
    add(Tgetlock{Fid{0}, lock::kRead, 0, 0, 1, "host"});
    add(Tlink{Fid{0}, Fid{0}, "name"});
    add(Tmkdir{Fid{0}, "name", 0755, 0});
    add(Trenameat{Fid{0}, "name", Fid{0}, "other"});
    add(Tunlinkat{Fid{0}, "name", 0});
    add(Tversion{kMsize, "9P2000.L"});
    add(Tauth{Fid{9}, "uname", "aname", 0});
    add(Tattach{Fid{9}, kNoFid, "uname", "", 0});
    add(Tflush{Tag{9}});
    add(Twalk{Fid{0}, Fid{9}, {"a", "b", "c"}});
    add(Tread{Fid{0}, 0, 100});
    add(Twrite{Fid{0}, 0, as_bytes("data")});
    add(Tclunk{Fid{9}});
    add(Tremove{Fid{9}});
    return all;
  }
  static void set_size(std::vector<std::byte>& frame, std::size_t size) {
    const U32 value = static_cast<U32>(size);
    std::memcpy(frame.data(), &value, sizeof value);
  }

  std::unique_ptr<Client> good_;
};
NINEP_CONVERSATION(BadInputTest);

// Each T-message, cut at each byte, is an error and the session goes on. (Tfsync may lack its last
// field.) A frame that is longer than its message is one too.
TEST_P(BadInputTest, EachMessageCutAtEachByte) {
  Client c = session();
  std::size_t types = 0;
  for (std::vector<std::byte> whole : requests()) {
    ++types;
    const std::string text = print_frame(whole, kDotL);
    for (std::size_t size = kHeaderSize; size <= whole.size() + 1; ++size) {
      if (size == whole.size()) continue;
      std::vector<std::byte> frame = whole;
      frame.resize(size);
      set_size(frame, size);
      const bool old_fsync = read_header(frame).type == Describe<Tfsync>::code && size == 11;
      c.send_raw(frame);
      const Received got = c.receive();
      EXPECT_EQ(got.header().tag, Tag{1});
      EXPECT_EQ(got.error(), old_fsync ? EBADF : EINVAL) << text << " of " << size << " bytes";
    }
  }
  std::size_t known = 0;
  each_message([&]<class M>() {
    known += is_request(Describe<M>::code) && has(Describe<M>::dialects, kDotL);
  });
  EXPECT_EQ(types, known);
  EXPECT_EQ(c.attr(0).qid.type, kQtDir);
}

// A string or a count that says it goes on behind the frame's end, by one or by all it can.
TEST_P(BadInputTest, LengthsBehindTheEnd) {
  Client c = session();
  for (const std::vector<std::byte>& whole : requests()) {
    for (std::size_t at = kHeaderSize; at + 2 <= whole.size(); ++at) {
      std::vector<std::byte> frame = whole;
      frame[at] = frame[at + 1] = std::byte{0xFF};
      c.send_raw(frame);
      const Received got = c.receive();  // an error, or it was a field where that is a value
      EXPECT_EQ(got.header().tag, Tag{1});
      if (got.header().type == Describe<Rversion>::code || got.error() == EPROTO) {
        c.version();
        c.attach(0);
      } else if (got.error() == 0) {
        c.version();  // it may have opened, moved or clunked what the others need
        c.attach(0);
      }
    }
  }
}

// A size that no frame has can't be followed: that connection ends.
TEST_P(BadInputTest, BadSizes) {
  for (const U32 size :
       {0u, 1u, 2u, 3u, 4u, 5u, 6u, kMsize + 1, 1u << 20, 0x7FFFFFFFu, 0x80000000u, ~0u}) {
    for (const bool begun : {true, false}) {
      Client c = connect();
      const bool too_large_yet = begun || size > 1u << 20;
      if (begun) c.version();
      auto frame = frame_of(Tag{1}, Tversion{kMsize, "9P2000.L"}, kDotL);
      set_size(frame, size);
      c.send_raw(frame);
      if (size < kHeaderSize || too_large_yet) {
        EXPECT_TRUE(c.ended()) << size;
      }
    }
  }
}

// All 256 types, with no body and with one that means nothing: an error each; no reply to what is
// no request is anything else.
TEST_P(BadInputTest, AllTypes) {
  Client c = session();
  for (unsigned type = 0; type < 256; ++type) {
    for (const std::size_t body : {0u, 1u, 64u, 4000u}) {
      std::vector<std::byte> frame(kHeaderSize + body, std::byte{0xEE});
      set_size(frame, frame.size());
      frame[4] = static_cast<std::byte>(type);
      frame[5] = frame[6] = std::byte{3};
      c.send_raw(frame);
      const Received got = c.receive();
      EXPECT_EQ(got.header().tag, Tag{0x0303});
      const bool ours =
          is_request(static_cast<U8>(type)) && has(message_dialects(static_cast<U8>(type)), kDotL);
      if (ours) {
        EXPECT_EQ(got.error(), EINVAL) << "type " << type << " with " << body << " bytes";
      } else {
        EXPECT_EQ(got.error(), EOPNOTSUPP) << "type " << type << " with " << body << " bytes";
      }
    }
  }
  EXPECT_EQ(c.attr(0).qid.type, kQtDir);
}

// Before Tversion, too: nothing is understood, nothing breaks.
TEST_P(BadInputTest, AllTypesBeforeTheVersion) {
  Client c = connect();
  for (unsigned type = 0; type < 256; ++type) {
    std::vector<std::byte> frame(kHeaderSize + 20, std::byte{0xEE});
    set_size(frame, frame.size());
    frame[4] = static_cast<std::byte>(type);
    c.send_raw(frame);
    EXPECT_NE(c.receive().error(), 0) << type;
  }
  c.version();
  c.attach(0);
}

// Twrite's count must be what the frame holds: else memory of the server would land in the file.
TEST_P(BadInputTest, WriteCountBeyondTheFrame) {
  Client c = session();
  c.reach(0, 1, {"f"});
  c.open(1, lopen::kReadWrite);
  auto frame = frame_of(Tag{1}, Twrite{Fid{1}, 0, as_bytes("1234")}, kDotL);
  for (const U32 count : {0u, 3u, 5u, 1000u, 65536u, 0x7FFFFFFFu, ~0u - 22, ~0u}) {
    std::memcpy(frame.data() + 19, &count, sizeof count);
    c.send_raw(frame);
    EXPECT_EQ(c.receive().error(), EINVAL) << count;
  }
  EXPECT_EQ(c.attr(1).size, 7u);
}

// However the bytes come, the same requests are in them.
TEST_P(BadInputTest, ByteByByte) {
  Client c = connect();
  const auto send_slowly = [&](U16 tag, const auto& m) {
    const auto frame = frame_of(Tag{tag}, m, kDotL);
    for (const std::byte& b : frame) c.send_raw({&b, 1});
  };
  send_slowly(1, Tversion{kMsize, "9P2000.L"});
  EXPECT_EQ(c.receive().as<Rversion>().msize, kMsize);
  send_slowly(2, Tattach{Fid{0}, kNoFid, "", "", 0});
  EXPECT_EQ(c.receive().as<Rattach>().qid.type, kQtDir);
  send_slowly(3, Twalk{Fid{0}, Fid{1}, {"f"}});
  EXPECT_EQ(c.receive().as<Rwalk>().wqid.size(), 1);
  send_slowly(4, Tlopen{Fid{1}, lopen::kReadWrite});
  EXPECT_EQ(c.receive().error(), 0);
  send_slowly(5, Twrite{Fid{1}, 7, as_bytes(" by byte")});
  EXPECT_EQ(c.receive().header().tag, Tag{5});
  EXPECT_EQ(c.read(1).substr(0, 8), "content ");
  EXPECT_EQ(c.error(Tsetattr{.fid = Fid{1}, .valid = setattr::kSize, .size = 7}), 0);
}

// 10,000 requests before the first reply is read: each gets one.
TEST_P(BadInputTest, TenThousandPipelined) {
  constexpr unsigned kCount = 10'000;
  Client c = session();
  std::vector<std::byte> all;
  for (unsigned i = 0; i < kCount; ++i) {
    const auto frame = frame_of(Tag{static_cast<U16>(i)}, Tgetattr{Fid{0}, getattr::kBasic}, kDotL);
    all.insert(all.end(), frame.begin(), frame.end());
  }
  std::thread sender([&] { c.send_raw(all); });
  std::vector<bool> seen(kCount);
  bool good = true;
  for (unsigned i = 0; i < kCount && good; ++i) {
    const Received got = c.receive();
    const auto tag = static_cast<U16>(got.header().tag);
    good = got.header().type == Describe<Rgetattr>::code && tag < kCount && !seen[tag];
    EXPECT_TRUE(good) << got.text();
    if (good) seen[tag] = true;
  }
  sender.join();
}

// A client that reads none of its replies isn't served without end; others are all the while, and
// it gets every reply when it does read.
TEST_P(BadInputTest, RepliesThatAreNotRead) {
  constexpr U16 kCount = 300;
  Client c = session();
  good_->make_file(0, "large", std::string(60'000, 'l'));
  c.reach(0, 1, {"large"});
  c.open(1, lopen::kReadOnly);
  std::vector<std::byte> all;
  for (U16 tag = 0; tag < kCount; ++tag) {  // 18 MB of replies
    const auto frame = frame_of(Tag{tag}, Tread{Fid{1}, 0, 60'000}, kDotL);
    all.insert(all.end(), frame.begin(), frame.end());
  }
  c.send_raw(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(good_->attr(0).qid.type, kQtDir);
  for (U16 tag = 0; tag < kCount; ++tag) EXPECT_GT(c.receive().as<Rread>().data.size(), 0u);
  good_->get<Runlinkat>(Tunlinkat{Fid{0}, "large", 0});
}

// More fids than a client may have: EMFILE, and room again after a clunk.
TEST_P(BadInputTest, TooManyFids) {
  Client c = session();
  constexpr U32 kMax = server::kFidsMax;
  // By thousands; a clone takes no descriptor.
  for (U32 fid = 1; fid < kMax;) {
    std::vector<std::byte> all;
    const U32 first = fid;
    for (; fid < kMax && fid < first + 400; ++fid) {
      const auto frame =
          frame_of(Tag{static_cast<U16>(fid % 1000)}, Twalk{Fid{0}, Fid{fid}, {}}, kDotL);
      all.insert(all.end(), frame.begin(), frame.end());
    }
    c.send_raw(all);
    for (U32 i = first; i < fid; ++i) ASSERT_EQ(c.receive().error(), 0);
  }
  EXPECT_EQ(c.walk(0, kMax, {}).error(), EMFILE);
  EXPECT_EQ(c.walk(0, kMax, {"f"}).error(), EMFILE);
  EXPECT_EQ(c.error(Tattach{Fid{kMax}, kNoFid, "", "", 0}), EMFILE);
  EXPECT_EQ(c.error(Txattrwalk{Fid{0}, Fid{kMax}, ""}), EMFILE);
  EXPECT_EQ(good_->walk(0, 5, {}).error(), 0);  // others have theirs
  good_->clunk(5);
  EXPECT_EQ(c.clunk(1), 0);
  EXPECT_EQ(c.walk(0, kMax, {}).error(), 0);
}

}  // namespace
}  // namespace ninep::test
