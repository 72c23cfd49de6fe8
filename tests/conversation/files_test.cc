// Tlopen, Tlcreate, Tread, Twrite, Treaddir, Tfsync.
#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

class FilesTest : public Conversation {
 protected:
  /// Fid 1 is "f" ("content"), unopened.
  Client with_file() {
    Client c = session();
    c.make_file(0, "f", "content");
    c.reach(0, 1, {"f"});
    return c;
  }
};
NINEP_CONVERSATION(FilesTest);

// ------------------------------------------------------------------ open, create

// A fid is opened once.
TEST_P(FilesTest, OpenTwice) {
  Client c = with_file();
  const Rlopen first = c.get<Rlopen>(Tlopen{Fid{1}, lopen::kReadOnly});
  EXPECT_EQ(first.qid.type, kQtFile);
  EXPECT_EQ(first.qid.path, c.attr(1).qid.path);
  EXPECT_LE(first.iounit, kMsize - kIoHeaderSize);
  EXPECT_EQ(c.error(Tlopen{Fid{1}, lopen::kReadOnly}), EBUSY);
  EXPECT_EQ(c.read(1), "content");
}

// What needs an open fid says so of one that isn't.
TEST_P(FilesTest, NotOpen) {
  Client c = with_file();
  EXPECT_EQ(c.error(Tread{Fid{1}, 0, 10}), EBADF);
  EXPECT_EQ(c.error(Twrite{Fid{1}, 0, as_bytes("x")}), EBADF);
  EXPECT_EQ(c.error(Tfsync{Fid{1}, 0}), EBADF);
  EXPECT_EQ(c.error(Treaddir{Fid{0}, 0, 4096}), EBADF);
  EXPECT_EQ(c.error(Tlock{Fid{1}, lock::kRead, 0, 0, 0, 1, "h"}), EBADF);
  EXPECT_EQ(c.error(Tgetlock{Fid{1}, lock::kRead, 0, 0, 1, "h"}), EBADF);
}

// A fid can do what it was opened for.
TEST_P(FilesTest, AccessModes) {
  Client c = with_file();
  c.open(1, lopen::kWriteOnly);
  EXPECT_EQ(c.error(Tread{Fid{1}, 0, 10}), EBADF);
  EXPECT_EQ(c.write(1, 0, "CON"), 0);
  c.reach(0, 2, {"f"});
  c.open(2, lopen::kReadOnly);
  EXPECT_EQ(c.error(Twrite{Fid{2}, 0, as_bytes("x")}), EBADF);
  EXPECT_EQ(c.read(2), "CONtent");
  c.reach(0, 3, {"f"});
  EXPECT_EQ(c.error(Tlopen{Fid{3}, lopen::kAccessMode}), EINVAL);
}

// Truncation happens, creation is Tlcreate's; O_DIRECT and its like are the client's business.
TEST_P(FilesTest, OpenFlags) {
  Client c = with_file();
  c.open(1, lopen::kReadWrite | lopen::kCreate | lopen::kExclusive | lopen::kNoCtty |
                lopen::kLargeFile | lopen::kDirect | lopen::kNonBlock | lopen::kCloseOnExec);
  EXPECT_EQ(c.read(1), "content");
  c.reach(0, 2, {"f"});
  c.open(2, lopen::kReadWrite | lopen::kTruncate);
  EXPECT_EQ(c.read(2), "");
  c.make_dir(0, "d");
  c.reach(0, 3, {"f"});
  EXPECT_EQ(c.error(Tlopen{Fid{3}, lopen::kReadOnly | lopen::kDirectory}), ENOTDIR);
}

// Every write of a file opened to append goes to its end, whatever the offset says.
TEST_P(FilesTest, Append) {
  Client c = with_file();
  c.open(1, lopen::kReadWrite | lopen::kAppend);
  EXPECT_EQ(c.write(1, 0, " and"), 0);
  EXPECT_EQ(c.write(1, 3, " more"), 0);
  EXPECT_EQ(c.read(1), "content and more");
}

