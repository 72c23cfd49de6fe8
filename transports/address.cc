#include "transports/address.h"

#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transports/virtio/device.h"

namespace ninep::transport {
namespace {

constexpr int kBacklog = 4096;   // the system cuts it to net.core.somaxconn
constexpr int kPassRights = 83;  // SO_PASSRIGHTS, which Debian 12's headers don't have

absl::Status wrong(const std::string& text, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("address '", text, "': ", what));
}

absl::StatusOr<Address> parse_tcp(const std::string& text, std::string rest) {
  const std::size_t colon = rest.rfind(':');
  if (colon == rest.npos) return wrong(text, "tcp takes tcp:HOST:PORT");
  std::string host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return wrong(text, "an IPv6 address stands in brackets: tcp:[::1]:564");
  }
  if (colon + 1 == rest.size()) return wrong(text, "the port is missing");
  // The library takes any number, and cuts it to 16 bits.
  long long number;
  if (absl::SimpleAtoi(rest.substr(colon + 1), &number) && (number < 0 || number > 65535))
    return wrong(text, "a port is 0 to 65535");
  return Address{.kind = Address::Kind::kTcp, .host = host, .port = rest.substr(colon + 1)};
}

absl::StatusOr<Address> parse_unix(const std::string& text, std::string rest) {
  Address address{.kind = Address::Kind::kUnix};
  const std::size_t comma = rest.rfind(",mode=");
  if (comma != rest.npos) {
    const std::string digits = rest.substr(comma + 6);
    char* end = nullptr;
    const unsigned long mode = std::strtoul(digits.c_str(), &end, 8);
    if (digits.empty() || *end || mode > 0777) return wrong(text, "mode takes octal digits: 0660");
    address.mode = static_cast<unsigned>(mode);
    rest = rest.substr(0, comma);
  }
  if (rest.empty()) return wrong(text, "the path is missing");
  if (text.starts_with("unix:") && rest.find(",tag=") != rest.npos)
    return wrong(text, "a VM's share is vhost-user:PATH,tag=NAME or vfio-user:PATH,tag=NAME");
  if (rest.size() >= sizeof(sockaddr_un::sun_path))
    return wrong(text, absl::StrCat("a socket's path has at most ",
                                    sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  address.path = rest;
  return address;
}

absl::StatusOr<Address> parse_vsock(const std::string& text, std::string rest) {
  const std::vector<std::string> parts = absl::StrSplit(rest, ':');
  U32 number;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &number) ||
      (parts[0] != "any" && !absl::SimpleAtoi(parts[0], &number)))
    return wrong(text, "vsock takes vsock:CID:PORT, CID a number or 'any'");
  return Address{.kind = Address::Kind::kVsock, .host = parts[0], .port = parts[1]};
}

absl::StatusOr<Address> parse_fd(const std::string& text, std::string rest) {
  const std::vector<std::string> parts = absl::StrSplit(rest, ',');
  Address address{.kind = Address::Kind::kFd};
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], &address.in) ||
      !absl::SimpleAtoi(parts.back(), &address.out) || address.in < 0 || address.out < 0)
    return wrong(text, "fd takes fd:N, or fd:R,W to read from R and write to W");
  return address;
}

