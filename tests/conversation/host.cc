#include "tests/conversation/host.h"

#include <future>

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transports/stream/connection.h"

namespace ninep::test {

Host::Host(std::unique_ptr<io::Loop> loop, server::Export exported, U32 msize_max)
    : loop_(std::move(loop)), exported_(std::move(exported)) {
  ::umask(0);  // as the server does: modes are the clients' business
  shared_.msize_max = msize_max;
  thread_ = std::thread([this] { loop_->run_until_stopped(); });
}

Host::~Host() {
  wait_for_connections();
  loop_->stop();
  thread_.join();
}

Client Host::connect() {
  int pair[2];
  NINEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  return serve(pair[0], pair[1]);
}

Client Host::connect_tcp() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  auto* at = reinterpret_cast<sockaddr*>(&name);
  NINEP_CHECK(::bind(listener, at, size) == 0 && ::listen(listener, 1) == 0);
  NINEP_CHECK(::getsockname(listener, at, &size) == 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NINEP_CHECK(::connect(client, at, size) == 0);
  const int ours = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  NINEP_CHECK(ours >= 0);
  ::close(listener);
  return serve(ours, client);
}

Client Host::serve(int ours, int clients) {
  {
    const std::lock_guard lock(mutex_);
    ++connections_;
  }
  loop_->post([this, ours] { scope_.spawn(serve_one(ours)); });
  return Client(clients);
}

io::Task<void> Host::serve_one(int fd) {
  const auto make = [this](io::Loop& loop, const transport::Peer& peer) {
    return std::make_unique<server::Session>(loop, shared_, exported_, peer.name);
  };
  {
    transport::Connection connection(*loop_, {fd, fd, false}, {"client"}, make);
    auto serving = connection.serve();
    co_await serving;
    io::Event turn_over;  // the turn may still name the connection
    loop_->post([&turn_over] { turn_over.set(); });
    co_await turn_over;
  }
  const std::lock_guard lock(mutex_);
  --connections_;
  changed_.notify_all();
}

void Host::wait_until_read(const Client& client) {
  for (int unread = 1; unread != 0; std::this_thread::yield())
    NINEP_CHECK(::ioctl(client.fd(), SIOCOUTQ, &unread) == 0);
  // What was received is handled in the same turn of the loop, or in the next.
  for (int turn = 0; turn < 3; ++turn) run_on_loop([] {});
}

void Host::run_on_loop(const std::function<void()>& function) {
  std::promise<void> ran;
  loop_->post([&] {
    function();
    ran.set_value();
  });
  ran.get_future().wait();
}

std::size_t Host::kept() {
  std::size_t bytes = 0;
  run_on_loop([&] { bytes = io::Chunk::kept() + io::detail::frames_kept(); });
  return bytes;
}

void Host::wait_for_connections(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return connections_ <= count; });
}

}  // namespace ninep::test
