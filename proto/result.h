// Errors: a Linux errno number, which is all that Rlerror can carry.
#pragma once

#include <cerrno>
#include <expected>
#include <string_view>

#include "proto/types.h"

namespace ninep {

/// An error number as it travels: Linux's numbers for x86, whatever the host. Never 0.
enum class Errno : U32 {};

/// A value, or the errno that says why there is none.
template <class T>
using Result = std::expected<T, Errno>;
/// What a function that gives nothing back returns.
using Status = Result<void>;

/// `return fail(ENOENT);` from a function that returns a Result.
constexpr std::unexpected<Errno> fail(int host_errno) {
  return std::unexpected(Errno{static_cast<U32>(host_errno)});
}
constexpr std::unexpected<Errno> fail(Errno e) { return std::unexpected(e); }

/// "ENOENT"; "E?" for a number without a name.
std::string_view errno_name(Errno e);
/// "No such file or directory", as glibc and the Linux client's table of texts have it.
std::string_view errno_text(Errno e);
/// What an Rerror says: the errno whose text it is, whatever its letters' case, or that of what
/// Plan 9's programs say; or the errno of what stands behind its last ": ". EREMOTEIO otherwise.
Errno errno_of_text(std::string_view text);

}  // namespace ninep

/// Passes an error on. `r` is a Result that is already named (never an expression with co_await).
#define NINEP_RETURN_IF_ERROR(r) \
  if (!(r)) return ::ninep::fail((r).error())
#define NINEP_CO_RETURN_IF_ERROR(r) \
  if (!(r)) co_return ::ninep::fail((r).error())
