// mount.
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/signal_set.hpp>
#include <asio/this_coro.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mount/mount.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;

constexpr double kTimeoutMax = 1e6;

const char* const kMountNotes = R"(OPTIONS
  ro                 nothing is changed
  timeout=SECONDS    for so long names and attributes are taken for true (1)
  cache=open         a file's data are kept, and looked after when it is opened and as often as its
                     attributes are (the default)
  cache=none         nothing is kept, and timeout=0: each call asks the server. Such files can't be
                     mapped MAP_SHARED, not even to be read
  allow_other        other users of this host may use it; whoever isn't root needs user_allow_other in
                     /etc/fuse.conf
  dev, suid          device files and set-user-ID programs work; for root. And more of FUSE's:
                     `man fuse`

WHO ONE IS
  All requests are made as the user that the mount attaches as (--user, --uid), and the server says
  what that one may do: file modes are as they are there, by its numbers. What access(2) tells of
  write permission is no more than a guess.
  With allow_other this host checks the files' modes by its own users' numbers besides. What another
  user makes is his if the mount attaches as root and the server lets root give files away; otherwise
  it belongs to whom the mount attaches as. Access control lists are obeyed, by this
  host's numbers too.

WHAT IS DIFFERENT FROM A LOCAL DISK
  Other clients' changes are seen after `timeout`, or when a file is opened. flock(2) and fcntl(2) have
  the same locks: a program that takes both on one file is in its own way. No renameat2(2) flags, no
  fallocate(2), no SEEK_HOLE. A file that is appended to (O_APPEND) can't be mapped MAP_SHARED. Files
  that say that they have 0 bytes are empty, as those of /proc that a server has: read them with
  cache=none. A file that its owner may not write to, and has open for writing (as git makes its
  objects), can't be written to after a restart of the server, unless the mount attaches as root.
  Where the server is gone, calls wait for it (--wait), and go on on a new connection; ^C and kill end
  whoever waits. Files that were removed while they are open are ESTALE then, and locks that somebody
  else got meanwhile are EIO.

TO UNMOUNT
  fusermount3 -u DIRECTORY, umount DIRECTORY, or SIGTERM, SIGINT or SIGHUP: files that are open then
  are errors to those who have them; a second signal waits for nothing.

EXAMPLES
  9p mount tcp:files.example.org:564 ~/files
  9p --wait 600 mount unix:/run/9p.sock:/projects /mnt -o timeout=10
  sudo 9p mount tcp:localhost:/ /srv/share -o allow_other,dev,suid
)";

struct What {
  std::string address;
  std::string directory;
  std::vector<std::string> options;
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
  for (;;) {
    std::error_code ended;
    (void)co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (ended) co_return;
    mount.end();
  }
}

/// A time that the kernel takes for one.
std::optional<double> seconds_of(const std::string& text) {
  double seconds = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (wrong != std::errc() || end != text.data() + text.size() || !(seconds >= 0) ||
      seconds > kTimeoutMax)
    return std::nullopt;
  return seconds;
}

Expected<mount::Options> options_of(const Tool& tool, const What& what) {
  mount::Options options;
  options.source = what.address;
  for (char& c : options.source)
    if (c == ',') c = '+';  // FUSE's own comma
  std::string rest;
  for (const std::string& some : what.options) rest += some + ",";
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
      const auto seconds = seconds_of(one.substr(8));
      if (!seconds) return error(EINVAL, "mount -o " + one, "seconds are a number from 0 on");
      options.attribute_timeout = *seconds;
    } else if (one.starts_with("max_read=") || one.starts_with("cache=")) {
      return error(EINVAL, "mount -o " + one,
                   one[0] == 'c' ? "it is cache=open or cache=none"
                                 : "reads are as large as the server's messages: see --msize");
    } else if (!one.empty() && one != "rw") {
      options.options.push_back(one);
    }
  }
  const U32 uid = tool.options.user.uid;
  options.gives_away = options.allow_other && (uid == kNoNumericUid ? ::geteuid() : uid) == 0;
  return options;
}

Awaitable<Expected<void>> serve(Tool& tool, const What& what) {
  const Target target = remote_of(what.address);
  auto options = options_of(tool, what);
  if (!options) throw CLI::ValidationError(options.error().doing, options.error().why);
  std::array<char, PATH_MAX> directory;
  if (!::realpath(what.directory.c_str(), directory.data()))
    co_return error(errno, "mount on " + what.directory);
  struct stat status;
  if (::stat(directory.data(), &status) == 0 && !S_ISDIR(status.st_mode))
    co_return error(ENOTDIR, "mount on " + what.directory);
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
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  client::Group watching(co_await asio::this_coro::executor);
  watching.spawn(end_on_signal(signals, mount));
  const auto served = co_await mount.serve([&] { background.well(); });
  std::error_code ignored;
  signals.cancel(ignored);
  co_await watching.all_done();
  co_return served;
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
      ->required()
      ->type_name(kLocal);
  c->add_option("-o", what->options, "Options, as OPTION,OPTION=VALUE; below")
      ->take_all()
      ->allow_extra_args(false);
  c->add_flag("-f,--foreground", what->foreground, "Stay, and end with ^C");
  c->footer(std::string("\n") + kMountNotes);
  c->callback([&chosen, what] { chosen = [what](Tool& tool) { return mount_told(tool, *what); }; });
}

}  // namespace ninep::tool
