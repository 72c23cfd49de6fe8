// ping, lock.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

#include <asio/signal_set.hpp>
#include <asio/this_coro.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/together.h"
#include "client/tool/text.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;
using client::File;
using client::Lock;

// ------------------------------------------------------------------ ping

struct Ping {
  std::string address;
  unsigned count = 4;
  double pause = 1;
};

/// What is asked of the server is a walk to where one is already: no file is touched.
Awaitable<Expected<void>> ping(Tool& tool, const Ping& what) {
  const Target target = remote_of(what.address);
  const auto began = std::chrono::steady_clock::now();
  const auto connected = co_await tool.client(target);
  NINEP_CO_RETURN_IF_WRONG(connected);
  client::Client& to = **connected;
  const auto ms_since = [](auto begin) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
  };
  const std::string dialect(dialect_name(to.dialect()));
  const U32 msize = to.attachment()->msize();
  if (!tool.json)
    std::printf("%s: %s, msize %u, connected in %.3f ms\n", target.address_text.c_str(),
                dialect.c_str(), msize, ms_since(began));
  std::vector<double> times;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (unsigned i = 0; i < what.count; ++i) {
    if (i > 0) {
      timer.expires_after(std::chrono::microseconds(static_cast<long>(what.pause * 1e6)));
      std::error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    const auto sent = std::chrono::steady_clock::now();
    const auto walked = co_await to.root().walk("");
    NINEP_CO_RETURN_IF_WRONG(walked);
    times.push_back(ms_since(sent));
    if (!tool.json) std::printf("%u: %.3f ms\n", i + 1, times.back());
    std::fflush(stdout);
  }
  if (times.empty()) co_return Expected<void>();
  std::ranges::sort(times);
  if (tool.json)
    tool.print({{"address", target.address_text},
                {"dialect", dialect},
                {"msize", msize},
                {"least_ms", times.front()},
                {"median_ms", times[times.size() / 2]},
                {"most_ms", times.back()}});
  else
    std::printf("least %.3f, median %.3f, most %.3f ms\n", times.front(), times[times.size() / 2],
                times.back());
  co_return Expected<void>();
}

// ------------------------------------------------------------------ lock

struct LockAnd {
  std::string file;
  std::vector<std::string> command;
  bool shared = false;
  bool no_wait = false;
  U64 start = 0;
  U64 length = 0;
};

/// A terminal tells all who are in front of it, the command as well.
bool is_of_terminal(int signal) {
  if (signal != SIGINT && signal != SIGQUIT) return false;
  const int terminal = ::open("/dev/tty", O_RDONLY | O_CLOEXEC);
  const bool is_in_front = terminal >= 0 && ::tcgetpgrp(terminal) == ::getpgrp();
  if (terminal >= 0) ::close(terminal);
  return is_in_front;
}

/// The lock stays until the command has ended: that is for it to say.
Awaitable<void> pass_on(asio::signal_set& signals, pid_t child, const bool& has_ended) {
  while (!has_ended) {
    std::error_code ended;
    const int signal =
        co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (!ended && !has_ended && !is_of_terminal(signal)) ::kill(child, signal);
  }
}

