#include "client/stream.h"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/gate.h"

namespace ninep::client {
namespace {

using Clock = std::chrono::steady_clock;
using Socket = asio::generic::stream_protocol::socket;
using Endpoint = asio::generic::stream_protocol::endpoint;
using transport::Address;

Errno errno_of(const std::error_code& error) {
  if (error.category() == asio::error::get_system_category() ||
      error.category() == std::generic_category())
    return Errno{static_cast<U32>(error.value())};
  return Errno{EHOSTUNREACH};  // of the resolver
}

asio::awaitable<void> sleep_until(Clock::time_point end) {
  asio::steady_timer timer(co_await asio::this_coro::executor, end);
  std::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<std::error_code> connect_one(Socket& socket, Endpoint endpoint) {
  std::error_code error;
  socket.open(endpoint.protocol(), error);
  if (error) co_return error;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

asio::awaitable<std::error_code> connect_any(Socket& socket, std::vector<Endpoint> endpoints) {
  std::error_code error = asio::error::host_not_found;
  for (const Endpoint& endpoint : endpoints) {
    std::error_code ignored;
    socket.close(ignored);
    auto connecting = connect_one(socket, endpoint);
    error = co_await std::move(connecting);
    if (!error || error == asio::error::operation_aborted) break;
  }
  co_return error;
}

/// A question to the resolver, which nothing ends before its answer is there.
struct Question {
  explicit Question(const asio::any_io_executor& executor)
      : resolver(executor), answered(executor) {}
  asio::ip::tcp::resolver resolver;
  Signal answered;
  std::error_code error;
  std::vector<Endpoint> endpoints;
};

asio::awaitable<std::error_code> find_host(const Address& address,
                                           std::vector<Endpoint>& endpoints) {
  const auto question = std::make_shared<Question>(co_await asio::this_coro::executor);
  const std::string host = address.host.empty() ? "localhost" : address.host;
  question->resolver.async_resolve(host, address.port,
                                   [question](std::error_code error, const auto& found) {
                                     question->error = error;
                                     for (const auto& entry : found)
                                       question->endpoints.emplace_back(entry.endpoint());
                                     question->answered.set();
                                   });
  const bool is_answered = co_await question->answered.wait();
  if (!is_answered) co_return asio::error::operation_aborted;
  endpoints = std::move(question->endpoints);
  co_return question->error;
}

Endpoint socket_of(const Address& address) {
  if (address.kind == Address::Kind::kUnix) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.path.c_str(), address.path.size());
    return Endpoint(&name, sizeof name);
  }
  sockaddr_vm name{};
  name.svm_family = AF_VSOCK;
  name.svm_cid = address.host == "any"
                     ? VMADDR_CID_LOCAL
                     : static_cast<unsigned>(std::strtoul(address.host.c_str(), nullptr, 10));
  name.svm_port = static_cast<unsigned>(std::strtoul(address.port.c_str(), nullptr, 10));
  return Endpoint(&name, sizeof name);
}

asio::awaitable<std::error_code> find(const Address& address, std::vector<Endpoint>& endpoints) {
  if (address.kind == Address::Kind::kTcp) co_return co_await find_host(address, endpoints);
  endpoints.push_back(socket_of(address));
  co_return std::error_code();
}

asio::awaitable<std::error_code> find_and_connect(Socket& socket, const Address& address) {
  std::vector<Endpoint> endpoints;
  const std::error_code error = co_await find(address, endpoints);
  if (error) co_return error;
  auto connecting = connect_any(socket, std::move(endpoints));
  co_return co_await std::move(connecting);
}

std::unexpected<Error> failure(const std::error_code& failed, const std::string& doing) {
  return std::unexpected(
      Error{errno_of(failed), doing,
            failed.category() == asio::error::get_system_category() ? "" : failed.message()});
}

}  // namespace

Stream::Stream(asio::any_io_executor executor, int in, int out) : in_(executor, in) {
  if (out != in) out_.emplace(executor, out);
  in_.native_non_blocking(true);
  if (out_) out_->native_non_blocking(true);
  int type = 0;
  socklen_t size = sizeof type;
  socket_ = ::getsockopt(out, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

Expected<Stream> Stream::of(const asio::any_io_executor& executor, int in, int out,
                            const std::string& doing) {
  try {
    return Stream(executor, in, out);
  } catch (const std::system_error& e) {
    ::close(in);
    if (out != in) ::close(out);
    return failure(e.code(), doing);
  }
}

asio::awaitable<Expected<Stream>> Stream::connect(Address address,
                                                  std::chrono::milliseconds patience) {
  using asio::experimental::awaitable_operators::operator||;
  const auto executor = co_await asio::this_coro::executor;
  const std::string doing = "connect to " + address.text();
  if (address.protocol.kind != transport::Protocol::Kind::kFrames)
    co_return error(EINVAL, doing, "a VM's device, not a server's address");
  if (address.kind == Address::Kind::kFd || address.kind == Address::Kind::kStdio) {
    for (const int fd : {address.in, address.out})
      if (::fcntl(fd, F_GETFD) < 0) co_return error(errno, doing);
    const int in = ::fcntl(address.in, F_DUPFD_CLOEXEC, 0);
    const int out = address.in == address.out ? in : ::fcntl(address.out, F_DUPFD_CLOEXEC, 0);
    if (in < 0 || out < 0) co_return error(errno, doing);
    co_return of(executor, in, out, doing);
  }
  Socket socket(executor);
  auto connecting = find_and_connect(socket, address);
  auto won = co_await (std::move(connecting) || sleep_until(Clock::now() + patience));
  if (won.index() != 0) co_return error(ETIMEDOUT, doing);
  const std::error_code failed = std::get<0>(won);
  if (failed) co_return failure(failed, doing);
  const int fd = socket.release();
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  transport::prepare_connection(fd);
  auto stream = of(executor, fd, fd, doing);
  if (stream) stream->is_ours_ = true;
  co_return stream;
}

asio::awaitable<Expected<std::vector<Endpoint>>> endpoints_of(Address address) {
  const std::string doing = "connect to " + address.text();
  if (address.kind == Address::Kind::kFd || address.kind == Address::Kind::kStdio)
    co_return error(EINVAL, doing, "one connection that is there already");
  std::vector<Endpoint> endpoints;
  const std::error_code failed = co_await find(address, endpoints);
  if (failed) co_return failure(failed, doing);
  co_return Expected<std::vector<Endpoint>>(std::move(endpoints));
}

asio::awaitable<Result<std::size_t>> Stream::read_some(std::span<const iovec> pieces) {
  for (;;) {
    const ssize_t size =
        ::readv(in_.native_handle(), pieces.data(), static_cast<int>(pieces.size()));
    if (size >= 0) co_return static_cast<std::size_t>(size);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail(errno);
    std::error_code error;
    co_await in_.async_wait(asio::posix::stream_descriptor::wait_read,
                            asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ECANCELED);
  }
}

Result<std::size_t> Stream::write_now(std::span<const iovec> pieces) {
  const int fd = (out_ ? *out_ : in_).native_handle();
  for (;;) {
    ssize_t size;
    if (socket_) {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces.data());
      message.msg_iovlen = pieces.size();
      size = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      size = ::writev(fd, pieces.data(), static_cast<int>(pieces.size()));
    }
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return std::size_t{0};
    return fail(errno);
  }
}

std::size_t Stream::unsent() {
  int size = 0;
  const int fd = (out_ ? *out_ : in_).native_handle();
  if (!socket_ || ::ioctl(fd, SIOCOUTQ, &size) != 0) return 0;
  return static_cast<std::size_t>(std::max(size, 0));
}

void Stream::forget_unsent() {
  if (!is_ours_) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt((out_ ? *out_ : in_).native_handle(), SOL_SOCKET, SO_LINGER, &at_once,
                     sizeof at_once);
}

void Stream::close() {
  std::error_code ignored;
  in_.close(ignored);
  if (out_) out_->close(ignored);
}

}  // namespace ninep::client
