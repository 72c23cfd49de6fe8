#include "client/mount/request.h"

#include <fstream>
#include <string>

#include <asio/post.hpp>
#include <signal.h>

namespace ninep::mount {

namespace {

constexpr std::chrono::milliseconds kLookAgain{300};
constexpr int kErrnoMax = 511;  // the kernel takes no others, and the request isn't answered then

}  // namespace

Request::Request(fuse_req_t request, Interrupt interrupt)
    : request_(request),
      interrupt_(interrupt),
      uid_(fuse_req_ctx(request)->uid),
      gid_(fuse_req_ctx(request)->gid),
      umask_(fuse_req_ctx(request)->umask),
      pid_(fuse_req_ctx(request)->pid) {}

void Request::answer(const client::Error& wrong) { answer(fuse_reply_err, errno_of(wrong)); }

int Request::errno_of(const client::Error& wrong) const {
  const int code = static_cast<int>(wrong.code);
  if (code == ECANCELED) return was_cancelled_ ? EINTR : EIO;
  // To the kernel that says that it needn't ask for anything of the kind any more.
  if (code == ENOSYS) return EOPNOTSUPP;
  return code > 0 && code <= kErrnoMax ? code : EIO;
}

void Request::can_be_interrupted(const asio::any_io_executor& executor,
                                 asio::cancellation_signal& work) {
  if (interrupt_ == Interrupt::kNever) return;
  work_ = &work;
  timer_.emplace(executor);
  fuse_req_interrupt_func(request_, &Request::come, this);
}

// libfuse has the request locked meanwhile, so that it isn't answered from here.
void Request::come(fuse_req_t, void* self) {
  auto& it = *static_cast<Request*>(self);
  asio::post(it.timer_->get_executor(),
             [request = it.shared_from_this()] { request->interrupted(); });
}

// The kernel tells of one signal alone: who handled the first one may be killed by the next.
void Request::interrupted() {
  if (is_answered()) return;
  if (interrupt_ == Interrupt::kWhenKilled) {
    if (!caller_ends()) return look_again();
    answer(fuse_reply_err, EINTR);
  }
  was_cancelled_ = true;
  if (work_) work_->emit(asio::cancellation_type::terminal);
}

void Request::look_again() {
  timer_->expires_after(kLookAgain);
  timer_->async_wait([request = weak_from_this()](std::error_code cancelled) {
    const auto self = request.lock();
    if (!cancelled && self) self->interrupted();
  });
}

// A signal that ends a process is a SIGKILL to each of its threads as soon as it is sent: proc(5).
bool Request::caller_ends() const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigPnd:")) continue;
    return (std::strtoull(line.c_str() + 7, nullptr, 16) >> (SIGKILL - 1) & 1) != 0;
  }
  return false;
}

}  // namespace ninep::mount