// vhost-user:PATH,tag=NAME[,dir=DIR][,ro][,mode=OCTAL], or fd=N in place of PATH; vfio-user the
// same, and [,msix=off]. No commas inside.
absl::StatusOr<Address> parse_device(const std::string& text, Protocol::Kind kind,
                                     const std::string& rest) {
  std::vector<std::string> parts = absl::StrSplit(rest, ',');
  std::string socket = parts[0];
  const bool given = socket.starts_with("fd=");
  std::string tag;
  std::string directory;
  bool read_only = false;
  bool msix = true;
  std::set<std::string> keys;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (const std::string key = parts[i].substr(0, parts[i].find('=')); !keys.insert(key).second)
      return wrong(text, absl::StrCat(key, " is there twice"));
    if (parts[i].starts_with("tag=")) {
      tag = parts[i].substr(4);
    } else if (parts[i].starts_with("dir=") && parts[i].size() > 4) {
      directory = parts[i].substr(4);
    } else if (parts[i] == "ro") {
      read_only = true;
    } else if (kind == Protocol::Kind::kVfioUser &&
               (parts[i] == "msix=off" || parts[i] == "msix=on")) {
      msix = parts[i] == "msix=on";
    } else if (parts[i].starts_with("mode=") && !given) {
      absl::StrAppend(&socket, ",", parts[i]);
    } else {
      return wrong(text,
                   absl::StrCat("'", parts[i], "' is none of tag=NAME, dir=DIR, ro, mode=OCTAL",
                                kind == Protocol::Kind::kVfioUser ? ", msix=off" : ""));
    }
  }
  if (tag.empty() || tag.size() > virtio::kTagMax)
    return wrong(text, absl::StrCat("tag=NAME, by which the guest mounts it, has 1 to ",
                                    virtio::kTagMax, " bytes"));
  if (tag.starts_with('-'))
    return wrong(text, "a tag that begins with '-' would be an option of the guest's mount");
  auto address = given ? parse_fd(text, socket.substr(3)) : parse_unix(text, socket);
  if (!address.ok() || address->in != address->out)
    return given ? wrong(text, "fd= takes the number of one descriptor: fd=3") : address;
  address->protocol = {kind, tag, msix};
  address->directory = directory;
  address->read_only = read_only;
  return address;
}

std::string system_text(int error) { return std::strerror(error); }

std::string hint(int error) {
  if (error == EADDRINUSE) return ": another program listens there; stop it or choose another";
  if (error == EEXIST)
    return ": there is a file that is no socket; remove it or choose another path";
  if (error == EACCES)
    return ": only root may use ports below 1024, and paths need write permission";
  if (error == EADDRNOTAVAIL) return ": this machine doesn't have that address";
  return "";
}

absl::Status cannot_listen(const Address& address, int error) {
  const std::string text =
      absl::StrCat("cannot listen on ", address.text(), ": ", system_text(error), hint(error));
  return error == EADDRINUSE ? absl::AlreadyExistsError(text) : absl::UnavailableError(text);
}

// -1: it is no socket.
int socket_option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

std::string socket_text(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (storage.ss_family) {
    case AF_INET: {
      const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
      ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
      return absl::StrCat("tcp:", text, ":", ntohs(in.sin_port));
    }
    case AF_INET6: {
      const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
      ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
      return absl::StrCat("tcp:[", text, "]:", ntohs(in.sin6_port));
    }
    case AF_VSOCK: {
      const auto& vm = reinterpret_cast<const sockaddr_vm&>(storage);
      return absl::StrCat("vsock:", vm.svm_cid, ":", vm.svm_port);
    }
    default:
      return "unix";
  }
}

std::string local_name(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return socket_text(storage);
}

// Binds and listens. -1 with errno: it didn't work.
int listen_on(int family, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int one = 1;
  if (family != AF_UNIX) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (::bind(fd, address, size) == 0 && ::listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

absl::StatusOr<Opened> open_tcp(const Address& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(),
                                   address.port.c_str(), &hints, &list);
  if (failed != 0)
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address.text(), ": ", ::gai_strerror(failed)));
  Opened opened;
  int error = 0;
  for (const addrinfo* at = list; at; at = at->ai_next) {
    const int fd = listen_on(at->ai_family, at->ai_addr, at->ai_addrlen);
    if (fd >= 0) {
      opened.listening.emplace_back(fd, local_name(fd), "");
    } else if (errno != EAFNOSUPPORT) {  // a machine without IPv6
      error = errno;
    }
  }
  ::freeaddrinfo(list);
  if (error == 0 && !opened.listening.empty()) return opened;
  // "localhost" has two addresses; one of them being no address of this machine is no reason.
  if (error == EADDRNOTAVAIL && !opened.listening.empty()) return opened;
  return cannot_listen(address, error ? error : EAFNOSUPPORT);
}

// A socket file that nobody listens on any more is in the way of a new one. 0, or why it stays.
int remove_stale(const sockaddr_un& name) {
  struct stat status;
  if (::lstat(name.sun_path, &status) != 0) return errno;
  if (!S_ISSOCK(status.st_mode)) return EEXIST;
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return errno;
  const bool stale = ::connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
                     errno == ECONNREFUSED;
  ::close(probe);
  if (!stale) return EADDRINUSE;
  return ::unlink(name.sun_path) == 0 ? 0 : errno;
}

