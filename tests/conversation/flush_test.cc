// Tflush, with requests that are in flight for certain. flush(5): always answered by Rflush; after
// it no reply to the old tag may come, as the client uses the tag again.
#include "tests/conversation/in_flight.h"

namespace ninep::test {
namespace {

class FlushTest : public InFlight {
 protected:
  static constexpr Tgetattr kAsk{Fid{0}, getattr::kBasic};
};
NINEP_IN_FLIGHT(FlushTest);

// A tag that is unknown, finished, or the flush's own: Rflush at once.
TEST_P(FlushTest, OfNothing) {
  Client c = session();
  EXPECT_EQ(c.error(Tflush{Tag{999}}), 0);
  EXPECT_EQ(c.error(Tflush{kNoTag}), 0);
  c.send(5, kAsk);
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 5);
  c.send(6, Tflush{Tag{5}});
  EXPECT_EQ(tag_of_next<Rflush>(c), 6);
  c.send(7, Tflush{Tag{7}});
  EXPECT_EQ(tag_of_next<Rflush>(c), 7);
}

// What waits and can be interrupted is dropped: the only answer is Rflush, and the tag is free.
TEST_P(FlushTest, DropsWhatCanBeInterrupted) {
  Client c = session();
  gate.hold("getattr");
  c.send(1, kAsk);
  gate.wait_for(1);
  c.send(2, Tflush{Tag{1}});
  EXPECT_EQ(tag_of_next<Rflush>(c), 2);
  gate.open();
  c.send(1, kAsk);
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
  settle(c);
}

// What can't be interrupted is finished and answered first, then the flush.
TEST_P(FlushTest, WaitsForWhatCanNot) {
  Client c = session();
  gate.hold("getattr", false);
  c.send(1, kAsk);
  gate.wait_for(1);
  c.send(2, Tflush{Tag{1}});
  settle(c);  // no Rflush before the request has ended
  gate.release();
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
  EXPECT_EQ(tag_of_next<Rflush>(c), 2);
}

// What has taken effect must not be dropped: the client would take it for not done.
TEST_P(FlushTest, NeverDropsAnEffect) {
  Client c = session();
  gate.hold("mkdir done");
  c.send(1, Tmkdir{Fid{0}, "new", 0755, 0});
  gate.wait_for(1);
  c.send(2, Tflush{Tag{1}});
  settle(c);
  gate.release();
  EXPECT_EQ(tag_of_next<Rmkdir>(c), 1);
  EXPECT_EQ(tag_of_next<Rflush>(c), 2);
  EXPECT_EQ(c.walk(0, 1, {"new"}).error(), 0);
}

// What was dropped has not happened: no directory, no fid, no byte written.
TEST_P(FlushTest, WhatWasDroppedHasNotHappened) {
  Client c = session_with_file();
  for (const char* call : {"mkdir", "walk", "write"}) gate.hold(call);
  c.send(1, Tmkdir{Fid{0}, "new", 0755, 0});
  c.send(2, Twalk{Fid{0}, Fid{9}, {"d"}});
  c.send(3, Twrite{Fid{1}, 0, as_bytes("CONTENT")});
  gate.wait_for(3);
  for (U16 tag = 1; tag <= 3; ++tag) {
    c.send(10, Tflush{Tag{tag}});
    EXPECT_EQ(tag_of_next<Rflush>(c), 10);
  }
  gate.open();
  EXPECT_EQ(c.walk(0, 2, {"new"}).error(), ENOENT);
  EXPECT_EQ(c.clunk(9), EBADF);
  EXPECT_EQ(c.read(1), "content");
}

// A flush of a flush is legal; both are answered, the older one first.
TEST_P(FlushTest, OfAFlush) {
  Client c = session();
  gate.hold("getattr", false);
  c.send(1, kAsk);
  gate.wait_for(1);
  c.send(2, Tflush{Tag{1}});
  c.send(3, Tflush{Tag{2}});
  settle(c);
  gate.release();
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
  EXPECT_EQ(tag_of_next<Rflush>(c), 2);
  EXPECT_EQ(tag_of_next<Rflush>(c), 3);
}

// Several flushes of one tag are answered in order: the last answer implies all before it.
TEST_P(FlushTest, SeveralOfOneTag) {
  for (const bool interruptible : {true, false}) {
    Client c = session();
    gate.hold("getattr", interruptible);
    c.send(1, kAsk);
    gate.wait_for(1);
    for (U16 tag = 2; tag <= 4; ++tag) c.send(tag, Tflush{Tag{1}});
    if (!interruptible) {
      settle(c);
      gate.release();
      EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
    }
    for (const int tag : {2, 3, 4}) EXPECT_EQ(tag_of_next<Rflush>(c), tag);
    gate.open();
  }
}

// A flush takes back what it names and nothing else.
TEST_P(FlushTest, OthersGoOn) {
  Client c = session();
  gate.hold("getattr");
  for (U16 tag = 1; tag <= 3; ++tag) {
    c.send(tag, kAsk);
    gate.wait_for(tag);
  }
  c.send(4, Tflush{Tag{2}});
  EXPECT_EQ(tag_of_next<Rflush>(c), 4);
  gate.wait_for(2);
  gate.release();
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 1);
  gate.release();
  EXPECT_EQ(tag_of_next<Rgetattr>(c), 3);
}

// Each kind of request can be taken back while it waits.
TEST_P(FlushTest, EveryKind) {
  Client c = session_with_file();
  c.reach(0, 2, {"d"});
  c.open(2, lopen::kReadOnly);
  c.reach(0, 3, {"f"});
  c.reach(0, 4, {});
  c.get<Rxattrcreate>(Txattrcreate{Fid{4}, "user.a", 0, 0});
  c.reach(0, 5, {"f"});
  const auto taken_back = [&](const char* call, const auto& m) {
    gate.hold(call);
    c.send(1, m);
    gate.wait_for(1);
    c.send(2, Tflush{Tag{1}});
    EXPECT_EQ(tag_of_next<Rflush>(c), 2) << call;
    gate.open();
  };
  taken_back("attach", Tattach{Fid{9}, kNoFid, "", "", 0});
  taken_back("walk", Twalk{Fid{0}, Fid{9}, {"d"}});
  taken_back("clone", Twalk{Fid{0}, Fid{9}, {}});
  taken_back("open", Tlopen{Fid{3}, 0});
  taken_back("create", Tlcreate{Fid{0}, "new", 0, 0644, 0});
  taken_back("read", Tread{Fid{1}, 0, 100});
  taken_back("write", Twrite{Fid{1}, 0, as_bytes("x")});
  taken_back("readdir", Treaddir{Fid{2}, 0, 4096});
  taken_back("sync", Tfsync{Fid{1}, 0});
  taken_back("getattr", Tgetattr{Fid{0}, getattr::kBasic});
  taken_back("setattr", Tsetattr{.fid = Fid{0}, .valid = setattr::kMode, .mode = 0700});
  taken_back("getxattr", Txattrwalk{Fid{0}, Fid{9}, "user.a"});
  taken_back("setxattr", Tclunk{Fid{4}});
  taken_back("remove_self", Tremove{Fid{5}});
  EXPECT_EQ(c.clunk(9), EBADF);
  EXPECT_EQ(c.content(0, "f"), "content");
  c.open(3, lopen::kReadOnly);  // the open that was taken back left the fid as it was
}

}  // namespace
}  // namespace ninep::test
