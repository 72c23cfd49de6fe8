// What else may come while requests are in flight: the fid's end, the session's, the connection's,
// and requests that need the same fid or tag.
#include "tests/conversation/in_flight.h"

#include "transports/stream/connection.h"

namespace ninep::test {
namespace {

class InFlightTest : public InFlight {};
NINEP_IN_FLIGHT(InFlightTest);

// After Tclunk the fid is gone; what runs on it ends as if it were not. clunk(5)
TEST_P(InFlightTest, Clunk) {
  Client c = session_with_file();
  gate.hold("read");
  c.send(1, Tread{Fid{1}, 0, 100});
  gate.wait_for(1);
  EXPECT_EQ(c.clunk(1), 0);
  EXPECT_EQ(c.clunk(1), EBADF);
  c.reach(0, 1, {"d"});  // its number is free
  gate.release();
  EXPECT_EQ(as_str(c.receive().as<Rread>().data.bytes), "content");
}

// The same with Tremove: the file is gone, the read of it isn't.
TEST_P(InFlightTest, Remove) {
  Client c = session_with_file();
  gate.hold("read");
  c.send(1, Tread{Fid{1}, 0, 100});
  gate.wait_for(1);
  EXPECT_EQ(c.error(Tremove{Fid{1}}), 0);
  EXPECT_EQ(c.walk(0, 2, {"f"}).error(), ENOENT);
  gate.release();
  EXPECT_EQ(as_str(c.receive().as<Rread>().data.bytes), "content");
}

// A fid that moves on while somebody asks about it: the answer is about the file that it was.
TEST_P(InFlightTest, WalkOntoItself) {
  Client c = session();
  for (const char* call : {"getattr", "setattr", "getxattr"}) {
    c.reach(0, 1, {"d"});
    const U64 path = c.attr(1).qid.path;
    gate.hold(call, false);
    if (Str(call) == "getattr") c.send(1, Tgetattr{Fid{1}, getattr::kBasic});
    if (Str(call) == "setattr") c.send(1, Tsetattr{.fid = Fid{1}});
    if (Str(call) == "getxattr") c.send(1, Txattrwalk{Fid{1}, Fid{2}, "user.a"});
    gate.wait_for(1);
    EXPECT_EQ(c.walk(1, 1, {".."}).error(), 0);
    gate.release();
    const Received got = c.receive();
    EXPECT_EQ(got.header().tag, Tag{1});
    if (Str(call) == "getattr") {
      EXPECT_EQ(got.as<Rgetattr>().attr.qid.path, path);
    }
    gate.open();
    c.clunk(1);
  }
}

// The same with a Tlcreate, which makes a directory's fid one for the new file.
TEST_P(InFlightTest, Create) {
  Client c = session();
  c.reach(0, 1, {"d"});
  gate.hold("getattr", false);
  c.send(1, Tgetattr{Fid{1}, getattr::kBasic});
  gate.wait_for(1);
  EXPECT_EQ(c.error(Tlcreate{Fid{1}, "new", lopen::kReadWrite, 0644, 0}), 0);
  gate.release();
  EXPECT_EQ(c.receive().as<Rgetattr>().attr.qid.type, kQtDir);
}

// The file that is being removed is the one that the fid stood for when that was asked.
TEST_P(InFlightTest, RemoveWhileTheFidMoves) {
  Client c = session();
  c.reach(0, 1, {"d"});
  gate.hold("walk", false);
  c.send(1, Twalk{Fid{1}, Fid{1}, {".."}});
  gate.wait_for(1);
  gate.hold("remove_self", false);
  c.send(2, Tremove{Fid{1}});
  gate.wait_for(2);
  gate.release();
  EXPECT_EQ(tag_of_next<Rwalk>(c), 1);
  gate.release();
  EXPECT_EQ(tag_of_next<Rremove>(c), 2);
  gate.open();
  EXPECT_EQ(c.walk(0, 2, {"d"}).error(), ENOENT);
  EXPECT_EQ(c.walk(0, 2, {"e"}).error(), 0);
}

// A fid is opened once, also if the first time isn't over; and doesn't move meanwhile.
TEST_P(InFlightTest, Open) {
  Client c = session();
  c.reach(0, 1, {"f"});
  gate.hold("open", false);
  c.send(1, Tlopen{Fid{1}, lopen::kReadOnly});
  gate.wait_for(1);
  EXPECT_EQ(c.error(Tlopen{Fid{1}, lopen::kReadWrite}), EBUSY);
  EXPECT_EQ(c.error(Tlcreate{Fid{1}, "n", 0, 0644, 0}), EBUSY);
  EXPECT_EQ(c.error(Txattrcreate{Fid{1}, "user.a", 0, 0}), EBUSY);
  EXPECT_EQ(c.walk(1, 1, {}).error(), EBUSY);
  EXPECT_EQ(c.error(Tread{Fid{1}, 0, 1}), EBADF);  // not yet
  gate.release();
  EXPECT_EQ(tag_of_next<Rlopen>(c), 1);
  EXPECT_EQ(c.read(1), "content");
  EXPECT_EQ(c.error(Twrite{Fid{1}, 0, as_bytes("x")}), EBADF);  // as the first one said
}

// Of a walk onto itself and an open that was asked for meanwhile, one is refused.
TEST_P(InFlightTest, OpenWhileTheFidMoves) {
  Client c = session();
  c.reach(0, 1, {"d"});
  gate.hold("walk", false);
  c.send(1, Twalk{Fid{1}, Fid{1}, {".."}});
  gate.wait_for(1);
  EXPECT_EQ(c.error(Tlopen{Fid{1}, lopen::kReadOnly}), 0);
  gate.release();
  EXPECT_EQ(c.receive().error(), EBUSY);
  gate.open();
  EXPECT_EQ(c.attr(1).qid.path, c.reach(0, 2, {"d"}).path);
}

// Two requests that want to make the same new fid: the second to end is refused, and the first
// one's fid stays.
TEST_P(InFlightTest, TheSameNewfid) {
  Client c = session();
  const U64 d = c.reach(0, 1, {"d"}).path;
  gate.hold("walk", false);
  gate.hold("attach", false);
  c.send(1, Twalk{Fid{0}, Fid{9}, {"d"}});
  gate.wait_for(1);
  c.send(2, Twalk{Fid{0}, Fid{9}, {"e"}});
  gate.wait_for(2);
  c.send(3, Tattach{Fid{9}, kNoFid, "", "", 0});
  gate.wait_for(3);
  gate.release();
  EXPECT_EQ(tag_of_next<Rwalk>(c), 1);
  gate.release();
  EXPECT_EQ(c.receive().error(), EINVAL);
  gate.release();
  EXPECT_EQ(c.receive().error(), EINVAL);
  EXPECT_EQ(c.attr(9).qid.path, d);
}

// A tag has one request in flight. The second is refused, and the first isn't harmed.
TEST_P(InFlightTest, TagInUse) {
  Client c = session();
  gate.hold("getattr", false);
  c.send(1, Tgetattr{Fid{0}, getattr::kBasic});
  gate.wait_for(1);
  c.send(1, Tstatfs{Fid{0}});
  EXPECT_EQ(c.receive().error(), EINVAL);
  c.send(1, Tmkdir{Fid{0}, "new", 0755, 0});
  EXPECT_EQ(c.receive().error(), EINVAL);
  gate.release();
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
  EXPECT_EQ(c.walk(0, 1, {"new"}).error(), ENOENT);
}

// Tversion ends what is in flight: no reply of the old session comes after Rversion, nor before. It
// may have any tag, also one that is in use.
TEST_P(InFlightTest, Version) {
  for (const auto& [tag, interruptible] :
       {std::pair{kNoTag, true}, {kNoTag, false}, {Tag{2}, true}, {Tag{2}, false}}) {
    Client c = session_with_file();
    gate.hold("read", interruptible);
    gate.hold("getattr", interruptible);
    c.send(1, Tread{Fid{1}, 0, 100});
    c.send(2, Tgetattr{Fid{0}, getattr::kBasic});
    gate.wait_for(2);
    if (!interruptible) c.send(3, Tflush{Tag{1}});
    c.send(static_cast<U16>(tag), Tversion{8192, "9P2000.L"});
    // What comes behind it belongs to the new session, whenever that begins.
    c.send(4, Tgetattr{Fid{0}, getattr::kBasic});
    c.send(5, Tattach{Fid{0}, kNoFid, "", "", 0});
    c.send(1, Tstatfs{Fid{0}});
    host().wait_until_read(c);
    if (!interruptible) gate.release_all();
    EXPECT_EQ(c.receive().as<Rversion>().msize, 8192u);
    EXPECT_EQ(c.receive().error(), EBADF);
    EXPECT_EQ(tag_of_next<Rattach>(c), 5);
    EXPECT_EQ(tag_of_next<Rstatfs>(c), 1);
    gate.open();
    settle(c);
  }
}

// Two in a row, the second while the first one waits.
TEST_P(InFlightTest, TwoVersions) {
  Client c = session();
  gate.hold("getattr", false);
  c.send(1, Tgetattr{Fid{0}, getattr::kBasic});
  gate.wait_for(1);
  c.send(10, Tversion{8192, "9P2000.L"});
  c.send(11, Tattach{Fid{5}, kNoFid, "", "", 0});
  c.send(10, Tversion{16384, "9P2000.L"});
  c.send(12, Tclunk{Fid{5}});
  host().wait_until_read(c);
  gate.release_all();
  EXPECT_EQ(c.receive().as<Rversion>().msize, 8192u);
  EXPECT_EQ(tag_of_next<Rattach>(c), 11);
  EXPECT_EQ(c.receive().as<Rversion>().msize, 16384u);
  EXPECT_EQ(c.receive().error(), EBADF);
}

// An attribute that is being set when the session ends is set or not; the session ends in any case.
TEST_P(InFlightTest, VersionWhileAnAttributeIsSet) {
  Client c = session();
  c.reach(0, 1, {"f"});
  c.get<Rxattrcreate>(Txattrcreate{Fid{1}, "user.a", 1, 0});
  EXPECT_EQ(c.write(1, 0, "x"), 0);
  gate.hold("setxattr", false);
  c.send(1, Tclunk{Fid{1}});
  gate.wait_for(1);
  c.send(2, Tversion{kMsize, "9P2000.L"});
  host().wait_until_read(c);
  gate.release();
  EXPECT_EQ(tag_of_next<Rversion>(c), 2);
}

// A client that leaves is forgotten as soon as what can't be interrupted has ended.
TEST_P(InFlightTest, HangUp) {
  for (const bool interruptible : {true, false}) {
    Client c = session_with_file();
    gate.hold("read", interruptible);
    gate.hold("getattr", interruptible);
    c.send(1, Tread{Fid{1}, 0, 100});
    c.send(2, Tgetattr{Fid{0}, getattr::kBasic});
    gate.wait_for(2);
    c.send(3, Tflush{Tag{2}});
    c.hang_up();
    if (!interruptible) gate.release_all();
    host().wait_for_connections();
    gate.open();
  }
}

// The same when a Tversion waits, with requests behind it.
TEST_P(InFlightTest, HangUpWhileAVersionWaits) {
  Client c = session();
  gate.hold("getattr", false);
  c.send(1, Tgetattr{Fid{0}, getattr::kBasic});
  gate.wait_for(1);
  c.send(2, Tversion{kMsize, "9P2000.L"});
  for (U16 tag = 3; tag < 9; ++tag) c.send(tag, Tattach{Fid{tag}, kNoFid, "", "", 0});
  host().wait_until_read(c);
  c.hang_up();
  gate.release();
  host().wait_for_connections();
}

// More requests than one connection may have in flight: the rest waits to be read, none is lost,
// and another client doesn't notice.
TEST_P(InFlightTest, MoreThanTheLimit) {
  constexpr unsigned kMax = transport::Connection::kRequestsMax;
  Client c = session();
  Client other = session();
  gate.hold("getattr", false);
  std::vector<std::byte> all;
  for (unsigned i = 0; i < 2 * kMax; ++i) {
    const auto frame = frame_of(Tag{static_cast<U16>(i)}, Tgetattr{Fid{0}, 0}, kDotL);
    all.insert(all.end(), frame.begin(), frame.end());
  }
  c.send_raw(all);
  gate.wait_for(kMax);
  settle(other);
  gate.wait_for(kMax);  // and no more
  gate.open();
  gate.release_all();
  std::vector<bool> seen(2 * kMax);
  for (unsigned i = 0; i < 2 * kMax; ++i) {
    const int tag = tag_of_next<Rgetattr>(c);
    ASSERT_FALSE(seen.at(static_cast<std::size_t>(tag)));
    seen[static_cast<std::size_t>(tag)] = true;
  }
}

}  // namespace
}  // namespace ninep::test
