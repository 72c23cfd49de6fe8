#include "tests/client/proxy.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::test {
namespace {

sockaddr_un name_of(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  NINEP_CHECK(path.size() < sizeof name.sun_path);
  std::memcpy(name.sun_path, path.c_str(), path.size());
  return name;
}

enum class Passed { kYes, kNo, kLost };

/// Passes one frame on, if it isn't of type `lost`. Otherwise the connection is to end.
Passed pass_one(int from, int to, std::atomic<int>& lost) {
  U32 size;
  if (::recv(from, &size, sizeof size, MSG_WAITALL) != sizeof size || size < 7 || size > (8u << 20))
    return Passed::kNo;
  std::vector<char> frame(size);
  std::memcpy(frame.data(), &size, sizeof size);
  const auto rest = static_cast<ssize_t>(size - sizeof size);
  if (::recv(from, frame.data() + sizeof size, static_cast<std::size_t>(rest), MSG_WAITALL) != rest)
    return Passed::kNo;
  int type = static_cast<U8>(frame[4]);
  if (lost.compare_exchange_strong(type, 0)) return Passed::kLost;
  const ssize_t sent = ::send(to, frame.data(), frame.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(size) ? Passed::kYes : Passed::kNo;
}

}  // namespace

Proxy::Proxy(std::string path, std::string to)
    : to_(std::move(to)), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_un name = name_of(path);
  NINEP_CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  NINEP_CHECK(::listen(listener_, 16) == 0);
  accepting_ = std::thread([this] { accept_all(); });
}

Proxy::~Proxy() {
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  cut();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

void Proxy::cut() {
  const std::lock_guard lock(mutex_);
  for (const int client : clients_) ::shutdown(client, SHUT_RDWR);
}

void Proxy::accept_all() {
  for (int client; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    const std::lock_guard lock(mutex_);
    clients_.push_back(client);
    ++connections_;
    threads_.emplace_back([this, client] { pass_on(client); });
  }
}

void Proxy::pass_on(int client) {
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un name = name_of(to_);
  // Each way for itself: a peer that waits until its replies are read doesn't hold up the other
  // one.
  const auto one_way = [&](int from, int into, std::atomic<int>& lost) {
    Passed passed;
    while ((passed = pass_one(from, into, lost)) == Passed::kYes) continue;
    if (passed == Passed::kLost && at_loss) at_loss();
    ::shutdown(client, SHUT_RDWR);
    ::shutdown(server, SHUT_RDWR);
  };
  if (::connect(server, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) {
    std::thread back([&] { one_way(server, client, reply_); });
    one_way(client, server, request_);
    back.join();
  }
  ::close(server);
  const std::lock_guard lock(mutex_);
  std::erase(clients_, client);
  ::close(client);
}

}  // namespace ninep::test
