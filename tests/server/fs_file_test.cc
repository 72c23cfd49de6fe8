// Open files: creating, opening, reading, writing.
#include <sys/stat.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class FsFile : public FsTest {
 protected:
  auto create(fs::Node& dir, Str name, U32 flags, U32 mode = 0644) {
    return dir.create(ctx(), name, flags, mode, kOwnGid);
  }
  Tsetattr size_of(U64 size) { return {.valid = setattr::kSize, .size = size}; }
};
NINEP_FS_SUITE(FsFile);

// What was written is read: at any offset, short at the end of file, nothing behind it.
TEST_P(FsFile, ReadsWhatWasWritten) {
  const auto made = value(create(root(), "f", lopen::kReadWrite));
  EXPECT_EQ(write(*made.file, 0, "hello, world"), 12);
  EXPECT_EQ(write(*made.file, 7, "there"), 5);
  EXPECT_EQ(read(*made.file, 0, 100), "hello, there");
  EXPECT_EQ(read(*made.file, 7, 3), "the");
  EXPECT_EQ(read(*made.file, 11, 3), "e");
  EXPECT_EQ(read(*made.file, 12, 3), "");
  EXPECT_EQ(read(*made.file, 1'000'000, 3), "");
  EXPECT_EQ(read(*made.file, 0, 0), "");
  EXPECT_EQ(write(*made.file, 4, ""), 0);
  EXPECT_EQ(attr(*made.node, made.file.get()).size, 12u);
}

// Replies are read into, and requests written from, memory in pieces: a virtqueue's buffers.
TEST_P(FsFile, Pieces) {
  const auto made = value(create(root(), "f", lopen::kReadWrite));
  std::string data(1'000'003, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 131 + i / 4096);
  std::vector<iovec> pieces;
  for (std::size_t at = 0, step = 1; at < data.size(); at += step, step = step * 3 + 1) {
    step = std::min(step, data.size() - at);
    pieces.push_back({data.data() + at, step});
    pieces.push_back({data.data(), 0});
  }
  EXPECT_EQ(go(made.file->write(ctx(), pieces, 5)), data.size());
  const std::string written = data;
  std::fill(data.begin(), data.end(), '?');
  EXPECT_EQ(go(made.file->read(ctx(), pieces, 5)), data.size());
  EXPECT_TRUE(data == written);
  EXPECT_EQ(content(*made.node).substr(0, 5), std::string(5, '\0'));
}

// A write far behind the end leaves a hole: zeros that take no space. A back end that fills it can
// be made to fill the disk, or the memory, by one small message.
TEST_P(FsFile, Holes) {
  const auto made = value(create(root(), "f", lopen::kReadWrite));
  constexpr U64 kFar = U64{1} << 33;
  EXPECT_EQ(write(*made.file, kFar, "end"), 3);
  EXPECT_EQ(read(*made.file, kFar - 2, 10), Str("\0\0end", 5));
  EXPECT_EQ(read(*made.file, 12345, 3), Str("\0\0\0", 3));
  const Attr a = attr(*made.node);
  EXPECT_EQ(a.size, kFar + 3);
  EXPECT_LT(a.blocks * 512, U64{1} << 20);
}

// Offsets are 64 bits on the wire and 63 in Linux. What doesn't fit is refused, before it is added
// to anything, and changes nothing.
TEST_P(FsFile, HostileOffsets) {
  const auto made = value(create(root(), "f", lopen::kReadWrite));
  EXPECT_EQ(write(*made.file, 0, "data"), 4);
  for (const U64 offset : {~U64{0}, ~U64{0} - 1, U64{1} << 63, (U64{1} << 63) + 4}) {
    const int written = write(*made.file, offset, "xx");
    EXPECT_TRUE(written == -EFBIG || written == -EINVAL) << written;
    const std::string got = read(*made.file, offset, 2);
    EXPECT_TRUE(got == "" || got == "EINVAL") << got;
    const int set = error(made.node->setattr(ctx(), size_of(offset), made.file.get()));
    EXPECT_TRUE(set == EFBIG || set == EINVAL) << set;
  }
  EXPECT_LT(write(*made.file, (U64{1} << 63) - 1, "xx"), 0);
  const std::string got = read(*made.file, (U64{1} << 63) - 1, 2);
  EXPECT_TRUE(got == "" || got == "EINVAL") << got;
  EXPECT_EQ(content(*made.node), "data");
}

