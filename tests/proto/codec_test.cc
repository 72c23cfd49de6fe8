// Bytes of messages, spelled out: sizes, order of fields, and what decode takes and refuses.
#include "proto/codec.h"

#include <gtest/gtest.h>

#include "tests/bytes.h"

namespace ninep {
namespace {

using test::body_of;
using test::frame_of;
using test::hex;
using test::to_hex;

template <class M>
testing::AssertionResult decodes(std::string_view body, Dialects d, M& m) {
  // A block of its own size, so that AddressSanitizer sees a read past the end.
  static std::vector<std::byte> bytes;
  bytes = hex(body);
  bytes.shrink_to_fit();
  m = M{};
  return decode(bytes, d, m) ? testing::AssertionSuccess()
                             : testing::AssertionFailure() << "refused: " << body;
}
template <class M>
testing::AssertionResult decodes(std::string_view body, Dialects d) {
  M m{};
  return decodes(body, d, m);
}

constexpr Fid kFid1{1};
constexpr Fid kFid2{2};

// ------------------------------------------------------------------ sizes

template <class M>
std::size_t size_in(Dialects d, const M& m = {}) {
  const auto frame = frame_of(Tag{1}, m, d);
  EXPECT_EQ(frame.size(), frame_size(m, d));
  return frame.size();
}

TEST(Size, OfMessagesWithFixedLayout) {
  EXPECT_EQ(size_in<Rgetattr>(kDotL), 160u);
  EXPECT_EQ(size_in<Tsetattr>(kDotL), 67u);
  EXPECT_EQ(size_in<Rstatfs>(kDotL), 67u);
  EXPECT_EQ(size_in<Tgetattr>(kDotL), 19u);
  EXPECT_EQ(size_in<Tread>(kDotL), 23u);
  EXPECT_EQ(size_in<Treaddir>(kDotL), 23u);
  EXPECT_EQ(size_in<Rlerror>(kDotL), 11u);
  EXPECT_EQ(size_in<Tflush>(kDotL), 9u);
  EXPECT_EQ(size_in<Tclunk>(kDotL), 11u);
  EXPECT_EQ(size_in<Rlopen>(kDotL), 24u);
  EXPECT_EQ(size_in<Rlcreate>(kDotL), 24u);
  EXPECT_EQ(size_in<Ropen>(k9P2000), 24u);
  EXPECT_EQ(size_in<Rcreate>(k9P2000), 24u);
  EXPECT_EQ(size_in<Rattach>(k9P2000), 20u);
  EXPECT_EQ(size_in<Rauth>(k9P2000), 20u);
  EXPECT_EQ(size_in<Rmkdir>(kDotL), 20u);
  EXPECT_EQ(size_in<Rsymlink>(kDotL), 20u);
  EXPECT_EQ(size_in<Rmknod>(kDotL), 20u);
  EXPECT_EQ(size_in<Rxattrwalk>(kDotL), 15u);
  EXPECT_EQ(size_in<Rlock>(kDotL), 8u);
  EXPECT_EQ(size_in<Rclunk>(k9P2000), kHeaderSize);
  EXPECT_EQ(size_in<Tfsync>(kDotL), 15u);
}

TEST(Size, GrowsWithNamesQidsAndData) {
  EXPECT_EQ(size_in(kDotL, Twalk{kFid1, kFid2, {}}), 17u);
  EXPECT_EQ(size_in(kDotL, Twalk{kFid1, kFid2, {"usr", "lib"}}), 17u + 5 + 5);
  for (U16 n = 0; n <= kWalkNamesMax; ++n) {
    Rwalk walk;
    for (U16 i = 0; i < n; ++i) walk.wqid.push_back(Qid{kQtDir, 0, i});
    EXPECT_EQ(size_in(kDotL, walk), 9u + 13 * n);
  }
  EXPECT_EQ(size_in(k9P2000, Tversion{8192, "9P2000"}), 13u + 6);
  const std::vector<std::byte> data(100);
  EXPECT_EQ(size_in(kDotL, Twrite{kFid1, 0, Bytes(data)}), kWriteHeaderSize + 100);
  EXPECT_EQ(size_in(kDotL, Rread{Bytes(data)}), kReadHeaderSize + 100);
  EXPECT_LE(kWriteHeaderSize, kIoHeaderSize);
}

TEST(Size, OfStatsAndDirents) {
  Stat stat{};
  stat.name = "ab";
  EXPECT_EQ(field_size(stat, k9P2000), 49u + 2);
  EXPECT_EQ(field_size(stat, kDotU), 63u + 2);
  EXPECT_EQ(encoded_size(Dirent{{}, 0, 0, "ab"}, kDotL), 24u + 2);
  EXPECT_EQ(encoded_size(Attr{}, kDotL), 153u - 8);
  EXPECT_EQ(encoded_size(Qid{}, kDotL), kQidSize);
}

TEST(Size, IsKnownAtCompileTimeWhereItIsFixed) {
  static_assert(kFixedSize<Tread> && kFixedSize<Rgetattr> && kFixedSize<Rclunk>);
  static_assert(!kFixedSize<Twalk> && !kFixedSize<Tversion> && !kFixedSize<Rread>);
  static_assert(!kFixedSize<Tfsync>, "datasync may be missing");
  static_assert(encoded_size(Tread{}, kDotL) == 16);
}

// ------------------------------------------------------------------ order of fields

template <class M>
std::string bytes_of(const M& m, Dialects d) {
  return to_hex(body_of(m, d));
}

TEST(Order, TlcreateHasFlagsThenMode) {
  EXPECT_EQ(bytes_of(Tlcreate{kFid1, "f", 2, 3, 4}, kDotL),
            "01000000010066020000000300000004000000");
}
TEST(Order, TmknodHasModeMajorMinorGid) {
  EXPECT_EQ(bytes_of(Tmknod{kFid1, "f", 2, 3, 4, 5}, kDotL),
            "0100000001006602000000030000000400000005000000");
}
TEST(Order, TlinkHasTheDirectoryFirst) {
  const Tlink link{.dfid = kFid1, .fid = kFid2, .name = "f"};
  EXPECT_EQ(bytes_of(link, kDotL), "0100000002000000010066");
}
TEST(Order, TrenameHasTheFileFirst) {
  const Trename rename{.fid = kFid1, .newdirfid = kFid2, .name = "f"};
  EXPECT_EQ(bytes_of(rename, kDotL), "0100000002000000010066");
}
TEST(Order, TsymlinkHasNameThenTarget) {
  const Tsymlink symlink{.dfid = kFid1, .name = "n", .symtgt = "t", .gid = 2};
  EXPECT_EQ(bytes_of(symlink, kDotL), "0100000001006e01007402000000");
}
TEST(Order, RerrorOfDotUHasTextThenNumber) {
  const Rerror error{"no", 2};
  EXPECT_EQ(bytes_of(error, kDotU), "02006e6f02000000");
  EXPECT_EQ(bytes_of(error, k9P2000), "02006e6f");
}
TEST(Order, TlockHasFlagsAndTgetlockHasNone) {
  EXPECT_EQ(bytes_of(Tlock{kFid1, 2, 3, 4, 5, 6, "c"}, kDotL),
            "010000000203000000040000000000000005000000000000000600000001"
            "0063");
  EXPECT_EQ(bytes_of(Tgetlock{kFid1, 2, 4, 5, 6, "c"}, kDotL),
            "0100000002040000000000000005000000000000000600000001"
            "0063");
  EXPECT_EQ(bytes_of(Rgetlock{2, 4, 5, 6, "c"}, kDotL),
            "02040000000000000005000000000000000600000001"
            "0063");
  EXPECT_EQ(bytes_of(Rlock{3}, kDotL), "03");
}
TEST(Order, MasksAndFlagsHaveTheirWidths) {
  EXPECT_EQ(bytes_of(Tgetattr{kFid1, 2}, kDotL), "010000000200000000000000");
  EXPECT_EQ(bytes_of(Tsetattr{kFid1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, kDotL),
            "0100000002000000030000000400000005000000"
            "06000000000000000700000000000000080000000000000009000000000000000a00000000000000");
  EXPECT_EQ(bytes_of(Tunlinkat{kFid1, "f", kUnlinkRemoveDir}, kDotL), "0100000001006600020000");
}
TEST(Order, RstatfsAsInStatfs) {
  EXPECT_EQ(bytes_of(Rstatfs{1, 2, 3, 4, 5, 6, 7, 8, 9}, kDotL),
            "0100000002000000"
            "030000000000000004000000000000000500000000000000"
            "060000000000000007000000000000000800000000000000"
            "09000000");
}

// ------------------------------------------------------------------ fields of some dialects

TEST(Dialect, NUnameIsInDotUAndDotL) {
  const Tattach attach{kFid1, kNoFid, "u", "a", 7};
  EXPECT_EQ(bytes_of(attach, k9P2000), "01000000ffffffff010075010061");
  EXPECT_EQ(bytes_of(attach, kDotU), "01000000ffffffff01007501006107000000");
  EXPECT_EQ(bytes_of(attach, kDotL), bytes_of(attach, kDotU));
  const Tauth auth{kFid1, "u", "a", 7};
  EXPECT_EQ(bytes_of(auth, k9P2000), "01000000010075010061");
  EXPECT_EQ(bytes_of(auth, kDotL), "0100000001007501006107000000");
}

// A uid that nobody sent must not read as 0, which is root.
TEST(Dialect, NUnameThatIsNotThereIsNoUid) {
  EXPECT_EQ(Tattach{}.n_uname.value, kNoNumericUid);
  EXPECT_EQ(Tauth{}.n_uname.value, kNoNumericUid);
  Tattach attach{};
  ASSERT_TRUE(decodes("01000000ffffffff010075010061", k9P2000, attach));
  EXPECT_EQ(attach.n_uname.value, kNoNumericUid);
}

TEST(Dialect, CreateHasAnExtensionInDotUAlone) {
  const Tcreate create{kFid1, "f", 2, 3, Str("x")};
  EXPECT_EQ(bytes_of(create, k9P2000), "010000000100660200000003");
  EXPECT_EQ(bytes_of(create, kDotU), "010000000100660200000003010078");
  EXPECT_FALSE(decodes<Tcreate>("010000000100660200000003", kDotU));
  EXPECT_FALSE(decodes<Tcreate>("010000000100660200000003010078", k9P2000));
}

TEST(Dialect, VersionIsTheSameInAll) {
  const Tversion version{8192, "9P2000.L"};
  EXPECT_EQ(bytes_of(version, k9P2000), bytes_of(version, kDotL));
  EXPECT_EQ(bytes_of(version, kDotU), bytes_of(version, kDotL));
}

// ------------------------------------------------------------------ what old programs leave out

TEST(Missing, DatasyncOfTfsync) {
  Tfsync fsync{};
  ASSERT_TRUE(decodes("01000000", kDotL, fsync));
  EXPECT_EQ(fsync.datasync.value, 0u);
  ASSERT_TRUE(decodes("0100000001000000", kDotL, fsync));
  EXPECT_EQ(fsync.datasync.value, 1u);
  EXPECT_EQ(bytes_of(Tfsync{kFid1, {}}, kDotL), "0100000000000000");  // always sent
  for (const Str body : {"010000", "0100000001", "01000000010000", "010000000100000000"})
    EXPECT_FALSE(decodes<Tfsync>(body, kDotL));
}

TEST(Missing, NUnameOfDotU) {
  Tattach attach{};
  ASSERT_TRUE(decodes("01000000ffffffff010075010061", kDotU, attach));
  EXPECT_EQ(attach.aname, "a");
  EXPECT_EQ(attach.n_uname.value, kNoNumericUid);
  Tauth auth{};
  ASSERT_TRUE(decodes("01000000010075010061", kDotU, auth));
  EXPECT_EQ(auth.n_uname.value, kNoNumericUid);
  EXPECT_FALSE(decodes<Tattach>("01000000ffffffff010075010061070000", kDotU));  // cut, not missing
}

// .L was never described without it.
TEST(Missing, NUnameOfDotLIsAnError) {
  EXPECT_FALSE(decodes<Tattach>("01000000ffffffff010075010061", kDotL));
  EXPECT_FALSE(decodes<Tauth>("01000000010075010061", kDotL));
}

TEST(Missing, NothingElse) {
  EXPECT_FALSE(decodes<Rerror>("02006e6f", kDotU));
  EXPECT_FALSE(decodes<Rerror>("02006e6f02000000", k9P2000));
  EXPECT_FALSE(decodes<Tattach>("01000000ffffffff01007501006107000000", k9P2000));
}

// ------------------------------------------------------------------ counts and lengths

TEST(Refuses, MoreThanSixteenNamesOrQids) {
  std::string names =
      "0100000002000000"
      "1000";
  for (int i = 0; i < 16; ++i) names += "010061";
  Twalk walk{};
  ASSERT_TRUE(decodes(names, kDotL, walk));
  EXPECT_EQ(walk.wname.size(), 16);
  names.replace(16, 4, "1100");
  EXPECT_FALSE(decodes<Twalk>(names + "010061", kDotL));

  std::string qids = "1000";
  for (int i = 0; i < 16; ++i) qids += "00000000000100000000000000";
  ASSERT_TRUE(decodes<Rwalk>(qids, kDotL));
  qids.replace(0, 4, "1100");
  EXPECT_FALSE(decodes<Rwalk>(qids + "00000000000100000000000000", kDotL));
  EXPECT_FALSE(decodes<Rwalk>("ffff", kDotL));
}

TEST(Refuses, StringsPastTheEnd) {
  EXPECT_TRUE(
      decodes<Rreadlink>("0100"
                         "61",
                         kDotL));
  EXPECT_FALSE(
      decodes<Rreadlink>("0200"
                         "61",
                         kDotL));
  EXPECT_FALSE(
      decodes<Rreadlink>("ffff"
                         "61",
                         kDotL));
  EXPECT_FALSE(decodes<Rreadlink>("01", kDotL));
  EXPECT_FALSE(decodes<Rreadlink>("", kDotL));
}

TEST(Refuses, DataThatDoNotFillTheFrame) {
  EXPECT_TRUE(
      decodes<Rread>("02000000"
                     "6162",
                     kDotL));
  EXPECT_FALSE(
      decodes<Rread>("03000000"
                     "6162",
                     kDotL));
  EXPECT_FALSE(
      decodes<Rread>("01000000"
                     "6162",
                     kDotL));
  EXPECT_FALSE(
      decodes<Rread>("ffffffff"
                     "6162",
                     kDotL));
  const std::string head = "010000000000000000000000";
  EXPECT_TRUE(decodes<Twrite>(head + "0200000061"
                                     "62",
                              kDotL));
  EXPECT_FALSE(decodes<Twrite>(head + "0300000061"
                                      "62",
                               kDotL));
  EXPECT_FALSE(decodes<Twrite>(head + "0100000061"
                                      "62",
                               kDotL));
  EXPECT_FALSE(decodes<Rreaddir>("01000000", kDotL));
}

TEST(Refuses, TrailingBytes) {
  EXPECT_FALSE(decodes<Tclunk>("0100000000", kDotL));
  EXPECT_FALSE(decodes<Rclunk>("00", kDotL));
  EXPECT_FALSE(
      decodes<Tversion>("00200000"
                        "0200"
                        "3950"
                        "00",
                        kDotL));
}

// Names with NUL, slashes or bytes that are not UTF-8 pass: which are refused, and how, is for the
// server; a link's target, for one, may hold anything.
TEST(Strings, KeepAnyBytes) {
  Rreadlink link{};
  ASSERT_TRUE(
      decodes("0400"
              "612f00ff",
              kDotL, link));
  EXPECT_EQ(link.target, Str("a/\0\xff", 4));
}

TEST(Strings, OfMoreThan64KiBCannotBeEncoded) {
  const std::string most(kStringMax, 'x');
  const std::string more(kStringMax + 1, 'x');
  EXPECT_EQ(encoded_size(Rreadlink{most}, kDotL), 2u + kStringMax);
  EXPECT_GE(encoded_size(Rreadlink{more}, kDotL), kUnencodable);
  std::vector<std::byte> room(2 * kStringMax, std::byte{0x55});
  EXPECT_FALSE(encode(Rreadlink{more}, kDotL, room));
  EXPECT_EQ(room[0], std::byte{0x55});
}

// ------------------------------------------------------------------ stat

const std::string kStatOfDotU =
    "0100"
    "02000000"
    "03"
    "04000000"
    "0500000000000000"
    "06000000"
    "07000000"
    "08000000"
    "0900000000000000"
    "0100"
    "6e"
    "0100"
    "75"
    "0100"
    "67"
    "0100"
    "6d"
    "0100"
    "65"
    "0a000000"
    "0b000000"
    "0c000000";

Stat some_stat() { return {1, 2, {3, 4, 5}, 6, 7, 8, 9, "n", "u", "g", "m", Str("e"), 10, 11, 12}; }

TEST(StatBytes, TwoLengthsInRstatAndTwstatOneInDirectories) {
  EXPECT_EQ(bytes_of(Rstat{{some_stat()}}, kDotU), "44004200" + kStatOfDotU);
  EXPECT_EQ(bytes_of(Twstat{kFid1, {some_stat()}}, kDotU), "0100000044004200" + kStatOfDotU);
  std::vector<std::byte> bytes(200);
  Room room = bytes;
  ASSERT_TRUE(encode_front(some_stat(), kDotU, room));
  bytes.resize(bytes.size() - room.size());
  EXPECT_EQ(to_hex(bytes), "4200" + kStatOfDotU);
}

TEST(StatBytes, RstatsOuterLengthIsIgnoredTwstatsMustAgree) {
  Rstat stat{};
  ASSERT_TRUE(decodes("00004200" + kStatOfDotU, kDotU, stat));  // QEMU 7.2
  EXPECT_EQ(stat.stat.stat, some_stat());
  EXPECT_TRUE(decodes<Twstat>("0100000044004200" + kStatOfDotU, kDotU));
  EXPECT_FALSE(decodes<Twstat>("0100000000004200" + kStatOfDotU, kDotU));
  EXPECT_FALSE(decodes<Twstat>("0100000045004200" + kStatOfDotU, kDotU));
}

TEST(StatBytes, PaddingWithinTheSizeIsSkipped) {
  Rstat stat{};
  ASSERT_TRUE(decodes("46004400" + kStatOfDotU + "eeee", kDotU, stat));
  EXPECT_EQ(stat.stat.stat, some_stat());
  EXPECT_FALSE(decodes<Rstat>("46004200" + kStatOfDotU + "eeee", kDotU));  // outside of it
}

TEST(StatBytes, FieldsMustStayWithinTheSize) {
  // The size is one short, though the frame holds all of it.
  EXPECT_FALSE(decodes<Rstat>("44004100" + kStatOfDotU, kDotU));
  // In a directory the next entry follows: a string must not reach into it.
  auto bytes = hex("4200" + kStatOfDotU + "4200" + kStatOfDotU);
  Bytes rest = bytes;
  Stat stat{};
  ASSERT_TRUE(decode_front(rest, kDotU, stat));
  EXPECT_EQ(stat, some_stat());
  ASSERT_EQ(rest.size(), bytes.size() / 2);
  bytes[2 + 39] = std::byte{40};  // the length of `name`
  rest = bytes;
  EXPECT_FALSE(decode_front(rest, kDotU, stat));
  EXPECT_EQ(rest.size(), bytes.size()) << "nothing is taken off by a failure";
}

// size[2] counts to 65,535; within Rstat and Twstat nstat[2] has to count that size[2] too.
TEST(StatBytes, AreAsLongAsTheirLengthsCanSay) {
  Stat stat{};
  const std::size_t empty = encoded_size(stat, k9P2000);
  std::vector<std::byte> bytes(70'000);
  const auto with = [&, text = std::string(kStringMax, 'x')](std::size_t size) {
    stat.name = Str(text).substr(0, size - empty);
    return stat;
  };
  Room room = bytes;
  EXPECT_TRUE(encode_front(with(65'535), k9P2000, room));
  room = bytes;
  EXPECT_FALSE(encode_front(with(65'536), k9P2000, room));
  EXPECT_EQ(room.size(), bytes.size());

  EXPECT_TRUE(encode(Rstat{{with(65'533)}}, k9P2000, bytes));
  Bytes rest = Bytes(bytes).first(65'533 + 4);
  Rstat again{};
  EXPECT_TRUE(decode(rest, k9P2000, again));
  EXPECT_FALSE(encode(Rstat{{with(65'534)}}, k9P2000, bytes));
}

// What decodes can be encoded: no nstat could count a stat of 65,534 bytes.
TEST(StatBytes, TooLongForNstatIsRefused) {
  std::vector<std::byte> body(4 + 65'534);
  body[2] = std::byte{0xfe};
  body[3] = std::byte{0xff};
  Rstat stat{};
  EXPECT_FALSE(decode(body, k9P2000, stat));
  body.pop_back();
  body[2] = std::byte{0xfd};
  EXPECT_TRUE(decode(body, k9P2000, stat));
}

// ------------------------------------------------------------------ directories of .L

TEST(Direntries, FollowEachOther) {
  std::vector<std::byte> bytes(100);
  Room room = bytes;
  const Dirent first{{kQtDir, 1, 2}, 3, 4, "."};
  const Dirent second{{kQtFile, 5, 6}, 7, 8, "name"};
  ASSERT_TRUE(encode_front(first, kDotL, room));
  ASSERT_TRUE(encode_front(second, kDotL, room));
  EXPECT_EQ(room.size(), 100u - 25 - 28);
  Bytes rest = Bytes(bytes).first(25 + 28);
  EXPECT_EQ(to_hex(rest.first(25)),
            "80010000000200000000000000"
            "0300000000000000"
            "04"
            "01002e");
  Dirent entry{};
  ASSERT_TRUE(decode_front(rest, kDotL, entry));
  EXPECT_EQ(entry, first);
  ASSERT_TRUE(decode_front(rest, kDotL, entry));
  EXPECT_EQ(entry, second);
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(decode_front(rest, kDotL, entry));
}

TEST(Direntries, ThatDoNotFitAreNotWritten) {
  std::vector<std::byte> bytes(24, std::byte{0x55});
  Room room = bytes;
  EXPECT_FALSE(encode_front(Dirent{{}, 0, 0, "a"}, kDotL, room));
  EXPECT_EQ(room.size(), 24u);
  EXPECT_EQ(bytes, std::vector<std::byte>(24, std::byte{0x55}));
}

// ------------------------------------------------------------------ ownership

TEST(Views, PointIntoTheFrame) {
  const auto body =
      hex("01000000"
          "0000000000000000"
          "02000000"
          "6162");
  Twrite write{};
  ASSERT_TRUE(decode(body, kDotL, write));
  EXPECT_EQ(write.data.bytes.data(), body.data() + 16);
  const auto name =
      hex("0200"
          "6162");
  Rreadlink link{};
  ASSERT_TRUE(decode(name, kDotL, link));
  EXPECT_EQ(static_cast<const void*>(link.target.data()), name.data() + 2);
}

}  // namespace
}  // namespace ninep
