#include "tests/client/old_dialects/server.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/check.h"
#include "proto/dispatch.h"
#include "tests/bytes.h"

namespace ninep::test {
namespace {

constexpr U32 kDir = 0x80000000, kAppend = 0x40000000, kExclusive = 0x20000000, kTmp = 0x04000000;
constexpr U32 kSymlink = 0x02000000, kLink = 0x01000000, kDevice = 0x00800000;
constexpr U32 kPipe = 0x00200000, kSocket = 0x00100000;
constexpr U32 kUnixTypes = kSymlink | kDevice | kPipe | kSocket;
constexpr U32 kUnixBits = 0x000D0000;  // setuid, setgid, sticky
constexpr U32 kUntouched = 0xFFFFFFFF;
constexpr U8 kTruncate = 0x10;

struct File {
  U64 path;
  U32 version = 0;
  U32 mode;
  U32 atime, mtime;
  U32 n_uid = 1000, n_gid = 100;
  std::string content, extension;
  std::map<std::string, std::shared_ptr<File>> entries;
  std::weak_ptr<File> parent;  // of a directory
  int opened = 0;

  bool is_directory() const { return (mode & kDir) != 0; }
  Qid qid() const { return {static_cast<U8>(mode >> 24), version, path}; }
};
using FilePtr = std::shared_ptr<File>;

struct Refused {
  Str text;
  int code;
};
[[noreturn]] void refuse(Str text, int code) { throw Refused{text, code}; }
/// What a client must not do.
struct Wrong {
  Str text;
};
[[noreturn]] void wrong(Str text) { throw Wrong{text}; }

U32 now() { return static_cast<U32>(std::time(nullptr)); }

Stat stat_of(const File& file, Str name) {
  Stat s{};
  s.qid = file.qid();
  s.mode = file.mode;
  s.atime = file.atime;
  s.mtime = file.mtime;
  s.length = file.is_directory() ? 0 : file.content.size();
  s.name = name;
  s.uid = s.muid = "glenda";
  s.gid = "sys";
  s.extension = Str(file.extension);
  s.n_uid = file.n_uid;
  s.n_gid = file.n_gid;
  s.n_muid = file.n_uid;
  return s;
}

}  // namespace

struct OldServer::State {
  explicit State(Options o) : options(o) {
    root = make(kDir | 0777);
    root->parent = root;
  }
  FilePtr make(U32 mode) {
    auto file = std::make_shared<File>();
    file->path = next_path++;
    file->mode = mode;
    file->atime = file->mtime = now();
    return file;
  }
  FilePtr find(const std::string& path) const {
    FilePtr at = root;
    for (std::size_t begin = 0; at && begin < path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const auto entry = at->entries.find(path.substr(begin, end - begin));
      at = entry == at->entries.end() ? nullptr : entry->second;
      begin = end + 1;
    }
    return at;
  }

  const Options options;
  int listener = -1;
  std::atomic<int> lost_type{0};
  mutable std::mutex mutex;  // guards the rest
  U64 next_path = 1;
  FilePtr root;
  std::vector<std::string> versions, users, complaints;
  std::size_t fids = 0;
  std::list<std::pair<int, std::thread>> connections;
  std::thread accepting;
};

// ------------------------------------------------------------------ one connection

class OldServer::Connection {
 public:
  Connection(State& state, int fd) : state_(state), fd_(fd) {}
  ~Connection() { forget_all(); }

