// The client in 9P2000 and 9P2000.u against what real servers sent (tests/golden).
#include "tests/golden.h"

#include <functional>
#include <mutex>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/client.h"
#include "proto/print.h"
#include "tests/bytes.h"
#include "tests/client/on_loop.h"
#include "tests/client/scripted.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using client::Attributes;
using client::Change;
using client::Client;
using client::Entry;
using client::File;
using client::Node;
using client::Session;

/// Frames of a golden file, by line.
class Golden {
 public:
  explicit Golden(const std::string& file) {
    for (GoldenFrame& frame : golden_file(file)) lines_[frame.line] = std::move(frame.text.frame);
  }
  const Frame& operator[](std::size_t line) const { return lines_.at(line); }

 private:
  std::map<std::size_t, Frame> lines_;
};

class Replayed : public OnLoop {
 protected:
  ~Replayed() override {
    clients.clear();
    settle();
  }
  /// A client of a server that answers with these frames in turn, each with its request's tag: a
  /// frame that doesn't answer what was asked is a failure. Tclunk, which nobody waits for, is
  /// answered at any time, by plan9port's.
  Client& replay(std::vector<Frame> replies, client::Options options = {}) {
    const Frame clunked = Golden("9P2000_plan9port-ramfs.txt")[5];
    server.emplace([this, replies, clunked, next = std::size_t{0}](Bytes request) mutable {
      {
        const std::lock_guard lock(mutex);
        requests.emplace_back(request.begin(), request.end());
      }
      const Header asked = read_header(request);
      Frame reply = clunked;
      if (asked.type != Describe<Tclunk>::code) {
        if (next == replies.size()) {
          ADD_FAILURE() << "there is no reply to " << message_name(asked.type);
          return Frame();
        }
        reply = replies[next++];
      }
      const U8 type = read_header(reply).type;
      EXPECT_TRUE(type == asked.type + 1 || type == Describe<Rerror>::code)
          << message_name(asked.type) << " got reply " << next << ", " << message_name(type);
      std::memcpy(reply.data() + 5, &asked.tag, sizeof asked.tag);
      return reply;
    });
    auto made = run(context, Client::on(stream_to(server->client), std::move(options)));
    return clients.emplace_back(must(std::move(made)));
  }
  /// The last request of that type, as the client sent it.
  Frame sent(U8 type) {
    const std::lock_guard lock(mutex);
    for (auto at = requests.rbegin(); at != requests.rend(); ++at)
      if (read_header(*at).type == type) return *at;
    return {};
  }
  /// The same frame with another fid, which is the first field of all that are compared.
  static Frame with_fid_of(Frame frame, const Frame& other) {
    std::memcpy(frame.data() + kHeaderSize, other.data() + kHeaderSize, sizeof(Fid));
    std::memcpy(frame.data() + 5, other.data() + 5, sizeof(Tag));
    return frame;
  }

  std::optional<Scripted> server;
  std::mutex mutex;
  std::vector<Frame> requests;
  std::list<Client> clients;
};

/// What no captured server sent in this dialect: made by the codec.
// Of the old dialects that is Rwstat in .u, and Rstat of a link or a device; Rauth, which the
// client doesn't ask for, and Ropenfd. Rwalk, Rread and Rclunk are the same bytes in each dialect.
template <Message R>
Frame made(const R& r, Dialects d) {
  return frame_of(kNoTag, r, d);
}
/// An Rwalk of no names, and an Rread of no bytes.
Frame cloned() { return Golden("9P2000.u_go9p-ufs.txt")[7]; }
Frame no_more() { return Golden("9P2000.u_qemu-9pfs-7.2.txt")[10]; }