// Directories open for reading only, and are read by Treaddir.
TEST_P(FilesTest, OpenDirectories) {
  Client c = session();
  c.make_dir(0, "d");
  c.reach(0, 1, {"d"});
  EXPECT_EQ(c.error(Tlopen{Fid{1}, lopen::kWriteOnly}), EISDIR);
  EXPECT_EQ(c.error(Tlopen{Fid{1}, lopen::kReadWrite}), EISDIR);
  c.open(1, lopen::kReadOnly | lopen::kDirectory);
  EXPECT_EQ(c.error(Tread{Fid{1}, 0, 100}), EISDIR);
  EXPECT_NE(c.error(Twrite{Fid{1}, 0, as_bytes("x")}), 0);
  EXPECT_EQ(c.error(Tfsync{Fid{1}, 0}), 0);
}

// Only files and directories are opened: a fifo would hang, a device does as it likes, a link leads
// elsewhere.
TEST_P(FilesTest, NeverOpened) {
  Client c = session();
  c.get<Rmknod>(Tmknod{Fid{0}, "fifo", 0010644, 0, 0, 0});
  c.get<Rmknod>(Tmknod{Fid{0}, "socket", 0140644, 0, 0, 0});
  c.get<Rsymlink>(Tsymlink{Fid{0}, "link", "fifo", 0});
  for (const U32 flags : {lopen::kReadOnly, lopen::kWriteOnly, lopen::kReadWrite}) {
    c.reach(0, 1, {"fifo"});
    EXPECT_EQ(c.error(Tlopen{Fid{1}, flags}), ENXIO);
    c.clunk(1);
    c.reach(0, 1, {"socket"});
    EXPECT_EQ(c.error(Tlopen{Fid{1}, flags}), ENXIO);
    c.clunk(1);
    c.reach(0, 1, {"link"});
    EXPECT_EQ(c.error(Tlopen{Fid{1}, flags}), ELOOP);
    c.clunk(1);
    for (const Str name : {"fifo", "socket", "link"}) {
      c.reach(0, 1, {});
      EXPECT_NE(c.error(Tlcreate{Fid{1}, name, flags, 0644, 0}), 0) << name;
      EXPECT_EQ(c.attr(1).qid.type, kQtDir);
      c.clunk(1);
    }
  }
}

// The directory's fid becomes the new file's, open; if it comes to nothing, it stays what it was.
TEST_P(FilesTest, Create) {
  Client c = with_file();
  c.make_dir(0, "d");
  c.reach(0, 2, {});
  EXPECT_EQ(c.error(Tlcreate{Fid{2}, "f", lopen::kReadWrite | lopen::kExclusive, 0644, 0}), EEXIST);
  EXPECT_EQ(c.error(Tlcreate{Fid{2}, "d", lopen::kReadWrite, 0644, 0}), EISDIR);
  EXPECT_EQ(c.error(Tlcreate{Fid{1}, "x", lopen::kReadWrite, 0644, 0}), ENOTDIR);
  EXPECT_EQ(c.attr(2).qid.type, kQtDir);
  const Qid made = c.get<Rlcreate>(Tlcreate{Fid{2}, "new", lopen::kReadWrite, 0100640, 0}).qid;
  EXPECT_EQ(made.type, kQtFile);
  EXPECT_EQ(c.attr(2).mode, 0100640u);
  EXPECT_EQ(c.write(2, 0, "new"), 0);
  EXPECT_EQ(c.read(2), "new");
  EXPECT_EQ(c.error(Tlcreate{Fid{2}, "more", 0, 0644, 0}), EBUSY);
  EXPECT_EQ(c.reach(0, 3, {"new"}).path, made.path);
  // A name that exists is opened, as open(2) with O_CREAT does; and cut off if that is asked for.
  c.reach(0, 4, {});
  EXPECT_EQ(c.get<Rlcreate>(Tlcreate{Fid{4}, "new", lopen::kReadOnly, 0644, 0}).qid.path,
            made.path);
  EXPECT_EQ(c.read(4), "new");
  c.reach(0, 5, {});
  c.get<Rlcreate>(Tlcreate{Fid{5}, "new", lopen::kReadWrite | lopen::kTruncate, 0644, 0});
  EXPECT_EQ(c.read(4), "");
}