// The mode of opening limits what the fid may do. Without that a client that asked for reading only
// was checked for reading only, and writes.
TEST_P(FsFile, AccessModes) {
  const auto f = file(root(), "f", "data");
  const auto reader = open(*f, lopen::kReadOnly);
  const auto writer = open(*f, lopen::kWriteOnly);
  EXPECT_EQ(write(*reader, 0, "x"), -EBADF);
  EXPECT_EQ(read(*writer, 0, 1), "EBADF");
  EXPECT_EQ(write(*writer, 0, "x"), 1);
  EXPECT_EQ(read(*reader, 0, 9), "xata");
}

// kAppend: "every write goes to the end, offset is ignored", also after others have written.
TEST_P(FsFile, Append) {
  const auto f = file(root(), "f", "ab");
  const auto one = open(*f, lopen::kWriteOnly | lopen::kAppend);
  const auto two = open(*f, lopen::kReadWrite | lopen::kAppend);
  EXPECT_EQ(write(*one, 0, "cd"), 2);
  EXPECT_EQ(write(*two, 1, "ef"), 2);
  EXPECT_EQ(write(*one, 100, "gh"), 2);
  EXPECT_EQ(read(*two, 0, 99), "abcdefgh");
  const auto made = value(create(root(), "g", lopen::kWriteOnly | lopen::kAppend));
  EXPECT_EQ(write(*made.file, 0, "x"), 1);
  EXPECT_EQ(write(*made.file, 0, "y"), 1);
  EXPECT_EQ(content(*made.node), "xy");
}

// kTruncate empties the file that is opened, and only that flag does.
TEST_P(FsFile, Truncate) {
  const auto f = file(root(), "f", "data");
  open(*f, lopen::kWriteOnly);
  EXPECT_EQ(content(*f), "data");
  open(*f, lopen::kWriteOnly | lopen::kTruncate);
  EXPECT_EQ(content(*f), "");
}

// Tlcreate is open(2) with O_CREAT: an existing file is opened, emptied only if asked to, and kept
// as it is by kExclusive, which lock files and editors live by.
TEST_P(FsFile, CreateWhatExists) {
  const auto f = file(root(), "f", "data");
  const auto opened = value(create(root(), "f", lopen::kReadWrite, 0600));
  EXPECT_EQ(opened.node->qid().path, f->qid().path);
  EXPECT_EQ(read(*opened.file, 0, 9), "data");
  EXPECT_EQ(attr(*f).mode, U32{S_IFREG | 0644});
  EXPECT_EQ(error(create(root(), "f", lopen::kReadWrite | lopen::kExclusive)), EEXIST);
  EXPECT_EQ(content(*f), "data");
  value(create(root(), "f", lopen::kReadWrite | lopen::kTruncate));
  EXPECT_EQ(content(*f), "");
  dir(root(), "d");
  EXPECT_EQ(error(create(root(), "d", lopen::kReadWrite)), EISDIR);
  EXPECT_EQ(error(create(root(), "d", lopen::kReadWrite | lopen::kExclusive)), EEXIST);
  EXPECT_EQ(error(create(*f, "x", lopen::kReadWrite)), ENOTDIR);
}

// Nor does creating follow a symbolic link: "f" -> /etc/passwd would be a way to the server's own.
TEST_P(FsFile, CreateOverASymlink) {
  const auto f = file(root(), "f", "data");
  symlink(root(), "l", "f");
  symlink(root(), "dangling", "new");
  EXPECT_EQ(error(create(root(), "l", lopen::kReadWrite | lopen::kTruncate)), ELOOP);
  EXPECT_EQ(error(create(root(), "dangling", lopen::kReadWrite)), ELOOP);
  EXPECT_EQ(error(create(root(), "l", lopen::kReadWrite | lopen::kExclusive)), EEXIST);
  EXPECT_EQ(content(*f), "data");
  EXPECT_EQ(names(root()), (std::vector<std::string>{"dangling", "f", "l"}));
}