TEST_F(Replayed, Plan9Ramfs) {
  const Golden ramfs("9P2000_plan9port-ramfs.txt"), ufs("9P2000_go9p-ufs.txt");
  Node& r = replay({// version, attach, root
                    ufs[1], ramfs[1], cloned(),
                    // walk, stat
                    ramfs[26], ramfs[8],
                    // none
                    ramfs[2],
                    // open
                    cloned(), ramfs[12],
                    // read, write
                    ramfs[13], ramfs[4],
                    // directory
                    cloned(), ramfs[7], ramfs[27], no_more(),
                    // create
                    cloned(), ramfs[3],
                    // mkdir
                    cloned(), ramfs[21],
                    // in use
                    cloned(), ramfs[14],
                    // remove
                    ramfs[26]})
                .root();
  EXPECT_EQ(clients.front().dialect(), k9P2000);
  EXPECT_EQ(clients.front().attachment()->msize(), 8192u);
  EXPECT_EQ(r.qid(), (Qid{kQtDir, 0, 0}));

  Node f = get(r.walk("dir/f"));
  EXPECT_EQ(f.qid(), (Qid{0, 1, 3}));
  const Attributes is = get(f.stat());
  EXPECT_EQ(is.attr.mode, S_IFREG | 0666u);
  EXPECT_EQ(is.attr.size, 0u);
  EXPECT_EQ(is.attr.mtime_sec, 1795240839u);
  EXPECT_EQ(is.attr.atime_sec, 1795240839u);
  EXPECT_EQ(is.attr.qid, (Qid{0, 0, 1}));
  EXPECT_EQ(is.user + " " + is.group + " " + is.last_user, "root root root");
  EXPECT_FALSE(is.has(getattr::kUid) || is.has(getattr::kGid) || is.has(getattr::kNlink));
  EXPECT_EQ(error(r.walk("none")), "find none: No such file or directory (file does not exist)");

  File file = get(f.open(lopen::kReadWrite));
  EXPECT_EQ(file.iounit(), 8168u);
  EXPECT_EQ(file.qid(), (Qid{0, 2, 8}));
  EXPECT_EQ(read_all(file, 1), "t");
  get(file.write(0, as_bytes("abc")));

  const std::vector<Entry> all = entries(r);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].name, "file");
  EXPECT_EQ(all[0].type, DT_REG);
  EXPECT_EQ(all[1].name, "f");
  EXPECT_EQ(all[1].attributes->attr.size, 3u);
  EXPECT_EQ(all[2].name, "dir");
  EXPECT_EQ(all[2].type, DT_DIR);
  EXPECT_EQ(all[2].attributes->attr.mode, S_IFDIR | 0755u);
  EXPECT_EQ(all[2].qid, (Qid{kQtDir, 0, 2}));
  EXPECT_EQ(all[3].offset, 253u);

  EXPECT_EQ(get(r.create("file", lopen::kReadWrite, 0644)).qid(), (Qid{0, 0, 1}));
  EXPECT_EQ(get(r.mkdir("d", 0755)), (Qid{kQtDir, 0, 23}));
  EXPECT_EQ(error(f.open(lopen::kReadOnly)),
            "open dir/f: Device or resource busy (exclusive use file already open)");
  // The name is asked for where Rwalk has two qids for one: that is refused, and nothing removed.
  EXPECT_EQ(error(r.remove("f")),
            "remove f: Protocol error (the server went farther than it was asked to)");
}

TEST_F(Replayed, Removing) {
  const Golden ramfs("9P2000_plan9port-ramfs.txt"), ufs("9P2000_go9p-ufs.txt");
  Node& r = replay({ufs[1], ramfs[1], cloned(), ramfs[17], ramfs[15]}).root();
  get(r.remove("d", true));
}

