// A whole client (attachments, files, directories; reconnecting or not) on a server that answers
// with what the input says: mostly replies as they should be, with whatever fields; too late,
// twice, for somebody else, cut off; bytes that are none. The first bytes say how the client is set
// and what it does.
//
// Sockets are real and time isn't: when nobody has anything to do it goes on, so that no patience
// is waited for. What a client was asked for ends in any case, and what it gives is what it
// promises.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "client/together.h"

namespace {
std::chrono::steady_clock::duration now{};
}  // namespace

// Asio's clock, here.
std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
  ::now += std::chrono::microseconds(1);
  return time_point(::now);
}
// Five times as many inputs: where memory came from is asked for when one has failed
// (ASAN_OPTIONS=malloc_context_size=30:detect_stack_use_after_return=1).
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=2:detect_stack_use_after_return=0";
}
// Without timers of the kernel's it looks at that clock.
extern "C" int timerfd_create(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}

namespace ninep {
namespace {

using asio::awaitable;
using client::Attachment;
using client::Expected;
using client::File;
using client::Node;
using client::Stream;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

/// The input, from front to end; then zeros.
class Script {
 public:
  explicit Script(Bytes bytes) : rest_(bytes) {}

  U8 byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<U8>(rest_[0]);
    rest_ = rest_.subspan(1);
    return value;
  }
  template <Integer T>
  T number() {
    U64 value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | byte();
    return static_cast<T>(value);
  }
  Bytes some(std::size_t size) {
    const Bytes front = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(front.size());
    return front;
  }
  /// A few bytes of the input, or many of a kind; good until the next input.
  Str text() {
    const U8 size = byte();
    if (size < 0xF0) return as_str(some(size));
    return texts_.emplace_back((size - 0xEFu) * 4095u, 'n');
  }

 private:
  Bytes rest_;
  std::deque<std::string> texts_;
};

// ------------------------------------------------------------------ replies

void fill(Script& script, Str& s) { s = script.text(); }
void fill(Script& script, Payload& p) { p.bytes = as_bytes(script.text()); }
template <Integer T>
void fill(Script& script, T& value) {
  value = script.number<T>();
}
template <Described R>
void fill(Script& script, R& record) {
  each_field<R>([&](const auto& field) { fill(script, record.*field.at); });
}
template <bool must_agree>
void fill(Script& script, Counted<must_agree>& counted) {
  fill(script, counted.stat);
}
template <Dialects set, class T, Dialects lax>
void fill(Script& script, Only<set, T, lax>& only) {
  fill(script, only.value);
}
template <class T, U16 N>
void fill(Script& script, List<T, N>& list) {
  for (unsigned count = script.byte() % 17; count > 0 && !list.full(); --count) {
    T one{};
    fill(script, one);
    list.push_back(one);
  }
}

constexpr U64 kFileSize = 20'000;  // of each file, unless the input says otherwise
constexpr Str kNames[] = {"f",         "d", ".", "..", "", "a/b", "/etc/passwd", Str("f\0g", 3),
                          "\033]0;x\a"};

/// One connection's server.
class Server {
 public:
  Server(Script& script, int fd) : script_(script), fd_(fd) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { close(); }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// Whether there was anything to do.
  bool step(unsigned& answers) {
    if (fd_ < 0) return false;
    if (deaf_ > 0) {
      --deaf_;
      return true;
    }
    const bool any = receive(answers);
    return send() || any;
  }
  /// Says what it has kept to itself.
  bool speak() {
    if (fd_ < 0 || kept_.empty()) return false;
    out_ += kept_.back();
    kept_.pop_back();
    return true;
  }

