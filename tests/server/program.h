// 9pserve as a process. $NINEP_9PSERVE is the one to test, or else the one that was built beside.
#pragma once

#include <csignal>

#include <sys/resource.h>

#include "tests/conversation/client.h"

namespace ninep::test {

/// A 9pserve that runs. What it prints, on both streams, is `said`.
class Program {
 public:
  static constexpr int kClosed = -2;
  /// How it starts; by default much as the test has.
  struct Start {
    int in = -1;               // its descriptor 0, or kClosed
    int out = -1;              // its descriptor 1, or kClosed; by default what is `said`
    uid_t uid = 0;             // whom to run as, if not as the test
    rlim_t descriptors = 0;    // the most that it may have, if not what the test may
    bool no_io_uring = false;  // its system calls are refused, as containers do
  };
  explicit Program(std::vector<std::string> arguments) : Program(std::move(arguments), Start{}) {}
  Program(std::vector<std::string> arguments, Start start);
  ~Program();

  /// Reads what it says until `text` comes; false: it ended without.
  bool says(const std::string& text);
  void signal(int number) const { ::kill(pid_, number); }
  /// Its exit status, or minus the signal that ended it; once it has ended by itself.
  int wait();
  /// The port in "listening on tcp:HOST:PORT", when that has been said.
  int port(const std::string& host = "127.0.0.1");
  pid_t pid() const { return pid_; }

  std::string said;

 private:
  bool read_more();
  pid_t pid_ = -1;
  int said_fd_ = -1;
};

/// Runs one to its end; its exit status.
int run(std::vector<std::string> arguments, std::string& said);

Client connect_to(int port);
Client connect_to(const std::string& path);

}  // namespace ninep::test
