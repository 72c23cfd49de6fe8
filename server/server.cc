#include "server/server.h"

#include <thread>

#include <absl/container/flat_hash_set.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transports/address.h"

namespace ninep::server {

using transport::Connection;
using transport::Ends;

/// A loop, its thread, and the connections that it serves.
class Server::Worker {
 public:
  Worker(std::unique_ptr<io::Loop> loop, Shared& shared)
      : loop_(std::move(loop)), shared_(shared) {}

  io::Loop& loop() { return *loop_; }

  // ---- on the loop's thread

  void serve(Ends ends, std::function<void()> ended) {
    if (stopping_) {
      ::close(ends.in);
      if (ends.out != ends.in) ::close(ends.out);
      if (ended) ended();
      return;
    }
    scope_.spawn(serve_one(ends, std::move(ended)));
  }

  /// Ends all connections; aborts those that take longer than `ms_max`.
  io::Task<void> drain(unsigned ms_max) {
    stopping_ = true;
    for (Connection* connection : connections_) connection->stop();
    deadline_ = io::ops::timeout(U64{ms_max} * 1'000'000);
    deadline_running_ = true;
    auto deadline = abort_at_deadline();
    auto ending = scope_.all_done();
    co_await ending;
    if (deadline_running_) loop_->cancel(deadline_);
    co_await deadline;
  }

 private:
  io::Task<void> serve_one(Ends ends, std::function<void()> ended) {
    const auto make = [this](io::Loop& loop, const transport::Peer& peer) {
      return std::make_unique<Session>(loop, shared_, peer.name);
    };
    Connection connection(*loop_, ends, {transport::peer_name(ends.in)}, make);
    connections_.insert(&connection);
    spdlog::debug("{}: connected", connection.peer().name);
    auto serving = connection.serve();
    co_await serving;
    spdlog::debug("{}: left", connection.peer().name);
    connections_.erase(&connection);
    if (ended) ended();
  }

  io::Task<void> abort_at_deadline() {
    const int result = co_await loop_->run(deadline_);
    deadline_running_ = false;
    if (result != -ETIME) co_return;
    for (Connection* connection : connections_) {
      spdlog::warn("{}: takes too long to finish; closed", connection->peer().name);
      connection->abort();
    }
  }

  const std::unique_ptr<io::Loop> loop_;
  Shared& shared_;
  bool stopping_ = false;
  io::Op deadline_;
  bool deadline_running_ = false;
  absl::flat_hash_set<Connection*> connections_;
  io::Scope scope_;
};

class Server::Impl {
 public:
  explicit Impl(Settings s) : settings(std::move(s)) {
    shared.exported = settings.exported;
    shared.msize_max = std::clamp(settings.msize_max, kMsizeMin, kMsizeMax);
    shared.trace = settings.trace;
    ::umask(0);  // modes come from the clients, which have applied their own
    for (unsigned i = 0; i < std::max(1u, settings.threads); ++i) {
      std::string why_not;
      auto loop = io::make_loop(settings.io, why_not);
      NINEP_CHECK(loop);  // main has asked with the same choice
      if (i == 0 && !why_not.empty())
        spdlog::info("io_uring is not available ({}); serving with epoll and threads", why_not);
      workers.push_back(std::make_unique<Worker>(std::move(*loop), shared));
    }
  }

  void run() {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < workers.size(); ++i)
      threads.emplace_back([this, i] { workers[i]->loop().run_until_stopped(); });
    io::Loop& loop = workers[0]->loop();
    loop.post([this] { scope.spawn(serve()); });
    loop.run_until_stopped();
    for (std::size_t i = 1; i < workers.size(); ++i) workers[i]->loop().stop();
    for (std::thread& thread : threads) thread.join();
  }

