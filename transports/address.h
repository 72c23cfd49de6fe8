// Addresses as people write them: `tcp:HOST:PORT`, `unix:PATH`, `vsock:CID:PORT`, `fd:N`, `fd:R,W`,
// `stdio:`, `vhost-user:PATH,tag=NAME`, `vfio-user:PATH,tag=NAME`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
#include <sys/types.h>

#include "proto/result.h"
#include "transports/ends.h"

namespace ninep::transport {

struct Address {
  enum class Kind { kTcp, kUnix, kVsock, kFd, kStdio };
  Kind kind = Kind::kTcp;
  std::string host;  // tcp: name or number, empty: all addresses; vsock: the CID
  std::string port;  // tcp: name or number; vsock: number
  std::string path;  // unix
  /// unix: of the socket file, if it was said; else kSocketMode.
  std::optional<unsigned> mode;
  int in = -1;  // fd, stdio
  int out = -1;
  Protocol protocol;       // vhost-user, vfio-user: on a unix or fd address
  std::string directory;   // a device's: what it shows, if not what the server does
  bool read_only = false;  // a device

  /// Understands `text`, or says what is wrong with it.
  static absl::StatusOr<Address> parse(const std::string& text);
  std::string text() const;
  /// Whether only one of them can be served on: they are one socket, or one place for it.
  bool collides_with(const Address& other) const;
};
inline constexpr unsigned kSocketMode = 0600;

/// A socket that listens; owned. Its file, if it has one, is removed with it.
class ListeningSocket {
 public:
  ListeningSocket(int fd, std::string name, std::string file);
  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  int fd() const { return fd_; }
  /// With the port that the system chose, if it was asked to.
  const std::string& name() const { return name_; }

 private:
  int fd_;
  std::string name_;
  std::string file_;
  dev_t file_device_ = 0;
  ino_t file_number_ = 0;
};

/// What an address gives: sockets to accept from (a host name may stand for several), or one
/// connection that is there already.
struct Opened {
  std::vector<ListeningSocket> listening;
  std::vector<Ends> connected;
};
/// Blocks for name look-ups, and a moment for an address that is in use; at start only. The error
/// says what was tried and what to do.
absl::StatusOr<Opened> open_address(const Address& address);
/// A connection to a UNIX socket that somebody else listens on; blocks for nothing. Errors:
/// connect(2).
Result<int> connect_address(const Address& address);
/// Whether the descriptors that it names, if it does, are open. A program asks before it opens any
/// of its own.
absl::Status check_given(const Address& address);

/// Options that each accepted connection gets.
void prepare_connection(int fd);
/// "tcp:127.0.0.1:40412" of the other end.
std::string peer_name(int fd);

}  // namespace ninep::transport
