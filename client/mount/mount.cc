#include "client/mount/mount.h"

#include <unistd.h>

namespace ninep::mount {

using client::error;
using client::Expected;

Mount::Mount(client::Node root, Options options)
    : executor_(root.attachment()->executor()),
      options_(std::move(options)),
      inodes_(std::move(root)),
      group_(executor_) {}

Mount::~Mount() {
  if (device_) device_->release();
  if (session_) {
    if (!ending_) fuse_session_unmount(session_);
    fuse_session_destroy(session_);
  }
}

Expected<void> Mount::mount(const std::string& directory) {
  std::string options = "fsname=" + options_.source + ",subtype=9p,default_permissions";
  if (options_.allow_other) options += ",allow_other";
  if (options_.read_only) options += ",ro";
  for (const std::string& more : options_.options) options += "," + more;
  std::vector<std::string> arguments{"9p", "-o", options};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  fuse_args args{static_cast<int>(pointers.size()), pointers.data(), 0};
  session_ = fuse_session_new(&args, &kHandlers, sizeof kHandlers, this);
  fuse_opt_free_args(&args);
  if (!session_) return error(EINVAL, "mount", "FUSE refuses the options " + options);
  if (fuse_session_mount(session_, directory.c_str()) != 0)
    return error(errno != 0 ? errno : EPERM, "mount on " + directory);
  const int fd = fuse_session_fd(session_);
  device_.emplace(executor_, fd);
  device_->native_non_blocking(true);
  return {};
}

asio::awaitable<void> Mount::serve() {
  fuse_buf buffer{};
  while (!fuse_session_exited(session_) && !ending_) {
    const int size = fuse_session_receive_buf(session_, &buffer);
    if (size == -EINTR) continue;
    if (size == -EAGAIN) {
      std::error_code wrong;
      co_await device_->async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, wrong));
      if (wrong) break;
      continue;
    }
    if (size <= 0) break;  // unmounted
    fuse_session_process_buf(session_, &buffer);
  }
  std::free(buffer.mem);
  co_await group_.all_done();
}

void Mount::end() {
  ending_ = true;
  fuse_session_unmount(session_);  // at once for whoever looks; what is under way may still end
  group_.cancel();
  std::error_code ignored;
  if (device_) device_->cancel(ignored);
}

// ------------------------------------------------------------------ requests

/// Whether one of the kernel's is still wanted.
struct Mount::Interrupts {
  asio::cancellation_signal* work = nullptr;
  bool came = false;

  // Called while another message of the kernel's is handled; never after the answer.
  static void come(fuse_req_t, void* self) {
    auto& it = *static_cast<Interrupts*>(self);
    it.came = true;
    it.work->emit(asio::cancellation_type::terminal);
  }
};

void Mount::start(fuse_req_t request, Work work) {
  const auto interrupts = std::make_shared<Interrupts>();
  interrupts->work = &group_.spawn(run(request, interrupts, std::move(work)));
  fuse_req_interrupt_func(request, &Interrupts::come, interrupts.get());
}

asio::awaitable<void> Mount::run(fuse_req_t request, std::shared_ptr<Interrupts> interrupts,
                                 Work work) {
  if (interrupts->came) {
    fuse_reply_err(request, EINTR);
    co_return;
  }
  const auto answered = co_await std::move(work);
  if (answered) co_return;
  const auto code = static_cast<int>(answered.error().code);
  fuse_reply_err(request, code == ECANCELED && interrupts->came ? EINTR : code);
}

}  // namespace ninep::mount
