// Stream: a connection as bytes: a socket, or two ends of pipes. Owns its descriptors.
//
// On one executor that runs no two of its handlers at once, as all of client/.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <sys/uio.h>

#include "client/error.h"
#include "transports/address.h"

namespace ninep::client {

class Stream {
 public:
  /// Takes the descriptors over; `in` and `out` may be one. A pipe that nobody reads any more
  /// sends SIGPIPE, which is the program's to ignore; a socket doesn't. Throws std::system_error:
  /// they can't be waited for, or aren't open.
  Stream(asio::any_io_executor executor, int in, int out);

  /// tcp:, unix:, vsock:, fd: and stdio: (descriptors are copied). A host's addresses are tried one
  /// after the other. Errors: connect(2); EHOSTUNREACH: the resolver's, with its text; ETIMEDOUT:
  /// `patience` was over; EINVAL: the address of a VM's device.
  static asio::awaitable<Expected<Stream>> connect(transport::Address address,
                                                   std::chrono::milliseconds patience);

  asio::any_io_executor executor() { return in_.get_executor(); }

  /// Receives into the first of `pieces`, then the next, which stay until it returns: bytes
  /// received; 0 at the end. One call at a time. Errors: readv(2); ECANCELED: closed meanwhile.
  asio::awaitable<Result<std::size_t>> read_some(std::span<const iovec> pieces);
  /// Sends what can be sent without waiting: bytes sent; 0: none now. Errors: sendmsg(2),
  /// writev(2).
  Result<std::size_t> write_now(std::span<const iovec> pieces);
  /// Bytes that were written and are still on the way, as far as the system tells.
  std::size_t unsent();
  /// Calls `handler(std::error_code)` when write_now() can do something again.
  template <class Handler>
  void when_writable(Handler&& handler) {
    (out_ ? *out_ : in_)
        .async_wait(asio::posix::stream_descriptor::wait_write, std::forward<Handler>(handler));
  }
  /// What the system hasn't sent when it is closed is not sent any more, where there is a way: of
  /// connections that connect() has made.
  void forget_unsent();
  /// Ends what waits, with an error. Nothing is to be asked of it after that.
  void close();

 private:
  /// The same as the constructor, and closes them where that throws.
  static Expected<Stream> of(const asio::any_io_executor& executor, int in, int out,
                             const std::string& doing);

  asio::posix::stream_descriptor in_;
  std::optional<asio::posix::stream_descriptor> out_;  // if it isn't in_
  bool socket_ = true;
  bool is_ours_ = false;  // nobody else has it
};

/// Where an address leads, for who connects by himself: all of a host's; tcp:, unix:, vsock:.
asio::awaitable<Expected<std::vector<asio::generic::stream_protocol::endpoint>>> endpoints_of(
    transport::Address address);

}  // namespace ninep::client
