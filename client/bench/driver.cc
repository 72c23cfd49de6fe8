#include "client/bench/driver.h"

#include <algorithm>
#include <array>

#include <poll.h>
#include <sys/epoll.h>

#include "client/bench/interrupt.h"

namespace ninep::bench {
namespace {

/// Requests leave when so much has gathered, or when everything that was received is handled.
constexpr std::size_t kSendAt = 128 << 10;

/// The most that fits in a frame, in whole pages, as Linux would send it.
U32 fit_io_size(U32 wanted, U32 msize, U64 file_size) {
  const U32 room = (msize - kIoHeaderSize) / 4096 * 4096;
  if (room == 0) give_up("msize ", msize, " has no room for 4 KiB");
  if (wanted % 4096 != 0) give_up("--io-size ", wanted, " isn't a multiple of 4096");
  if (std::min(wanted, room) > file_size)
    give_up("a file of ", file_size, " bytes is smaller than a read or write of ",
            std::min(wanted, room), "; see --file-size and --io-size");
  return std::min(wanted, room);
}

}  // namespace

Driver::Driver(const Options& options, const Workload& workload,
               const std::vector<std::string>& names)
    : options_(options),
      workload_(workload),
      chains_(workload.in(options.dialect)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      meter_(options) {
  open_connections(names);
  agreed_.msize = connections_.front().msize();
  agreed_.io_size = fit_io_size(options.io_size ? options.io_size : workload.io_size, agreed_.msize,
                                write_size(options));
  operation_ = agreed_.by_remove ? chains_.operation_by_remove : chains_.operation;
  make_lanes();
}

void Driver::open_connections(const std::vector<std::string>& names) {
  connections_.reserve(options_.connections);
  for (U32 i = 0; i < options_.connections; ++i) {
    Socket socket = connect_to(options_.server, options_.patience);
    const U32 msize = shake_hands(socket, options_, names);
    if (i == 0 && !chains_.operation_by_remove.empty())
      agreed_.by_remove = options_.unlink == Unlink::kRemove ||
                          (options_.unlink == Unlink::kAuto && !knows_unlinkat(socket));
    connections_.emplace_back(std::move(socket), i, msize, options_.dialect);
  }
  for (Connection& connection : connections_) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
    if (epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, connection.fd(), &event) != 0)
      give_up_errno("epoll_ctl");
  }
}

void Driver::make_lanes() {
  const U64 file_size = workload_.need == Need::kBig ? options_.file_size : write_size(options_);
  for (Connection& connection : connections_) {
    connection.written = {
        agreed_.io_size,
        std::vector<bool>(workload_.need == Need::kWrite ? file_size / agreed_.io_size : 0)};
    for (U32 i = 0; i < options_.depth; ++i) {
      const U32 number = static_cast<U32>(lanes_.size());
      lanes_.push_back({.connection = &connection,
                        .tag = Tag{static_cast<U16>(i)},
                        .base = Fid{1 + 2 * i},
                        .fid = Fid{2 + 2 * i},
                        .io_size = agreed_.io_size,
                        .file = number % kSmallFiles,
                        .file_size = file_size,
                        .random = Random(options_.seed * 0x10001 + number),
                        .name = "made-" + std::to_string(number)});
    }
  }
}

Figures Driver::run() {
  meter_ = Meter(options_);
  now_ = now_ns();
  busy_ = lanes_.size();
  for (Lane& lane : lanes_) {
    lane.step = chains_.setup.data();
    lane.end = lane.step + chains_.setup.size();
    if (chains_.setup.empty()) {
      begin(lane);
    } else {
      lane.step->ask(lane);
    }
  }
  for (Connection& connection : connections_) send(connection);
  while (busy_ != 0) {
    give_up_if_interrupted();
    wait_for_ready();
    for (Connection* connection : ready_) serve(*connection);
  }
  return meter_.figures();
}

/// Fills ready_, and sends on where a socket was full before.
void Driver::wait_for_ready() {
  ready_.clear();
  if (connections_.size() == 1) {
    Connection& only = connections_.front();
    while (only.queued() != 0) {
      pollfd p{.fd = only.fd(), .events = POLLIN | POLLOUT, .revents = 0};
      const int n = poll(&p, 1, static_cast<int>(options_.patience.count()));
      if (n == 0) give_up("neither a reply nor room for a request within --timeout");
      if (n < 0) {  // a signal
        give_up_if_interrupted();
        continue;
      }
      if (p.revents & POLLOUT) only.flush();
      if (p.revents & ~POLLOUT) break;
    }
    ready_.push_back(&only);
    return;
  }
  std::array<epoll_event, 64> events;
  const int n = epoll_wait(epoll_.fd(), events.data(), events.size(),
                           static_cast<int>(options_.patience.count()));
  if (n == 0) give_up("no reply on any connection within --timeout");
  for (int i = 0; i < n; ++i) {
    Connection& connection =
        *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (events[static_cast<std::size_t>(i)].events & EPOLLOUT) send(connection);
    if (events[static_cast<std::size_t>(i)].events & ~U32{EPOLLOUT}) ready_.push_back(&connection);
  }
}

/// Takes all replies of one receive and sends what follows from them.
void Driver::serve(Connection& connection) {
  connection.receive();
  now_ = now_ns();
  meter_.tick(now_);
  while (const auto frame = connection.next_frame()) {
    const Header header = read_header(*frame);
    const std::size_t index = static_cast<std::size_t>(header.tag);
    if (index >= options_.depth)
      unexpected_reply(*frame, options_.dialect, "a tag that isn't in use");
    take(lanes_[connection.number() * options_.depth + index], *frame);
    if (connection.queued() >= kSendAt) connection.flush();
  }
  if (connection.queued() != 0) send(connection);
}

void Driver::send(Connection& connection) {
  connection.flush();
  if (connections_.size() == 1) return;
  // Level-triggered; changed only when a socket is full, or was.
  if (connection.queued() == 0 && !connection.waits_for_room) return;
  connection.waits_for_room = connection.queued() != 0;
  epoll_event event{.events = connection.waits_for_room ? EPOLLIN | EPOLLOUT : U32{EPOLLIN},
                    .data = {.ptr = &connection}};
  if (epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, connection.fd(), &event) != 0)
    give_up_errno("epoll_ctl");
}

void Driver::take(Lane& lane, Bytes frame) {
  if (lane.idle) unexpected_reply(frame, options_.dialect, "a tag that isn't in use");
  if (reply_code(frame, options_.dialect) != lane.step->reply)
    unexpected_reply(frame, options_.dialect, lane.step->asked);
  if (lane.step->take(lane, frame) == Next::kSameAgain) return lane.step->ask(lane);
  if (++lane.step != lane.end) return lane.step->ask(lane);
  if (lane.ready) meter_.count(now_ - lane.began_ns);
  begin(lane);
}

/// The lane's next operation, or none any more.
void Driver::begin(Lane& lane) {
  lane.ready = true;
  if (meter_.over()) {
    lane.idle = true;
    --busy_;
    return;
  }
  lane.step = operation_.data();
  lane.end = lane.step + operation_.size();
  lane.began_ns = now_;
  lane.step->ask(lane);
}

}  // namespace ninep::bench
