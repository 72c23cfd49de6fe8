#include "server/server.h"

#include <system_error>
#include <thread>

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transports/make_link.h"
#include "transports/party.h"

namespace ninep::server {

using transport::Ends;
using transport::Link;

namespace {

constexpr unsigned kReportsMax = 16;  // of one connection

/// How to serve what comes to a place.
struct Service {
  transport::Protocol protocol;
  Export exported;
  std::shared_ptr<transport::Party> party = std::make_shared<transport::Party>();
};

/// What came to the server.
struct Arrival {
  Ends ends;
  Service service;
  std::function<void()> ended;  // to be called at the end; may be empty
};

}  // namespace

/// A loop, its thread, and the connections that it serves.
class Server::Worker {
 public:
  Worker(std::unique_ptr<io::Loop> loop, Shared& shared)
      : loop_(std::move(loop)), shared_(shared) {}

  io::Loop& loop() { return *loop_; }

  // ---- on the loop's thread

  void serve(Arrival arrival) {
    if (stopping_) {
      ::close(arrival.ends.in);
      if (arrival.ends.out != arrival.ends.in) ::close(arrival.ends.out);
      if (arrival.ended) arrival.ended();
      return;
    }
    scope_.spawn(serve_one(std::move(arrival)));
  }

  /// Ends all connections; aborts those that take longer than `ms_max`.
  io::Task<void> drain(unsigned ms_max) {
    stopping_ = true;
    for (Link* link : links_) link->stop();
    deadline_ = io::ops::timeout(U64{ms_max} * 1'000'000);
    deadline_running_ = true;
    auto deadline = abort_at_deadline();
    auto ending = scope_.all_done();
    co_await ending;
    if (deadline_running_) loop_->cancel(deadline_);
    co_await deadline;
  }

 private:
  io::Task<void> serve_one(Arrival arrival) {
    const Service& service = arrival.service;
    const auto make = [this, exported = service.exported](io::Loop& loop,
                                                          const transport::Peer& peer) {
      return std::make_unique<Session>(loop, shared_, exported, peer.name);
    };
    std::string name = transport::peer_name(arrival.ends.in);
    if (!service.protocol.tag.empty()) name = "device " + service.protocol.tag;
    // Peers are not to fill the log, or a pipe that it goes to.
    const auto report = [name, left = kReportsMax](const std::string& problem) mutable {
      if (left == 0) return;
      spdlog::warn("{}: {}{}", name, problem, --left == 0 ? "; no more is said of it" : "");
    };
    const auto link = transport::make_link(*loop_, arrival.ends, service.protocol,
                                           {name, service.party}, make, report);
    links_.insert(link.get());
    spdlog::debug("{}: connected", name);
    auto serving = link->serve();
    co_await serving;
    const std::string account = link->account();
    spdlog::debug("{}: left{}{}", name, account.empty() ? "" : ": ", account);
    links_.erase(link.get());
    if (arrival.ended) arrival.ended();
  }

  io::Task<void> abort_at_deadline() {
    const int result = co_await loop_->run(deadline_);
    deadline_running_ = false;
    if (result != -ETIME) co_return;
    for (Link* link : links_) {
      spdlog::warn("{}: takes too long to finish; closed", link->peer().name);
      link->abort();
    }
  }

  const std::unique_ptr<io::Loop> loop_;
  Shared& shared_;
  bool stopping_ = false;
  io::Op deadline_;
  bool deadline_running_ = false;
  absl::flat_hash_set<Link*> links_;
  io::Scope scope_;
};

class Server::Impl {
 public:
  struct Listener {
    transport::ListeningSocket socket;
    Service service;
  };
  struct Dialed {
    transport::Address address;
    Service service;
    io::Event gone;  // the VMM, or the server is to stop
  };

