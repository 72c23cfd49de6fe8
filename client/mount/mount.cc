#include "client/mount/mount.h"

#include <array>
#include <fstream>

#include <asio/this_coro.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mount/handlers.h"

namespace ninep::mount {

using client::error;
using client::Expected;

namespace {

constexpr std::chrono::seconds kGrace{5};  // for what is under way at the end
constexpr int kReadAheadKib = 4096;

/// The file system that is mounted there, without a word to it; 0: nothing is known.
dev_t device_at(const std::string& directory) {
  struct statx is{};
  if (::statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &is) !=
      0)
    return 0;
  return makedev(is.stx_dev_major, is.stx_dev_minor);
}

/// What unmounts. Not this process itself: while it waits for the kernel it couldn't serve it, and
/// nothing would end it.
std::vector<std::string> unmounter(const std::string& directory, bool lazy) {
  std::vector<std::string> words{"umount"};
  if (::geteuid() != 0) words = {"fusermount3", "-u"};
  if (lazy) words.emplace_back(::geteuid() == 0 ? "-l" : "-z");
  words.emplace_back("--");
  words.push_back(directory);
  return words;
}

/// Starts a program, which says nothing; 0: it can't be.
pid_t spawn(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  for (const int fd : {1, 2})
    ::posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int wrong =
      ::posix_spawnp(&child, arguments[0], &quiet, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  return wrong == 0 ? child : 0;
}

/// Whether it ended well; it has ended, or this waits for it.
bool ended_well(pid_t child) {
  int status = 1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0;
}

/// Runs a program, and serves meanwhile. False: it didn't end well, or the caller was cancelled.
asio::awaitable<bool> run_program(std::vector<std::string> words) {
  const pid_t child = spawn(std::move(words));
  if (child == 0) co_return false;
  const int end = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (end < 0) co_return ended_well(child);
  asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor, end);
  std::error_code wrong;
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, wrong));
  co_return !wrong && ended_well(child);
}

}  // namespace

Mount::Mount(client::Node root, Options options)
    : executor_(root.attachment()->executor()),
      attachment_(root.attachment()),
      tree_(std::move(root), std::move(options)),
      ending_(executor_) {}

Mount::~Mount() {
  close();
  if (state_ == State::kNew || state_ == State::kUnmounted || is_detached_ || !is_ours()) return;
  const pid_t child = spawn(unmounter(directory_, true));
  if (child != 0) ended_well(child);
}

// Who still waits for an answer of ours gets an error. libfuse would unmount the folder, and say
// that it isn't mounted: to it a pipe without a reader is a device whose file system is gone.
void Mount::close() {
  if (device_) device_->release();
  device_.reset();
  std::array<int, 2> pipe;
  if (session_ && directory_ != "" && ::pipe2(pipe.data(), O_CLOEXEC) == 0) {
    ::close(pipe[0]);
    ::dup3(pipe[1], fuse_session_fd(session_), O_CLOEXEC);
    ::close(pipe[1]);
    fuse_session_unmount(session_);
  }
  if (session_) fuse_session_destroy(session_);
  session_ = nullptr;
}

Expected<void> Mount::mount(const std::string& directory) {
  std::string options = "fsname=" + tree_.options.source +
                        ",subtype=9p,max_read=" + std::to_string(tree_.transfer_max);
  if (tree_.options.allow_other) options += ",allow_other,default_permissions";
  if (tree_.options.read_only) options += ",ro";
  for (const std::string& more : tree_.options.options) options += "," + more;
  std::vector<std::string> arguments{"9p", "-o", options};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  fuse_args args{static_cast<int>(pointers.size()), pointers.data(), 0};
  session_ = fuse_session_new(&args, &kHandlers, sizeof kHandlers, &tree_);
  fuse_opt_free_args(&args);
  if (!session_) return error(EINVAL, "mount", "FUSE refuses the options " + options);
  tree_.session = session_;
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

asio::awaitable<Expected<void>> Mount::serve(std::function<void()> have_begun) {
  bool has_begun = false;
  fuse_buf buffer{};
  while (is_serving()) {
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
    if (fuse_session_exited(session_)) {
      state_ = State::kGivenUp;
    } else if (!std::exchange(has_begun, true)) {
      began();
      have_begun();
    }
  }
  std::free(buffer.mem);
  tree_.waiting.cancel();
  const auto is_over = std::make_shared<bool>(false);
  asio::steady_timer grace(executor_, kGrace);
  grace.async_wait([this, is_over](std::error_code cancelled) {
    if (cancelled || *is_over) return;
    tree_.under_way.cancel();
    tree_.waiting.cancel();
    attachment_->end();
  });
  ending_.cancel();
  co_await ending_.all_done();
  co_await tree_.waiting.all_done();
  co_await tree_.under_way.all_done();
  *is_over = true;
  grace.cancel();
  close();
  tree_.files.clear();
  tree_.directories.clear();
  if (!has_begun) co_return error(EIO, "mount on " + directory_, "the kernel and FUSE disagree");
  co_return Expected<void>();
}

void Mount::end() {
  if (state_ != State::kServing) {
    give_up();
    tree_.under_way.cancel();
    return attachment_->end();  // a server that hangs answers nothing, nor that
  }
  state_ = State::kUnmounting;
  ending_.spawn(unmount());
  ending_.spawn(give_up_the_lost());
}

// What waits for a server that is gone, or says nothing for a while, keeps nobody from unmounting.
asio::awaitable<void> Mount::give_up_the_lost() {
  constexpr int kSilent = 6;  // times kGrace
  for (int silent = 0; silent < kSilent;) {
    const auto connections = attachment_->connections();
    const auto replies = attachment_->replies();
    const bool has_waited = co_await client::pause_for(kGrace);
    if (!has_waited) co_return;
    if (connections != attachment_->connections() || replies != attachment_->replies())
      silent = 0;
    else if (attachment_->is_lost())
      break;
    else
      ++silent;
  }
  // Also who makes the next connection.
  tree_.under_way.cancel();
  tree_.waiting.cancel();
  attachment_->end();
}

asio::awaitable<void> Mount::unmount() {
  bool is_unmounted = is_ours();
  if (is_unmounted) is_unmounted = co_await run_program(unmounter(directory_, false));
  if (is_unmounted) {
    // The kernel says so, unless it is mounted by another mount namespace too.
    asio::steady_timer grace(executor_, kGrace);
    std::error_code over;
    co_await grace.async_wait(asio::redirect_error(asio::use_awaitable, over));
    if (!over) give_up();
    co_return;
  }
  if (state_ == State::kUnmounting && is_ours()) {
    // Somebody has something open: what is in mapped pages goes to the server.
    std::vector<std::string> sync{"sync", "-f", "--", directory_};
    (void)co_await run_program(std::move(sync));
    if (state_ == State::kUnmounting)
      is_detached_ = co_await run_program(unmounter(directory_, true));
  }
  if (state_ == State::kUnmounting) give_up();
}

void Mount::give_up() {
  if (state_ == State::kGivenUp || state_ == State::kUnmounted) return;
  state_ = State::kGivenUp;
  std::error_code ignored;
  if (device_) device_->cancel(ignored);
}

}  // namespace ninep::mount