TEST_F(Replayed, Go9pUfs) {
  const Golden ufs("9P2000_go9p-ufs.txt"), linux_client("9P2000_linux-v9fs-6.1.txt"),
      plan9port("9P2000_plan9port-9p.txt");
  client::Options options;
  options.user.uname = "root";
  Node& r = replay(
                {// version, attach, root
                 ufs[1], ufs[17], cloned(),
                 // walk, stat
                 ufs[19], ufs[2],
                 // wstat
                 ufs[5],
                 // open, fsync
                 cloned(), ufs[4], ufs[5],
                 // a write that is done in two
                 ufs[8], ufs[9],
                 // reads
                 ufs[23], no_more(), ufs[10], ufs[20],
                 // a text with its reason at the end
                 ufs[11],
                 // a walk that stops, and why
                 ufs[21], ufs[21], ufs[3],
                 // a directory's size
                 ufs[24], ufs[7]},
                options)
                .root();
  const Frame attach = sent(Describe<Tattach>::code);
  EXPECT_EQ(to_hex(attach), to_hex(with_fid_of(plan9port[15], attach)));

  Node f = get(r.walk("d1/d2/d3/d4/d5/d6/f"));
  EXPECT_EQ(f.qid(), (Qid{0, 4240223708, 1541065}));
  const Attributes is = get(f.stat());
  EXPECT_EQ(is.attr.mode, S_IFREG | 0644u);
  EXPECT_EQ(is.attr.size, 6u);
  EXPECT_EQ(is.attr.blocks, 1u);
  EXPECT_EQ(is.attr.atime_sec, 1795240816u);
  EXPECT_EQ(is.attr.mtime_sec, 1795239327u);
  EXPECT_EQ(is.user + " " + is.group + " " + is.last_user, "root root none");

  // As Linux's client says the same.
  Change change;
  change.size = 50;
  change.mtime = timespec{1795240820, 999};
  get(f.change(change));
  Frame wstat = sent(Describe<Twstat>::code);
  EXPECT_EQ(to_hex(wstat), to_hex(with_fid_of(linux_client[7], wstat)));

  File file = get(f.open(lopen::kReadWrite));
  EXPECT_EQ(file.iounit(), 8192u - kIoHeaderSize);
  get(file.fsync());
  get(file.write(0, as_bytes(std::string(5012, 'x'))));
  const Frame rest = sent(Describe<Twrite>::code);
  const WriteFront front = read_write_front(rest);
  EXPECT_EQ(front.offset, 12u);
  EXPECT_EQ(front.count, 5000u);
  std::string numbers;
  for (int i = 1; numbers.size() < 1492; ++i) numbers += std::to_string(i) + "\n";
  EXPECT_EQ(read_all(file, 2000), numbers);
  EXPECT_EQ(read_all(file, 50), "hello world\n" + std::string(38, '\0'));
  EXPECT_EQ(read_all(file, 5, 3), "deep\n");
  EXPECT_EQ(error(f.stat()),
            "stat d1/d2/d3/d4/d5/d6/f: No such file or directory "
            "(lstat /srv/exp4/w/gone: no such file or directory)");
  EXPECT_EQ(error(r.walk("a/b/c/d/e/f")),
            "find a/b/c/d/e/f: No such file or directory (file not found)");
  Node d = get(r.walk("w/x"));
  const Attributes of_directory = get(d.stat());
  EXPECT_TRUE(of_directory.is_directory());
  EXPECT_EQ(of_directory.attr.size, 4096u);
}

