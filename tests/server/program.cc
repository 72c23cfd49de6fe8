#include "tests/server/program.h"

#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::test {

Program::Program(std::vector<std::string> arguments, int in, int out, uid_t uid,
                 rlim_t descriptors) {
  int pipe[2];
  NINEP_CHECK(::pipe2(pipe, O_CLOEXEC) == 0);
  const char* const given = std::getenv("NINEP_SERVER");
  arguments.insert(arguments.begin(), given ? given : NINEP_9PSERVE);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  NINEP_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    if (in >= 0) ::dup2(in, 0);
    ::dup2(out >= 0 ? out : pipe[1], 1);
    ::dup2(pipe[1], 2);
    if (in == kClosed) ::close(0);
    if (out == kClosed) ::close(1);
    const rlimit limit{descriptors, descriptors};
    if (descriptors != 0 && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(126);
    if (uid != 0 && ::setuid(uid) != 0) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  said_fd_ = pipe[0];
}

Program::~Program() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(said_fd_);
}

bool Program::says(const std::string& text) {
  while (said.find(text) == said.npos)
    if (!read_more()) return false;
  return true;
}

int Program::wait() {
  while (read_more()) continue;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int Program::port(const std::string& host) {
  const std::string text = "listening on tcp:" + host + ":";
  if (!says(text)) throw Unexpected("it doesn't listen: " + said);
  std::size_t at = said.find(text) + text.size();
  while (said.find('\n', at) == said.npos) NINEP_CHECK(read_more());
  return std::atoi(said.c_str() + at);
}

bool Program::read_more() {
  char bytes[4096];
  const ssize_t size = ::read(said_fd_, bytes, sizeof bytes);
  if (size <= 0) return false;
  said.append(bytes, static_cast<std::size_t>(size));
  return true;
}

int run(std::vector<std::string> arguments, std::string& said) {
  Program program(std::move(arguments));
  const int status = program.wait();
  said = program.said;
  return status;
}

Client connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<U16>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
    throw Unexpected("connect");
  return Client(fd);
}
Client connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path.c_str(), sizeof name.sun_path - 1);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
    throw Unexpected("connect");
  return Client(fd);
}

}  // namespace ninep::test
