#include "client/mount/mount.h"

#include <atomic>
#include <fstream>
#include <thread>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mount/open.h"

namespace ninep::mount {

using client::error;
using client::Expected;

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kTransferMax = 1 << 20;  // the kernel has no larger ones
constexpr std::chrono::seconds kGrace{5};      // for what is under way at the end
constexpr int kReadAheadKib = 4096;

/// The file system that is mounted there, without a word to it; 0: nothing is known.
dev_t device_at(const std::string& directory) {
  struct statx is{};
  if (::statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &is) !=
      0)
    return 0;
  return makedev(is.stx_dev_major, is.stx_dev_minor);
}

/// umount(2), or by fusermount3 for whoever isn't root.
bool unmount_at(const std::string& directory, bool lazy) {
  if (::umount2(directory.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return true;
  if (errno != EPERM) return false;
  std::vector<std::string> words{"fusermount3", "-u", "-q"};
  if (lazy) words.emplace_back("-z");
  words.emplace_back("--");
  words.push_back(directory);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  ::posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int spawned =
      ::posix_spawnp(&child, arguments[0], &quiet, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  int status = 1;
  while (spawned == 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return spawned == 0 && status == 0;
}

}  // namespace

/// To unmount from a thread of its own: the kernel may want to be served meanwhile.
struct Mount::Unmounting {
  explicit Unmounting(const asio::any_io_executor& executor) : done(executor) {}
  std::thread thread;
  client::Signal done;
  std::atomic<bool> is_detached = false;
};

Mount::Mount(client::Node root, Options options)
    : executor_(root.attachment()->executor()),
      options_(std::move(options)),
      payload_max_(root.attachment()->payload_max()),
      inodes_(std::move(root)),
      group_(executor_),
      waiting_(executor_) {}

Mount::~Mount() {
  close();
  if (unmounting_ && unmounting_->thread.joinable()) unmounting_->thread.join();
  const bool is_detached = unmounting_ && unmounting_->is_detached;
  if (state_ != State::kUnmounted && state_ != State::kNew && !is_detached && is_ours())
    unmount_at(directory_, true);
}

// Who still waits for an answer of ours gets an error.
void Mount::close() {
  if (device_) device_->release();
  device_.reset();
  if (session_) fuse_session_destroy(session_);
  session_ = nullptr;
}

// Whole pages, as many as one message of the server's carries: a page more would be a second one.
std::size_t Mount::transfer_max() const {
  if (payload_max_ < kTransferMax / 4) return kTransferMax;
  return std::min<std::size_t>(kTransferMax, payload_max_ / kPage * kPage);
}

Expected<void> Mount::mount(const std::string& directory) {
  std::string options =
      "fsname=" + options_.source + ",subtype=9p,max_read=" + std::to_string(transfer_max());
  if (options_.allow_other) options += ",allow_other,default_permissions";
  if (options_.read_only) options += ",ro";
  for (const std::string& more : options_.options) options += "," + more;
  std::vector<std::string> arguments{"9p", "-o", options};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  fuse_args args{static_cast<int>(pointers.size()), pointers.data(), 0};
  session_ = fuse_session_new(&args, &kHandlers, sizeof kHandlers, this);
  fuse_opt_free_args(&args);
  if (!session_) return error(EINVAL, "mount", "FUSE refuses the options " + options);
  errno = 0;
  if (fuse_session_mount(session_, directory.c_str()) != 0)
    return error(errno != 0 ? errno : EPERM, "mount on " + directory);
  directory_ = directory;
  state_ = State::kServing;
  device_.emplace(executor_, fuse_session_fd(session_));
  device_->native_non_blocking(true);
  return {};
}

// As soon as the kernel has agreed with us it can be told: that is root's to do.
void Mount::began() {
  number_ = device_at(directory_);
  if (number_ == 0) return;
  std::ofstream("/sys/class/bdi/" + std::to_string(major(number_)) + ":" +
                std::to_string(minor(number_)) + "/read_ahead_kb")
      << kReadAheadKib;
}

bool Mount::is_ours() const { return number_ == 0 || device_at(directory_) == number_; }

asio::awaitable<void> Mount::serve() {
  fuse_buf buffer{};
  for (bool is_first = true; state_ == State::kServing || state_ == State::kUnmounting;) {
    const int size = fuse_session_receive_buf(session_, &buffer);
    if (size == -EINTR) continue;
    if (size == -EAGAIN) {
      std::error_code wrong;
      co_await device_->async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, wrong));
      continue;
    }
    if (size <= 0) {
      state_ = size == 0 ? State::kUnmounted : State::kGivenUp;
      break;
    }
    fuse_session_process_buf(session_, &buffer);
    if (std::exchange(is_first, false)) began();
  }
  std::free(buffer.mem);
  waiting_.cancel();
  const auto is_over = std::make_shared<bool>(false);
  asio::steady_timer grace(executor_, kGrace);
  grace.async_wait([this, is_over](std::error_code cancelled) {
    if (!cancelled && !*is_over) group_.cancel();
  });
  co_await waiting_.all_done();
  co_await group_.all_done();
  *is_over = true;
  grace.cancel();
  close();
  if (unmounting_) (void)co_await unmounting_->done.wait();
  files_.clear();
  directories_.clear();
}

void Mount::end() {
  if (state_ != State::kServing) return give_up();
  state_ = State::kUnmounting;
  unmounting_ = std::make_unique<Unmounting>(executor_);
  unmounting_->thread = std::thread([this, work = asio::make_work_guard(executor_)] { unmount(); });
}

// In the thread.
void Mount::unmount() {
  bool is_done = false;
  if (is_ours()) {
    is_done = unmount_at(directory_, false);
    if (!is_done) {  // somebody has something open: what is in mapped pages goes to the server
      const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (fd >= 0) {
        ::syncfs(fd);
        ::close(fd);
      }
      unmounting_->is_detached = unmount_at(directory_, true);
    }
  }
  // The kernel says that it is unmounted; serve() waits for this one.
  asio::post(executor_, [this, is_done] {
    if (!is_done) give_up();
    unmounting_->done.set();
  });
}

void Mount::give_up() {
  if (state_ == State::kGivenUp || state_ == State::kUnmounted) return group_.cancel();
  state_ = State::kGivenUp;
  std::error_code ignored;
  if (device_) device_->cancel(ignored);
}

// ------------------------------------------------------------------ requests

void Mount::start(RequestRef request, Work work) {
  client::Group& group = request->interrupt() == Interrupt::kAlways ? waiting_ : group_;
  request->can_be_interrupted(executor_, group.spawn(run(request, std::move(work))));
}

asio::awaitable<void> Mount::run(RequestRef request, Work work) {
  if (request->was_cancelled()) {
    request->answer(client::Error{Errno{ECANCELED}, "", ""});
    co_return;
  }
  const auto done = co_await std::move(work);
  request->is_over();
  if (!done) request->answer(done.error());
}

}  // namespace ninep::mount
