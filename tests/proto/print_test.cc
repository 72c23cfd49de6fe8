// Messages as lines of text.
#include "proto/print.h"

#include <gtest/gtest.h>

#include "proto/result.h"
#include "tests/bytes.h"

namespace ninep {
namespace {

using test::frame_of;
using test::hex;

template <class M>
std::string text(const M& m, Dialects d = kDotL, Tag tag = Tag{3}) {
  std::string direct;
  print(direct, tag, m, d);
  EXPECT_EQ(print_frame(frame_of(tag, m, d), d), direct);
  return direct;
}

TEST(Print, NamesAndFields) {
  EXPECT_EQ(text(Twalk{Fid{0}, Fid{1}, {"usr", "lib"}}),
            R"(Twalk tag 3 fid 0 newfid 1 wname ["usr" "lib"])");
  EXPECT_EQ(text(Twalk{Fid{0}, Fid{1}, {}}), "Twalk tag 3 fid 0 newfid 1 wname []");
  EXPECT_EQ(text(Rwalk{{{kQtDir, 1, 2}, {kQtFile, 3, 4}}}), "Rwalk tag 3 wqid [(80 1 2) (0 3 4)]");
  EXPECT_EQ(text(Rclunk{}), "Rclunk tag 3");
}

TEST(Print, ValuesWithAMeaning) {
  EXPECT_EQ(text(Tversion{8192, "9P2000.L"}, kAny, kNoTag),
            R"(Tversion tag NOTAG msize 8192 version "9P2000.L")");
  EXPECT_EQ(text(Rlerror{2}), "Rlerror tag 3 ecode 2 ENOENT");
  EXPECT_EQ(text(Rlerror{4095}), "Rlerror tag 3 ecode 4095 E?");
  EXPECT_EQ(text(Tlopen{Fid{1}, lopen::kReadWrite | lopen::kTruncate}),
            "Tlopen tag 3 fid 1 flags 01002");
  EXPECT_EQ(text(Tlopen{Fid{1}, 0}), "Tlopen tag 3 fid 1 flags 0");
  EXPECT_EQ(text(Tgetattr{Fid{1}, getattr::kBasic}), "Tgetattr tag 3 fid 1 request_mask 0x7ff");
  EXPECT_EQ(text(Tmkdir{Fid{1}, "d", 0755, 0}), R"(Tmkdir tag 3 dfid 1 name "d" mode 0755 gid 0)");
}

TEST(Print, OnlyTheFieldsOfTheDialect) {
  const Tattach attach{Fid{1}, kNoFid, "u", "", 1000};
  EXPECT_EQ(text(attach, k9P2000), R"(Tattach tag 3 fid 1 afid NOFID uname "u" aname "")");
  EXPECT_EQ(text(attach, kDotU),
            R"(Tattach tag 3 fid 1 afid NOFID uname "u" aname "" n_uname 1000)");
  EXPECT_EQ(text(Rerror{"no", 2}, k9P2000), R"(Rerror tag 3 ename "no")");
  EXPECT_EQ(text(Rerror{"no", 2}, kDotU), R"(Rerror tag 3 ename "no" ecode 2 ENOENT)");
}

TEST(Print, DataAsACount) {
  const auto data = hex("00ff0a");
  EXPECT_EQ(text(Twrite{Fid{1}, 5, Bytes(data)}), "Twrite tag 3 fid 1 offset 5 data 3 bytes");
  EXPECT_EQ(text(Rread{}), "Rread tag 3 data 0 bytes");
}

TEST(Print, StringsOnOneLineOfAscii) {
  EXPECT_EQ(text(Rreadlink{Str("a\"\\\n\0\x7f\xc3\xbc", 8)}),
            R"(Rreadlink tag 3 target "a\"\\\x0a\x00\x7f\xc3\xbc")");
}

TEST(Print, RecordsInBraces) {
  Stat stat{};
  stat.name = "n";
  stat.mode = 0644;
  EXPECT_EQ(text(Rstat{{stat}}, k9P2000),
            R"(Rstat tag 3 stat { type 0 dev 0 qid (0 0 0) mode 0644 atime 0 mtime 0 length 0 )"
            R"(name "n" uid "" gid "" muid "" })");
  Rgetattr attributes{};
  attributes.valid = 0x7ff;
  EXPECT_EQ(text(attributes).substr(0, 60),
            "Rgetattr tag 3 valid 0x7ff attr { qid (0 0 0) mode 0 uid 0 g");
}

TEST(Print, FramesInAnyState) {
  EXPECT_EQ(print_frame({}, kDotL), "frame of 0 bytes");
  EXPECT_EQ(print_frame(hex("070000007801"), kDotL), "frame of 6 bytes");
  EXPECT_EQ(print_frame(hex("07000000c80100"), kDotL),
            "type 200 tag 1: unknown message of 0 bytes");
  EXPECT_EQ(print_frame(hex("08000000780100aa"), kDotL), "Tclunk tag 1: malformed body of 1 bytes");
  EXPECT_EQ(print_frame(hex("0b0000007c010001000000"), kDotL),
            "Tstat tag 1: not a message of this dialect of 4 bytes");
}

TEST(Errno, HasLinuxNamesAndTexts) {
  EXPECT_EQ(errno_name(Errno{95}), "EOPNOTSUPP");
  EXPECT_EQ(errno_text(Errno{2}), "No such file or directory");
  for (const U32 none : {4095u, 0x80000000u, 0xffffffffu}) {
    EXPECT_EQ(errno_name(Errno{none}), "E?");
    EXPECT_EQ(errno_text(Errno{none}), "Unknown error");
  }
}

}  // namespace
}  // namespace ninep