  explicit Impl(Settings s) : settings(std::move(s)) {
    shared.msize_max = std::clamp(settings.msize_max, kMsizeMin, kMsizeMax);
    shared.trace = settings.trace;
    ::umask(0);  // modes come from the clients, which have applied their own
    for (unsigned i = 0; i < std::max(1u, settings.threads); ++i) {
      std::string why_not;
      auto loop = io::make_loop(settings.io, why_not);
      if (!loop)
        throw std::system_error(static_cast<int>(loop.error()), std::generic_category(),
                                "cannot make an event loop");
      if (i == 0 && !why_not.empty())
        spdlog::info("io_uring is not available ({}); serving with epoll and threads", why_not);
      workers.push_back(std::make_unique<Worker>(std::move(*loop), shared));
    }
    // No session gets all that are left: others want to connect, and to open something too.
    const int lowest_free = ::fcntl(stop_event, F_DUPFD_CLOEXEC, 0);
    if (lowest_free < 0) throw std::system_error(errno, std::generic_category(), "descriptors");
    ::close(lowest_free);
    if (rlimit limit; ::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
      const U64 left = limit.rlim_cur - std::min(limit.rlim_cur, static_cast<rlim_t>(lowest_free));
      shared.descriptors_max = std::min<U64>(shared.descriptors_max, left / 4 * 3);
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
    waiting.resize(listening.size() + dialed.size());
    io::Scope arrivals;
    for (std::size_t i = 0; i < listening.size(); ++i)
      arrivals.spawn(accept(listening[i], waiting[i]));
    for (std::size_t i = 0; i < dialed.size(); ++i)
      arrivals.spawn(dial(*dialed[i], waiting[listening.size() + i]));
    for (Arrival& arrival : connected) {
      ++connected_now;
      arrival.ended = [this] {
        workers[0]->loop().post([this] {
          if (--connected_now == 0 && listening.empty() && dialed.empty()) stop();
        });
      };
      place(std::move(arrival));
    }
    U64 count;
    auto room = std::as_writable_bytes(std::span(&count, 1));
    co_await workers[0]->loop().run(io::ops::recv(stop_event, true, room));
    stopping = true;
    for (io::Op& op : waiting)
      if (op.waiter) workers[0]->loop().cancel(op);
    for (const auto& vmm : dialed) vmm->gone.set();
    auto arrivals_ending = arrivals.all_done();
    co_await arrivals_ending;
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

  io::Task<void> accept(const Listener& listener, io::Op& op) {
    io::Loop& loop = workers[0]->loop();
    while (!stopping) {
      op = io::ops::accept(listener.socket.fd());
      const int result = co_await loop.run(op);
      op.waiter = nullptr;
      if (result >= 0) {
        transport::prepare_connection(result);
        place({{result, result, false}, listener.service, nullptr});
      } else if (result != -EINTR && result != -EAGAIN && result != -ECONNABORTED &&
                 result != -ECANCELED) {
        spdlog::warn("{}: cannot accept: {}", listener.socket.name(),
                     errno_text(Errno{static_cast<U32>(-result)}));
        // Until somebody has left, or whatever it is has passed.
        auto pausing = pause(op);
        co_await pausing;
      }
    }
  }

  // A connection to a VMM, one after the other.
  io::Task<void> dial(Dialed& vmm, io::Op& op) {
    bool said = false;
    while (!stopping) {
      const auto fd = transport::connect_address(vmm.address);
      if (fd) {
        spdlog::info("{}: connected to the VMM", vmm.address.text());
        said = false;
        place({{*fd, *fd, false}, vmm.service, [this, &vmm] {
                 workers[0]->loop().post([&vmm] { vmm.gone.set(); });
               }});
        co_await vmm.gone;
        continue;
      }
      if (!std::exchange(said, true))
        spdlog::info("{}: waits for a VMM that listens there ({})", vmm.address.text(),
                     errno_text(fd.error()));
      auto pausing = pause(op);
      co_await pausing;
    }
  }

  io::Task<void> pause(io::Op& op) {
    op = io::ops::timeout(100'000'000);
    co_await workers[0]->loop().run(op);
    op.waiter = nullptr;
  }

  // Connections go round the workers.
  void place(Arrival arrival) {
    Worker& worker = *workers[next++ % workers.size()];
    if (&worker == workers[0].get()) return worker.serve(std::move(arrival));
    worker.loop().post([&worker, arrival = std::move(arrival)] { worker.serve(arrival); });
  }

  void stop() const {
    const U64 one = 1;
    [[maybe_unused]] const auto written = ::write(stop_event, &one, sizeof one);
  }

  /// What an address shows.
  Export export_of(const transport::Address& address, std::optional<Export> exported) const {
    if (!exported) exported = settings.exported;
    exported->read_only = exported->read_only || address.read_only;
    return *exported;
  }

  const Settings settings;
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Listener> listening;
  std::vector<std::unique_ptr<Dialed>> dialed;
  std::vector<Arrival> connected;
  std::size_t connected_now = 0;
  std::vector<io::Op> waiting;  // for arrivals; those of the listeners, then those of `dialed`
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
  return listen(*address);
}

absl::Status Server::listen(const transport::Address& address, std::optional<Export> exported) {
  auto opened = transport::open_address(address);
  if (!opened.ok()) return opened.status();
  const Service service{address.protocol, impl_->export_of(address, std::move(exported))};
  for (auto& socket : opened->listening) impl_->listening.push_back({std::move(socket), service});
  for (const Ends& ends : opened->connected) impl_->connected.push_back({ends, service, nullptr});
  return absl::OkStatus();
}

absl::Status Server::connect(const transport::Address& address, std::optional<Export> exported) {
  if (address.protocol.kind != transport::Protocol::Kind::kVhostUser ||
      address.kind != transport::Address::Kind::kUnix)
    return absl::InvalidArgumentError(
        absl::StrCat("cannot connect to '", address.text(),
                     "': a VMM listens for vhost-user:PATH,tag=NAME alone"));
  if (address.mode)
    return absl::InvalidArgumentError(absl::StrCat("cannot connect to '", address.text(),
                                                   "' with mode=: the socket's file is the VMM's"));
  auto dialed = std::make_unique<Impl::Dialed>();
  dialed->address = address;
  dialed->service = {address.protocol, impl_->export_of(address, std::move(exported))};
  impl_->dialed.push_back(std::move(dialed));
  return absl::OkStatus();
}

std::vector<Server::Place> Server::places() const {
  std::vector<Place> all;
  for (const auto& listener : impl_->listening)
    all.push_back({listener.socket.name(), listener.service.protocol, Place::How::kListens});
  for (const auto& dialed : impl_->dialed)
    all.push_back({dialed->address.text(), dialed->address.protocol, Place::How::kConnects});
  for (const Arrival& arrival : impl_->connected)
    all.push_back({"", arrival.service.protocol, Place::How::kIsConnected});
  return all;
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