// The mode is the client's, whatever the server's umask; type bits in it (Linux 6.1 sends S_IFREG)
// change nothing.
TEST_P(FsFile, CreateMode) {
  for (const U32 mode : {0644u, 0777u, 0600u, 0u, 0100644u, 01755u}) {
    const auto made = value(create(root(), "f", lopen::kReadWrite, mode));
    EXPECT_EQ(attr(*made.node).mode, S_IFREG | (mode & 07777)) << std::oct << mode;
    EXPECT_EQ(error(root().unlink(ctx(), "f", false)), 0);
  }
}

// Who creates a file may use it as asked, whatever its mode: cp -p of a read-only file, git's
// objects. Creating first and opening then fails for them.
TEST_P(FsFile, CreateReadOnlyFilesForWriting) {
  const auto made = value(create(root(), "f", lopen::kReadWrite | lopen::kExclusive, 0400));
  EXPECT_EQ(write(*made.file, 0, "data"), 4);
  EXPECT_EQ(read(*made.file, 0, 9), "data");
}

// A directory opens for reading its entries, nothing else.
TEST_P(FsFile, Directories) {
  const auto d = dir(root(), "d");
  for (const U32 flags : {lopen::kWriteOnly, lopen::kReadWrite})
    EXPECT_EQ(error(d->open(ctx(), flags)), EISDIR);
  EXPECT_EQ(error(d->open(ctx(), lopen::kReadOnly | lopen::kTruncate)), EISDIR);
  const auto opened = open(*d, lopen::kReadOnly | lopen::kDirectory);
  EXPECT_EQ(read(*opened, 0, 10), "EISDIR");
  EXPECT_EQ(write(*opened, 0, "x"), -EBADF);
  const auto f = file(root(), "f", "data");
  EXPECT_EQ(error(f->open(ctx(), lopen::kReadOnly | lopen::kDirectory)), ENOTDIR);
  const auto listed = list_some(*open(*f, lopen::kReadOnly), 0, 4096);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error(), Errno{ENOTDIR});
}

// Symbolic links are not opened, nor followed by opening.
TEST_P(FsFile, SymlinksDoNotOpen) {
  const auto f = file(root(), "f", "data");
  const auto l = symlink(root(), "l", "f");
  EXPECT_EQ(error(l->open(ctx(), lopen::kReadOnly)), ELOOP);
  EXPECT_EQ(error(l->open(ctx(), lopen::kWriteOnly | lopen::kTruncate)), ELOOP);
  EXPECT_EQ(content(*f), "data");
}

// Special files mean the client's kernel. Opened on the server, a fifo blocks for ever and a device
// is the server's.
TEST_P(FsFile, SpecialFilesDoNotOpen) {
  value(root().mknod(ctx(), "fifo", S_IFIFO | 0644, 0, 0, kOwnGid));
  value(root().mknod(ctx(), "socket", S_IFSOCK | 0644, 0, 0, kOwnGid));
  const int made = error(root().mknod(ctx(), "null", S_IFCHR | 0666, 1, 3, kOwnGid));
  EXPECT_TRUE(made == 0 || made == EPERM) << made;  // containers have no CAP_MKNOD
  for (const std::string& name : names(root())) {
    const auto special = walk(root(), name);
    for (const U32 flags : {lopen::kReadOnly, lopen::kWriteOnly, lopen::kReadWrite}) {
      EXPECT_EQ(error(special->open(ctx(), flags)), ENXIO) << name;
      EXPECT_EQ(error(create(root(), name, flags)), ENXIO) << name;
    }
  }
}

