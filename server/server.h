// Server: listeners, loops and sessions put together. What a program that serves 9P needs.
//
//   ninep::server::Server server({.exported = {my_tree}});
//   server.listen("tcp:127.0.0.1:5640").IgnoreError();
//   server.run();
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "server/session.h"
#include "transports/address.h"

namespace ninep::server {

struct Settings {
  Export exported;
  U32 msize_max = 1 << 20;  // at least kMsizeMin, at most kMsizeMax
  unsigned threads = 1;     // loops; a connection stays on one
  io::Choice io = io::Choice::kAuto;
  bool trace = false;
  unsigned drain_ms_max = 5000;  // how long stop() waits for what is under way
};
inline constexpr U32 kMsizeMax = 4 << 20;

class Server {
 public:
  explicit Server(Settings settings);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Opens an address. Before run(). `exported`: what is shown there, if not what the settings say.
  /// The error says what to do.
  absl::Status listen(const transport::Address& address, std::optional<Export> exported = {});
  absl::Status listen(const std::string& address);
  /// Has run() connect to a VMM that listens for its device, and to the next one when that is gone.
  absl::Status connect(const transport::Address& address, std::optional<Export> exported = {});
  /// Where it serves, with the ports that the system chose.
  struct Place {
    std::string name;
    transport::Protocol protocol;
    enum class How { kListens, kConnects, kIsConnected };
    How how = How::kListens;
  };
  std::vector<Place> places() const;
  /// "io_uring" or "portable".
  Str io_name() const;
  const Users& users() const;

  /// Serves until stop(), or until the last connection of `fd:` or `stdio:` has ended and there is
  /// nothing to listen on. Drains: what is under way is finished and answered.
  void run();
  /// From any thread, and from signal handlers.
  void stop();

  /// What the loops have done so far. Between run()'s end and the server's, or on a loop's thread.
  io::Counters counters() const;

 private:
  class Worker;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ninep::server
