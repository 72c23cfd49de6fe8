// What most handlers end with.
#pragma once

#include "server/session.h"

namespace ninep::server {

/// The reply R to what the back end was asked: R of the value that it gives, or of nothing. `held`
/// is what the back end uses, until it has answered.
template <class R, class T, class... Held>
Reply<R> answer(io::Task<Result<T>> asked, Held... /*held*/) {
  auto given = co_await asked;
  NINEP_CO_RETURN_IF_ERROR(given);
  if constexpr (std::is_void_v<T>) {
    co_return R{};
  } else {
    co_return R{*std::move(given)};
  }
}

}  // namespace ninep::server