  void serve() {
    std::vector<std::byte> frame;
    while (receive(frame)) {
      std::vector<std::byte> reply;
      {
        const std::lock_guard lock(state_.mutex);
        reply = answer(frame);
      }
      if (reply.empty()) return;
      int type = static_cast<int>(reply[4]);
      if (state_.lost_type.compare_exchange_strong(type, 0)) return;
      if (::send(fd_, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

 private:
  struct Known {
    FilePtr file, parent;
    std::string name;
    int mode = -1;  // of Topen; -1: not open
    std::vector<std::vector<std::byte>> listing;
    std::size_t listed = 0;
    U64 offset = 0;  // of the next directory read
  };

  bool receive(std::vector<std::byte>& frame) {
    U32 size;
    if (::recv(fd_, &size, sizeof size, MSG_WAITALL) != sizeof size) return false;
    if (size < kHeaderSize || size > msize_) {
      const std::lock_guard lock(state_.mutex);
      state_.complaints.push_back("a message of " + std::to_string(size) + " bytes");
      return false;
    }
    frame.resize(size);
    std::memcpy(frame.data(), &size, sizeof size);
    const auto rest = static_cast<ssize_t>(size - sizeof size);
    return ::recv(fd_, frame.data() + sizeof size, size - sizeof size, MSG_WAITALL) == rest;
  }

  // Nothing: the connection ends.
  std::vector<std::byte> answer(Bytes frame) {
    const Header header = read_header(frame);
    tag_ = header.tag;
    const Dialects dialect = dialect_ == kNone ? kAny : dialect_;
    const bool is_version = header.type == Describe<Tversion>::code;
    try {
      if (dialect_ == kNone && !is_version) wrong("a message before Tversion");
      std::vector<std::byte> reply;
      const auto take = [&](const auto& message) { reply = this->reply(message); };
      const Outcome outcome = visit_request(header.type, frame_body(frame), dialect, take);
      if (outcome != Outcome::kDone) wrong("a message that is none");
      return reply;
    } catch (const Refused& refused) {
      return error(refused.text, refused.code);
    } catch (const Wrong& it) {
      state_.complaints.push_back(std::string(message_name(header.type)) + ": " +
                                  std::string(it.text));
      return error(it.text, EINVAL);
    }
  }
  std::vector<std::byte> error(Str text, int code) const {
    return frame_of(tag_, Rerror{text, static_cast<U32>(code)},
                    dialect_ == kNone ? k9P2000 : dialect_);
  }
  template <Message R>
  std::vector<std::byte> done(const R& r) const {
    return frame_of(tag_, r, dialect_);
  }

  // ---------------------------------------------------------------- fids

  Known& known(Fid fid) {
    const auto at = fids_.find(fid);
    if (at == fids_.end()) wrong("unknown fid");
    return at->second;
  }
  void add(Fid fid, Known known) {
    if (fid == kNoFid) wrong("NOFID");
    if (!fids_.emplace(fid, std::move(known)).second) wrong("fid already in use");
    ++state_.fids;
  }
  void forget(Fid fid) {
    const Known& it = known(fid);
    if (it.mode >= 0) --it.file->opened;
    fids_.erase(fid);
    --state_.fids;
  }
  void forget_all() {
    const std::lock_guard lock(state_.mutex);
    while (!fids_.empty()) forget(fids_.begin()->first);
    ::close(fd_);
    for (auto& connection : state_.connections)
      if (connection.first == fd_) connection.first = -1;
  }
  void open(Known& it, U8 mode) {
    it.mode = mode;
    ++it.file->opened;
  }
  static void check_name(Str name) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != Str::npos)
      wrong("illegal name");
  }

  // ---------------------------------------------------------------- messages

  std::vector<std::byte> reply(const Tversion& t) {
    state_.versions.emplace_back(t.version);
    if (tag_ != kNoTag) wrong("Tversion with a tag");
    while (!fids_.empty()) forget(fids_.begin()->first);
    const Options& options = state_.options;
    dialect_ = t.version == "9P2000"                        ? k9P2000
               : t.version == dialect_name(options.dialect) ? options.dialect
                                                            : kNone;
    const U32 msize = std::min(t.msize, options.msize_max);
    if (dialect_ == kNone) {
      switch (options.refusal) {
        case Refusal::kSaysUnknown:
          return frame_of(tag_, Rversion{msize, "unknown"}, k9P2000);
        case Refusal::kSaysItsOwn:
          dialect_ = options.dialect;
          break;
        case Refusal::kSendsAnError:
          return frame_of(tag_, Rerror{"unknown protocol version", EINVAL}, options.dialect);
        case Refusal::kCloses:
          return {};
      }
    }
    msize_ = msize;
    return done(Rversion{msize, dialect_name(dialect_)});
  }
  std::vector<std::byte> reply(const Tauth&) { refuse("authentication not required", ENOENT); }
  std::vector<std::byte> reply(const Tattach& t) {
    if (t.afid != kNoFid) wrong("unknown afid");
    if (!t.aname.empty()) refuse("unknown specifier in attach", ENOENT);
    const std::string number =
        t.n_uname.value == kNoNumericUid ? "-" : std::to_string(t.n_uname.value);
    state_.users.push_back(std::string(t.uname) + " " + number);
    if (t.uname.empty() && t.n_uname.value == kNoNumericUid) refuse("unknown user", EINVAL);
    add(t.fid, {state_.root, state_.root, "/"});
    return done(Rattach{state_.root->qid()});
  }
  std::vector<std::byte> reply(const Tflush&) { return done(Rflush{}); }

  std::vector<std::byte> reply(const Twalk& t) {
    const Known& from = known(t.fid);
    if (from.mode >= 0) wrong("cannot walk from an open fid");
    if (t.newfid != t.fid && fids_.contains(t.newfid)) wrong("fid already in use");
    Known at{from.file, from.parent, from.name};
    Rwalk r{};
    for (const Str name : t.wname) {
      const bool is_up = name == "..";
      if (!is_up) check_name(name);
      if (!at.file->is_directory()) {
        if (r.wqid.size() == 0) refuse("not a directory", ENOTDIR);
        return done(r);
      }
      const auto entry = at.file->entries.find(std::string(name));
      if (!is_up && entry == at.file->entries.end()) {
        if (r.wqid.size() == 0) refuse("file does not exist", ENOENT);
        return done(r);
      }
      if (is_up)
        at = {at.file->parent.lock(), state_.root, "/"};
      else
        at = {entry->second, at.file, entry->first};
      r.wqid.push_back(at.file->qid());
    }
    if (t.newfid == t.fid)
      fids_[t.fid] = std::move(at);
    else
      add(t.newfid, std::move(at));
    return done(r);
  }

  std::vector<std::byte> reply(const Topen& t) {
    Known& it = known(t.fid);
    File& file = *it.file;
    if (it.mode >= 0) wrong("file already open");
    if (t.mode & ~(3 | kTruncate)) wrong("illegal mode");
    const U8 access = t.mode & 3;
    const bool writes = access == 1 || access == 2 || (t.mode & kTruncate);
    if (file.is_directory() && t.mode != 0) refuse("is a directory", EISDIR);
    if (file.mode & kSymlink) refuse("too many symbolic links", ELOOP);
    if (file.mode & kUnixTypes) refuse("no access to special file", EPERM);
    if ((file.mode & kExclusive) && file.opened > 0)
      refuse("exclusive use file already open", EBUSY);
    if ((writes && !(file.mode & 0200)) || (access != 1 && !(file.mode & 0400)))
      refuse("permission denied", EACCES);
    if ((t.mode & kTruncate) && !(file.mode & kAppend)) {
      file.content.clear();
      ++file.version;
    }
    open(it, t.mode);
    return done(Ropen{file.qid(), 0});
  }

  FilePtr made(const Tcreate& t, const File& directory) {
    const bool is_dot_u = dialect_ == kDotU;
    const U32 known =
        kDir | kAppend | kExclusive | kTmp | 0777 | (is_dot_u ? kUnixTypes | kUnixBits | kLink : 0);
    if (t.perm & ~known) wrong("illegal permissions");
    if ((t.perm & kDir) && t.mode != 0) wrong("a directory is opened for reading");
    const Str extension = t.extension.value;
    unsigned major, minor;
    char kind, more;
    if (t.perm & kLink) {
      unsigned fid;
      if (std::sscanf(std::string(extension).c_str(), "%u%c", &fid, &more) != 1)
        wrong("a link to no fid");
      const FilePtr& file = this->known(Fid{fid}).file;
      if (file->is_directory()) refuse("is a directory", EPERM);
      return file;
    }
    if ((t.perm & kDevice) && (std::sscanf(std::string(extension).c_str(), "%c %u %u%c", &kind,
                                           &major, &minor, &more) != 3 ||
                               (kind != 'b' && kind != 'c')))
      wrong("a device without numbers");
    if (!extension.empty() && !(t.perm & (kDevice | kSymlink))) wrong("a needless extension");
    const U32 allowed = t.perm & kDir ? 0777 : 0666;
    const U32 mode = t.perm & (~allowed | (directory.mode & allowed));
    const FilePtr file = state_.make(mode);
    file->extension = extension;
    return file;
  }
  std::vector<std::byte> reply(const Tcreate& t) {
    Known& it = known(t.fid);
    if (it.mode >= 0) wrong("file already open");
    if (!it.file->is_directory()) refuse("create in non-directory", ENOTDIR);
    check_name(t.name);
    const std::string name(t.name);
    FilePtr& entry = it.file->entries[name];
    if (entry && !state_.options.opens_existing) refuse("file already exists", EEXIST);
    if (!entry) {
      try {
        entry = made(t, *it.file);
      } catch (...) {
        it.file->entries.erase(name);
        throw;
      }
      if (entry->is_directory()) entry->parent = it.file;
      it.file->mtime = now();
      ++it.file->version;
    }
    it = {entry, it.file, name};
    open(it, t.mode);
    return done(Rcreate{it.file->qid(), 0});
  }

  std::vector<std::byte> reply(const Tread& t) {
    Known& it = known(t.fid);
    if (it.mode < 0 || (it.mode & 3) == 1) wrong("file not open for reading");
    if (t.count > msize_ - kReadHeaderSize) wrong("count too large");
    if (!it.file->is_directory()) {
      const std::string& content = it.file->content;
      const std::size_t at = std::min<U64>(t.offset, content.size());
      return done(Rread{as_bytes(Str(content).substr(at, t.count))});
    }
    if (t.offset == 0) {
      it.listing.clear();
      it.listed = 0;
      for (const auto& [name, file] : it.file->entries) {
        const Stat s = stat_of(*file, name);
        std::vector<std::byte>& record = it.listing.emplace_back(field_size(s, dialect_));
        Room room(record);
        NINEP_CHECK(encode_front(s, dialect_, room));
      }
      it.offset = 0;
    }
    if (t.offset != it.offset) wrong("bad offset in directory read");
    std::vector<std::byte> data;
    while (it.listed < it.listing.size()) {
      const std::vector<std::byte>& record = it.listing[it.listed];
      if (data.size() + record.size() > t.count) break;
      data.insert(data.end(), record.begin(), record.end());
      ++it.listed;
    }
    if (data.empty() && it.listed < it.listing.size()) wrong("count too small for an entry");
    it.offset += data.size();
    return done(Rread{Bytes(data)});
  }
  std::vector<std::byte> reply(const Twrite& t) {
    const Known& it = known(t.fid);
    if (it.mode < 0 || ((it.mode & 3) != 1 && (it.mode & 3) != 2))
      wrong("file not open for writing");
    File& file = *it.file;
    const U64 at = file.mode & kAppend ? file.content.size() : t.offset;
    if (at + t.data.size() > (64u << 20)) refuse("file system is full", ENOSPC);
    if (file.content.size() < at + t.data.size()) file.content.resize(at + t.data.size());
    file.content.replace(at, t.data.size(), as_str(t.data.bytes));
    ++file.version;
    file.mtime = now();
    return done(Rwrite{static_cast<U32>(t.data.size())});
  }
  std::vector<std::byte> reply(const Tclunk& t) {
    forget(t.fid);
    return done(Rclunk{});
  }
  std::vector<std::byte> reply(const Tremove& t) {
    const Known it = known(t.fid);
    forget(t.fid);
    if (it.file == state_.root) refuse("cannot remove root", EPERM);
    if (!it.file->entries.empty()) refuse("directory not empty", ENOTEMPTY);
    const auto entry = it.parent->entries.find(it.name);
    if (entry == it.parent->entries.end() || entry->second != it.file)
      refuse("file has been removed", ENOENT);
    it.parent->entries.erase(entry);
    it.parent->mtime = now();
    return done(Rremove{});
  }
  std::vector<std::byte> reply(const Tstat& t) {
    const Known& it = known(t.fid);
    return done(Rstat{{stat_of(*it.file, it.name)}});
  }

  // All of it, or nothing.
  std::vector<std::byte> reply(const Twstat& t) {
    Known& it = known(t.fid);
    File& file = *it.file;
    const Stat& s = t.stat.stat;
    if (s.type != 0xFFFF || s.dev != kUntouched || s.qid.type != 0xFF ||
        s.qid.version != kUntouched || s.qid.path != ~U64{0} || !s.muid.empty() || !s.uid.empty())
      wrong("attempt to change what can't be changed");
    if (!s.extension.value.empty()) wrong("attempt to change an extension");
    if (dialect_ == kDotU && s.n_muid.value != kUntouched) wrong("attempt to change n_muid");
    const U32 types = kDir | (dialect_ == kDotU ? kUnixTypes : 0);
    if (s.mode != kUntouched && ((s.mode ^ file.mode) & types)) wrong("attempt to change a type");
    if (s.length != ~U64{0} && file.is_directory()) refuse("is a directory", EISDIR);
    if (s.atime != kUntouched && dialect_ != kDotU && !state_.options.sets_atime)
      refuse("attempt to change atime", EPERM);
    if (!s.name.empty()) {
      check_name(s.name);
      if (it.file == state_.root) refuse("cannot rename root", EPERM);
      if (it.parent->entries.contains(std::string(s.name)) && s.name != it.name)
        refuse("file already exists", EEXIST);
    }
    if (!s.name.empty()) {
      it.parent->entries.erase(it.name);
      it.name = s.name;
      it.parent->entries[it.name] = it.file;
    }
    if (s.mode != kUntouched) file.mode = s.mode;
    if (s.length != ~U64{0}) file.content.resize(s.length);
    if (s.atime != kUntouched) file.atime = s.atime;
    if (s.mtime != kUntouched) file.mtime = s.mtime;
    if (dialect_ == kDotU && s.n_uid.value != kUntouched) file.n_uid = s.n_uid;
    if (dialect_ == kDotU && s.n_gid.value != kUntouched) file.n_gid = s.n_gid;
    return done(Rwstat{});
  }
  template <Message T>
  std::vector<std::byte> reply(const T&) {
    refuse("not supported", EOPNOTSUPP);
  }

  State& state_;
  const int fd_;
  Dialects dialect_ = kNone;
  U32 msize_ = 8192;
  Tag tag_{};
  std::map<Fid, Known> fids_;
};

// ------------------------------------------------------------------ the server

OldServer::OldServer(std::string address, Options options)
    : state_(std::make_unique<State>(options)) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  NINEP_CHECK(address.size() < sizeof name.sun_path);
  std::memcpy(name.sun_path, address.c_str(), address.size());
  state_->listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NINEP_CHECK(::bind(state_->listener, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
  NINEP_CHECK(::listen(state_->listener, 16) == 0);
  state_->accepting = std::thread([this] { accept_all(); });
}

OldServer::~OldServer() {
  ::shutdown(state_->listener, SHUT_RDWR);
  state_->accepting.join();
  cut();
  for (auto& connection : state_->connections) connection.second.join();
  ::close(state_->listener);
}

void OldServer::accept_all() {
  for (;;) {
    const int fd = ::accept4(state_->listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(state_->mutex);
    state_->connections.emplace_back(fd, std::thread([this, fd] {
                                       Connection connection(*state_, fd);
                                       connection.serve();
                                     }));
  }
}

void OldServer::cut() {
  const std::lock_guard lock(state_->mutex);
  for (const auto& connection : state_->connections)
    if (connection.first >= 0) ::shutdown(connection.first, SHUT_RDWR);
}

void OldServer::lose_reply(U8 type) { state_->lost_type = type; }
bool OldServer::has_lost() const { return state_->lost_type == 0; }

void OldServer::put(const std::string& path, U32 mode, const std::string& content,
                    const std::string& extension) {
  const std::lock_guard lock(state_->mutex);
  const std::size_t slash = path.rfind('/');
  const FilePtr in = slash == path.npos ? state_->root : state_->find(path.substr(0, slash));
  NINEP_CHECK(in);
  const FilePtr file = in->entries[path.substr(slash + 1)] = state_->make(mode);
  file->content = content;
  file->extension = extension;
  file->parent = in;
}

std::optional<OldServer::Facts> OldServer::facts(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  const FilePtr f = state_->find(path);
  if (!f) return std::nullopt;
  return Facts{f->mode, f->atime, f->mtime, f->n_uid, f->n_gid, f->path, f->content, f->extension};
}

std::vector<std::string> OldServer::versions() const {
  const std::lock_guard lock(state_->mutex);
  return state_->versions;
}
std::vector<std::string> OldServer::users() const {
  const std::lock_guard lock(state_->mutex);
  return state_->users;
}
std::vector<std::string> OldServer::complaints() const {
  const std::lock_guard lock(state_->mutex);
  return state_->complaints;
}
std::size_t OldServer::fids() const {
  const std::lock_guard lock(state_->mutex);
  return state_->fids;
}

}  // namespace ninep::test
