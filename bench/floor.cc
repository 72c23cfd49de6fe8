// ninep_floor: the least that a 9P2000.L server can do. One thread, epoll, all requests of a
// receive answered by one send, the file system calls of each request and nothing else: no
// permission checks, no containment, no limits. For bench/run, to compare with; never for anybody's
// files.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/bench/error.h"
#include "proto/dispatch.h"

namespace {

using namespace ninep;
using ninep::bench::give_up_errno;

constexpr U32 kMsizeMax = 1 << 20;
constexpr std::size_t kBuffer = 2 * kMsizeMax;
constexpr std::size_t kSendAt = 256 << 10;

int root = -1;

struct File {
  std::string path;  // from the root; "" is the root
  int fd = -1;
  U64 listed_to = 0;  // of a directory: where its fd stands
};

class Session {
 public:
  explicit Session(int socket) : socket_(socket) {}
  ~Session() {
    for (File& file : files_) close_file(file);
    close(socket_);
  }

  /// One receive, all its requests, one send. False when the client is gone.
  bool serve() {
    if (kBuffer - begin_ < kMsizeMax) {
      std::copy(&in_[begin_], &in_[end_], &in_[0]);
      end_ -= begin_;
      begin_ = 0;
    }
    const ssize_t n = recv(socket_, &in_[end_], kBuffer - end_, 0);
    if (n <= 0) return false;
    end_ += static_cast<std::size_t>(n);
    for (;;) {
      const Bytes left(&in_[begin_], end_ - begin_);
      const Split split = split_frame(left, kMsizeMax);
      if (split.front == Front::kBroken) return false;
      if (split.front == Front::kIncomplete) break;
      begin_ += split.size;
      const Header header = read_header(left);
      tag_ = header.tag;
      if (visit_request(header.type, frame_body(left.first(split.size)), kDotL, *this) !=
          Outcome::kDone)
        return false;
      if (filled_ >= kSendAt && !send_all()) return false;
    }
    if (begin_ == end_) begin_ = end_ = 0;
    return send_all();
  }

