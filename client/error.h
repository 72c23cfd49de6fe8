// What a call of the client gives when it doesn't give what it was called for. Plain values, any
// thread. Source: Rlerror of 9P2000.L, Rerror of the older dialects (error(5)).
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "proto/result.h"

namespace ninep::client {

/// What became of a request when its connection was lost.
enum class Fate {
  kKnown,    // the connection was not lost
  kNotSent,  // nor was it, and it was not sent: its caller had no time to wait for a tag
  kUnsent,   // nothing of it went out
  kUnknown,  // it may have been done
};

/// What was being done, and why it did not work.
struct Error {
  Errno code{};       // the server's, or as each function says
  std::string doing;  // "open a/b"
  std::string why;    // more than the errno says; may be empty
  Fate fate = Fate::kKnown;

  /// "open a/b: No such file or directory", and `why` in brackets.
  std::string text() const {
    std::string text = doing.empty() ? "" : doing + ": ";
    text += errno_text(code);
    if (!why.empty()) text += " (" + why + ")";
    return text;
  }
};

/// A value, or the error that says why there is none.
template <class T>
using Expected = std::expected<T, Error>;

/// `return error(ENOENT, "open a/b");` from a function that returns an Expected.
inline std::unexpected<Error> error(int host_errno, std::string doing, std::string why = "") {
  return std::unexpected(
      Error{Errno{static_cast<U32>(host_errno)}, std::move(doing), std::move(why)});
}

/// `if (is(result.error(), ENOENT))`
inline bool is(const Error& error, int host_errno) {
  return error.code == Errno{static_cast<U32>(host_errno)};
}

/// The server's answer is that there is no such thing, by whatever errno: not that the file
/// couldn't be asked for it.
inline bool says_no(const Error& error) {
  for (const int other : {ECANCELED, ETIMEDOUT, EMFILE, ENFILE, ESTALE, ENOENT, EIO, ENOMEM})
    if (is(error, other)) return false;
  return error.fate == Fate::kKnown;
}

/// Passes an error on, from a coroutine; `r` is an Expected that has a name.
#define NINEP_CO_RETURN_IF_WRONG(r) \
  if (!(r)) co_return std::unexpected(std::move((r).error()))

}  // namespace ninep::client
