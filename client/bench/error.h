// How the load generator gives up: every surprise ends the run with one sentence that says what was
// expected and what came, because a figure from a run that went wrong is worse than none.
#pragma once

#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>

namespace ninep::bench {

struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What << makes of all parts, one behind the other.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void give_up(const Parts&... parts) {
  throw LoadError(text(parts...));
}

/// The same for a failed system call: adds what errno says.
template <class... Parts>
[[noreturn]] void give_up_errno(const Parts&... parts) {
  const int error = errno;
  throw LoadError(text(parts..., ": ", std::strerror(error)));
}

}  // namespace ninep::bench
