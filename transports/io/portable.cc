// The portable loop: Asio's io_context (epoll) for what becomes ready, pool threads for what
// blocks.
#include <system_error>

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "transports/io/loop.h"
#include "transports/io/pool.h"

namespace ninep::io {
namespace {

class PortableLoop final : public Loop {
  using Descriptor = asio::posix::stream_descriptor;

 public:
  PortableLoop() : pool_([this] { wake(); }) {
    const Descriptor any(
        context_);  // takes the descriptors that waiting needs, while there are some
  }
  ~PortableLoop() override {
    for (auto& [fd, descriptor] : descriptors_) descriptor->release();
  }

  Str name() const override { return "portable"; }

  void cancel(Op& op) override {
    if (op.in_pool) return pool_.cancel(op);
    if (!waiting_.contains(&op)) return;  // its completion is on the way
    if (op.kind == Kind::kTimeout) {
      timers_.at(&op)->cancel();
    } else {
      // Also ends the wait of another operation on this descriptor, which then waits anew.
      cancelled_.insert(&op);
      const auto held = descriptors_.find(op.fd);
      if (held != descriptors_.end()) held->second->cancel();
    }
  }

 protected:
  void begin(Op& op, Route) override {
    op.in_pool = false;
    switch (op.kind) {
      case Kind::kAccept:
      case Kind::kRecv:
      case Kind::kSend:
      case Kind::kPoll:
        ++counter(op.kind).in_place;
        if (op.pipe) ::fcntl(op.fd, F_SETFL, ::fcntl(op.fd, F_GETFL) | O_NONBLOCK);
        waiting_.insert(&op);
        asio::post(context_, [this, &op] { attempt(op); });
        break;
      case Kind::kTimeout:
        ++counter(op.kind).in_place;
        start_timer(op);
        break;
      default:
        ++counter(op.kind).pool;
        op.in_pool = true;
        pool_.submit(op);
    }
  }

  void turn(bool may_sleep) override {
    if (may_sleep) context_.run_one();
    context_.poll();
    for (Op* op = pool_.take_finished(); op;) {
      Op* const next = op->next;
      complete(*op, op->result);
      op = next;
    }
    if (context_.stopped()) context_.restart();
  }

  void wake() override {
    asio::post(context_, [] {});
  }

  void forget(int fd) override {
    const auto held = descriptors_.find(fd);
    if (held == descriptors_.end()) return;
    held->second->release();
    descriptors_.erase(held);
  }

 private:
  void attempt(Op& op) {
    const int result = cancelled_.erase(&op) != 0 ? -ECANCELED : perform_without_waiting(op);
    if (result == -EAGAIN) {
      const auto side = op.kind == Kind::kSend ? Descriptor::wait_write : Descriptor::wait_read;
      return descriptor(op.fd).async_wait(side,
                                          [this, &op](const asio::error_code&) { attempt(op); });
    }
    waiting_.erase(&op);
    complete(op, result);
  }

  void start_timer(Op& op) {
    auto& timer = timers_[&op];
    timer = std::make_unique<asio::steady_timer>(context_, std::chrono::nanoseconds(op.offset));
    waiting_.insert(&op);
    timer->async_wait([this, &op](const asio::error_code& error) {
      waiting_.erase(&op);
      timers_.erase(&op);
      complete(op, error ? -ECANCELED : -ETIME);
    });
  }

  Descriptor& descriptor(int fd) {
    auto& held = descriptors_[fd];
    if (!held) {
      held = std::make_unique<Descriptor>(context_);
      asio::error_code ignored;  // a file that epoll doesn't take is always ready
      held->assign(fd, ignored);
    }
    return *held;
  }

  asio::io_context context_{1};
  // Keeps run_one() from returning for want of work.
  asio::executor_work_guard<asio::io_context::executor_type> work_ =
      asio::make_work_guard(context_);
  SyscallPool pool_;
  absl::flat_hash_map<int, std::unique_ptr<Descriptor>> descriptors_;
  absl::flat_hash_map<Op*, std::unique_ptr<asio::steady_timer>> timers_;
  absl::flat_hash_set<Op*> waiting_;    // of sockets and timers: begun and not completed
  absl::flat_hash_set<Op*> cancelled_;  // of those
};

}  // namespace

std::unique_ptr<Loop> make_portable_loop() {
  if (!prepare_to_perform())
    throw std::system_error(errno, std::generic_category(), "/proc/self/fd");
  return std::make_unique<PortableLoop>();
}

}  // namespace ninep::io
