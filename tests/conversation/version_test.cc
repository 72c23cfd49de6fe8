// Tversion: what is agreed, and that it starts a session anew. What it does to requests in flight
// is in flight_test.cc.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class VersionTest : public Conversation {};
NINEP_CONVERSATION(VersionTest);

constexpr U16 kNo = static_cast<U16>(kNoTag);

// The answer's msize is the smaller of both sides', never more than the client can take.
TEST_P(VersionTest, MsizeIsTheSmaller) {
  EXPECT_EQ(connect().version(4096), 4096u);
  EXPECT_EQ(connect().version(8192), 8192u);
  EXPECT_EQ(connect().version(1 << 20), 1u << 20);
  EXPECT_EQ(connect().version(1'000'000'000), 1u << 20);
  EXPECT_EQ(connect().version(~U32{0}), 1u << 20);
}

// The server's own bound can be set lower, and holds.
TEST_P(VersionTest, TheServersMsizeBounds) {
  ASSERT_TRUE(start({}, 16384));
  EXPECT_EQ(connect().version(8192), 8192u);
  EXPECT_EQ(connect().version(65536), 16384u);
}

// A version that isn't served is answered by "unknown", which is no error reply, and no session
// comes of it. version(5).
TEST_P(VersionTest, UnknownVersions) {
  for (const Str version : {"9P2000", "9P2000.u", "9P2000.l", "9P2001.L", "9P2000.LX", "9P", "",
                            "unknown", "9P2000.W"}) {
    Client c = connect();
    const std::string answer(c.get<Rversion>(Tversion{kMsize, version}).version);
    EXPECT_EQ(answer, "unknown") << version;
    EXPECT_EQ(c.error(Tattach{Fid{0}, kNoFid, "", "", 0}), EPROTO) << version;
    EXPECT_EQ(c.version(), kMsize) << version;  // and then a good one
    c.attach(0);
  }
}

// What stands behind a dot more is an extension that isn't had: the base is the answer.
TEST_P(VersionTest, ExtensionsComeDownToTheBase) {
  EXPECT_EQ(connect().version(kMsize, "9P2000.L.Google.7"), kMsize);
}

// Frames below 4 KiB are of no use to anyone: refused like an unknown version.
TEST_P(VersionTest, SmallestMsize) {
  for (const U32 msize : {0u, 1u, 6u, 7u, 256u, 4095u}) {
    Client c = connect();
    const Rversion reply = c.get<Rversion>(Tversion{msize, "9P2000.L"});
    EXPECT_EQ(reply.version, "unknown") << msize;
    EXPECT_LE(reply.msize, msize);
  }
}

// Any tag will do, and comes back.
TEST_P(VersionTest, EchoesTheTag) {
  Client c = connect();
  for (const U16 tag : {U16{0}, U16{77}, kNo}) {
    c.send(tag, Tversion{kMsize, "9P2000.L"});
    EXPECT_EQ(c.receive().header().tag, Tag{tag});
  }
}

// Before the version nothing else is understood, and the connection stays.
TEST_P(VersionTest, MustComeFirst) {
  Client c = connect();
  EXPECT_EQ(c.error(Tattach{Fid{0}, kNoFid, "", "", 0}), EPROTO);
  EXPECT_EQ(c.error(Twalk{Fid{0}, Fid{1}, {}}), EPROTO);
  EXPECT_EQ(c.error(Tclunk{Fid{0}}), EPROTO);
  EXPECT_EQ(c.error(Tflush{Tag{0}}), EPROTO);
  EXPECT_EQ(c.error(Tauth{Fid{0}, "", "", 0}), EPROTO);
  c.version();
  c.attach(0);
}

// A new Tversion ends the session: its fids are gone, open ones too, and can be used anew.
TEST_P(VersionTest, ForgetsFids) {
  Client c = session();
  c.make_file(0, "f", "content");
  c.reach(0, 1, {"f"});
  c.open(1, lopen::kReadWrite);
  c.version();
  EXPECT_EQ(c.error(Tgetattr{Fid{0}, getattr::kBasic}), EBADF);
  EXPECT_EQ(c.error(Tread{Fid{1}, 0, 10}), EBADF);
  c.attach(1);
  EXPECT_EQ(c.content(1, "f"), "content");
}

// So does one that comes to nothing: there is no session then.
TEST_P(VersionTest, AnUnknownOneEndsTheSessionToo) {
  Client c = session();
  EXPECT_EQ(c.get<Rversion>(Tversion{kMsize, "9P3000"}).version, "unknown");
  EXPECT_EQ(c.error(Tgetattr{Fid{0}, getattr::kBasic}), EPROTO);
  c.version();
  EXPECT_EQ(c.error(Tgetattr{Fid{0}, getattr::kBasic}), EBADF);
}

// Locks of the session are free for others.
TEST_P(VersionTest, FreesLocks) {
  Client a = session();
  Client b = session();
  a.make_file(0, "f");
  for (Client* c : {&a, &b}) {
    c->reach(0, 1, {"f"});
    c->open(1, lopen::kReadWrite);
  }
  const Tlock wanted{Fid{1}, lock::kWrite, 0, 0, 0, 1, "host"};
  EXPECT_EQ(a.get<Rlock>(wanted).status, lock::kSuccess);
  EXPECT_EQ(b.get<Rlock>(wanted).status, lock::kBlocked);
  a.version();
  EXPECT_EQ(b.get<Rlock>(wanted).status, lock::kSuccess);
}

// A value that was written for an attribute and not clunked is dropped, not set.
TEST_P(VersionTest, DropsUncommittedAttributes) {
  Client c = session();
  c.make_file(0, "f");
  c.reach(0, 1, {"f"});
  c.get<Rxattrcreate>(Txattrcreate{Fid{1}, "user.a", 3, 0});
  EXPECT_EQ(c.write(1, 0, "abc"), 0);
  c.version();
  c.attach(0);
  c.reach(0, 1, {"f"});
  EXPECT_EQ(c.error(Txattrwalk{Fid{1}, Fid{2}, "user.a"}), ENODATA);
}

// The new msize bounds at once what the client may send: a larger frame can't be followed.
TEST_P(VersionTest, TheNewMsizeCounts) {
  Client c = session(1 << 20);
  EXPECT_EQ(c.version(4096), 4096u);
  c.attach(0);
  c.make_file(0, "f");
  c.reach(0, 1, {"f"});
  c.open(1, lopen::kReadWrite);
  const std::string data(4096 - kWriteHeaderSize, 'x');
  EXPECT_EQ(c.error(Twrite{Fid{1}, 0, as_bytes(data)}), 0);
  const std::string more(4096 - kWriteHeaderSize + 1, 'x');
  c.send(1, Twrite{Fid{1}, 0, as_bytes(more)});
  EXPECT_TRUE(c.ended());
}

}  // namespace
}  // namespace ninep::test