sockaddr_un unix_name(const Address& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.path.c_str(), address.path.size());
  return name;
}

absl::StatusOr<Opened> open_unix(const Address& address) {
  const sockaddr_un name = unix_name(address);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return cannot_listen(address, errno);
  const auto* at = reinterpret_cast<const sockaddr*>(&name);
  int error = ::bind(fd, at, sizeof name) == 0 ? 0 : errno;
  if (error == EADDRINUSE) {
    error = remove_stale(name);
    if (error == 0 && ::bind(fd, at, sizeof name) != 0) error = errno;
  }
  if (error == 0) {
    Opened opened;
    opened.listening.emplace_back(fd, address.text(), address.path);
    // What clients of ours send has no descriptors, which may wait for them when they are closed.
    // Linux 6.16; those before take them.
    const int none = 0;
    if (address.protocol.kind == Protocol::Kind::kFrames)
      ::setsockopt(fd, SOL_SOCKET, kPassRights, &none, sizeof none);
    // Nobody can connect before listen(): the mode is right from the first moment.
    if (::chmod(name.sun_path, address.mode.value_or(kSocketMode)) == 0 &&
        ::listen(fd, kBacklog) == 0)
      return opened;
    return cannot_listen(address, errno);
  }
  ::close(fd);
  return cannot_listen(address, error);
}

absl::StatusOr<Opened> open_vsock(const Address& address) {
  sockaddr_vm name{};
  name.svm_family = AF_VSOCK;
  name.svm_cid = VMADDR_CID_ANY;
  if (address.host != "any" && !absl::SimpleAtoi(address.host, &name.svm_cid))
    return wrong(address.text(), "no such CID");
  if (!absl::SimpleAtoi(address.port, &name.svm_port)) return wrong(address.text(), "no such port");
  const int fd = listen_on(AF_VSOCK, reinterpret_cast<const sockaddr*>(&name), sizeof name);
  if (fd < 0) return cannot_listen(address, errno);
  Opened opened;
  opened.listening.emplace_back(fd, local_name(fd), "");
  return opened;
}

absl::StatusOr<Opened> open_given(const Address& address) {
  if (const auto status = check_given(address); !status.ok()) return status;
  const int in = address.in;
  const int out = address.out;
  Opened opened;
  const int listens = socket_option(in, SO_ACCEPTCONN);
  const bool socket = listens >= 0;
  if (listens > 0) {
    ::fcntl(in, F_SETFL, ::fcntl(in, F_GETFL) | O_NONBLOCK);
    opened.listening.emplace_back(in, address.text(), "");
  } else {
    opened.connected.push_back({in, out, !socket || in != out});
  }
  return opened;
}

}  // namespace

absl::StatusOr<Address> Address::parse(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string scheme = text.substr(0, colon);
  const std::string rest = colon == text.npos ? "" : text.substr(colon + 1);
  if (scheme == "tcp") return parse_tcp(text, rest);
  if (scheme == "unix") return parse_unix(text, rest);
  if (scheme == "vsock") return parse_vsock(text, rest);
  if (scheme == "fd") return parse_fd(text, rest);
  if (scheme == "vhost-user") return parse_device(text, Protocol::Kind::kVhostUser, rest);
  if (scheme == "vfio-user") return parse_device(text, Protocol::Kind::kVfioUser, rest);
  if (text == "stdio:" || text == "stdio")
    return Address{.kind = Kind::kStdio, .in = STDIN_FILENO, .out = STDOUT_FILENO};
  return wrong(text, "it starts with tcp:, unix:, vsock:, fd:, stdio:, vhost-user: or vfio-user:");
}

std::string Address::text() const {
  if (protocol.kind != Protocol::Kind::kFrames)
    return absl::StrCat(protocol.kind == Protocol::Kind::kVhostUser ? "vhost-user:" : "vfio-user:",
                        kind == Kind::kFd ? absl::StrCat("fd=", in) : path);
  switch (kind) {
    case Kind::kTcp:
      return host.find(':') != host.npos ? absl::StrCat("tcp:[", host, "]:", port)
                                         : absl::StrCat("tcp:", host, ":", port);
    case Kind::kUnix:
      return absl::StrCat("unix:", path);
    case Kind::kVsock:
      return absl::StrCat("vsock:", host, ":", port);
    case Kind::kFd:
      return in == out ? absl::StrCat("fd:", in) : absl::StrCat("fd:", in, ",", out);
    case Kind::kStdio:
      return "stdio:";
  }
  return "";
}

