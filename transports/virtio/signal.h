// Signal: an eventfd of the VMM's by which it is told of something.
#pragma once

#include "proto/result.h"
#include "transports/io/owned_fd.h"

namespace ninep::virtio {

/// Whether it can be a kick's or a Signal's. It asks no file system, since that may be the VMM's
/// own. Nothing else is taken: reading and writing a pipe waits for whoever reads or writes it too.
bool is_eventfd(int fd);

/// Loop thread only.
class Signal {
 public:
  /// None: send() does nothing.
  Signal() = default;
  /// EINVAL: it is none, and `fd` stays the caller's. No descriptor: none.
  static Result<Signal> make(io::OwnedFd&& fd);

  explicit operator bool() const { return bool(fd_); }
  /// Never waits, though the VMM may fill an eventfd up, and take O_NONBLOCK from it at any time:
  /// write(2) might. What finds it full is lost.
  void send() const;

 private:
  io::OwnedFd fd_;
};

}  // namespace ninep::virtio