TEST_F(Replayed, Go9pUfsInDotU) {
  const Golden ufs("9P2000.u_go9p-ufs.txt"), linux_client("9P2000.u_linux-v9fs-6.1.txt"),
      virtio("9P2000.u_linux-v9fs-6.1-virtio.txt"), go9p("9P2000.u_go9p-client.txt");
  client::Options options;
  options.user = {"root", "", 0};
  Node& r = replay(
                {// version, attach, root
                 ufs[1], ufs[10], ufs[7],
                 // walk, stat
                 ufs[21], ufs[8],
                 // chown
                 made(Rwstat{}, kDotU),
                 // open
                 ufs[7], ufs[25],
                 // read, write, fsync
                 ufs[15], ufs[6], made(Rwstat{}, kDotU),
                 // directory
                 ufs[7], ufs[2], ufs[12], no_more(),
                 // create
                 ufs[7], ufs[26],
                 // symlink: not implemented
                 ufs[7], ufs[17],
                 // errors
                 ufs[5], ufs[16]},
                options)
                .root();
  EXPECT_EQ(clients.front().dialect(), kDotU);
  EXPECT_EQ(clients.front().attachment()->msize(), 8216u);
  const Frame attach = sent(Describe<Tattach>::code);
  EXPECT_EQ(to_hex(attach), to_hex(with_fid_of(go9p[1], attach)));

  Node f = get(r.walk("nums.txt"));
  const Attributes is = get(f.stat());
  EXPECT_EQ(is.attr.size, 1492u);
  EXPECT_TRUE(is.has(getattr::kUid | getattr::kGid));
  EXPECT_EQ(is.attr.uid, 0u);
  EXPECT_EQ(is.attr.gid, 0u);
  EXPECT_EQ(is.user + " " + is.group + " " + is.last_user, "root none none");
  EXPECT_EQ(is.target, "");
  Change change;
  change.uid = 0;
  get(f.change(change));
  Frame wstat = sent(Describe<Twstat>::code);
  EXPECT_EQ(to_hex(wstat), to_hex(with_fid_of(linux_client[12], wstat)));

  File file = get(f.open(lopen::kReadWrite));
  EXPECT_EQ(file.qid(), (Qid{0, 4239465568, 1540229}));
  EXPECT_EQ(read_all(file, 50), "hello world\n" + std::string(38, '\0'));
  get(file.write(0, as_bytes("abc")));
  get(file.fsync());
  wstat = sent(Describe<Twstat>::code);
  EXPECT_EQ(to_hex(wstat), to_hex(with_fid_of(virtio[12], wstat)));

  const std::vector<Entry> all = entries(r);
  ASSERT_EQ(all.size(), 31u);
  EXPECT_EQ(all[0].name, "f30");
  EXPECT_EQ(all[1].name, "f40");
  EXPECT_EQ(all[0].attributes->attr.mode, S_IFREG | 0644u);
  EXPECT_EQ(all[0].attributes->attr.mtime_sec, 1795239327u);
  EXPECT_EQ(all.back().offset, 2412u);

  File made = get(r.create("hello.txt", lopen::kWriteOnly, 0666));
  EXPECT_EQ(made.qid(), (Qid{0, 4239467120, 1540249}));
  const Frame create = sent(Describe<Tcreate>::code);
  EXPECT_EQ(to_hex(create), to_hex(with_fid_of(go9p[8], create)));
  EXPECT_EQ(error(r.symlink("ln", "to")), "symlink ln: Input/output error (not implemented)");
  EXPECT_EQ(error(f.stat()), "stat nums.txt: Invalid argument (unknown fid)");
  EXPECT_EQ(error(f.stat()),
            "stat nums.txt: Input/output error "
            "(open /srv/exp4/w/ln: no such file or directory)");
}