  void operator()(const Tversion& t) {
    msize_ = std::min(t.msize, kMsizeMax);
    reply(Rversion{msize_, t.version});
  }
  void operator()(const Tattach& t) {
    at(t.fid).path = "";
    reply(Rattach{});
  }
  void operator()(const Twalk& t) {
    Rwalk r{};
    std::string path = at(t.fid).path;
    for (const Str name : t.wname) {
      if (!path.empty()) path += '/';
      path += name;
      struct stat st;
      if (fstatat(root, path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_with_errno();
      r.wqid.push_back(qid(st));
    }
    at(t.newfid).path = std::move(path);
    reply(r);
  }
  void operator()(const Tgetattr& t) {
    const File& file = at(t.fid);
    struct stat st;
    if (fstatat(file.fd >= 0 ? file.fd : root, file.fd >= 0 ? "" : file.path.c_str(), &st,
                AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
      return fail_with_errno();
    Rgetattr r{};
    r.valid = getattr::kBasic;
    r.attr.qid = qid(st);
    r.attr.mode = st.st_mode;
    r.attr.uid = st.st_uid;
    r.attr.gid = st.st_gid;
    r.attr.nlink = st.st_nlink;
    r.attr.size = static_cast<U64>(st.st_size);
    r.attr.blksize = static_cast<U64>(st.st_blksize);
    r.attr.blocks = static_cast<U64>(st.st_blocks);
    r.attr.mtime_sec = static_cast<U64>(st.st_mtim.tv_sec);
    reply(r);
  }
  void operator()(const Tlopen& t) {
    if (!open_file(at(t.fid), static_cast<int>(t.flags))) return fail_with_errno();
    reply(Rlopen{{}, 0});
  }
  void operator()(const Tlcreate& t) {
    File& file = at(t.fid);
    file.path = file.path.empty() ? std::string(t.name) : file.path.append("/").append(t.name);
    if (!open_file(file, static_cast<int>(t.flags) | O_CREAT, t.mode)) return fail_with_errno();
    reply(Rlcreate{{}, 0});
  }
  void operator()(const Tread& t) {
    const Room room = out_room().first(kReadHeaderSize + t.count);
    const ssize_t n =
        pread(at(t.fid).fd, room.data() + kReadHeaderSize, t.count, static_cast<off_t>(t.offset));
    if (n < 0) return fail_with_errno();
    encode_payload_head<Rread>(tag_, static_cast<U32>(n), room);
    filled_ += kReadHeaderSize + static_cast<U64>(n);
  }
  void operator()(const Twrite& t) {
    const ssize_t n =
        pwrite(at(t.fid).fd, t.data.bytes.data(), t.data.size(), static_cast<off_t>(t.offset));
    if (n < 0) return fail_with_errno();
    reply(Rwrite{static_cast<U32>(n)});
  }
  void operator()(const Treaddir& t) { list(at(t.fid), t); }
  void operator()(const Tclunk& t) {
    close_file(at(t.fid));
    reply(Rclunk{});
  }
  void operator()(const Tmkdir& t) {
    if (mkdirat(root, child(t.dfid, t.name).c_str(), t.mode) != 0) return fail_with_errno();
    reply(Rmkdir{});
  }
  void operator()(const Tunlinkat& t) {
    if (unlinkat(root, child(t.dirfid, t.name).c_str(), static_cast<int>(t.flags)) != 0)
      return fail_with_errno();
    reply(Runlinkat{});
  }
  void operator()(const Tstatfs&) {
    struct statfs st;
    if (fstatfs(root, &st) != 0) return fail_with_errno();
    reply(Rstatfs{static_cast<U32>(st.f_type), static_cast<U32>(st.f_bsize), st.f_blocks,
                  st.f_bfree, st.f_bavail, st.f_files, st.f_ffree, 0,
                  static_cast<U32>(st.f_namelen)});
  }
  void operator()(const Txattrwalk& t) {
    const std::string path = "/proc/self/fd/" + std::to_string(root) + "/" + at(t.fid).path;
    const ssize_t n = lgetxattr(path.c_str(), std::string(t.name).c_str(), nullptr, 0);
    if (n < 0) return fail_with_errno();
    reply(Rxattrwalk{static_cast<U64>(n)});
  }
  void operator()(const Tflush&) { reply(Rflush{}); }
  template <Message T>
  void operator()(const T&) {
    reply(Rlerror{EOPNOTSUPP});
  }

 private:
  static Qid qid(const struct stat& st) {
    return {S_ISDIR(st.st_mode) ? U8{kQtDir} : U8{kQtFile}, 0, st.st_ino};
  }
  File& at(Fid fid) {
    const std::size_t index = static_cast<U32>(fid) % 65536;
    if (index >= files_.size()) files_.resize(index + 1);
    return files_[index];
  }
  std::string child(Fid fid, Str name) {
    const std::string& path = at(fid).path;
    return path.empty() ? std::string(name) : path + '/' + std::string(name);
  }
  bool open_file(File& file, int flags, U32 mode = 0) {
    file.fd = openat(root, file.path.empty() ? "." : file.path.c_str(), flags | O_CLOEXEC, mode);
    file.listed_to = 0;
    return file.fd >= 0;
  }
  void close_file(File& file) {
    if (file.fd >= 0) close(file.fd);
    file.fd = -1;
  }
  void list(File& file, const Treaddir& t) {
    if (file.listed_to != t.offset) lseek(file.fd, static_cast<off_t>(t.offset), SEEK_SET);
    // A dirent of the kernel is at most as large as the one on the wire where names are short.
    alignas(dirent64) static char entries[32768];
    const Room room = out_room().first(kReadHeaderSize + t.count);
    Room left = room.subspan(kReadHeaderSize);
    file.listed_to = t.offset;
    while (left.size() >= sizeof entries) {
      const long n = syscall(SYS_getdents64, file.fd, entries, sizeof entries);
      if (n < 0) return fail_with_errno();
      if (n == 0) break;
      for (long i = 0; i < n;) {
        const auto& d = *reinterpret_cast<const dirent64*>(entries + i);
        const U8 type = d.d_type == DT_DIR ? U8{kQtDir} : U8{kQtFile};
        const Dirent entry{{type, 0, d.d_ino},
                           static_cast<U64>(d.d_off),
                           d.d_type,
                           static_cast<const char*>(d.d_name)};
        if (!encode_front(entry, kDotL, left)) return reply(Rlerror{EIO});
        file.listed_to = static_cast<U64>(d.d_off);
        i += d.d_reclen;
      }
    }
    const std::size_t count = t.count - left.size();
    encode_payload_head<Rreaddir>(tag_, static_cast<U32>(count), room);
    filled_ += kReadHeaderSize + count;
  }

  /// All that is left: a reply always fits, for sending begins long before the end.
  Room out_room() { return {&out_[filled_], kBuffer - filled_}; }
  template <Message R>
  void reply(const R& r) {
    filled_ += encode_frame(tag_, r, kDotL, out_room());
  }
  void fail_with_errno() { reply(Rlerror{static_cast<U32>(errno)}); }
  bool send_all() {
    for (std::size_t sent = 0; sent < filled_;) {
      const ssize_t n = send(socket_, &out_[sent], filled_ - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    filled_ = 0;
    return true;
  }

  int socket_;
  U32 msize_ = kMsizeMax;
  Tag tag_{};
  std::vector<File> files_;
  // Not touched before they are needed: a connection that is opened and closed pays for a page.
  std::unique_ptr<std::byte[]> in_ = std::make_unique_for_overwrite<std::byte[]>(kBuffer);
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::unique_ptr<std::byte[]> out_ = std::make_unique_for_overwrite<std::byte[]>(kBuffer);
  std::size_t filled_ = 0;
};

int listen_on(U16 port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd, 4096) != 0)
    give_up_errno("port ", port);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void serve_for_ever(int listener) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    epoll_event events[64];
    const int n = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < n; ++i) {
      if (auto* session = static_cast<Session*>(events[i].data.ptr)) {
        if (!session->serve()) delete session;
        continue;
      }
      const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) continue;
      const int on = 1;
      setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      event.data.ptr = new Session(socket);
      epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: ninep_floor PORT DIR (port 0: any; it is printed)\n");
    return 2;
  }
  try {
    root = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) give_up_errno(argv[2]);
    serve_for_ever(listen_on(static_cast<U16>(std::stoi(argv[1]))));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ninep_floor: %s\n", error.what());
    return 1;
  }
}
