// Request: one of the kernel's, from its coming to its answer.
#pragma once

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/steady_timer.hpp>

#include "client/error.h"
#include "client/mount/fuse.h"
#include "proto/types.h"

namespace ninep::mount {

/// What is done for a request.
using Work = asio::awaitable<client::Expected<void>>;

/// What a signal that the caller gets does to it. The kernel tells of every signal, also of those
/// that the caller handles; a read or a write of a file doesn't end by such a one.
enum class Interrupt {
  kNever,       // it has to be done: nobody would ask for it again
  kWhenKilled,  // it is answered at once, and cancelled, if the caller is about to end
  kAlways,      // it is cancelled: a wait for a lock
};

class Request : public std::enable_shared_from_this<Request> {
 public:
  Request(fuse_req_t request, Interrupt interrupt);
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// Answers, by one of libfuse's fuse_reply_... functions: what it returns. -ENOENT: the caller
  /// didn't wait, and knows of no answer: what it would have had is nobody's.
  template <class... Parameters, class... Arguments>
  int answer(int (*reply)(fuse_req_t, Parameters...), Arguments... arguments) {
    const fuse_req_t request = std::exchange(request_, nullptr);
    return request ? reply(request, arguments...) : -ENOENT;
  }
  Interrupt interrupt() const { return interrupt_; }
  bool is_answered() const { return request_ == nullptr; }
  /// The work's error; once it was cancelled, that is EINTR.
  void answer(const client::Error& wrong);

  // Who asks.
  U32 uid() const { return uid_; }
  U32 gid() const { return gid_; }
  U32 umask() const { return umask_; }
  int thread() const { return pid_; }  // 0: of another pid namespace

  /// From now on it can be interrupted: `work` cancels what is done for it, while it isn't over.
  void can_be_interrupted(const asio::any_io_executor& executor, asio::cancellation_signal& work);
  bool was_cancelled() const { return was_cancelled_; }
  void is_over() { work_ = nullptr; }

 private:
  static void come(fuse_req_t, void* self);
  void interrupted();
  void look_again();
  bool caller_ends() const;
  int errno_of(const client::Error& wrong) const;

  fuse_req_t request_;  // null: it is answered
  const Interrupt interrupt_;
  const U32 uid_;
  const U32 gid_;
  const U32 umask_;
  const int pid_;  // 0: of another pid namespace
  asio::cancellation_signal* work_ = nullptr;
  std::optional<asio::steady_timer> timer_;
  bool was_cancelled_ = false;
};
using RequestRef = std::shared_ptr<Request>;

}  // namespace ninep::mount