// ------------------------------------------------------------------ read, write

// Reading at and behind the end gives nothing, and is no error.
TEST_P(FilesTest, ReadAtTheEnd) {
  Client c = with_file();
  c.open(1, lopen::kReadOnly);
  const auto read = [&](U64 offset, U32 count) {
    return c.get<Rread>(Tread{Fid{1}, offset, count}).data.size();
  };
  EXPECT_EQ(read(7, 10), 0u);
  EXPECT_EQ(read(8, 10), 0u);
  EXPECT_EQ(read(1ull << 40, 10), 0u);
  EXPECT_EQ(read(0, 0), 0u);
  EXPECT_EQ(c.read(1, 4, 2), "en");
}

// A count over msize is cut to what a frame takes, not refused; and no reply is ever larger.
TEST_P(FilesTest, CountIsClipped) {
  Client c = session(4096);
  const std::string data(20000, 'd');
  c.make_file(0, "f", data.substr(0, 4000));
  c.reach(0, 1, {"f"});
  c.open(1, lopen::kReadWrite);
  for (std::size_t at = 0; at < data.size(); at += 4000)
    EXPECT_EQ(c.write(1, at, Str(data).substr(at, 4000)), 0);
  for (const U32 count : {4096u - 11u, 4096u - 10u, 65536u, 0x7FFFFFFFu, ~0u}) {
    const Received got = c.call(Tread{Fid{1}, 0, count});
    EXPECT_LE(got.frame.size(), 4096u);
    EXPECT_GT(got.as<Rread>().data.size(), 0u);
  }
  EXPECT_EQ(c.read(1), data);
}

// Offsets go to 2^63 - 1. Beyond, and with a count that crosses it: an error, nothing else.
TEST_P(FilesTest, FarOffsets) {
  Client c = with_file();
  c.open(1, lopen::kReadWrite);
  constexpr U64 kLast = ~U64{0} >> 1;
  for (const U64 offset : {kLast + 1, kLast + 2, ~U64{0} - 1, ~U64{0}}) {
    EXPECT_NE(c.error(Twrite{Fid{1}, offset, as_bytes("x")}), 0) << offset;
    EXPECT_NE(c.error(Tread{Fid{1}, offset, 10}), 0) << offset;
  }
  // What would cross it is written up to it or not at all.
  for (const U64 offset : {kLast, kLast - 1, kLast - 4}) {
    const Received got = c.call(Twrite{Fid{1}, offset, as_bytes("12345678")});
    if (got.error() == 0) {
      EXPECT_LE(got.as<Rwrite>().count, kLast - offset);
    }
    c.call(Tread{Fid{1}, offset, 4096});
  }
  EXPECT_LE(c.attr(1).size, kLast);
  EXPECT_EQ(c.read(1, 0, 7), "content");
}

