// 9pdump: what it prints, and what it says about lines and streams that are wrong.
#include "client/dump/dump.h"

#include <sstream>

#include <gtest/gtest.h>

#include "client/dump/frame_line.h"
#include "client/dump/json.h"
#include "tests/bytes.h"

namespace ninep {
namespace {

using test::frame_of;
using test::hex;

struct Result {
  bool good;
  std::string out;
  std::string err;
};

Result run(const std::string& input, const DumpOptions& options = {}) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const bool good = dump(options, in, out, err);
  return {good, out.str(), err.str()};
}

const std::string kClunk =
    "me client 9P2000.L 0b000000780300"
    "05000000\n";

// ------------------------------------------------------------------ lines

TEST(Lines, AreTextByDefault) {
  const Result result =
      run("# a comment\n\n" + kClunk + "me server 9P2000 07000000790300 # more\n");
  EXPECT_TRUE(result.good);
  EXPECT_EQ(result.out, "me Tclunk tag 3 fid 5\nme Rclunk tag 3\n");
  EXPECT_EQ(result.err, "");
}

TEST(Lines, ThatAreWrongAreNamed) {
  const auto fault = [](const std::string& line) {
    const Result result = run(kClunk + line + "\n" + kClunk);
    EXPECT_FALSE(result.good);
    EXPECT_EQ(std::ranges::count(result.out, '\n'), 2) << "the others are printed";
    return result.err;
  };
  EXPECT_EQ(fault("me client 9P2000.L"),
            "9pdump: line 2: expected four words: SOURCE client|server DIALECT HEX\n");
  EXPECT_EQ(fault("me client 9P2000.L 07000000790300 x"),
            "9pdump: line 2: expected four words: SOURCE client|server DIALECT HEX\n");
  EXPECT_EQ(fault("me both 9P2000.L 07000000790300"),
            "9pdump: line 2: 'both' is neither client nor server\n");
  EXPECT_EQ(fault("me server 9P2001 07000000790300"),
            "9pdump: line 2: '9P2001' is none of 9P2000, 9P2000.u and 9P2000.L\n");
  EXPECT_EQ(fault("me server 9P2000 0700000079030g"), "9pdump: line 2: 'g' is not a hex digit\n");
  EXPECT_EQ(fault("me server 9P2000 0700000079030"),
            "9pdump: line 2: an odd number of hex digits\n");
  EXPECT_EQ(fault("me server 9P2000 070000007903"),
            "9pdump: line 2: a frame of 6 bytes is shorter than a header\n");
  EXPECT_EQ(fault("me server 9P2000 08000000790300"),
            "9pdump: line 2: the frame says it has 8 bytes, but there are 7\n");
  EXPECT_EQ(fault("me client 9P2000 07000000790300"),
            "9pdump: line 2: type 121 is not sent by a client\n");
}

TEST(Lines, ThatDoNotDecodeArePrintedAndNamed) {
  const Result result = run("me client 9P2000.L 08000000780300aa\n" + kClunk);
  EXPECT_FALSE(result.good);
  EXPECT_EQ(result.out, "me Tclunk tag 3: malformed body of 1 bytes\nme Tclunk tag 3 fid 5\n");
  EXPECT_EQ(result.err, "9pdump: line 1: type 120 Tclunk: malformed body in 9P2000.L\n");
}

TEST(Lines, HexMayBeInCapitals) {
  const auto line = parse_frame_line("me server 9P2000.L 0B000000 # cut");
  EXPECT_FALSE(line);
  const auto whole = parse_frame_line("me server 9P2000.L 0B0000000703000A000000");
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ(test::to_hex((*whole)->frame), "0b0000000703000a000000");
}

// ------------------------------------------------------------------ verify

TEST(Verify, StopsAtTheFirstDifferenceAndNamesIt) {
  const DumpOptions verify{.verify = true};
  EXPECT_TRUE(run(kClunk + kClunk, verify).good);
  // Tfsync without datasync: decode takes it, encode never writes it.
  const std::string fsync = "me client 9P2000.L 0b00000032030005000000\n";
  EXPECT_TRUE(run(fsync).good);
  const Result result = run(kClunk + fsync + kClunk, verify);
  EXPECT_FALSE(result.good);
  EXPECT_EQ(
      result.err,
      "9pdump: line 2: type 50 Tfsync does not encode back: at byte 0: 0b became 0f (11 bytes "
      "became 15)\n");
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 2);
}

TEST(Verify, FindsOneByte) {
  // Ganesha's Rerror with Rlerror's body becomes an Rlerror.
  const Result result =
      run("g server 9P2000.L 0b0000006b030002000000\n", DumpOptions{.verify = true});
  EXPECT_EQ(
      result.err,
      "9pdump: line 1: type 107 Rerror does not encode back: at byte 4: 6b became 07 (11 bytes "
      "became 11)\n");
}

// ------------------------------------------------------------------ JSON