// A file that was removed is there until its last fid is clunked: programs unlink what they have
// open. diod 1.0.24 answers ENOENT.
TEST_P(FsFile, UnlinkedButOpen) {
  const auto f = file(root(), "f", "data");
  const auto opened = open(*f, lopen::kReadWrite);
  EXPECT_EQ(error(root().unlink(ctx(), "f", false)), 0);
  EXPECT_EQ(read(*opened, 0, 9), "data");
  EXPECT_EQ(write(*opened, 4, " and more"), 9);
  EXPECT_EQ(read(*opened, 0, 99), "data and more");
  EXPECT_EQ(attr(*f, opened.get()).size, 13u);
  EXPECT_EQ(attr(*f, opened.get()).nlink, 0u);
  EXPECT_EQ(error(f->setattr(ctx(), size_of(4), opened.get())), 0);
  EXPECT_EQ(read(*opened, 0, 99), "data");
  EXPECT_EQ(error(f->setattr(ctx(), {.valid = setattr::kMode, .mode = 0600}, opened.get())), 0);
  EXPECT_EQ(attr(*f).mode & 07777, 0600u);
  EXPECT_EQ(error(opened->sync(ctx(), false)), 0);
  EXPECT_EQ(error(root().walk(ctx(), "f")), ENOENT);
}

// The same when it was replaced by a rename, which is how editors save.
TEST_P(FsFile, ReplacedButOpen) {
  const auto old = file(root(), "f", "old");
  const auto opened = open(*old, lopen::kReadOnly);
  file(root(), "f.new", "new");
  EXPECT_EQ(error(root().rename(ctx(), "f.new", root(), "f")), 0);
  EXPECT_EQ(read(*opened, 0, 9), "old");
  EXPECT_EQ(content(*walk(root(), "f")), "new");
}

// All openings of a file are of one file.
TEST_P(FsFile, OpenTwice) {
  const auto f = file(root(), "f", "data");
  const auto one = open(*f, lopen::kReadWrite);
  const auto two = open(*walk(root(), "f"), lopen::kReadOnly);
  EXPECT_EQ(write(*one, 0, "DA"), 2);
  EXPECT_EQ(read(*two, 0, 9), "DAta");
  EXPECT_EQ(error(f->setattr(ctx(), size_of(1), one.get())), 0);
  EXPECT_EQ(read(*two, 0, 9), "D");
}

// An open file outlives the node that it was opened from: a fid is cloned, opened and clunked.
TEST_P(FsFile, OutlivesItsNode) {
  auto f = file(root(), "f", "data");
  const auto opened = open(*f, lopen::kReadOnly);
  f = nullptr;
  EXPECT_EQ(error(root().unlink(ctx(), "f", false)), 0);
  EXPECT_EQ(read(*opened, 0, 9), "data");
}

// sync answers for all kinds of open files: databases stop at an error of fsync.
TEST_P(FsFile, Sync) {
  const auto d = dir(root(), "d");
  const auto f = file(*d, "f", "data");
  for (const bool data_only : {false, true}) {
    EXPECT_EQ(error(open(*f, lopen::kReadWrite)->sync(ctx(), data_only)), 0);
    EXPECT_EQ(error(open(*f, lopen::kReadOnly)->sync(ctx(), data_only)), 0);
    EXPECT_EQ(error(open(*d, lopen::kReadOnly)->sync(ctx(), data_only)), 0);
  }
}

// The flags that clients send along by habit don't stand in the way.
TEST_P(FsFile, HarmlessFlags) {
  const auto f = file(root(), "f", "data");
  for (const U32 flag : {lopen::kLargeFile, lopen::kNonBlock, lopen::kNoCtty, lopen::kNoFollow,
                         lopen::kDsync, lopen::kSync, lopen::kDirect, lopen::kCloseOnExec,
                         lopen::kFasync, lopen::kCreate, lopen::kNoAtime}) {
    const auto opened = open(*f, lopen::kReadWrite | flag);
    EXPECT_EQ(write(*opened, 0, "d"), 1) << std::oct << flag;
    EXPECT_EQ(read(*opened, 1, 3), "ata") << std::oct << flag;
  }
}

}  // namespace
}  // namespace ninep::test