// A hole reads as zeros.
TEST_P(FilesTest, Sparse) {
  Client c = with_file();
  c.open(1, lopen::kReadWrite);
  EXPECT_EQ(c.write(1, 100'000, "end"), 0);
  EXPECT_EQ(c.attr(1).size, 100'003u);
  EXPECT_EQ(c.read(1, 99'998), std::string("\0\0end", 5));
}

// A file that was unlinked or renamed stays usable through its fids, open and not.
TEST_P(FilesTest, UnlinkedAndRenamed) {
  Client c = with_file();
  c.reach(0, 2, {"f"});
  c.open(1, lopen::kReadWrite);
  c.get<Rrenameat>(Trenameat{Fid{0}, "f", Fid{0}, "g"});
  EXPECT_EQ(c.read(1), "content");
  c.get<Runlinkat>(Tunlinkat{Fid{0}, "g", 0});
  EXPECT_EQ(c.attr(1).nlink, 0u);
  EXPECT_EQ(c.attr(2).size, 7u);
  EXPECT_EQ(c.write(1, 7, " still"), 0);
  EXPECT_EQ(c.error(Tsetattr{.fid = Fid{1}, .valid = setattr::kSize, .size = 10}), 0);
  EXPECT_EQ(c.read(1), "content st");
  c.open(2, lopen::kReadOnly);
  EXPECT_EQ(c.read(2), "content st");
}

// Tfsync with and without its last field, which early programs don't send.
TEST_P(FilesTest, Fsync) {
  Client c = with_file();
  c.open(1, lopen::kReadWrite);
  EXPECT_EQ(c.error(Tfsync{Fid{1}, 0}), 0);
  EXPECT_EQ(c.error(Tfsync{Fid{1}, 1}), 0);
  c.send_raw(hex("0b000000 32 0900 01000000"));
  const Received got = c.receive();
  EXPECT_EQ(got.header().type, Describe<Rfsync>::code) << got.text();
}

// ------------------------------------------------------------------ readdir

// However small the pieces, a listing has each name once. An entry that doesn't fit at all is an
// error: an empty reply would mean the end.
TEST_P(FilesTest, Readdir) {
  Client c = session();
  std::vector<std::string> made;
  for (int i = 0; i < 60; ++i) {
    made.push_back("file" + std::to_string(i) + std::string(static_cast<std::size_t>(i) * 3, 'x'));
    c.make_file(0, made.back());
  }
  std::ranges::sort(made);
  for (const U32 count : {300u, 301u, 1000u, 4096u, 65536u, ~0u})
    EXPECT_EQ(c.names(0, 900'000, count), made) << count;
  c.reach(0, 1, {});
  c.open(1, lopen::kReadOnly);
  for (const U32 count : {0u, 1u, 23u, 24u}) EXPECT_EQ(c.error(Treaddir{Fid{1}, 0, count}), EINVAL);
}

// A cookie is good again and again, also for two requests at once.
TEST_P(FilesTest, ReaddirFromACookie) {
  Client c = session();
  for (int i = 0; i < 40; ++i) c.make_file(0, "file" + std::to_string(i));
  c.reach(0, 1, {});
  c.open(1, lopen::kReadOnly);
  Bytes data = c.get<Rreaddir>(Treaddir{Fid{1}, 0, 500}).data.bytes;
  U64 cookie = 0;
  for (Dirent entry{}; !data.empty(); cookie = entry.offset)
    ASSERT_TRUE(decode_front(data, kDotL, entry));
  const Received once = c.call(Treaddir{Fid{1}, cookie, 500});
  const std::string expected(as_str(once.as<Rreaddir>().data.bytes));
  ASSERT_FALSE(expected.empty());
  for (int round = 0; round < 10; ++round) {
    c.get<Rreaddir>(Treaddir{Fid{1}, 0, 500});  // the cookie is where the listing stands now
    for (U16 tag = 1; tag <= 3; ++tag) c.send(tag, Treaddir{Fid{1}, cookie, 500});
    for (int i = 0; i < 3; ++i) {
      const Received got = c.receive();
      EXPECT_EQ(as_str(got.as<Rreaddir>().data.bytes), expected) << "in round " << round;
    }
  }
}

// Treaddir is for directories.
TEST_P(FilesTest, ReaddirOfAFile) {
  Client c = with_file();
  c.open(1, lopen::kReadOnly);
  EXPECT_EQ(c.error(Treaddir{Fid{1}, 0, 4096}), ENOTDIR);
}

}  // namespace
}  // namespace ninep::test
