// A server that means ill: hostile_server SOCKET WHAT [NUMBER]. WHAT is what it does, as below; in
// all else it is a small server of 9P2000.L whose files are all readable. It ends when it is
// killed.
//
// hostile_server --measure FILE COMMAND...: runs a command, writes the most memory that it had, in
// KiB, to FILE, and ends with its status.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/dispatch.h"

namespace ninep {
namespace {

std::string what;
U64 number = 0;

bool is(Str name) { return what == name; }
bool is_of(Str family) { return what.starts_with(family); }

constexpr U64 kRewritten = 80 << 20;  // bytes: more than a copy that goes on does anew

/// What a file is; by its path alone, as "/d/f".
struct File {
  U32 mode = S_IFREG | 0644;
  U64 size = 4;
  U64 nlink = 1;
  U64 rdev = 0;
  U8 listed_as = DT_UNKNOWN;  // if not what it is; its qid lies too
  U64 born = 0;               // seconds
};
struct Listed {
  std::string name;
  File file;
};

const File kDirectory{.mode = S_IFDIR | 0755, .size = 0};

File file_of(const std::string& path);

/// A tree that can be changed, by paths: of those servers that don't mean ill, but have ways of
/// their own.
std::map<std::string, File> tree;
std::mutex tree_lock;
bool has_tree() { return is("qid-types") || is("no-rename"); }
void make_tree() {
  if (is("no-rename")) tree["/x"] = kDirectory;
  if (!is("qid-types")) return;
  for (const char* const path : {"/d", "/d/e", "/d/e/e"}) tree[path] = kDirectory;
  for (const char* const path : {"/f", "/d/f", "/d/e/e/f"}) tree[path] = File{};
  tree["/d/l"] = File{.mode = S_IFLNK | 0777, .size = 9};
}
std::optional<File> in_tree(const std::string& path) {
  const std::lock_guard lock(tree_lock);
  const auto at = tree.find(path);
  return path == "/"        ? std::optional(kDirectory)
         : at == tree.end() ? std::nullopt
                            : std::optional(at->second);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Names that no file can have, or that do something to a terminal.
const std::vector<std::string> kNames = {"..",
                                         ".",
                                         "",
                                         "a/b",
                                         "/etc/x",
                                         "../outside/evil",
                                         std::string("nul\0byte", 8),
                                         "\033]0;title\a",
                                         "\033[31mred",
                                         "line\r\nbreak",
                                         "c1\302\2331m",
                                         "raw\2331m",
                                         "\377\376",
                                         std::string(65000, 'n'),
                                         "good"};

/// The entry of that number in a directory; none: the end.
std::optional<Listed> entry(const std::string& path, U64 at) {
  const auto file = [&](std::string name) {
    return Listed{name, file_of((path == "/" ? path : path + "/") + name)};
  };
  const auto one_of = [&](std::vector<std::string> names) -> std::optional<Listed> {
    if (at >= names.size()) return std::nullopt;
    return file(names[static_cast<std::size_t>(at)]);
  };
  const bool is_root = path == "/";
  if (has_tree()) {
    std::vector<std::string> names;
    {
      const std::lock_guard lock(tree_lock);
      for (const auto& [one, ignored] : tree)
        if (one.substr(0, one.rfind('/')) == (is_root ? "" : path)) names.push_back(name_of(one));
    }
    return one_of(names);
  }
  if (is("numbers")) return is_root ? one_of({"a", "b", "c", "d", "e", "e2"}) : std::nullopt;
  if (is("names"))
    return is_root && at < kNames.size() ? std::optional(file(kNames[static_cast<std::size_t>(at)]))
                                         : std::nullopt;
  if (is_of("endless") || is("links")) {
    if (!is_root && path != "/d") return std::nullopt;
    if (number != 0 && at >= number) ::_exit(0);
    return file(std::to_string(at) + std::string(is("endless") ? 1000 : 20, 'n'));
  }
  if (is("again")) return is_root ? std::optional(file("f")) : std::nullopt;  // see offset_of()
  if (is("immortal")) return one_of({"f", "g"});
  if (is("deep")) return one_of({"d"});
  if (is("wide")) return one_of({"d1", "d2", "f"});
  if (is("deep-liar")) return one_of({"d"});
  if (is("swap"))
    return is_root ? one_of({"link", "d-link", "d-link", "link", "sub"}) : one_of({"evil"});
  if (is("devices"))
    return is_root ? one_of({"suid", "zero", "sda", "socket", "fifo", "odd", "d-sticky"})
                   : std::nullopt;
  if (is("huge")) return is_root ? one_of({"most", "max", "sign"}) : std::nullopt;
  if (is("readlink")) return is_root ? one_of({"link"}) : std::nullopt;
  return is_root ? one_of({"f"}) : std::nullopt;
}

File file_of(const std::string& path) {
  const std::string name = name_of(path);
  if (path == "/") return kDirectory;
  if (has_tree()) return in_tree(path).value_or(File{});
  // Two of a size, two of a time of birth, and two that are one.
  if (is("numbers"))
    return {
        .size = name == "b" ? U64{3} : U64{4}, .nlink = 2, .born = name == "d" ? U64{2} : U64{1}};
  if (is("deep-liar")) {
    File lie = kDirectory;
    lie.listed_as = DT_REG;
    return lie;
  }
  if (is("links")) return {.nlink = 2};
  if (name.starts_with('d') && !is("names")) return kDirectory;
  if (name == "link") return {.mode = S_IFLNK | 0777, .size = 9};
  if (is("swap") && name == "sub") return kDirectory;
  if (name == "suid") return {.mode = S_IFREG | 06755};
  if (name == "zero") return {.mode = S_IFCHR | 0666, .size = 0, .rdev = 1 << 8 | 5};
  if (name == "sda") return {.mode = S_IFBLK | 0666, .size = 0, .rdev = 8 << 8};
  if (name == "socket") return {.mode = S_IFSOCK | 0666, .size = 0};
  if (name == "fifo") return {.mode = S_IFIFO | 0666, .size = 0};
  if (name == "odd") return {.mode = 06755, .size = 0};
  if (name == "most") return {.size = U64{1} << 63};
  if (name == "max") return {.size = ~U64{0}};
  if (name == "sign") return {.size = (U64{1} << 63) - 1};
  if (is("shrinks")) return {.size = 100'000};
  if (is("grows")) return {.size = 2};
  if (is("rewritten")) return {.size = kRewritten};
  if (is("holds-first")) return {.size = U64{1} << 28};
  if (is("unreadable")) return {.size = U64{1} << 30};
  return {};
}

Qid qid_of(const std::string& path) {
  const U32 mode = file_of(path).mode;
  const U8 type = S_ISDIR(mode) ? kQtDir : S_ISLNK(mode) ? kQtSymlink : kQtFile;
  const U32 version = is("rewritten") ? static_cast<U32>(number) : 1;
  std::string file = path;
  if (is("numbers")) file = path == "/" ? path : path < "/c" ? "/a" : path < "/e" ? "/c" : "/e";
  return {type, version, std::hash<std::string>()(file)};
}

std::string link_target() {
  std::string target = "../outside";
  if (is("readlink")) {
    target.clear();
    while (target.size() < 65000) target += "\033]0;title\a";
  }
  return target;
}

/// The value of an attribute; the list of names.
std::string attribute(const std::string& name) {
  if (is("xattrs-long")) return std::string(1 << 20, 'v');
  if (is("devices")) {
    if (name.empty()) return {"user.ok\0security.capability\0trusted.evil\0system.evil\0", 53};
    if (name == "security.capability")  // cap_dac_override, in effect
      return {"\1\0\0\2\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20};
    return "value";
  }
  return {};
}

// ------------------------------------------------------------------ a connection

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  void serve() {
    if (is("mute")) return wait();
    if (is("noise")) return noise();
    std::vector<std::byte> frame(4 << 20);
    while (receive(Room(frame).first(kHeaderSize))) {
      const Header header = read_header(frame);
      if (header.size < kHeaderSize || header.size > frame.size() ||
          !receive(Room(frame).subspan(kHeaderSize, header.size - kHeaderSize)))
        return;
      const Bytes body = Bytes(frame).subspan(kHeaderSize, header.size - kHeaderSize);
      visit_request(header.type, body, dialect_, [&](const auto& m) { answer(header.tag, m); });
      if (is_over_) return;
    }
  }

 private:
  bool receive(Room room) {
    while (!room.empty()) {
      const ssize_t size = ::read(fd_, room.data(), room.size());
      if (size <= 0) return false;
      room = room.subspan(static_cast<std::size_t>(size));
    }
    return true;
  }
  void wait() {
    std::byte ignored[4096];
    while (::read(fd_, ignored, sizeof ignored) > 0) continue;
  }
  void noise() {
    unsigned seed = static_cast<unsigned>(number);
    std::string bytes(5000, '\0');
    for (char& c : bytes) c = static_cast<char>(::rand_r(&seed));
    send(bytes);
  }
  void send(const std::string& bytes) {
    Bytes rest = std::as_bytes(std::span(bytes));
    while (!rest.empty()) {
      const ssize_t size = ::write(fd_, rest.data(), rest.size());
      if (size <= 0) return;
      rest = rest.subspan(static_cast<std::size_t>(size));
    }
  }
  template <Message R>
  std::string frame(Tag tag, const R& reply) const {
    std::string bytes(frame_size(reply, dialect_), '\0');
    if (encode_frame(tag, reply, dialect_, std::as_writable_bytes(std::span(bytes))) == 0)
      std::abort();
    return bytes;
  }
  template <Message R>
  void say(Tag tag, const R& reply) {
    std::string bytes = frame(tag, reply);
    if constexpr (std::same_as<R, Rattach>) {
      send(bytes);
      if (is("closes-attached")) is_over_ = true;
      return;
    }
    if constexpr (!std::same_as<R, Rversion>) {
      if (is("silent")) return;
      if (is("tags")) bytes = frame(Tag{static_cast<U16>(static_cast<U16>(tag) + 1)}, reply);
      if (is("types")) bytes[4] = static_cast<char>(Describe<Rlock>::code);
      if (is("twice")) bytes += bytes;
      if (is("sizes")) bytes[3] = 0x7F;
      if (is("cut") && bytes.size() > kHeaderSize) {
        bytes.pop_back();
        bytes[0] = static_cast<char>(bytes[0] - 1);
      }
      if (is("late") || is("late-flushed")) {
        kept_[tag] = bytes;
        return;
      }
    }
    send(bytes);
    if (is("closes") && !std::same_as<R, Rversion>) is_over_ = true;
    if (is("closes-walked") && std::same_as<R, Rwalk>) is_over_ = true;
  }
  void refuse(Tag tag, U32 code) {
    if (dialect_ == kDotL) return say(tag, Rlerror{code});
    std::string text;
    while (text.size() < 60'000) text += "\033]0;title\a\033[31m";
    say(tag, Rerror{text, {code}});
  }

  template <Message T>
  void answer(Tag tag, const T& t) {
    if constexpr (std::same_as<T, Tversion>) {
      version(t);
    } else if constexpr (std::same_as<T, Tattach>) {
      paths_[t.fid] = "/";
      say(tag, Rattach{qid_of("/")});
    } else if constexpr (std::same_as<T, Twalk>) {
      walk(tag, t);
    } else if constexpr (std::same_as<T, Tclunk>) {
      paths_.erase(t.fid);
      attributes_.erase(t.fid);
      say(tag, Rclunk{});
    } else if constexpr (std::same_as<T, Tgetattr>) {
      attr(tag, t);
    } else if constexpr (std::same_as<T, Tlopen>) {
      say(tag, Rlopen{qid_of(paths_[t.fid]), 0});
    } else if constexpr (std::same_as<T, Tread>) {
      read(tag, t);
    } else if constexpr (std::same_as<T, Treaddir>) {
      readdir(tag, t);
    } else if constexpr (std::same_as<T, Treadlink>) {
      const std::string target = link_target();
      say(tag, Rreadlink{target});
    } else if constexpr (std::same_as<T, Txattrwalk>) {
      if (is("xattrs-invalid") && !t.name.empty()) return refuse(tag, EINVAL);
      attributes_[t.newfid] = attribute(std::string(t.name));
      say(tag, Rxattrwalk{is("xattr-size") ? U64{1} << 60 : attributes_[t.newfid].size()});
    } else if constexpr (std::same_as<T, Tunlinkat>) {
      unlink(tag, t);
    } else if constexpr (std::same_as<T, Tsymlink>) {
      symlink(tag, t);
    } else if constexpr (std::same_as<T, Trenameat>) {
      refuse(tag, is("no-rename") ? EACCES : EOPNOTSUPP);
    } else if constexpr (std::same_as<T, Tflush>) {
      flush(tag, t);
    } else {
      refuse(tag, EOPNOTSUPP);
    }
  }
  void version(const Tversion& t) {
    static const std::map<Str, std::pair<U32, std::string>> kOdd = {
        {"msize-0", {0, "9P2000.L"}},
        {"msize-small", {255, "9P2000.L"}},
        {"msize-max", {~U32{0}, "9P2000.L"}},
        {"msize-least", {256, "9P2000.L"}},
        {"version-none", {t.msize, ""}},
        {"version-long", {t.msize, std::string(60'000, '\033')}},
        {"version-odd", {t.msize, "9P2000.L\033[31m"}}};
    Rversion reply{t.msize, t.version};
    if (is("text") && t.version != "9P2000.u") reply.version = "unknown";
    if (const auto odd = kOdd.find(what); odd != kOdd.end())
      reply = {odd->second.first, odd->second.second};
    say(kNoTag, reply);
    if (is("text") && t.version == "9P2000.u") dialect_ = kDotU;
  }
  void walk(Tag tag, const Twalk& t) {
    if (is("text")) return refuse(tag, ENOENT);
    Rwalk reply{};
    std::string path = paths_[t.fid];
    for (const Str name : t.wname) {
      path = name == ".." ? "/" : below(path, name);
      if (has_tree() && !in_tree(path)) return refuse(tag, ENOENT);
      reply.wqid.push_back(qid_of(path));
    }
    if (is("walks-far"))
      while (!reply.wqid.full()) reply.wqid.push_back(qid_of(path));
    paths_[t.newfid] = path;
    say(tag, reply);
  }
  static std::string below(const std::string& path, Str name) {
    return (path == "/" ? path : path + "/") + std::string(name);
  }
  void unlink(Tag tag, const Tunlinkat& t) {
    if (!has_tree()) return say(tag, Runlinkat{});
    const std::string path = below(paths_[t.dirfid], t.name);
    const std::lock_guard lock(tree_lock);
    const auto at = tree.find(path);
    if (at == tree.end()) return refuse(tag, ENOENT);
    const bool is_directory = S_ISDIR(at->second.mode);
    if (is_directory != ((t.flags & kUnlinkRemoveDir) != 0))
      return refuse(tag, is_directory ? EISDIR : ENOTDIR);
    if (tree.lower_bound(path + "/") != tree.lower_bound(path + "0")) return refuse(tag, ENOTEMPTY);
    tree.erase(at);
    say(tag, Runlinkat{});
  }
  void symlink(Tag tag, const Tsymlink& t) {
    if (!has_tree()) return refuse(tag, EOPNOTSUPP);
    const std::string path = below(paths_[t.dfid], t.name);
    const std::lock_guard lock(tree_lock);
    const bool is_new = tree.emplace(path, File{.mode = S_IFLNK | 0777, .size = 9}).second;
    if (!is_new) return refuse(tag, EEXIST);
    say(tag, Rsymlink{{kQtSymlink, 1, std::hash<std::string>()(path)}});
  }
  void attr(Tag tag, const Tgetattr& t) {
    const std::string& path = paths_[t.fid];
    const File file = file_of(path);
    Rgetattr reply{};
    reply.valid = getattr::kBasic;
    reply.attr.qid = qid_of(path);
    reply.attr.mode = file.mode;
    reply.attr.nlink = file.nlink;
    reply.attr.rdev = file.rdev;
    reply.attr.size = file.size;
    if (file.born != 0) reply.valid |= getattr::kBtime;
    reply.attr.btime_sec = file.born;
    say(tag, reply);
  }
  void read(Tag tag, const Tread& t) {
    std::string data;
    if (const auto value = attributes_.find(t.fid); value != attributes_.end()) {
      data = value->second;
    } else if (is("huge")) {
      data.assign(t.count, '\0');
      return say(tag, Rread{as_bytes(data)});
    } else if (is("holds-first")) {
      if (t.offset == 0) return;
      data.assign(t.count, 'x');
      return say(tag, Rread{as_bytes(data)});
    } else if (is("unreadable")) {
      return refuse(tag, EIO);
    } else if (is("reads-long")) {
      data.assign(t.count + 1, 'x');
      return say(tag, Rread{as_bytes(data)});
    } else if (is("numbers")) {
      data = name_of(paths_[t.fid]).substr(0, 1) + (paths_[t.fid] == "/b" ? "xx" : "xxx");
    } else if (is("rewritten")) {
      // The first breaks off near the end.
      if (number == 1 && t.offset > kRewritten - (4 << 20)) return refuse(tag, EIO);
      const U64 left = kRewritten - std::min(t.offset, kRewritten);
      data.assign(std::min<U64>(t.count, left), static_cast<char>('0' + number));
      return say(tag, Rread{as_bytes(data)});
    } else if (is("grows")) {
      data.assign(1'000'000, 'x');
    } else {
      data = "evil";
    }
    data.erase(0, std::min<U64>(t.offset, data.size()));
    if (data.size() > t.count) data.resize(t.count);
    say(tag, Rread{as_bytes(data)});
  }
  void readdir(Tag tag, const Treaddir& t) {
    std::vector<std::byte> data(t.count);
    Room room = data;
    const std::string path = paths_[t.fid];
    for (U64 at = t.offset;; ++at) {
      const std::optional<Listed> one = entry(path, at);
      if (!one) break;
      U8 type = static_cast<U8>(IFTODT(one->file.mode));
      Qid qid = qid_of(below(path, one->name));
      if (one->file.listed_as != DT_UNKNOWN) {
        type = one->file.listed_as;
        qid.type = kQtFile;
      }
      if (is("qid-types")) type = qid.type;
      const U64 next = is("again") ? t.offset : at + 1;
      if (!encode_front(Dirent{qid, next, type, one->name}, kDotL, room)) break;
      if (is("again")) break;
    }
    if (is("entries-cut") && room.size() < data.size()) room = Room(data).subspan(20);
    say(tag, Rreaddir{Bytes(data).first(data.size() - room.size())});
  }
  // The request comes to its end after all; before or behind the flush.
  void flush(Tag tag, const Tflush& t) {
    if (is("silent")) return;
    if (is("late")) send(kept_[t.oldtag]);
    send(frame(tag, Rflush{}));
    if (is("late-flushed")) send(kept_[t.oldtag]);
  }

  const int fd_;
  Dialects dialect_ = kDotL;
  bool is_over_ = false;
  std::map<Fid, std::string> paths_;
  std::map<Fid, std::string> attributes_;
  std::map<Tag, std::string> kept_;
};

int measure(const char* file, char** command) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(command[0], command);
    std::perror(command[0]);
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child) return 126;
  std::FILE* const out = std::fopen(file, "w");
  if (!out) return 126;
  std::fprintf(out, "%ld\n", usage.ru_maxrss);
  std::fclose(out);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int serve(const char* path) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 ||
      ::listen(listener, 100) != 0) {
    std::perror(path);
    return 1;
  }
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return 1;
    std::thread([fd] {
      Connection(fd).serve();
      ::close(fd);
    }).detach();
  }
}

}  // namespace
}  // namespace ninep

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (argc > 3 && ninep::Str(argv[1]) == "--measure") return ninep::measure(argv[2], argv + 3);
  if (argc < 3) return 2;
  ninep::what = argv[2];
  if (argc > 3) ninep::number = std::strtoull(argv[3], nullptr, 10);
  ninep::make_tree();
  return ninep::serve(argv[1]);
}
