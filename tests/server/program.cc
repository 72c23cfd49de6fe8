#include "tests/server/program.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::test {

namespace {

// As the default profile of container engines: EPERM.
void refuse_io_uring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(126);
}

}  // namespace

Program::Program(std::vector<std::string> arguments, Start start) {
  int pipe[2];
  NINEP_CHECK(::pipe2(pipe, O_CLOEXEC) == 0);
  const char* const given = std::getenv("NINEP_9PSERVE");
  arguments.insert(arguments.begin(), given ? given : NINEP_9PSERVE);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // By its descriptor: another user may not reach the folder that it is in.
  const int program = ::open(argv[0], O_PATH | O_CLOEXEC);
  NINEP_CHECK(program >= 0);
  pid_ = ::fork();
  NINEP_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    if (start.in >= 0) ::dup2(start.in, 0);
    ::dup2(start.out >= 0 ? start.out : pipe[1], 1);
    ::dup2(pipe[1], 2);
    if (start.in == kClosed) ::close(0);
    if (start.out == kClosed) ::close(1);
    const rlimit limit{start.descriptors, start.descriptors};
    if (start.descriptors != 0 && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(126);
    if (start.no_io_uring) refuse_io_uring();
    if (start.uid != 0 && ::setuid(start.uid) != 0) ::_exit(126);
    ::execveat(program, "", argv.data(), environ, AT_EMPTY_PATH);
    ::_exit(127);
  }
  ::close(program);
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
