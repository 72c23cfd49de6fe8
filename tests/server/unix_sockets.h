// UNIX sockets at a path, for tests that are a server's other end.
#pragma once

#include <string>

#include <sys/socket.h>
#include <sys/un.h>

#include "proto/check.h"

namespace ninep::test {

inline sockaddr_un unix_name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  return name;
}
inline int connected_to(const std::string& path) {
  const sockaddr_un name = unix_name(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NINEP_CHECK(::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  return fd;
}
inline int listening_on(const std::string& path) {
  const sockaddr_un name = unix_name(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NINEP_CHECK(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  NINEP_CHECK(::listen(fd, 1) == 0);
  return fd;
}

}  // namespace ninep::test
