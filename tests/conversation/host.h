// What a conversation is held with: sessions on a loop that runs in a thread of its own.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "server/session.h"
#include "tests/conversation/client.h"
#include "tests/transports/io/loops.h"

namespace ninep::test {

/// Takes all but the loop from the tests' thread; what runs on the loop is posted there.
class Host {
 public:
  Host(std::unique_ptr<io::Loop> loop, server::Export exported, U32 msize_max = 1 << 20);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  /// All clients have to be gone, or go now.
  ~Host();

  /// A client at one end of a socket pair and a new session at the other.
  Client connect();
  /// The same over TCP, which unlike a socket pair can be reset.
  Client connect_tcp();
  /// Until the server has looked at all that `client` has sent, answered or not.
  void wait_until_read(const Client& client);
  /// Until no more than `count` connections are left.
  void wait_for_connections(std::size_t count = 0);
  /// Bytes that the loop's thread keeps for reuse.
  std::size_t kept();

  io::Loop& loop() { return *loop_; }
  server::Shared& shared() { return shared_; }

 private:
  void run_on_loop(const std::function<void()>& function);
  Client serve(int ours, int clients);
  io::Task<void> serve_one(int fd);

  std::unique_ptr<io::Loop> loop_;
  const server::Export exported_;
  server::Shared shared_;
  io::Scope scope_;  // the loop's
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t connections_ = 0;
  std::thread thread_;
};

}  // namespace ninep::test
