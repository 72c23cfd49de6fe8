// A descriptor that is closed when its owner goes.
#pragma once

#include <utility>

#include <unistd.h>

namespace ninep::io {

class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.leak()) {}
  OwnedFd& operator=(OwnedFd other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Gives the descriptor up without closing it.
  int leak() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace ninep::io
