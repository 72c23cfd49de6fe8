// A server's address by which connections are lost when a test wants it.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proto/types.h"

namespace ninep::test {

/// Passes frames on between clients at `path` and the server at `to`.
class Proxy {
 public:
  Proxy(std::string path, std::string to);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  /// The next request of that type (T-message's) goes nowhere, and ends its connection.
  void lose_request(U8 type) { request_ = type; }
  /// The next reply to one does.
  void lose_reply(U8 type) { reply_ = type + 1; }
  /// What happens then, before its connection ends. Set before anything is lost.
  std::function<void()> at_loss;
  /// Ends all connections that there are.
  void cut();
  /// Whether what was to be lost has been.
  bool has_lost() const { return request_ == 0 && reply_ == 0; }
  int connections() const { return connections_; }

 private:
  void accept_all();
  void pass_on(int client);

  const std::string to_;
  int listener_;
  std::atomic<int> request_{0};
  std::atomic<int> reply_{0};
  std::atomic<int> connections_{0};
  std::mutex mutex_;  // guards the rest
  std::vector<int> clients_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

}  // namespace ninep::test
