#include "transports/virtio/signal.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/types.h"

namespace ninep::virtio {
namespace {

std::string target_of(int fd) {
  char target[32];
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), target, sizeof target);
  return {target, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

/// Asynchronous reads of no bytes, which an eventfd refuses: it is the kernel that tells an
/// eventfd of their end, and it doesn't wait for room.
class Completions {
 public:
  Completions() {
    if (::syscall(SYS_io_setup, kEvents, &context_) != 0) context_ = 0;
  }
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;
  ~Completions() {
    if (context_ != 0) ::syscall(SYS_io_destroy, context_);
  }

  /// False: the system has none of it.
  bool tell(int fd) {
    if (context_ == 0) return false;
    if (++told_ % kEvents == 0) {
      timespec now{};
      ::syscall(SYS_io_getevents, context_, 0, kEvents, events_.data(), &now);
    }
    iocb nothing{};
    nothing.aio_fildes = static_cast<U32>(fd);
    nothing.aio_lio_opcode = IOCB_CMD_PREAD;
    nothing.aio_flags = IOCB_FLAG_RESFD;
    nothing.aio_resfd = static_cast<U32>(fd);
    iocb* const one = &nothing;
    return ::syscall(SYS_io_submit, context_, 1, &one) == 1;
  }

 private:
  static constexpr long kEvents = 64;

  aio_context_t context_ = 0;
  long told_ = 0;
  std::array<io_event, kEvents> events_{};
};

}  // namespace

bool is_eventfd(int fd) { return target_of(fd) == "anon_inode:[eventfd]"; }

Result<Signal> Signal::make(io::OwnedFd&& fd) {
  Signal signal;
  if (!fd) return signal;
  if (!is_eventfd(fd.get())) return fail(EINVAL);
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  signal.fd_ = std::move(fd);
  return signal;
}

void Signal::send() const {
  if (!fd_) return;
  thread_local Completions completions;
  if (completions.tell(fd_.get())) return;
  // No asynchronous I/O here: a VMM that is out for it can stop us.
  const U64 one = 1;
  [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

}  // namespace ninep::virtio