// The command's end is looked for from time to time; the connection is seen to meanwhile.
Awaitable<int> run_command(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  asio::signal_set signals(co_await asio::this_coro::executor);
  std::vector<int> passed;
  for (const int one : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    struct sigaction is{};
    if (::sigaction(one, nullptr, &is) == 0 && is.sa_handler == SIG_IGN) continue;  // nohup(1)
    signals.add(one);
    passed.push_back(one);
  }
  ::signal(SIGCHLD, SIG_DFL);  // what it ends with is kept, whoever called us
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int one : passed) ::signal(one, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGXFSZ, SIG_DFL);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // whoever has no lock any more
    if (::getppid() != parent) ::_exit(128 + SIGTERM);
    ::execvp(arguments[0], arguments.data());
    const int why = errno;
    std::perror(arguments[0]);
    ::_exit(why == ENOENT ? 127 : 126);
  }
  if (child < 0) co_return 126;
  client::Group passing(co_await asio::this_coro::executor);
  bool has_ended = false;
  passing.spawn(pass_on(signals, child, has_ended));
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (int status = 0;;) {
    if (const pid_t ended = ::waitpid(child, &status, WNOHANG); ended != 0) {
      has_ended = true;
      std::error_code ignored;
      signals.cancel(ignored);
      co_await passing.all_done();
      if (ended < 0) co_return 126;
      co_return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    timer.expires_after(std::chrono::milliseconds(20));
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

// Who has the lock, or would be in its way. Some servers say back what they were asked: diod where
// it doesn't know who, nfs-ganesha also where nobody has it. Then it is tried.
Awaitable<Expected<Lock>> who_has(client::Node& node, File& file, const Lock& wanted) {
  auto there = co_await file.test_lock(wanted);
  NINEP_CO_RETURN_IF_WRONG(there);
  const bool is_told = there->proc_id != wanted.proc_id || there->client_id != wanted.client_id;
  if (there->type == lock::kUnlock || is_told) co_return there;
  there->proc_id = 0;
  there->client_id.clear();
  auto writable = co_await node.open(lopen::kReadWrite);
  if (!writable && wanted.type != lock::kRead)
    co_return error(static_cast<int>(writable.error().code), writable.error().doing,
                    "the server doesn't tell, and it can't be tried");
  File& tried = writable ? *writable : file;
  const auto locked = co_await tried.lock(wanted, false);
  NINEP_CO_RETURN_IF_WRONG(locked);
  if (!*locked) co_return there;
  const auto unlocked = co_await tried.unlock(wanted);
  NINEP_CO_RETURN_IF_WRONG(unlocked);
  there->type = lock::kUnlock;
  co_return there;
}

Awaitable<Expected<void>> lock(Tool& tool, const LockAnd& what) {
  auto node = co_await tool.node(remote_of(what.file));
  NINEP_CO_RETURN_IF_WRONG(node);
  // To ask, it is enough to read.
  const bool writes = !what.shared && !what.command.empty();
  auto file = co_await node->open(writes ? lopen::kReadWrite : lopen::kReadOnly);
  NINEP_CO_RETURN_IF_WRONG(file);
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const Lock wanted{what.shared ? lock::kRead : lock::kWrite, what.start, what.length,
                    static_cast<U32>(::getpid()), host.data()};
  if (what.command.empty()) {
    const auto there = co_await who_has(*node, *file, wanted);
    NINEP_CO_RETURN_IF_WRONG(there);
    const bool is_free = there->type == lock::kUnlock;
    if (tool.json)
      tool.print({{"free", is_free},
                  {"start", there->start},
                  {"length", there->length},
                  {"proc_id", there->proc_id},
                  {"client_id", there->client_id}});
    else if (is_free)
      std::puts("free");
    else if (there->client_id.empty())
      std::puts("locked; the server doesn't tell by whom");
    else
      std::printf("%s by process %u of %s, from %llu, %llu bytes\n",
                  there->type == lock::kRead ? "shared" : "locked", there->proc_id,
                  shown(there->client_id).c_str(), static_cast<unsigned long long>(there->start),
                  static_cast<unsigned long long>(there->length));
    co_return Expected<void>();
  }
  const auto locked = co_await file->lock(wanted, !what.no_wait);
  NINEP_CO_RETURN_IF_WRONG(locked);
  if (!*locked) co_return error(EAGAIN, "lock " + what.file, "somebody else has it");
  const U64 connections = file->attachment()->connections();
  const int status = co_await run_command(what.command);
  if (status != 0) tool.fail(status);
  const auto is_there = co_await file->stat();
  NINEP_CO_RETURN_IF_WRONG(is_there);
  const auto kept = file->has_its_locks();
  const auto unlocked = co_await file->unlock(wanted);
  NINEP_CO_RETURN_IF_WRONG(kept);
  NINEP_CO_RETURN_IF_WRONG(unlocked);
  if (connections != file->attachment()->connections())
    co_return error(EIO, "keep the lock of " + what.file,
                    "the connection was lost, and until it was there again anybody could have it");
  co_return Expected<void>();
}

template <class What>
Awaitable<void> told(Tool& tool, const What& what,
                     Awaitable<Expected<void>> (*run)(Tool&, const What&)) {
  const auto done = co_await run(tool, what);
  if (!done) tool.wrong(done.error());
}

}  // namespace

void add_session(CLI::App& app, Command& chosen) {
  {
    auto what = std::make_shared<Ping>();
    CLI::App* const c = app.add_subcommand("ping", "Tell how long the server takes for an answer");
    c->add_option("ADDRESS", what->address, "as tcp:fileserver")->required()->type_name(kRemote);
    c->footer(R"(EXAMPLES
  9p ping tcp:fileserver
  9p ping -c 100 -i 0.01 unix:/run/9pserve.sock
)");
    c->add_option("-c,--count", what->count, "Requests")->capture_default_str();
    c->add_option("-i,--interval", what->pause, "How long to wait between them")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 3600.0))
        ->capture_default_str();
    c->callback(
        [&chosen, what] { chosen = [what](Tool& tool) { return told<Ping>(tool, *what, ping); }; });
  }
  {
    auto what = std::make_shared<LockAnd>();
    CLI::App* const c = app.add_subcommand(
        "lock", "Run a command while a file is locked, or tell who has the lock");
    c->add_option("FILE", what->file)->required()->type_name(kRemote);
    c->add_option("COMMAND", what->command, "and its arguments, behind --; without one: who has it")
        ->type_name(kCommand);
    c->footer(R"(EXAMPLES
  9p lock tcp:fileserver:/home/me/.lock -- make install
  9p lock --no-wait tcp:fileserver:/home/me/.lock -- backup || echo "it is under way already"
  9p lock tcp:fileserver:/home/me/.lock

EXIT STATUS
  The command's own. It is told what 9p is told to end by, and has the lock until
  it has ended; where 9p is killed, it gets SIGTERM. 1 where the lock was lost
  with the connection, and where it was there again only after a while, in which
  others could have had it.
)");
    c->add_flag("-s,--shared", what->shared, "A read lock");
    c->add_flag("-n,--no-wait", what->no_wait, "An error if somebody else has it");
    c->add_option("--start", what->start, "First byte that is locked")
        ->check(not_negative)
        ->capture_default_str();
    c->add_option("--length", what->length, "Bytes; 0: to the end")
        ->check(not_negative)
        ->capture_default_str();
    c->callback([&chosen, what] {
      chosen = [what](Tool& tool) { return told<LockAnd>(tool, *what, lock); };
    });
  }
}

}  // namespace ninep::tool
