// 9p: a server's files from the command line.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <system_error>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fcntl.h>
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/tool/describe.h"

namespace ninep::tool {
namespace {

constexpr std::chrono::seconds kEndPatience{2};

const char* const kExitCodes = R"(EXIT STATUS
  0  all was done
  1  something was not; each is told on standard error
  2  the command line was wrong
  9p lock FILE -- COMMAND ends as COMMAND does.
)";

const char* const kExamples = R"(EXAMPLES
  9p ls -l tcp:fileserver:/home/me
  9p get -r tcp:fileserver:/home/me/photos ~/photos
  9p put report.pdf unix:/run/9pserve.sock:/inbox
  9p sync --delete ~/notes tcp:fileserver:/backup/notes
  9p cp -r tcp:old:/srv/data tcp:new:/srv
  9p mount tcp:fileserver:/home/me ~/far
  9p --json stat tcp:fileserver:/home/me | jq .size
)";

std::string user_name() {
  const passwd* const user = ::getpwuid(::geteuid());
  return user ? user->pw_name : "";
}

int run(int argc, char** argv) {
  asio::io_context context(1);
  Tool tool;
  tool.options.user.uname = user_name();
  Command chosen;
  CLI::App app(
      "Work with the files of a 9P server: 9P2000.L, 9P2000.u and 9P2000, whatever it speaks",
      "9p");
  app.formatter_fn([](const CLI::App* command, std::string, CLI::AppFormatMode) {
    return help_of(describe(*command));
  });
  app.set_help_flag("-h,--help", "Say what there is");
  app.footer(std::string(kAddresses) + "\n" + kExamples + "\n" + kExitCodes);
  app.require_subcommand(0, 1);
  app.fallthrough();
  long timeout_s = 60;
  long wait_s = 60;
  U32 msize = 1 << 20;
  app.add_flag("--json", tool.json, "Print JSON: an object a line");
  app.add_flag("-q,--quiet", tool.quiet, "Show no progress");
  app.add_option("--user", tool.options.user.uname,
                 "Attach as this user (uname); by default who calls it")
      ->type_name("NAME");
  app.add_option("--uid", tool.options.user.uid, "The same as a number; by default who calls it");
  app.add_option("--aname", tool.options.user.aname,
                 "The tree to attach to, where an address names none")
      ->type_name("TREE");
  app.add_option("--msize", msize, "Largest message, with what goes with it")
      ->type_name("BYTES")
      ->check(CLI::Range(4096, 16 << 20))
      ->capture_default_str();
  app.add_option("--window", tool.options.session.requests_max,
                 "Requests that are under way at once, at most; 1: one after the other")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  app.add_option("--jobs", tool.jobs, "Files that are copied or removed at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--timeout", timeout_s, "How long the server may take for an answer")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--wait", wait_s, "How long to wait for a server that is gone; 0: not at all")
      ->type_name("SECONDS")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.set_version_flag("--version", "9p " NINEP_VERSION, "Say which version this is");
  for (const Add add : {add_listing, add_data, add_names, add_changes, add_session, add_mounting,
                        add_bench, add_describing})
    add(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    std::cout.flush();
    if (status == 0 && !std::cout) std::perror("9p: standard output");
    return status != 0 ? 2 : std::cout ? 0 : 1;
  }
  if (!chosen) {
    std::fputs("9p: a command is needed: 9p --help names them\n", stderr);
    return 2;
  }
  tool.options.session.msize = msize;
  tool.options.session.patience = std::chrono::seconds(timeout_s);
  tool.options.session.flush_patience =
      std::min(tool.options.session.flush_patience, tool.options.session.patience);
  tool.options.reconnect_patience = std::chrono::seconds(wait_s);

  std::exception_ptr thrown;
  bool over = false;
  asio::co_spawn(context, chosen(tool), [&](std::exception_ptr e) {
    thrown = e;
    over = true;
  });
  while (!over) context.run_one();
  // An answer that nobody takes any more ends a diod 1.0.24.
  tool.disconnect();
  context.restart();
  context.run_for(kEndPatience);
  if (thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const CLI::Error& e) {
      std::fprintf(stderr, "9p: %s\n", e.what());
      return 2;
    }
  }
  // Whoever wrote to a pipe or a disk is told when that went wrong.
  errno = 0;
  if ((std::fflush(stdout) != 0 || std::ferror(stdout)) && tool.status() == 0) {
    std::fprintf(stderr, "9p: write to standard output: %s\n",
                 errno != 0 ? std::strerror(errno) : "it didn't take all");
    return 1;
  }
  return tool.status();
}

/// Where standard input or output is closed, the next descriptor would be taken for it. What stands
/// in for it fails as it would.
void hold_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0)
      (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace
}  // namespace ninep::tool

int main(int argc, char** argv) {
  ninep::tool::hold_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // A tree that is copied needs a descriptor for each directory on the way down.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
  try {
    return ninep::tool::run(argc, argv);
  } catch (const std::system_error& error) {  // no descriptors are left, say
    std::fprintf(stderr, "9p: %s\n", error.what());
    return 1;
  }
}