  // On the first loop, from the first accept to the last connection's end.
  io::Task<void> serve() {
    accepting.resize(listening.size());
    io::Scope accepts;
    for (std::size_t i = 0; i < listening.size(); ++i) accepts.spawn(accept(i));
    for (const Ends& ends : connected) {
      ++connected_now;
      place(ends, [this] {
        workers[0]->loop().post([this] {
          if (--connected_now == 0 && listening.empty()) stop();
        });
      });
    }
    U64 count;
    auto room = std::as_writable_bytes(std::span(&count, 1));
    co_await workers[0]->loop().run(io::ops::recv(stop_event, true, room));
    stopping = true;
    for (std::size_t i = 0; i < listening.size(); ++i)
      if (accepting[i].waiter) workers[0]->loop().cancel(accepting[i]);
    auto accepts_ending = accepts.all_done();
    co_await accepts_ending;
    listening.clear();  // nobody can connect any more, and socket files are gone
    io::Event one_drained;
    std::size_t left = workers.size();
    for (const auto& worker : workers) {
      worker->loop().post([this, &worker = *worker, &one_drained, &left] {
        worker.loop().detach(drain(worker, one_drained, left));
      });
    }
    while (left != 0) co_await one_drained;
    workers[0]->loop().stop();
  }

  // On the worker's loop; counts down on the first.
  io::Task<void> drain(Worker& worker, io::Event& one_drained, std::size_t& left) {
    auto draining = worker.drain(settings.drain_ms_max);
    co_await draining;
    workers[0]->loop().post([&one_drained, &left] {
      --left;
      one_drained.set();
    });
  }

  io::Task<void> accept(std::size_t index) {
    io::Loop& loop = workers[0]->loop();
    const int fd = listening[index].fd();
    io::Op& op = accepting[index];
    while (!stopping) {
      op = io::ops::accept(fd);
      const int result = co_await loop.run(op);
      op.waiter = nullptr;
      if (result >= 0) {
        transport::prepare_connection(result);
        place({result, result, false}, nullptr);
      } else if (result == -EMFILE || result == -ENFILE || result == -ENOMEM ||
                 result == -ENOBUFS) {
        spdlog::warn("{}: cannot accept: {}", listening[index].name(),
                     errno_text(Errno{static_cast<U32>(-result)}));
        op = io::ops::timeout(100'000'000);  // until somebody has left
        co_await loop.run(op);
        op.waiter = nullptr;
      }
    }
  }

  // Connections go round the workers.
  void place(Ends ends, std::function<void()> ended) {
    Worker& worker = *workers[next++ % workers.size()];
    if (&worker == workers[0].get()) return worker.serve(ends, std::move(ended));
    worker.loop().post([&worker, ends, ended = std::move(ended)] { worker.serve(ends, ended); });
  }

  void stop() const {
    const U64 one = 1;
    [[maybe_unused]] const auto written = ::write(stop_event, &one, sizeof one);
  }

  const Settings settings;
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<transport::ListeningSocket> listening;
  std::vector<Ends> connected;
  std::size_t connected_now = 0;
  std::vector<io::Op> accepting;
  bool stopping = false;
  std::size_t next = 0;
  const int stop_event = ::eventfd(0, EFD_CLOEXEC);
  io::Scope scope;
};

Server::Server(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Server::~Server() { ::close(impl_->stop_event); }

absl::Status Server::listen(const std::string& text) {
  const auto address = transport::Address::parse(text);
  if (!address.ok()) return address.status();
  auto opened = transport::open_address(*address);
  if (!opened.ok()) return opened.status();
  for (auto& socket : opened->listening) impl_->listening.push_back(std::move(socket));
  for (const Ends& ends : opened->connected) impl_->connected.push_back(ends);
  return absl::OkStatus();
}

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> names;
  for (const auto& socket : impl_->listening) names.push_back(socket.name());
  return names;
}

Str Server::io_name() const { return impl_->workers[0]->loop().name(); }
const Users& Server::users() const { return impl_->shared.users; }
void Server::run() { impl_->run(); }
void Server::stop() { impl_->stop(); }

io::Counters Server::counters() const {
  io::Counters sum{};
  for (const auto& worker : impl_->workers) {
    const io::Counters& part = worker->loop().counters();
    for (std::size_t i = 0; i < io::kKinds; ++i) {
      sum[i].in_place += part[i].in_place;
      sum[i].ring += part[i].ring;
      sum[i].pool += part[i].pool;
    }
  }
  return sum;
}

}  // namespace ninep::server
