// mount.
#include <array>
#include <csignal>
#include <cstdio>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/signal_set.hpp>
#include <asio/this_coro.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mount/mount.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;

struct What {
  std::string address;
  std::string directory;
  std::string options;
  bool foreground = false;
};

/// Goes on in a process of its own; the first one stays until that has said that all is well.
class Background {
 public:
  /// In the new process. The first one ends here.
  void enter() {
    std::array<int, 2> pipe;
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return;
    const pid_t child = ::fork();
    if (child > 0) {
      ::close(pipe[1]);
      char well = 0;
      if (::read(pipe[0], &well, 1) == 1) ::_exit(0);
      int status = 0;
      ::waitpid(child, &status, 0);
      ::_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
    }
    ::close(pipe[0]);
    said_ = pipe[1];
  }
  /// Lets the first one go, and the terminal.
  void well() {
    if (said_ < 0) return;
    ::setsid();
    if (::chdir("/") != 0) std::perror("9p: /");
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    ::close(null);
    (void)!::write(said_, "", 1);
    ::close(said_);
  }

 private:
  int said_ = -1;
};

asio::awaitable<void> end_on_signal(asio::signal_set& signals, mount::Mount& mount) {
  std::error_code ended;
  (void)co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  if (!ended) mount.end();
}

Expected<mount::Options> options_of(const What& what) {
  mount::Options options;
  options.source = what.address;
  for (char& c : options.source)
    if (c == ',') c = '+';  // FUSE's own comma
  std::string rest = what.options;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string one = rest.substr(0, end);
    rest.erase(0, end + 1);
    if (one == "ro") {
      options.read_only = true;
    } else if (one == "allow_other") {
      options.allow_other = true;
    } else if (one == "cache=none") {
      options.direct = true;
      options.attribute_timeout = 0;
    } else if (one == "cache=open") {
      // What there is without it.
    } else if (one.starts_with("timeout=")) {
      options.attribute_timeout = std::atof(one.c_str() + 8);
    } else if (!one.empty() && one != "rw") {
      options.options.push_back(one);
    }
  }
  return options;
}

Awaitable<Expected<void>> serve(Tool& tool, const What& what) {
  const Target target = remote_of(what.address);
  auto options = options_of(what);
  NINEP_CO_RETURN_IF_WRONG(options);
  std::array<char, PATH_MAX> directory;
  if (!::realpath(what.directory.c_str(), directory.data()))
    co_return error(errno, "mount on " + what.directory);
  Background background;
  if (!what.foreground) background.enter();
  const auto connected = co_await tool.client(target);
  NINEP_CO_RETURN_IF_WRONG(connected);
  if ((*connected)->dialect() != kDotL)
    co_return error(EOPNOTSUPP, "mount " + what.address,
                    "the server speaks no 9P2000.L; ls, get, put and the like work");
  auto root = co_await tool.node(target);
  NINEP_CO_RETURN_IF_WRONG(root);
  if (!root->is_directory()) co_return error(ENOTDIR, "mount " + what.address);
  mount::Mount mount(std::move(*root), *std::move(options));
  const auto mounted = mount.mount(directory.data());
  NINEP_CO_RETURN_IF_WRONG(mounted);
  background.well();
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  client::Group watching(co_await asio::this_coro::executor);
  watching.spawn(end_on_signal(signals, mount));
  co_await mount.serve();
  std::error_code ignored;
  signals.cancel(ignored);
  co_await watching.all_done();
  co_return Expected<void>();
}

Awaitable<void> mount_told(Tool& tool, const What& what) {
  const auto served = co_await serve(tool, what);
  if (!served) tool.wrong(served.error());
}

}  // namespace

void add_mounting(CLI::App& app, Command& chosen) {
  auto what = std::make_shared<What>();
  CLI::App* const c = app.add_subcommand("mount", "Mount a server's tree by FUSE");
  c->add_option("FILE", what->address, "the directory to mount")->required()->type_name(kRemote);
  c->add_option("DIRECTORY", what->directory, "where: it has to be there")
      ->required()->type_name(kLocal);
  c->add_option("-o", what->options,
                "ro, allow_other, cache=open (what is cached is looked after when it is opened) or "
                "cache=none, timeout=SECONDS (attributes and names are taken for true), or FUSE's");
  c->add_flag("-f,--foreground", what->foreground, "Stay, and end with ^C");
  c->footer("Unmount with fusermount3 -u DIRECTORY, umount, or a signal.");
  c->callback([&chosen, what] { chosen = [what](Tool& tool) { return mount_told(tool, *what); }; });
}

}  // namespace ninep::tool
