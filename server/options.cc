#include "server/options.h"

#include <thread>

#include <CLI/CLI.hpp>
#include <unistd.h>

#ifndef NINEP_VERSION
#define NINEP_VERSION "0"
#endif

namespace ninep::server {
namespace {

constexpr const char* kExamples = R"(
Examples:
  9pserve /srv/share
      Serves /srv/share on the loopback address and prints the line that mounts it.
  9pserve --listen tcp:0.0.0.0:564 --listen unix:/run/9p.sock,mode=0660 --ro /srv/share
      Read-only to every host that can reach port 564, and over a UNIX socket. 9P has no passwords:
      whoever can connect may claim to be any user.
  9pserve --listen vhost-user:/run/share.sock,tag=share /srv/share
  9pserve --listen vfio-user:/run/share.sock,tag=share /srv/share
      A VM's share, and the lines for QEMU (10.2 or newer) and its guest.
  ssh HOST 9pserve --listen stdio: /srv/share
      Serves over ssh's own connection.

Addresses: tcp:HOST:PORT (tcp:[::1]:564 for IPv6), unix:PATH[,mode=OCTAL], vsock:CID:PORT (CID or
'any'), fd:N, fd:R,W, stdio:, vhost-user:PATH,tag=NAME[,dir=DIR][,ro],
vfio-user:PATH,tag=NAME[,dir=DIR][,ro][,msix=off]
)";

}  // namespace

bool parse_options(int argc, char** argv, Options& options, int& exit_status) {
  CLI::App app("9pserve: serves a directory by 9P2000.L", "9pserve");
  app.footer(kExamples);
  app.set_version_flag("--version", "9pserve " NINEP_VERSION);
  app.option_defaults()->always_capture_default();

  app.add_option("DIR", options.directory,
                 "The directory to serve; not needed where each address has a dir= of its own");
  app.add_option("--listen", options.listen,
                 "An address to serve on; repeatable (default: the loopback address, port 564 as "
                 "root and 5640 otherwise)")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app.add_option("--connect", options.connect,
                 "A device's address, vhost-user:PATH,tag=NAME, whose VMM listens: it is connected "
                 "to, and the next one when that has gone; repeatable")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app.add_flag("--ro", options.read_only, "Read-only: whatever would change something is refused");
  app.add_option("--msize", options.msize, "The largest message, in bytes")
      ->check(CLI::Range(kMsizeMin, kMsizeMax));
  app.add_option("--threads", options.threads,
                 "Event loops; a connection stays on one (0: one for each processor, at most 4)")
      ->check(CLI::Range(0, 256));
  app.add_option("--io", options.io,
                 "How to wait for the system: io_uring, portable (epoll and threads), or auto")
      ->check(CLI::IsMember({"auto", "io_uring", "portable"}));
  app.add_option("--log-level", options.log_level, "What to log, on standard error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}));
  app.add_flag("--trace", options.trace, "Log each message as text");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error);
    exit_status = asked ? 0 : 2;
    return false;
  }
  if (options.listen.empty() && options.connect.empty())
    options.listen.push_back(::geteuid() == 0 ? "tcp:127.0.0.1:564" : "tcp:127.0.0.1:5640");
  if (options.threads == 0)
    options.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  return true;
}

}  // namespace ninep::server