 private:
  bool receive(unsigned& answers) {
    std::byte bytes[4096];
    const ssize_t size = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size == 0) close();
    if (size <= 0) return size == 0;
    in_.insert(in_.end(), bytes, bytes + size);
    for (;;) {
      const Split split = split_frame(in_, 1 << 20);
      check(split.front != Front::kBroken, "the client sends what is no frame");
      if (split.front == Front::kIncomplete) return true;
      const std::vector<std::byte> frame(in_.begin(), in_.begin() + static_cast<long>(split.size));
      in_.erase(in_.begin(), in_.begin() + static_cast<long>(split.size));
      const Header header = read_header(frame);
      visit_request(header.type, frame_body(frame), dialect_,
                    [&](const auto& request) { answer(header.tag, request); });
      ++answers;
      if (fd_ < 0) return true;
    }
  }
  bool send() {
    if (out_.empty()) return false;
    const ssize_t size = ::send(fd_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return false;
    if (size < 0)
      close();
    else
      out_.erase(0, static_cast<std::size_t>(size));
    return true;
  }

  template <Message T>
  void answer(Tag tag, const T& request) {
    using R = ReplyTo<T>;
    R reply{};
    well(request, reply);
    const U8 how = script_.byte();
    switch (how % 16) {
      default:
        return say(frame(tag, reply));
      case 6: {  // one of its fields
        unsigned at = script_.byte();
        each_field<R>([&](const auto& field) {
          if (at-- == 0) fill(script_, reply.*field.at);
        });
        return say(frame(tag, reply));
      }
      case 7:
        fill(script_, reply);
        return say(frame(tag, reply));
      case 8:
        return say(error(tag));
      case 9:
        kept_.push_back(frame(tag, reply));
        return;
      case 10:
        say(frame(tag, reply));
        return say(frame(tag, reply));
      case 11:
        return say(frame(Tag{script_.number<U16>()}, reply));
      case 12: {
        std::string other = frame(tag, reply);
        if (other.size() > 4) other[4] = static_cast<char>(script_.byte());
        return say(other);
      }
      case 13:
        return;
      case 14:
        return say(std::string(script_.text()));
      case 15:
        return unwell(how / 16, frame(tag, reply));
    }
  }
  void unwell(unsigned how, std::string frame) {
    switch (how % 5) {
      case 0:
        return close();
      case 1:
        say(frame);
        (void)send();
        return close();
      case 2:
        return say(frame.substr(0, script_.byte()));
      case 3: {  // another size
        const U32 size = script_.number<U32>();
        std::memcpy(frame.data(), &size, std::min(frame.size(), sizeof size));
        return say(frame);
      }
      case 4:
        deaf_ = script_.byte();
        return say(frame);
    }
  }
  void say(const std::string& bytes) { out_ += bytes; }

  std::string error(Tag tag) {
    if (dialect_ == kDotL) return frame(tag, Rlerror{script_.byte()});
    return frame(tag, Rerror{script_.text(), {U32{script_.byte()}}});
  }
  template <Message R>
  std::string frame(Tag tag, const R& reply) const {
    const std::size_t size = frame_size(reply, dialect_);
    if (size > kUnencodable / 2) return "";
    std::string bytes(size, '\0');
    (void)!encode_frame(tag, reply, dialect_, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

  // ---------------------------------------------------------------- as it should be

  static Qid qid(bool directory) { return {directory ? kQtDir : kQtFile, 1, directory ? 1u : 2u}; }
  bool is_directory(Fid fid) const { return directories_.contains(fid); }

  template <class T, class R>
  void well(const T& request, R& reply) {
    if constexpr (requires { reply.qid; }) reply.qid = qid(false);
    if constexpr (std::same_as<T, Tversion>) {
      const U8 which = script_.byte() % 8;
      reply = {request.msize, which == 0   ? request.version
                              : which == 1 ? Str("9P2000.u")
                              : which == 2 ? Str("9P2000")
                              : which == 3 ? Str("unknown")
                                           : request.version};
      dialect_ = reply.version == "9P2000.L"   ? kDotL
                 : reply.version == "9P2000.u" ? kDotU
                                               : k9P2000;
    } else if constexpr (std::same_as<T, Tattach>) {
      directories_.insert(request.fid);
      reply.qid = qid(true);
    } else if constexpr (std::same_as<T, Twalk>) {
      bool directory = is_directory(request.fid);
      for (const Str name : request.wname) {
        directory = name == ".." || name.starts_with('d');
        reply.wqid.push_back(qid(directory));
      }
      if (directory)
        directories_.insert(request.newfid);
      else
        directories_.erase(request.newfid);
    } else if constexpr (requires {
                           request.fid;
                           reply.iounit;
                         }) {
      reply.qid = qid(is_directory(request.fid) && !requires { request.name; });
    } else if constexpr (std::same_as<T, Tgetattr>) {
      const bool directory = is_directory(request.fid);
      reply.valid = request.request_mask;
      reply.attr.qid = qid(directory);
      reply.attr.mode = directory ? 0040755 : 0100644;
      reply.attr.nlink = 1;
      reply.attr.size = kFileSize;
      reply.attr.gen = 7;
    } else if constexpr (std::same_as<T, Tstat>) {
      reply.stat.stat = stat(is_directory(request.fid), "f");
    } else if constexpr (std::same_as<T, Tread>) {
      reply.data = is_directory(request.fid) ? stats(request.offset, request.count)
                                             : content(request.offset, request.count);
    } else if constexpr (std::same_as<T, Treaddir>) {
      reply.data = entries(request.offset, request.count);
    } else if constexpr (std::same_as<T, Twrite>) {
      reply.count = static_cast<U32>(request.data.size());
    } else if constexpr (std::same_as<T, Txattrwalk>) {
      reply.size = 9;
    } else if constexpr (std::same_as<T, Tgetlock>) {
      reply.type = lock::kUnlock;
    } else if constexpr (std::same_as<T, Treadlink>) {
      reply.target = "../f";
    }
  }
  static Stat stat(bool directory, Str name) {
    Stat s{};
    s.qid = qid(directory);
    s.mode = directory ? 0x800001EDu : 0644u;
    s.length = directory ? 0 : kFileSize;
    s.name = name;
    s.uid = s.gid = "u";
    return s;
  }
  Payload content(U64 offset, U32 count) {
    const U64 size = offset < kFileSize ? std::min<U64>(kFileSize - offset, count) : 0;
    data_.assign(static_cast<std::size_t>(size), std::byte{'c'});
    return Bytes(data_);
  }
  // Three names; which they are, the input says.
  Payload entries(U64 offset, U32 count) {
    data_.assign(count, std::byte{});
    Room room = data_;
    for (U64 at = offset; at < 3; ++at) {
      const Str name = kNames[script_.byte() % std::size(kNames)];
      if (!encode_front(Dirent{qid(name == "d"), at + 1, 8, name}, kDotL, room)) break;
    }
    return Bytes(data_).first(data_.size() - room.size());
  }
  Payload stats(U64 offset, U32 count) {
    data_.assign(count, std::byte{});
    Room room = data_;
    if (offset == 0) {
      for (int i = 0; i < 3; ++i) {
        const Str name = kNames[script_.byte() % std::size(kNames)];
        if (!encode_front(stat(name == "d", name), dialect_, room)) break;
      }
    }
    return Bytes(data_).first(data_.size() - room.size());
  }

  Script& script_;
  int fd_;
  Dialects dialect_ = kDotL;
  std::vector<std::byte> in_;
  std::string out_;
  std::vector<std::string> kept_;
  unsigned deaf_ = 0;  // steps
  std::set<Fid> directories_;
  std::vector<std::byte> data_;
};

/// All connections that there are.
class Network {
 public:
  Network(asio::io_context& context, Script& script, bool narrow)
      : context_(context), script_(script), narrow_(narrow) {}

  awaitable<Expected<Stream>> connect() {
    constexpr std::size_t kConnectionsMax = 5;
    if (has_ended_ || servers_.size() == kConnectionsMax)
      co_return client::error(ECONNREFUSED, "connect");
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socketpair");
    const int size = 1;  // the least there is
    if (narrow_) ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    servers_.emplace_back(script_, ends[1]);
    co_return Stream(context_.get_executor(), ends[0], ends[0]);
  }
  bool step() {
    constexpr unsigned kAnswersMax = 3000;
    bool any = false;
    for (Server& server : servers_) any |= server.step(answers_);
    if (answers_ > kAnswersMax) end();
    return any;
  }
  bool speak() {
    for (Server& server : servers_)
      if (server.speak()) return true;
    return false;
  }
  unsigned answers() const { return answers_; }
  /// Nobody is there any more.
  void end() {
    has_ended_ = true;
    for (Server& server : servers_) server.close();
  }

 private:
  asio::io_context& context_;
  Script& script_;
  const bool narrow_;
  std::list<Server> servers_;
  unsigned answers_ = 0;
  bool has_ended_ = false;
};

// ------------------------------------------------------------------ what is asked for

constexpr std::size_t kLarge = 50'000;

awaitable<void> look(Node& root) {
  auto file = co_await root.walk("d/e/f");
  if (!file) co_return;
  (void)co_await file->stat();
  (void)co_await file->readlink();
  (void)co_await file->statfs();
  auto far =
      co_await file->walk("../../d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/f");
  if (far) (void)co_await far->close();
}

awaitable<void> read(Node& root) {
  auto node = co_await root.walk("f");
  if (!node) co_return;
  auto file = co_await node->open(lopen::kReadOnly);
  if (!file) co_return;
  std::vector<std::byte> room(kLarge);
  const auto got = co_await file->read(0, room);
  if (got) check(*got <= room.size(), "more was read than there is room for");
  (void)co_await file->read(~U64{0} - 10, Room(room).first(100));
  (void)co_await file->close();
}

awaitable<void> write(Node& root) {
  auto node = co_await root.walk("f");
  if (!node) co_return;
  auto file = co_await node->open(lopen::kReadWrite | lopen::kTruncate);
  if (!file) co_return;
  const std::vector<std::byte> data(kLarge, std::byte{'w'});
  (void)co_await file->write(5, data);
  (void)co_await file->fsync();
  client::Change change;
  change.size = 3;
  change.mode = 0600;
  change.mtime = timespec{0, UTIME_NOW};
  (void)co_await file->change(change);
  (void)co_await file->close();
}

awaitable<void> list(Node& root) {
  auto node = co_await root.walk("d");
  if (!node) co_return;
  auto directory = co_await node->open_directory();
  if (!directory) co_return;
  for (int i = 0; i < 20; ++i) {
    const auto entries = co_await directory->next();
    if (!entries || entries->empty()) break;
    for (const client::Entry& entry : *entries) {
      check(client::is_name(entry.name), "an entry that no file can be");
      auto found = co_await node->walk(entry.name);
    }
  }
}

awaitable<void> create(Node& root) {
  for (const U32 flags :
       {lopen::kWriteOnly, lopen::kReadWrite | lopen::kExclusive | lopen::kAppend}) {
    auto file = co_await root.create("new", flags, 0644);
    if (!file) continue;
    const std::vector<std::byte> data(9'000, std::byte{'a'});
    (void)co_await file->append(data);
    (void)co_await file->append(Bytes(data).first(3));
    (void)co_await file->close();
  }
}

awaitable<void> name(Node& root) {
  (void)co_await root.mkdir("d", 0755);
  (void)co_await root.symlink("l", "/etc/passwd");
  (void)co_await root.mknod("p", 0010644, 0);
  auto directory = co_await root.walk("d");
  auto file = co_await root.walk("f");
  if (!directory || !file) co_return;
  (void)co_await directory->link("hard", *file);
  (void)co_await root.rename("f", *directory, "g", &*file);
  (void)co_await file->stat();
  (void)co_await directory->remove("g");
  (void)co_await root.remove("d", true);
  (void)co_await file->stat();
}

awaitable<void> attribute(Node& root) {
  auto file = co_await root.walk("f");
  if (!file) co_return;
  (void)co_await file->xattrs();
  (void)co_await file->xattr("user.a");
  (void)co_await file->set_xattr("user.a", std::string(10'000, 'v'), kXattrCreate);
  (void)co_await file->set_xattr("user.b", "v");
  (void)co_await file->remove_xattr("user.a");
}

awaitable<void> lock(Node& root) {
  auto node = co_await root.walk("f");
  if (!node) co_return;
  auto file = co_await node->open(lopen::kReadWrite);
  if (!file) co_return;
  const client::Lock all{lock::kWrite, 0, 0, 1, "c"};
  const client::Lock part{lock::kRead, 100, 10, 1, "c"};
  (void)co_await file->lock(all, false);
  (void)co_await file->unlock(part);
  (void)co_await file->lock(part, true);
  (void)co_await file->test_lock(part);
  std::vector<std::byte> room(10);
  (void)co_await file->read(0, room);
  (void)co_await file->unlock(all);
}

constexpr awaitable<void> (*kActions[])(Node&) = {look,   read, write,     list,
                                                  create, name, attribute, lock};

/// The client, its work, and what may cancel that.
struct Use {
  std::vector<U8> actions;
  client::Options options;
  bool again = false;
  client::Group* group = nullptr;  // while they work
};

awaitable<void> use(Network& network, Use& use) {
  const auto connect = [&network](std::chrono::milliseconds) { return network.connect(); };
  auto attachment = co_await Attachment::make(connect, use.again, use.options);
  if (!attachment) co_return;
  auto handle = co_await (*attachment)->root();
  if (!handle) co_return;
  Node root(*attachment, std::move(*handle));
  client::Group group(co_await asio::this_coro::executor);
  for (const U8 action : use.actions) group.spawn(kActions[action % std::size(kActions)](root));
  use.group = &group;
  co_await group.all_done();
  use.group = nullptr;
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  now = std::chrono::hours(1);
  Script script(std::as_bytes(std::span(input, size)));
  constexpr Dialects kDialects[] = {kAny, kDotL, kDotU, k9P2000};
  constexpr U32 kMsizes[] = {8192, 256, 4096, 1 << 17};
  Use work;
  const U8 how = script.byte();
  work.options.session.dialects = kDialects[how & 3];
  work.options.session.msize = kMsizes[how >> 2 & 3];
  work.options.session.requests_max = how & 0x10 ? 2 : 64;
  work.again = (how & 0x20) != 0;
  work.options.reconnect_patience = std::chrono::seconds(work.again ? 20 : 0);
  work.options.user.uid = 0;
  U8 cancelled = script.byte();  // after so many answers; 0: never
  for (unsigned count = 1 + script.byte() % 4; count > 0; --count)
    work.actions.push_back(script.byte());

  asio::io_context context(1);
  Network network(context, script, (how & 0x40) != 0);
  bool over = false;
  asio::co_spawn(context, use(network, work), [&](std::exception_ptr thrown) {
    check(!thrown, "an exception");
    over = true;
  });
  constexpr unsigned kPatience = 40;
  for (unsigned idle = 0;;) {
    context.restart();
    const bool any = context.poll() != 0;
    if (network.step() || any) {
      if (cancelled != 0 && network.answers() >= cancelled && work.group) {
        work.group->cancel();
        cancelled = 0;
      }
      continue;
    }
    if (over && context.stopped()) break;
    if (network.speak()) continue;
    // What the client waits for comes, or its patience ends.
    now += std::chrono::seconds(1 + 8 * idle);
    check(++idle < 3 * kPatience, "the client doesn't end");
    if (over || idle > kPatience) network.end();
  }
  return 0;
}