bool Address::collides_with(const Address& other) const {
  const auto given = [](const Address& a) { return a.kind == Kind::kFd || a.kind == Kind::kStdio; };
  if (given(*this) && given(other))
    return in == other.in || in == other.out || out == other.in || out == other.out;
  if (kind != other.kind) return false;
  if (kind == Kind::kUnix) return path == other.path;
  return host == other.host && port == other.port && port != "0";
}

absl::Status check_given(const Address& address) {
  const auto cannot = [&](int fd, const char* why) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve ", address.text(), ": descriptor ", fd, " ", why));
  };
  for (const int fd : {address.in, address.out}) {
    if (fd < 0) continue;
    if (::fcntl(fd, F_GETFD) < 0) return cannot(fd, "isn't open");
    const int type = socket_option(fd, SO_TYPE);
    if (address.protocol.kind != Protocol::Kind::kFrames &&
        (type != SOCK_STREAM || socket_option(fd, SO_DOMAIN) != AF_UNIX))
      return cannot(fd, "is no UNIX stream socket");
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (type >= 0 && socket_option(fd, SO_ACCEPTCONN) == 0 &&
        ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
      return cannot(fd, "is a socket that neither listens nor is connected");
  }
  return absl::OkStatus();
}

ListeningSocket::ListeningSocket(int fd, std::string name, std::string file)
    : fd_(fd), name_(std::move(name)), file_(std::move(file)) {
  struct stat status;
  if (!file_.empty() && ::stat(file_.c_str(), &status) == 0) {
    file_device_ = status.st_dev;
    file_number_ = status.st_ino;
  }
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      file_(std::exchange(other.file_, "")),
      file_device_(other.file_device_),
      file_number_(other.file_number_) {}

ListeningSocket::~ListeningSocket() {
  if (fd_ < 0) return;
  struct stat status;
  // Another server may have replaced the file.
  if (!file_.empty() && ::lstat(file_.c_str(), &status) == 0 && status.st_dev == file_device_ &&
      status.st_ino == file_number_)
    ::unlink(file_.c_str());
  ::close(fd_);
}

namespace {
absl::StatusOr<Opened> open_now(const Address& address) {
  switch (address.kind) {
    case Address::Kind::kTcp:
      return open_tcp(address);
    case Address::Kind::kUnix:
      return open_unix(address);
    case Address::Kind::kVsock:
      return open_vsock(address);
    case Address::Kind::kFd:
    case Address::Kind::kStdio:
      return open_given(address);
  }
  return absl::InternalError("no such kind of address");
}
}  // namespace

// A server that was killed is gone before its sockets are: they wait until the kernel has done with
// its io_uring. Whoever starts the next one shouldn't have to.
absl::StatusOr<Opened> open_address(const Address& address) {
  constexpr std::chrono::milliseconds kPatience{2000};
  constexpr std::chrono::milliseconds kPause{20};
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto opened = open_now(address);
    if (!absl::IsAlreadyExists(opened.status()) || std::chrono::steady_clock::now() > end)
      return opened;
    std::this_thread::sleep_for(kPause);
  }
}

Result<int> connect_address(const Address& address) {
  if (address.kind != Address::Kind::kUnix) return fail(EOPNOTSUPP);
  const sockaddr_un name = unix_name(address);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(errno);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) return fd;
  const int error = errno;
  ::close(fd);
  return fail(error);
}

void prepare_connection(int fd) {
  // Those that don't apply to the socket's family fail, which is fine.
  const int one = 1;
  const unsigned lost_ms = 5 * 60 * 1000;  // a peer that takes nothing for so long is gone
  const int idle_s = 30, interval_s = 10;  // so are those that went before anybody says something
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

std::string peer_name(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
    return absl::StrCat("fd:", fd);
  return socket_text(storage);
}

}  // namespace ninep::transport
