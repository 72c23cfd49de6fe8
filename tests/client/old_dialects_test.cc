// The client in 9P2000 and 9P2000.u: against what real servers sent (tests/golden), and against a
// small server that refuses all that the manual lets it refuse.
#include <functional>
#include <mutex>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "client/client.h"
#include "proto/print.h"
#include "tests/bytes.h"
#include "tests/client/old_server.h"
#include "tests/client/on_loop.h"
#include "tests/golden.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using client::Attributes;
using client::Change;
using client::Client;
using client::Directory;
using client::Entry;
using client::Expected;
using client::File;
using client::Lock;
using client::Node;
using client::Session;

using Frame = std::vector<std::byte>;

/// A server that answers each request with what it is told to.
class Scripted {
 public:
  /// Nothing: it says nothing. An empty frame: it closes.
  using Answer = std::function<std::optional<Frame>(Bytes request)>;
  explicit Scripted(Answer answer) {
    int pair[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    client = pair[0];
    thread_ = std::thread([fd = pair[1], answer = std::move(answer)] {
      for (;;) {
        U32 size;
        if (::recv(fd, &size, sizeof size, MSG_WAITALL) != sizeof size) break;
        Frame frame(size);
        std::memcpy(frame.data(), &size, sizeof size);
        if (::recv(fd, frame.data() + 4, size - 4, MSG_WAITALL) < 0) break;
        const std::optional<Frame> back = answer(frame);
        if (!back) continue;
        if (back->empty() || ::send(fd, back->data(), back->size(), MSG_NOSIGNAL) < 0) break;
      }
      ::close(fd);
    });
  }
  ~Scripted() { thread_.join(); }
  int client;  // the other end, for the client to own

 private:
  std::thread thread_;
};

template <class T>
T must(Expected<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class OnLoop : public testing::Test {
 protected:
  template <class T>
  auto wait(awaitable<T> work) {
    return run(context, std::move(work));
  }
  /// What is there without an error, or the test ends.
  template <class T>
  T get(awaitable<Expected<T>> work) {
    return must(run(context, std::move(work)));
  }
  /// "" where there is none.
  template <class T>
  std::string error(awaitable<Expected<T>> work) {
    const auto result = run(context, std::move(work));
    return result ? "" : result.error().text();
  }
  std::string read_all(File& file, std::size_t size, U64 offset = 0) {
    std::string got(size, '\0');
    got.resize(get(file.read(offset, std::as_writable_bytes(std::span(got)))));
    return got;
  }
  std::vector<Entry> entries(Node& node) {
    Directory directory = get(node.open_directory());
    std::vector<Entry> all;
    for (std::vector<Entry> some; !(some = get(directory.next())).empty();)
      all.insert(all.end(), some.begin(), some.end());
    return all;
  }
  /// Until nothing is under way: what nobody has any more is clunked, and its connection closed.
  void settle() {
    context.restart();
    context.run();
  }
  client::Stream stream_to(int fd) { return {context.get_executor(), fd, fd}; }

  asio::io_context context;
};

// ------------------------------------------------------------------ what real servers sent

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

// ------------------------------------------------------------------ which dialect

struct Refuses {
  OldServer::Refusal how;
  const char* name;
};

class Negotiation : public OnLoop {
 protected:
  /// The dialect that is agreed with a server of `dialect`, or the error.
  std::string agreed(Dialects dialect, OldServer::Refusal refusal, client::Options options = {}) {
    TempDir folder;
    OldServer server(folder / "s", {.dialect = dialect, .refusal = refusal});
    options.user.uname = "me";
    auto client = run(context, Client::connect("unix:" + (folder / "s"), options));
    versions = server.versions();
    if (!client) return client.error().text();
    EXPECT_EQ(get(client->root().stat()).attr.mode, S_IFDIR | 0777u);
    EXPECT_EQ(server.complaints(), std::vector<std::string>());
    return std::string(dialect_name(client->dialect()));
  }
  /// What becomes of a session whose Tversion is answered so.
  template <Message R>
  std::string answered(const R& r, Dialects dialect, Session::Options options = {}) {
    Scripted server([&](Bytes) { return frame_of(kNoTag, r, dialect); });
    const auto session = run(context, Session::open(stream_to(server.client), options));
    return session ? std::string(dialect_name((*session)->dialect())) + " " +
                         std::to_string((*session)->msize())
                   : session.error().text();
  }
  std::vector<std::string> versions;
};

TEST_F(Negotiation, EachWayToRefuse) {
  using enum OldServer::Refusal;
  using Asked = std::vector<std::string>;
  const Asked l{"9P2000.L"}, lu{"9P2000.L", "9P2000.u"}, lu2{"9P2000.L", "9P2000.u", "9P2000"};
  for (const auto refusal : {kSaysUnknown, kSendsAnError, kCloses}) {
    SCOPED_TRACE(static_cast<int>(refusal));
    EXPECT_EQ(agreed(kDotU, refusal), "9P2000.u");
    EXPECT_EQ(versions, lu);
    EXPECT_EQ(agreed(k9P2000, refusal), "9P2000");
    EXPECT_EQ(versions, lu2);
  }
  EXPECT_EQ(agreed(kDotU, kSaysItsOwn), "9P2000.u");
  EXPECT_EQ(versions, l);
  EXPECT_EQ(agreed(k9P2000, kSaysItsOwn), "9P2000");
  EXPECT_EQ(versions, l);
}

// Where there is none in common, the error has what the server said.
TEST_F(Negotiation, None) {
  using enum OldServer::Refusal;
  client::Options options;
  options.session.dialects = kDotL;
  EXPECT_EQ(agreed(k9P2000, kSaysUnknown, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: unknown)");
  EXPECT_EQ(agreed(k9P2000, kSaysItsOwn, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: 9P2000)");
  EXPECT_EQ(agreed(k9P2000, kSendsAnError, options),
            "agree on a dialect: Protocol not supported (to 9P2000.L the server said: unknown "
            "protocol version)");
  EXPECT_NE(agreed(k9P2000, kCloses, options).find("Connection reset by peer"), std::string::npos);
  options.session.dialects = kUnix;
  EXPECT_NE(agreed(k9P2000, kCloses, options).find("Connection reset by peer"), std::string::npos);
  EXPECT_EQ(versions.size(), 2u);
  EXPECT_EQ(
      answered(Rlerror{ENOMEM}, kDotL),
      "agree on a dialect: Protocol not supported (to 9P2000 the server said: Cannot allocate "
      "memory)");
  EXPECT_EQ(answered(Rerror{"go away", EPERM}, kDotU),
            "agree on a dialect: Protocol not supported (to 9P2000 the server said: go away)");
}

TEST_F(Negotiation, WhatIsNoAnswer) {
  EXPECT_EQ(answered(Rversion{8192, "9P2000.L"}, kDotL), "9P2000.L 8192");
  EXPECT_EQ(answered(Rversion{1 << 20, "9P2000.u"}, kDotL), "9P2000.u 1048576");
  EXPECT_EQ(answered(Rversion{8193, "9P2000.L"}, kDotL, {.msize = 8192}),
            "Tversion: Protocol error (the server wants messages of 8193 bytes, where 8192 were "
            "offered)");
  EXPECT_EQ(
      answered(Rversion{255, "9P2000"}, kDotL),
      "Tversion: Protocol error (the server takes messages of 255 bytes at most, which is too "
      "little)");
  // A newer one than was asked for, and one that only begins so.
  EXPECT_NE(answered(Rversion{8192, "9P2000.L"}, kDotL, {.dialects = kOld}).find("not supported"),
            std::string::npos);
  EXPECT_NE(answered(Rversion{8192, "9P2000.Lx"}, kDotL).find("not supported"), std::string::npos);
  EXPECT_NE(answered(Rversion{8192, ""}, kDotL).find("not supported"), std::string::npos);
  EXPECT_EQ(answered(Rclunk{}, kDotL),
            "Tversion: Protocol error (the server answered with Rclunk)");
}

// A connection that is made again speaks what the first one did.
TEST_F(Negotiation, StaysWithItsDialect) {
  TempDir folder;
  std::optional<OldServer> server;
  const std::string address = folder / "s";
  server.emplace(address, OldServer::Options{.dialect = kDotU});
  client::Options options;
  options.user.uname = "me";
  Client client = get(Client::connect("unix:" + address, options));
  server.reset();
  std::filesystem::remove(address);
  server.emplace(address, OldServer::Options{.dialect = k9P2000});
  EXPECT_NE(error(client.root().stat()).find("to 9P2000.u the server said: unknown"),
            std::string::npos);
  EXPECT_EQ(server->versions(), std::vector<std::string>{"9P2000.u"});
}

// Before .L a user is a name; .u has numbers as well, and they decide. attach(5)
TEST_F(Negotiation, Users) {
  for (const Dialects dialect : {k9P2000, kDotU}) {
    TempDir folder;
    OldServer server(folder / "s", {.dialect = dialect});
    const std::string number = dialect == kDotU ? " 7" : " -";
    client::Options options;
    options.user.uid = 7;
    options.user.uname = "somebody";
    get(Client::connect("unix:" + (folder / "s"), options));
    options.user.uname = "";
    options.user.uid = 0;
    get(Client::connect("unix:" + (folder / "s"), options));
    // Where only a name counts, it is that of the number.
    const std::vector<std::string> expected{
        "somebody" + number, dialect == kDotU ? std::string(" 0") : std::string("root -")};
    EXPECT_EQ(server.users(), expected);
  }
}

// ------------------------------------------------------------------ every message

/// A message with something else in each field.
struct Fill {
  U8& seed;
  template <Integer T>
  void operator()(T& value) const {
    value = static_cast<T>(++seed);
  }
  void operator()(Str& value) const {
    static constexpr Str kTexts = "abcdefghijklmnopqrstuvwxyz";
    value = kTexts.substr(++seed % 20, 5);
  }
  void operator()(Payload& value) const { value = as_bytes(Str("data")); }
  template <Described M>
  void operator()(M& record) const {
    each_field<M>([&](const auto& field) { (*this)(record.*field.at); });
  }
  template <bool must_agree>
  void operator()(Counted<must_agree>& counted) const {
    (*this)(counted.stat);
  }
  template <Dialects set, class T, Dialects lax>
  void operator()(Only<set, T, lax>& only) const {
    (*this)(only.value);
  }
  template <class T, U16 N>
  void operator()(List<T, N>& list) const {
    for (int i = 0; i < 3; ++i) {
      T item{};
      (*this)(item);
      list.push_back(item);
    }
  }
};
template <Message M>
M filled() {
  M m{};
  U8 seed = Describe<M>::code;
  Fill{seed}(m);
  return m;
}

class EveryMessage : public OnLoop, public testing::WithParamInterface<Dialects> {};

TEST_P(EveryMessage, IsCalled) {
  const Dialects d = GetParam();
  std::string came;
  Scripted server([&](Bytes request) -> std::optional<Frame> {
    const Header asked = read_header(request);
    if (asked.type == Describe<Tversion>::code && asked.tag == kNoTag)
      return frame_of(kNoTag, Rversion{65536, dialect_name(d)}, d);
    came = print_frame(request, d);
    Frame reply;
    each_message([&]<class R>() {
      if (Describe<R>::code == asked.type + 1) reply = frame_of(asked.tag, filled<R>(), d);
    });
    return reply;
  });
  const auto session = must(run(context, Session::open(stream_to(server.client), {.dialects = d})));
  int called = 0;
  each_message([&]<class T>() {
    if constexpr (is_request(Describe<T>::code)) {
      SCOPED_TRACE(Describe<T>::name);
      using R = ReplyTo<T>;
      came.clear();
      const T request = filled<T>();
      const auto replied = run(context, session->call(request));
      if (!has(Describe<T>::dialects, d)) {
        ASSERT_FALSE(replied);
        EXPECT_EQ(replied.error().text(),
                  std::string(Describe<T>::name) + ": Operation not supported (" +
                      std::string(dialect_name(d)) + " has no such message)");
        EXPECT_EQ(came, "");
        return;
      }
      ASSERT_TRUE(replied) << replied.error().text();
      const std::string sent = print_frame(frame_of(Tag{0}, request, d), d);
      EXPECT_EQ(came, sent);
      EXPECT_NE(sent.find(Describe<T>::name), std::string::npos);
      EXPECT_EQ(to_hex(frame_of(Tag{0}, **replied, d)), to_hex(frame_of(Tag{0}, filled<R>(), d)));
      ++called;
    }
  });
  // version(5), auth, attach, flush, walk, read, write, clunk, remove; and each dialect's own.
  EXPECT_EQ(called, d == kDotL ? 28 : d == kDotU ? 13 : 14);
  EXPECT_FALSE(session->lost());
}

std::string dialect_text(const testing::TestParamInfo<Dialects>& info) {
  return info.param == kDotL ? "DotL" : info.param == kDotU ? "DotU" : "Plain";
}
INSTANTIATE_TEST_SUITE_P(Each, EveryMessage, testing::ValuesIn(kDialects), dialect_text);

// ------------------------------------------------------------------ files

class OldDialect : public OnLoop, public testing::WithParamInterface<Dialects> {
 protected:
  OldDialect() { serve({}); }
  ~OldDialect() override {
    // What has gone is clunked by now, and what the client did was allowed.
    if (!clients.empty()) {
      (void)wait(clients.front().root().stat());
      clients.resize(1);
    }
    EXPECT_EQ(server->complaints(), std::vector<std::string>());
    disconnect();
  }
  void disconnect() {
    clients.clear();
    settle();
  }
  static bool is_dot_u() { return GetParam() == kDotU; }
  Node& serve(OldServer::Options options) {
    disconnect();
    server.reset();
    std::filesystem::remove(folder / "s");
    options.dialect = GetParam();
    server.emplace(folder / "s", options);
    return connect();
  }
  Node& connect() {
    client::Options options;
    options.user.uname = "me";
    return clients.emplace_back(get(Client::connect("unix:" + (folder / "s"), options))).root();
  }
  Node& root() { return clients.front().root(); }
  OldServer::Facts facts(const std::string& path) {
    const auto f = server->facts(path);
    EXPECT_TRUE(f) << path;
    return f.value_or(OldServer::Facts{});
  }

  TempDir folder;
  std::optional<OldServer> server;
  std::list<Client> clients;
};
INSTANTIATE_TEST_SUITE_P(Each, OldDialect, testing::Values(k9P2000, kDotU), dialect_text);

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  U32 x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

TEST_P(OldDialect, Files) {
  Node& r = root();
  {
    File file = get(r.create("f", lopen::kReadWrite, 0640));
    EXPECT_EQ(file.iounit(), 8192u - kIoHeaderSize);
    const std::string all = pattern(300'000);
    get(file.write(0, as_bytes(all)));
    EXPECT_TRUE(facts("f").content == all);
    EXPECT_TRUE(read_all(file, 400'000) == all);
    EXPECT_TRUE(read_all(file, 100'000, 12'345) == all.substr(12'345, 100'000));
    get(file.fsync());
    get(file.close());
  }
  EXPECT_EQ(facts("f").mode, 0640u);
  const Attributes is = get(get(r.walk("f")).stat());
  EXPECT_TRUE(is.is_regular());
  EXPECT_EQ(is.attr.size, 300'000u);
  EXPECT_EQ(is.user + " " + is.group, "glenda sys");
  EXPECT_EQ(is.has(getattr::kUid), is_dot_u());
  EXPECT_EQ(is.attr.uid, is_dot_u() ? 1000u : 0u);

  // What is there is opened, as open(2) does it, or refused.
  server->put("there", 0600, "content");
  {
    File there = get(r.create("there", lopen::kReadWrite, 0600));
    EXPECT_EQ(read_all(there, 100), "content");
    EXPECT_EQ(there.path(), "there");
    get(there.write(0, as_bytes("C")));
    File empty = get(r.create("there", lopen::kReadWrite | lopen::kTruncate, 0600));
    EXPECT_EQ(read_all(empty, 100), "");
  }
  EXPECT_EQ(error(r.create("there", lopen::kReadWrite | lopen::kExclusive, 0600)),
            "create there: File exists (there is one)");
  get(r.mkdir("d", 0750));
  EXPECT_EQ(facts("d").mode, 0x80000000u | 0750);
  EXPECT_EQ(error(r.mkdir("d", 0750)), "mkdir d: File exists (file already exists)");
  EXPECT_EQ(error(r.create("d", lopen::kReadOnly, 0600)), "create d: Is a directory");
  EXPECT_EQ(error(r.mkdir("f/d", 0750)), "mkdir f/d: Invalid argument (\"f/d\" is no file's name)");

  EXPECT_EQ(error(r.walk("none")), "find none: No such file or directory (file does not exist)");
  EXPECT_EQ(error(r.walk("d/none/x")),
            "find d/none/x: No such file or directory (file does not exist)");
  EXPECT_EQ(error(r.walk("f/x")), "find f/x: Not a directory (not a directory)");
  Node f = get(r.walk("f"));
  EXPECT_EQ(error(f.open_directory()), "open f: Not a directory");
  Node d = get(r.walk("d"));
  EXPECT_EQ(error(d.open(lopen::kReadWrite)), "open d: Is a directory (is a directory)");

  // By its kind, as unlink(2) and rmdir(2) do it.
  EXPECT_EQ(error(r.remove("d")), "remove d: Is a directory");
  EXPECT_EQ(error(r.remove("f", true)), "remove f: Not a directory");
  server->put("d/x", 0600, "");
  EXPECT_EQ(error(r.remove("d", true)), "remove d: Directory not empty (directory not empty)");
  get(d.remove("x"));
  get(r.remove("d", true));
  get(r.remove("f"));
  EXPECT_FALSE(server->facts("d") || server->facts("f"));
  EXPECT_EQ(error(r.remove("f")), "remove f: No such file or directory (file does not exist)");
}

// Nothing that a call needs for a moment stays at the server.
TEST_P(OldDialect, FidsAreGivenBack) {
  Node& r = root();
  server->put("f", 0600, "x");
  server->put("ro", 0400, "x");
  server->put("d", 0x80000000 | 0700, "");
  {
    File file = get(r.create("n", lopen::kReadWrite, 0600));
    File there = get(r.create("f", lopen::kReadWrite, 0600));
    Directory directory = get(r.open_directory());
    get(directory.next());
    get(r.mkdir("e", 0700));
    get(r.rename("f", r, "g"));
    get(r.remove("g"));
    get(r.remove("e", true));
    Node d = get(r.walk("d"));
    for (const std::string& wrong :
         {error(r.walk("none/x")), error(r.create("ro", lopen::kReadWrite, 0600)),
          error(r.create("d", lopen::kReadWrite, 0600)), error(r.remove("none")),
          error(r.remove("d")), error(r.rename("none", r, "x")), error(r.rename("n", d, "n")),
          error(r.mkdir("d", 0700)), error(r.open(lopen::kReadWrite)),
          error(r.create("ro", lopen::kReadWrite | lopen::kExclusive, 0600))})
      EXPECT_NE(wrong, "");
  }
  get(r.stat());
  EXPECT_EQ(server->fids(), 2u);  // the attachment's, and its root
}

TEST_P(OldDialect, Renames) {
  Node& r = root();
  server->put("d", 0x80000000 | 0700, "");
  server->put("a", 0600, "a's");
  server->put("b", 0600, "b's");
  get(r.rename("a", r, "c"));
  EXPECT_EQ(facts("c").content, "a's");
  EXPECT_FALSE(server->facts("a"));
  // What has the name there is gone, though Plan 9 leaves that to the client.
  get(r.rename("c", r, "b"));
  EXPECT_EQ(facts("b").content, "a's");
  EXPECT_FALSE(server->facts("c"));
  get(r.rename("b", r, "b"));
  EXPECT_EQ(facts("b").content, "a's");
  // But not what can't make way.
  server->put("d/x", 0600, "x's");
  EXPECT_NE(error(r.rename("b", r, "d")), "");
  EXPECT_NE(error(r.rename("d", r, "b")), "");
  EXPECT_EQ(facts("d/x").content, "x's");
  EXPECT_EQ(facts("b").content, "a's");
  // Another fid of the same directory is the same directory.
  Node same = get(r.walk("d/.."));
  get(r.rename("b", same, "e"));
  EXPECT_EQ(facts("e").content, "a's");
  Node d = get(r.walk("d"));
  EXPECT_EQ(error(r.rename("e", d, "e")),
            "rename e: Operation not supported (a file can't leave its directory before 9P2000.L)");
  EXPECT_EQ(facts("e").content, "a's");
  EXPECT_EQ(error(r.rename("e", r, "d/e")),
            "rename e: Invalid argument (\"d/e\" is no file's name)");
  EXPECT_EQ(error(r.remove("d/x")), "remove d/x: Invalid argument (\"d/x\" is no file's name)");
  EXPECT_EQ(error(r.rename("none", r, "x")),
            "rename none: No such file or directory (file does not exist)");
}

TEST_P(OldDialect, Changes) {
  Node& r = root();
  server->put("f", 0x40000000 | 0600, "content");  // append-only
  server->put("d", 0x80000000 | 0700, "");
  server->put("exclusive", 0x20000000 | 0600, "");
  Node f = get(r.walk("f"));
  const U32 mtime = facts("f").mtime;
  Change mode;
  mode.mode = 0644;
  get(f.change(mode));
  // It stays append-only, and a directory a directory.
  EXPECT_EQ(facts("f").mode, 0x40000000u | 0644);
  EXPECT_EQ(facts("f").content, "content");
  EXPECT_EQ(facts("f").mtime, mtime);
  get(get(r.walk("d")).change(mode));
  EXPECT_EQ(facts("d").mode, 0x80000000u | 0644);
  get(get(r.walk("exclusive")).change(mode));
  EXPECT_EQ(facts("exclusive").mode, 0x20000000u | 0644);
  mode.mode = S_IFREG | 04755;
  get(f.change(mode));
  EXPECT_EQ(facts("f").mode, (0x40000000u | 0755) + (is_dot_u() ? 0x80000u : 0u));
  EXPECT_EQ(get(f.stat()).attr.mode, S_IFREG | (is_dot_u() ? 04755u : 0755u));

  Change size;
  size.size = 4;
  get(f.change(size));
  EXPECT_EQ(facts("f").content, "cont");

  Change times;
  times.mtime = timespec{1'000'000, 999};
  times.atime = timespec{0, UTIME_OMIT};
  const U32 atime = facts("f").atime;
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 1'000'000u);
  EXPECT_EQ(facts("f").atime, atime);
  // 9P2000 has no way to set the other; a server that insists sets the one.
  times.atime = timespec{2'000'000, 0};
  times.mtime = timespec{3'000'000, 0};
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 3'000'000u);
  EXPECT_EQ(facts("f").atime, is_dot_u() ? 2'000'000u : atime);
  times.mtime = timespec{-5, 0};
  times.atime.reset();
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 0u);
  times.mtime = timespec{0xFFFFFFFF, 0};  // all ones: "don't touch"
  get(f.change(times));
  EXPECT_EQ(facts("f").mtime, 0xFFFFFFFEu);
  times.mtime = timespec{0, UTIME_NOW};
  get(f.change(times));
  EXPECT_LT(std::labs(static_cast<long>(facts("f").mtime) - ::time(nullptr)), 1000);

  Change owner;
  owner.uid = 5;
  owner.gid = 6;
  if (is_dot_u()) {
    get(f.change(owner));
    EXPECT_EQ(facts("f").n_uid, 5u);
    EXPECT_EQ(facts("f").n_gid, 6u);
    owner.uid.reset();
    owner.gid = 8;
    get(f.change(owner));
    EXPECT_EQ(facts("f").n_uid, 5u);
    EXPECT_EQ(facts("f").n_gid, 8u);
  } else {
    EXPECT_EQ(error(f.change(owner)),
              "change f: Operation not supported (9P2000 has no numbers of users)");
  }
}

TEST_P(OldDialect, TimesOfAServerThatSetsBoth) {
  Node& r = serve({.sets_atime = true});
  server->put("f", 0600, "");
  Node f = get(r.walk("f"));
  Change times;
  times.atime = timespec{2'000'000, 0};
  times.mtime = timespec{3'000'000, 0};
  get(f.change(times));
  EXPECT_EQ(facts("f").atime, 2'000'000u);
  EXPECT_EQ(facts("f").mtime, 3'000'000u);
}

TEST_P(OldDialect, SpecialFiles) {
  Node& r = root();
  server->put("f", 0600, "f's");
  Node f = get(r.walk("f"));
  const std::string only_dot_u = "Operation not supported (9P2000 has files and directories alone)";
  get(r.mknod("plain", S_IFREG | 0600, 0));
  EXPECT_EQ(facts("plain").mode, 0600u);
  EXPECT_EQ(error(r.mknod("x", S_IFDIR | 0600, 0)), "mknod x: Invalid argument");
  if (!is_dot_u()) {
    EXPECT_EQ(error(r.symlink("l", "to")), "symlink l: " + only_dot_u);
    EXPECT_EQ(error(r.link("h", f)), "link h: " + only_dot_u);
    EXPECT_EQ(error(r.mknod("p", S_IFIFO | 0600, 0)), "mknod p: " + only_dot_u);
    EXPECT_EQ(error(r.mknod("c", S_IFCHR | 0600, 0)), "mknod c: " + only_dot_u);
    EXPECT_EQ(error(f.readlink()), "readlink f: Invalid argument (not a symbolic link)");
    // What .u makes of these bits isn't said in 9P2000.
    server->put("bits", 0x02000000 | 0x00080000 | 0644, "");
    EXPECT_EQ(get(get(r.walk("bits")).stat()).attr.mode, S_IFREG | 0644u);
    return;
  }
  get(r.symlink("l", "to/where it is"));
  EXPECT_EQ(facts("l").extension, "to/where it is");
  Node l = get(r.walk("l"));
  EXPECT_TRUE(l.is_symlink());
  EXPECT_EQ(get(l.readlink()), "to/where it is");
  EXPECT_EQ(error(f.readlink()), "readlink f: Invalid argument (not a symbolic link)");
  get(r.link("h", f));
  EXPECT_EQ(facts("h").path, facts("f").path);
  EXPECT_EQ(error(r.link("h", f)), "link h: File exists (file already exists)");
  get(r.mknod("p", S_IFIFO | 0600, 0));
  get(r.mknod("s", S_IFSOCK | 0600, 0));
  get(r.mknod("c", S_IFCHR | 0600, makedev(4, 65)));
  get(r.mknod("b", S_IFBLK | 0600, makedev(8, 1000)));
  const std::pair<const char*, U32> kinds[] = {
      {"l", S_IFLNK}, {"p", S_IFIFO}, {"s", S_IFSOCK}, {"c", S_IFCHR}, {"b", S_IFBLK}};
  for (const auto& [name, kind] : kinds) {
    Node node = get(r.walk(name));
    EXPECT_EQ(get(node.stat()).attr.mode & S_IFMT, kind) << name;
    // The type goes along, as QEMU wants it.
    Change change;
    change.mode = 0640;
    get(node.change(change));
    EXPECT_EQ(get(node.stat()).attr.mode, kind | 0640) << name;
  }
  EXPECT_EQ(get(get(r.walk("c")).stat()).attr.rdev, makedev(4, 65));
  EXPECT_EQ(get(get(r.walk("b")).stat()).attr.rdev, makedev(8, 1000));
  for (const Entry& entry : entries(r))
    EXPECT_EQ(entry.attributes->target, entry.name == "l" ? "to/where it is" : "");
}

TEST_P(OldDialect, Directories) {
  for (const U32 msize : {1024u, 8192u, 65536u}) {
    SCOPED_TRACE(msize);
    Node& r = serve({.msize_max = msize});
    EXPECT_EQ(clients.front().attachment()->msize(), msize);
    std::vector<std::string> names;
    server->put("d", 0x80000000 | 0700, "");
    server->put("empty", 0x80000000 | 0700, "");
    for (int i = 0; i < 300; ++i) {
      names.push_back("n" + std::to_string(i) +
                      std::string(static_cast<std::size_t>(i) % 190, '-'));
      server->put("d/" + names.back(), 0600, std::string(static_cast<std::size_t>(i), 'x'));
    }
    std::ranges::sort(names);
    Node d = get(r.walk("d"));
    const std::vector<Entry> all = entries(d);
    ASSERT_EQ(all.size(), names.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].name, names[i]);
      EXPECT_EQ(all[i].type, DT_REG);
      EXPECT_EQ(all[i].attributes->attr.size, facts("d/" + names[i]).content.size());
      EXPECT_TRUE(i == 0 || all[i].offset > all[i - 1].offset);
    }
    Node empty = get(r.walk("empty"));
    EXPECT_EQ(entries(empty).size(), 0u);
    // On from any entry, back and forth, and from the start, though the server only goes on.
    Directory directory = get(d.open_directory());
    for (const std::size_t at : {7u, 250u, 3u, 299u, 0u}) {
      directory.seek(all[at].offset);
      const std::vector<Entry> next = get(directory.next());
      ASSERT_EQ(next.empty(), at == 299u);
      EXPECT_EQ(next.empty() ? "" : next.front().name, at == 299u ? "" : names[at + 1]);
    }
    directory.seek(0);
    EXPECT_EQ(get(directory.next()).front().name, names[0]);
    // A connection that is made again begins anew at the server.
    directory.seek(0);
    std::vector<std::string> got;
    for (std::vector<Entry> some; !(some = get(directory.next())).empty();) {
      for (const Entry& entry : some) got.push_back(entry.name);
      if (got.size() < 290) server->cut();
    }
    EXPECT_EQ(got, names);
  }
}

// Only what the server itself appends is appended: by others meanwhile nothing is overwritten.
TEST_P(OldDialect, Appends) {
  Node& r = root();
  server->put("plain", 0600, "plain");
  server->put("log", 0x40000000 | 0600, "one\n");
  const std::string no_way =
      "Operation not supported (before 9P2000.L only files that always are can be appended to)";
  EXPECT_EQ(error(get(r.walk("plain")).open(lopen::kWriteOnly | lopen::kAppend)),
            "open plain: " + no_way);
  EXPECT_EQ(error(r.create("new", lopen::kWriteOnly | lopen::kAppend, 0600)),
            "create new: " + no_way);
  EXPECT_FALSE(server->facts("new"));
  File plain = get(get(r.walk("plain")).open(lopen::kWriteOnly));
  EXPECT_EQ(error(plain.append(as_bytes("x"))), "append to plain: " + no_way);
  EXPECT_EQ(facts("plain").content, "plain");
  File log = get(get(r.walk("log")).open(lopen::kWriteOnly | lopen::kAppend));
  get(log.append(as_bytes("two\n")));
  server->lose_reply(Describe<Rwrite>::code);
  get(log.append(as_bytes("three\n")));
  EXPECT_TRUE(server->has_lost());
  EXPECT_EQ(facts("log").content, "one\ntwo\nthree\n");
  // To such a file each write appends: in order, and once.
  File writer = get(get(r.walk("log")).open(lopen::kWriteOnly));
  const std::string all = pattern(50'000);
  server->lose_reply(Describe<Rwrite>::code);
  get(writer.write(0, as_bytes(all)));
  EXPECT_TRUE(server->has_lost());
  EXPECT_TRUE(facts("log").content == "one\ntwo\nthree\n" + all);
}

// Servers of Unix files open by Tcreate what is there: who wants a new file is told.
TEST_P(OldDialect, ExclusiveIsExclusive) {
  Node& r = serve({.opens_existing = true});
  server->put("there", 0600, "content");
  EXPECT_EQ(error(r.create("there", lopen::kReadWrite | lopen::kExclusive, 0600)),
            "create there: File exists (there is one)");
  File file = get(r.create("there", lopen::kReadWrite, 0600));
  EXPECT_EQ(read_all(file, 100), "content");
}

TEST_P(OldDialect, WhatOnlyDotLHas) {
  Node& r = root();
  server->put("f", 0600, "");
  Node f = get(r.walk("f"));
  File file = get(f.open(lopen::kReadWrite));
  const std::string none = ": Operation not supported (the server speaks no 9P2000.L)";
  EXPECT_EQ(error(f.xattrs()), "read an attribute of f" + none);
  EXPECT_EQ(error(f.xattr("user.a")), "read an attribute of f" + none);
  EXPECT_EQ(error(f.set_xattr("user.a", "x")), "set an attribute of f" + none);
  EXPECT_EQ(error(f.remove_xattr("user.a")), "remove an attribute of f" + none);
  EXPECT_EQ(error(r.statfs()), "statfs /" + none);
  const Lock lock{lock::kWrite, 0, 0, 1, "me"};
  EXPECT_EQ(error(file.lock(lock, false)), "lock f" + none);
  EXPECT_EQ(error(file.lock(lock, true)), "lock f" + none);
  EXPECT_EQ(error(file.unlock(lock)), "unlock f" + none);
  EXPECT_EQ(error(file.test_lock(lock)), "test a lock of f" + none);
}

// Names that don't fit into one message are walked in several.
TEST_P(OldDialect, LongPaths) {
  Node& r = serve({.msize_max = 1024});
  std::string path;
  for (int i = 0; i < 40; ++i) {
    path += (i ? "/" : "") + std::string(i < 20 ? 200 : 1, static_cast<char>('a' + i % 26));
    server->put(path, 0x80000000 | 0700, "");
  }
  server->put(path + "/f", 0600, "deep");
  File file = get(get(r.walk(path + "/f")).open(lopen::kReadOnly));
  EXPECT_EQ(read_all(file, 100), "deep");
  server->cut();
  EXPECT_EQ(read_all(file, 100), "deep");
  EXPECT_NE(error(r.walk(path + "/none/x")).find("file does not exist"), std::string::npos);
}

TEST_P(OldDialect, Restarts) {
  Node& r = root();
  const std::string all = pattern(100'000);
  server->put("f", 0600, all);
  server->put("other", 0600, "");
  Node node = get(r.walk("f"));
  File file = get(node.open(lopen::kReadOnly));
  File renamed = get(r.create("before", lopen::kReadWrite, 0600));
  get(renamed.write(0, as_bytes("renamed")));
  get(r.rename("before", r, "after"));
  for (int i = 0; i < 3; ++i) {
    server->cut();
    EXPECT_TRUE(read_all(file, 200'000) == all);
    EXPECT_EQ(get(node.stat()).attr.size, all.size());
  }
  EXPECT_EQ(read_all(renamed, 10), "renamed");
  // The tree of a server that lost it has other files of these names.
  server->put("f", 0600, "another");
  server->cut();
  EXPECT_NE(error(file.fsync()).find("Stale"), std::string::npos);
}

// What was lost with its connection: done once, or reported.
TEST_P(OldDialect, FatesOfRequests) {
  Node& r = root();
  server->put("f", 0600, "content");
  struct Case {
    const char* what;
    U8 type;  // of the reply that is lost
    std::function<std::string(std::string name)> act;
    bool decided;
    std::function<bool(std::string name)> is_done = nullptr;
  };
  const auto is_there = [&](const std::string& name) { return server->facts(name).has_value(); };
  const Case cases[] = {
      {"mkdir", 115, [&](std::string n) { return error(r.mkdir(n, 0700)); }, false, is_there},
      {"create", 115, [&](std::string n) { return error(r.create(n, lopen::kReadWrite, 0600)); },
       true, is_there},
      {"exclusive", 115,
       [&](std::string n) {
         return error(r.create(n, lopen::kReadWrite | lopen::kExclusive, 0600));
       },
       false, is_there},
      {"remove", 123,
       [&](std::string n) {
         server->put(n, 0600, "");
         return error(r.remove(n));
       },
       false, [&](std::string n) { return !is_there(n); }},
      {"rename", 127,
       [&](std::string n) {
         server->put(n, 0600, n);
         Node node = get(r.walk(n));
         return error(r.rename(n, r, n + "2", &node));
       },
       true,
       [&](std::string n) {
         const auto moved = server->facts(n + "2");
         return !is_there(n) && moved && moved->content == n;
       }},
      {"open", 113, [&](std::string) { return error(get(r.walk("f")).open(lopen::kReadOnly)); },
       true},
      {"stat", 125, [&](std::string) { return error(get(r.walk("f")).stat()); }, true},
  };
  int number = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    server->lose_reply(c.type);
    const std::string name = "a" + std::to_string(++number);
    const std::string said = c.act(name);
    EXPECT_TRUE(server->has_lost());
    if (c.decided)
      EXPECT_EQ(said, "");
    else
      EXPECT_NE(said.find("not known whether this was done"), std::string::npos) << said;
    if (c.is_done) EXPECT_TRUE(c.is_done(name));
  }
}

// ------------------------------------------------------------------ the tool

class OldServersTool : public OldDialect {
 protected:
  OldServersTool() { disconnect(); }
  /// Runs `9p` with these arguments, "@" for the server's address: its status.
  int run_tool(std::vector<std::string> arguments) {
    const char* const given = std::getenv("NINEP_9P");
    arguments.insert(arguments.begin(), {given ? given : NINEP_9P, "--user", "me", "-q"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      if (argument.starts_with('@')) argument.replace(0, 1, "unix:" + (folder / "s") + ":/");
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    int pipe[2];
    NINEP_CHECK(::pipe2(pipe, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    NINEP_CHECK(child >= 0);
    if (child == 0) {
      ::dup2(pipe[1], 1);
      ::dup2(pipe[1], 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(pipe[1]);
    said.clear();
    char bytes[4096];
    for (ssize_t size; (size = ::read(pipe[0], bytes, sizeof bytes)) > 0;)
      said.append(bytes, static_cast<std::size_t>(size));
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  /// It has to work, and what it says.
  std::string tool(std::vector<std::string> arguments) {
    const std::string command = testing::PrintToString(arguments);
    EXPECT_EQ(run_tool(std::move(arguments)), 0) << command << "\n" << said;
    return said;
  }
  /// It must not, and what it says.
  std::string refused(std::vector<std::string> arguments) {
    const std::string command = testing::PrintToString(arguments);
    EXPECT_EQ(run_tool(std::move(arguments)), 1) << command << "\n" << said;
    return said;
  }
  std::string said;
};
INSTANTIATE_TEST_SUITE_P(Each, OldServersTool, testing::Values(k9P2000, kDotU), dialect_text);

TEST_P(OldServersTool, Listings) {
  server->put("d", 0x80000000 | 0755, "");
  server->put("d/e", 0x80000000 | 0700, "");
  server->put("d/f", 0644, "hello\n");
  if (is_dot_u()) server->put("d/l", 0x02000000 | 0777, "", "f");
  EXPECT_EQ(tool({"ls", "@d"}), is_dot_u() ? "e\nf\nl\n" : "e\nf\n");
  const std::string listed = tool({"ls", "-l", "@d"});
  const std::string owner = is_dot_u() ? "1000 100" : "glenda sys";
  EXPECT_NE(listed.find("-rw-r--r--   1 " + owner + "            6 "), std::string::npos) << listed;
  EXPECT_NE(listed.find("drwx------   1 " + owner + "            0 "), std::string::npos) << listed;
  EXPECT_EQ(listed.find("l -> f") != std::string::npos, is_dot_u()) << listed;
  EXPECT_NE(
      tool({"tree", "@"}).find(is_dot_u() ? "2 directories, 2 files" : "2 directories, 1 files"),
      std::string::npos)
      << said;
  EXPECT_EQ(tool({"cat", "@d/f"}), "hello\n");
  if (is_dot_u()) {
    EXPECT_EQ(tool({"cat", "@d/l"}), "hello\n");
  }
  EXPECT_NE(tool({"stat", "@d/f"}).find("owner " + owner), std::string::npos) << said;
  EXPECT_NE(tool({"--json", "ls", "@d/f"}).find("\"size\":6"), std::string::npos) << said;
  EXPECT_NE(tool({"ping", "-c", "1", "@"}).find(std::string(dialect_name(GetParam())) + ", msize"),
            std::string::npos)
      << said;
  EXPECT_EQ(refused({"cat", "@none"}),
            "9p: find none: No such file or directory (file does not exist)\n");
}

TEST_P(OldServersTool, Copies) {
  namespace fs = std::filesystem;
  serve({.msize_max = 1024});
  disconnect();
  const std::string all = pattern(100'000);
  const fs::path tree = folder / "tree";
  fs::create_directories(tree / "d/empty");
  const auto write = [](const fs::path& path, Str content) { std::ofstream(path) << content; };
  write(tree / "big", all);
  write(tree / "d/none", "");
  for (int i = 0; i < 60; ++i) write(tree / "d" / ("n" + std::to_string(i)), std::to_string(i));
  const auto set_time = [](const fs::path& path, time_t time) {
    const timespec times[] = {{time, 0}, {time, 123'456'789}};
    NINEP_CHECK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  };
  set_time(tree / "big", 1'000'000'000);
  fs::permissions(tree / "big", fs::perms(0640));
  if (is_dot_u()) fs::create_symlink("big", tree / "link");
  const auto same = [&](const fs::path& a, const fs::path& b) {
    const std::string command =
        "diff -r --no-dereference '" + a.string() + "' '" + b.string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
  };

  tool({"put", "-r", tree, "@"});
  EXPECT_TRUE(facts("tree/big").content == all);
  EXPECT_EQ(facts("tree/big").mode, 0640u);
  EXPECT_EQ(facts("tree/big").mtime, 1'000'000'000u);
  EXPECT_EQ(facts("tree/d/n59").content, "59");
  EXPECT_EQ(facts("tree/d/empty").mode & 0x80000000u, 0x80000000u);
  if (is_dot_u()) {
    EXPECT_EQ(facts("tree/link").extension, "big");
  }
  tool({"get", "-r", "@tree", folder / "got"});
  same(tree, folder / "got");
  struct stat status{};
  NINEP_CHECK(::stat((folder / "got/big").c_str(), &status) == 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(status.st_mode & 07777, 0640u);

  // Once more: over what is there, which is the same.
  write(tree / "d/n0", "changed");
  EXPECT_NE(tool({"--json", "sync", tree, "@tree"}).find("\"unchanged\":61"), std::string::npos)
      << said;
  EXPECT_EQ(facts("tree/d/n0").content, "changed");
  tool({"put", "-r", tree, "@"});
  tool({"cp", "-r", "@tree", "@copy"});
  tool({"get", "-r", "@copy", folder / "again"});
  same(tree, folder / "again");
  tool({"get", "@tree/big", folder / "one"});
  same(tree / "big", folder / "one");
}

TEST_P(OldServersTool, Changes) {
  tool({"mkdir", "-p", "@x/y/z"});
  EXPECT_TRUE(server->facts("x/y/z"));
  server->put("x/f", 0644, "f's");
  server->put("x/g", 0644, "g's");
  tool({"mv", "@x/f", "@x/h"});
  EXPECT_EQ(facts("x/h").content, "f's");
  tool({"mv", "@x/h", "@x/g"});
  EXPECT_EQ(facts("x/g").content, "f's");
  EXPECT_EQ(refused({"mv", "@x/g", "@x/y"}),
            "9p: rename x/g: Operation not supported (a file can't leave its directory before "
            "9P2000.L)\n");
  tool({"chmod", "u+x,go-rwx", "@x/g"});
  EXPECT_EQ(facts("x/g").mode, 0700u);
  tool({"touch", "-t", "1000000000.25", "@x/g"});
  EXPECT_EQ(facts("x/g").mtime, 1'000'000'000u);
  tool({"touch", "@x/new"});
  EXPECT_EQ(facts("x/new").content, "");
  if (is_dot_u()) {
    tool({"ln", "-s", "any where", "@x/l"});
    EXPECT_EQ(facts("x/l").extension, "any where");
    tool({"ln", "@x/g", "@x/hard"});
    EXPECT_EQ(facts("x/hard").path, facts("x/g").path);
  } else {
    EXPECT_EQ(
        refused({"ln", "-s", "any where", "@x/l"}),
        "9p: symlink x/l: Operation not supported (9P2000 has files and directories alone)\n");
    EXPECT_EQ(
        refused({"ln", "@x/g", "@x/hard"}),
        "9p: link x/hard: Operation not supported (9P2000 has files and directories alone)\n");
  }
  EXPECT_NE(refused({"rm", "@x"}).find("say -r"), std::string::npos) << said;
  tool({"rm", "@x/new"});
  EXPECT_FALSE(server->facts("x/new"));
  for (int i = 0; i < 100; ++i) server->put("x/y/n" + std::to_string(i), 0600, "");
  tool({"rm", "-r", "@x"});
  EXPECT_FALSE(server->facts("x"));
  tool({"rm", "-f", "@x"});
}

TEST_P(OldServersTool, WhatOnlyDotLHas) {
  server->put("f", 0644, "");
  const std::string none = ": Operation not supported (the server speaks no 9P2000.L";
  EXPECT_NE(refused({"xattr", "@f"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"xattr", "@f", "user.a", "x"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"lock", "@f", "--", "true"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"lock", "@f"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"df", "@"}).find(none), std::string::npos) << said;
  EXPECT_NE(refused({"mount", "-f", "@", folder.path()}).find(none), std::string::npos) << said;
}

}  // namespace
}  // namespace ninep::test