TEST(AsJson, OneObjectALine) {
  const Result result = run(kClunk, {.json = true});
  EXPECT_EQ(result.out,
            R"({"source":"me","dialect":"9P2000.L","message":"Tclunk","tag":3,"body":{"fid":5}})"
            "\n");
}

template <class M>
std::string json(const M& m, Dialects d = kDotL) {
  return frame_to_json(frame_of(Tag{3}, m, d), d)["body"].dump();
}

TEST(AsJson, EveryKindOfField) {
  EXPECT_EQ(json(Twalk{Fid{0}, Fid{1}, {"a", "b"}}), R"({"fid":0,"newfid":1,"wname":["a","b"]})");
  EXPECT_EQ(json(Twalk{Fid{0}, Fid{1}, {}}), R"({"fid":0,"newfid":1,"wname":[]})");
  EXPECT_EQ(json(Rattach{{kQtDir, 1, ~U64{0}}}),
            R"({"qid":{"type":128,"version":1,"path":18446744073709551615}})");
  const auto data = hex("00ff");
  EXPECT_EQ(json(Rread{Bytes(data)}), R"({"data":{"count":2,"hex":"00ff"}})");
  EXPECT_EQ(json(Tauth{kNoFid, "u", "", 7}, k9P2000),
            R"({"afid":4294967295,"uname":"u","aname":""})");
  EXPECT_EQ(json(Tauth{kNoFid, "u", "", 7}, kDotU),
            R"({"afid":4294967295,"uname":"u","aname":"","n_uname":7})");
  EXPECT_EQ(json(Rclunk{}), "{}");
}

TEST(AsJson, StringsThatAreNotUtf8AreKept) {
  EXPECT_EQ(json(Rreadlink{"\xc3\xbc"}), "{\"target\":\"\xc3\xbc\"}");
  EXPECT_EQ(json(Rreadlink{Str("a\0b", 3)}), R"({"target":"a\u0000b"})");
  EXPECT_EQ(json(Rreadlink{"a\xff"}), R"({"target":{"hex":"61ff"}})");
  EXPECT_EQ(json(Rreadlink{"\xed\xa0\x80"}), R"({"target":{"hex":"eda080"}})");  // a surrogate
  EXPECT_EQ(json(Twalk{Fid{0}, Fid{1}, {"\xc3"}}),
            R"({"fid":0,"newfid":1,"wname":[{"hex":"c3"}]})");
}

TEST(AsJson, WhatDoesNotDecode) {
  const Result result = run(
      "me client 9P2000.L 08000000780300aa\nme client 9P2000.L 08000000c80300ab\n", {.json = true});
  EXPECT_FALSE(result.good);
  EXPECT_EQ(
      result.out,
      R"({"source":"me","dialect":"9P2000.L","type":120,"message":"Tclunk","tag":3,"error":"malformed body","hex":"aa"})"
      "\n"
      R"({"source":"me","dialect":"9P2000.L","type":200,"tag":3,"error":"unknown message","hex":"ab"})"
      "\n");
}

// A source that is not UTF-8 comes from the terminal, not from the wire; it must not end us either.
TEST(AsJson, SourceOfAnyBytes) {
  const Result result = run("m\xff client 9P2000.L 0b00000078030005000000\n", {.json = true});
  EXPECT_TRUE(result.good);
  EXPECT_NE(result.out.find(R"("source":{"hex":"6dff"})"), std::string::npos) << result.out;
}

// ------------------------------------------------------------------ raw streams

std::string raw(Str hex_text) { return std::string(as_str(hex(hex_text))); }

TEST(Raw, FramesBehindEachOther) {
  const Result result = run(raw("0b00000078030005000000"
                                "07000000790300"),
                            {.raw = true, .dialect = kDotU});
  EXPECT_TRUE(result.good);
  EXPECT_EQ(result.out, "Tclunk tag 3 fid 5\nRclunk tag 3\n");
  EXPECT_TRUE(run("", {.raw = true}).good);
}

TEST(Raw, ThatBreaksIsNamed) {
  Result result = run(raw("07000000790300"
                          "06000000"),
                      {.raw = true});
  EXPECT_FALSE(result.good);
  EXPECT_EQ(result.err, "9pdump: offset 7: a frame of 6 bytes; they have 7 to 1048576\n");
  result = run(raw("00200000"), {.raw = true, .msize = 8191});
  EXPECT_EQ(result.err, "9pdump: offset 0: a frame of 8192 bytes; they have 7 to 8191\n");
  result = run(raw("07000000790300"
                   "0b000000780300"),
               {.raw = true});
  EXPECT_FALSE(result.good);
  EXPECT_EQ(result.err, "9pdump: offset 7: the stream ends within a frame: 7 of 11 bytes\n");
  EXPECT_EQ(result.out, "Rclunk tag 3\n");
}

}  // namespace
}  // namespace ninep
