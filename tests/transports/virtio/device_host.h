// What front ends of tests talk to: devices on a loop.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include "transports/make_link.h"
#include "transports/party.h"

namespace ninep::test {

/// A loop with a thread of its own, which serves front ends of one kind.
class DeviceHost {
 public:
  DeviceHost(std::unique_ptr<io::Loop> loop, transport::Protocol::Kind kind,
             transport::MakeHandler make_handler)
      : loop_(std::move(loop)), kind_(kind), make_handler_(std::move(make_handler)) {
    thread_ = std::thread([this] { loop_->run_until_stopped(); });
  }
  ~DeviceHost() {
    wait_for_links();
    loop_->stop();
    thread_.join();
  }

  /// The front end's side of a new connection.
  int connect(std::string tag = "share") { return connect({.kind = kind_, .tag = std::move(tag)}); }
  int connect(std::shared_ptr<transport::Party> party) {
    return connect({.kind = kind_, .tag = "share"}, std::move(party));
  }
  int connect(transport::Protocol protocol, std::shared_ptr<transport::Party> party = nullptr) {
    int pair[2];
    NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    {
      const std::lock_guard lock(mutex_);
      ++links_;
    }
    loop_->post([this, fd = pair[0], protocol, party] {
      scope_.spawn(serve_one(fd, protocol, {"test", party}));
    });
    return pair[1];
  }
  /// Until all front ends have been let go of, and of what they had.
  void wait_for_links() {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return links_ == 0; });
    }
    wait_aside();
  }
  /// Until what front ends had is closed.
  static void wait_aside() {
    while (io::Aside::waiting_everywhere() != 0) std::this_thread::yield();
  }
  std::vector<std::string> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  io::Loop& loop() { return *loop_; }

 private:
  io::Task<void> serve_one(int fd, transport::Protocol protocol, transport::Peer peer) {
    const auto report = [this](const std::string& problem) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(problem);
    };
    {
      const auto link =
          transport::make_link(*loop_, {fd, fd, false}, protocol, peer, make_handler_, report);
      auto serving = link->serve();
      co_await serving;
    }
    const std::lock_guard lock(mutex_);
    --links_;
    changed_.notify_all();
  }

  std::unique_ptr<io::Loop> loop_;
  const transport::Protocol::Kind kind_;
  const transport::MakeHandler make_handler_;
  io::Scope scope_;  // the loop's
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned links_ = 0;
  std::vector<std::string> reports_;
  std::thread thread_;
};

}  // namespace ninep::test