TEST_F(Replayed, Qemu) {
  const Golden qemu("9P2000.u_qemu-9pfs-7.2.txt"), quirks("quirks.txt");
  Stat link{};
  link.mode = 0x02000000 | 0777;
  link.extension = Str("to/here");
  Stat device{};
  device.mode = 0x00800000 | 0600;
  device.extension = Str("c 4 65");
  device.n_uid = 0xFFFFFFFF;
  Node& r = replay({// version, attach, root
                    qemu[1], qemu[2], qemu[7],
                    // stat, with nstat 0
                    quirks[5],
                    // none
                    qemu[3],
                    // a link
                    qemu[6], made(Rstat{{link}}, kDotU),
                    // a device
                    qemu[4], made(Rstat{{device}}, kDotU),
                    // open, read to the end
                    qemu[7], qemu[8], qemu[9], qemu[10]})
                .root();
  const Attributes is = get(r.stat());
  EXPECT_EQ(is.attr.mode, S_IFDIR | 0777u);
  EXPECT_EQ(is.attr.mtime_sec, 1795240663u);
  EXPECT_TRUE(is.has(getattr::kNlink));
  EXPECT_EQ(is.attr.nlink, 3u);  // QEMU says HARDLINKCOUNT
  EXPECT_EQ(error(r.walk("none")),
            "find none: No such file or directory (No such file or directory)");
  Node l = get(r.walk("l"));
  EXPECT_TRUE(l.is_symlink());
  EXPECT_EQ(l.qid(), (Qid{kQtSymlink, 1795237023, 10751519}));
  EXPECT_EQ(get(l.readlink()), "to/here");
  Node d = get(r.walk("d"));
  const Attributes of_device = get(d.stat());
  EXPECT_EQ(of_device.attr.mode, S_IFCHR | 0600u);
  EXPECT_EQ(of_device.attr.rdev, makedev(4, 65));
  EXPECT_FALSE(of_device.has(getattr::kUid));  // that number is none
  File file = get(r.open(lopen::kReadOnly));
  EXPECT_EQ(file.iounit(), 4096u);
  EXPECT_EQ(read_all(file, 100), "hello\nx");
}

// Rflush of a real server: what it flushes has no answer.
TEST_F(OnLoop, FlushesAreAnswered) {
  const Golden ufs("9P2000.u_go9p-ufs.txt");
  Scripted server([&](Bytes request) -> std::optional<Frame> {
    const Header asked = read_header(request);
    if (asked.type == Describe<Tstat>::code) return std::nullopt;
    Frame reply = asked.type == Describe<Tversion>::code ? ufs[1]
                  : asked.type == Describe<Tflush>::code ? ufs[9]
                                                         : ufs[3];
    std::memcpy(reply.data() + 5, &asked.tag, sizeof asked.tag);
    return reply;
  });
  const auto session = must(run(context, Session::open(stream_to(server.client), {})));
  const auto late = run(context, session->call(Tstat{Fid{1}}, 50ms));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().text(), "Tstat: Connection timed out");
  EXPECT_TRUE(run(context, session->call(Tclunk{Fid{1}})));
}

// remove(5): the fid is gone with the answer, whatever it is. Where there is none it isn't.
TEST_F(OnLoop, RemovedFidsAreGone) {
  for (const bool answers : {true, false}) {
    std::atomic<int> clunked{0};
    const std::vector<Frame> replies = {made(Rversion{8192, "9P2000"}, k9P2000),
                                        made(Rattach{}, k9P2000),
                                        cloned(),
                                        made(Rwalk{{Qid{0, 0, 1}}}, k9P2000),
                                        made(Rerror{"permission denied", 0}, k9P2000),
                                        made(Rflush{}, k9P2000),
                                        made(Rstat{}, k9P2000)};
    Scripted server([&, next = std::size_t{0}](Bytes request) mutable -> std::optional<Frame> {
      const Header asked = read_header(request);
      if (asked.type == Describe<Tclunk>::code) {
        ++clunked;
        return frame_of(asked.tag, Rclunk{}, k9P2000);
      }
      if (asked.type == Describe<Tremove>::code && !answers) {
        ++next;
        return std::nullopt;
      }
      if (asked.type == Describe<Tstat>::code) next = replies.size() - 1;
      Frame reply = replies[next++];
      std::memcpy(reply.data() + 5, &asked.tag, sizeof asked.tag);
      return reply;
    });
    client::Options options;
    options.session.patience = 100ms;
    Client client = get(Client::on(stream_to(server.client), options));
    EXPECT_EQ(error(client.root().remove("f")),
              answers ? "remove f: Permission denied (permission denied)"
                      : "remove f: Connection timed out");
    get(client.root().stat());
    EXPECT_EQ(clunked, answers ? 0 : 1);
    client = Client();
    settle();
  }
}

}  // namespace
}  // namespace ninep::test
