// The io_uring loop. The only file that knows liburing.
#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include <absl/container/flat_hash_map.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transports/io/loop.h"
#include "transports/io/pool.h"

namespace ninep::io {
namespace {

constexpr unsigned kSubmissions = 512;
constexpr unsigned kCompletions = 8192;
constexpr std::size_t kPersonalitiesMax = 1024;
constexpr unsigned kWorkersMax = 64;  // of the kernel's, for files

// Wakes the loop.
struct EventFd {
  explicit EventFd(int number) : fd(number) {
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd() { ::close(fd); }
  const int fd;
};

// When to look for completions a little before sleeping. A sleep and its end cost more than most
// requests, so it pays while they keep coming; each few times in vain, polling rests for twice as
// many turns. As long as KVM waits for a processor that halts: a guest that reads block by block
// comes back within that time. A loop that sleeps polls nothing: an idle server uses no processor.
class Patience {
 public:
  /// Whether it's worth waiting; to be asked before each wait_for().
  bool rests() {
    if (rest_ == 0) return false;
    --rest_;
    return true;
  }

  /// Calls ready() until it is true, or for kPoll.
  template <class Ready>
  bool wait_for(Ready&& ready) {
    if (ready()) return true;  // what one has just asked for says nothing about what comes
    const auto began = Clock::now();
    for (auto now = began; now < began + kPoll; now = Clock::now()) {
      if (now > began + kAlone) std::this_thread::yield();
      for (int i = 0; i < 16; ++i) {
        pause();
        if (ready()) {
          in_vain_ = 0;
          return true;
        }
      }
    }
    if (++in_vain_ >= kInVainMax) rest_ = 1u << std::min(in_vain_, kRestBits);
    return false;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kPoll = std::chrono::microseconds(200);
  static constexpr auto kAlone = std::chrono::microseconds(20);  // others on this processor wait
  static constexpr unsigned kInVainMax = 4;
  static constexpr unsigned kRestBits = 12;

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  unsigned in_vain_ = 8;
  unsigned rest_ = 16;  // turns
};

class UringLoop final : public Loop {
 public:
  UringLoop(io_uring ring, bool tells) : ring_(ring), tells_(tells), pool_([this] { wake(); }) {}
  ~UringLoop() override { io_uring_queue_exit(&ring_); }

  Str name() const override { return "io_uring"; }

  void cancel(Op& op) override {
    if (op.in_pool) return pool_.cancel(op);
    io_uring_sqe* sqe = entry();
    io_uring_prep_cancel64(sqe, reinterpret_cast<U64>(&op), 0);
    io_uring_sqe_set_data(sqe, nullptr);
  }

 protected:
  void begin(Op& op, Route way) override {
    op.in_pool = way == Route::kPool || !prepare(op);
    if (op.in_pool) {
      ++counter(op.kind).pool;
      pool_.submit(op);
    } else {
      ++counter(op.kind).ring;
    }
  }

  void turn(bool may_sleep) override {
    if (!enabled_) enable();
    if (!listening_) listen();
    if (may_sleep && !poll()) {
      io_uring_submit_and_wait(&ring_, 1);
    } else {
      io_uring_submit_and_get_events(&ring_);
    }
    unsigned head;
    unsigned taken = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++taken;
      if (void* data = io_uring_cqe_get_data(cqe)) {
        if (data == this) {
          listening_ = false;
        } else {
          complete(*static_cast<Op*>(data), cqe->res);
        }
      }
    }
    io_uring_cq_advance(&ring_, taken);
    if (!listening_) {
      for (Op* op = pool_.take_finished(); op;) {
        Op* const next = op->next;
        complete(*op, op->result);
        op = next;
      }
    }
  }

  void wake() override {
    const U64 one = 1;
    [[maybe_unused]] const auto written = ::write(event_.fd, &one, sizeof one);
  }

 private:
  // From now on this thread is the one that submits. (liburing 2.3 forgets to export the function.)
  void enable() {
    ::syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    enabled_ = true;
  }

  io_uring_sqe* entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (!sqe) {
      if (!enabled_) enable();
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
  }

  // True: there are completions to take, or to be made by entering the kernel.
  bool poll() {
    if (!tells_ || patience_.rests()) return false;
    if (io_uring_sq_ready(&ring_) != 0) io_uring_submit(&ring_);
    return patience_.wait_for([this] {
      return io_uring_cq_ready(&ring_) != 0 ||
             (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
    });
  }

  void listen() {
    io_uring_sqe* sqe = entry();
    io_uring_prep_read(sqe, event_.fd, &event_count_, sizeof event_count_, 0);
    io_uring_sqe_set_data(sqe, this);
    listening_ = true;
  }

  // The credentials of an identity, as the ring keeps them. 0: none; the pool then.
  int personality(const Identity& who) {
    const auto known = personalities_.find(who.serial);
    if (known != personalities_.end()) return known->second;
    if (personalities_.size() >= kPersonalitiesMax) forget_personalities();
    if (!assume(who)) return 0;
    const int id = io_uring_register_personality(&ring_);
    if (id <= 0) return 0;
    return personalities_[who.serial] = id;
  }

  // Users come and go; those that are still here are registered again.
  void forget_personalities() {
    if (!enabled_) enable();
    io_uring_submit(&ring_);  // the kernel looks them up as it takes an operation
    for (const auto& [serial, id] : personalities_) io_uring_unregister_personality(&ring_, id);
    personalities_.clear();
  }

  static bool has_opcode(Kind kind) {
    switch (kind) {
      case Kind::kAccept:
      case Kind::kRecv:
      case Kind::kSend:
      case Kind::kPoll:
      case Kind::kTimeout:
      case Kind::kOpen:
      case Kind::kRead:
      case Kind::kWrite:
      case Kind::kSync:
        return true;
      default:
        return false;
    }
  }

  static bool is_file(Kind kind) {
    return kind == Kind::kOpen || kind == Kind::kRead || kind == Kind::kWrite ||
           kind == Kind::kSync;
  }

  // False: this kind, or this user, has no place on the ring.
  bool prepare(Op& op) {
    if (!has_opcode(op.kind)) return false;
    int who = 0;
    if (op.as) {
      if (op.gid != kNoId) return false;
      who = personality(*op.as);
      if (who == 0) return false;
    }
    io_uring_sqe* sqe = entry();
    switch (op.kind) {
      case Kind::kAccept:
        io_uring_prep_accept(sqe, op.fd, nullptr, nullptr, SOCK_CLOEXEC);
        break;
      case Kind::kRecv:
        if (op.pipe) {
          io_uring_prep_read(sqe, op.fd, op.data, static_cast<unsigned>(op.size), ~U64{0});
        } else {
          io_uring_prep_recv(sqe, op.fd, op.data, op.size, 0);
        }
        break;
      case Kind::kSend: {
        const auto* message = static_cast<const msghdr*>(op.data);
        if (op.pipe) {
          io_uring_prep_writev(sqe, op.fd, message->msg_iov,
                               static_cast<unsigned>(message->msg_iovlen), ~U64{0});
        } else {
          io_uring_prep_sendmsg(sqe, op.fd, message, MSG_NOSIGNAL);
        }
        break;
      }
      case Kind::kPoll:
        io_uring_prep_poll_add(sqe, op.fd, POLLIN);
        break;
      case Kind::kTimeout:
        op.time = {static_cast<long long>(op.offset / 1'000'000'000),
                   static_cast<long long>(op.offset % 1'000'000'000)};
        io_uring_prep_timeout(sqe, &op.time, 0, 0);
        break;
      case Kind::kOpen:
        io_uring_prep_openat2(sqe, op.fd, op.path, static_cast<open_how*>(op.data));
        break;
      case Kind::kRead:
        io_uring_prep_readv(sqe, op.fd, static_cast<const iovec*>(op.data),
                            static_cast<unsigned>(op.size), op.offset);
        break;
      case Kind::kWrite:
        io_uring_prep_writev2(sqe, op.fd, static_cast<const iovec*>(op.data),
                              static_cast<unsigned>(op.size), op.offset,
                              static_cast<int>(op.flags));
        break;
      default:
        io_uring_prep_fsync(sqe, op.fd, op.flags ? IORING_FSYNC_DATASYNC : 0);
        break;
    }
    sqe->personality = static_cast<U16>(who);
    // An attempt to do it without waiting would wait: not all file systems know how not to.
    if (is_file(op.kind) && op.sleep == Sleep::kMay) sqe->flags |= IOSQE_ASYNC;
    io_uring_sqe_set_data(sqe, &op);
    return true;
  }

  io_uring ring_;
  const bool tells_;  // the kernel sets a flag when it has work for a visit
  Patience patience_;
  bool enabled_ = false;
  const EventFd event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  U64 event_count_ = 0;
  bool listening_ = false;  // a read of event_ is under way
  SyscallPool pool_;        // goes before event_: its threads wake the loop to their end
  absl::flat_hash_map<U64, int> personalities_;  // by Identity::serial
};

}  // namespace

Result<std::unique_ptr<Loop>> make_uring_loop() {
  if (!prepare_to_perform()) return fail(errno);
  // The best that the kernel takes: 6.1 and later, 5.19 and later, any.
  constexpr unsigned kTries[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                     IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
                                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
  int error = 0;
  for (const unsigned flags : kTries) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE;
    params.cq_entries = kCompletions;
    io_uring ring;
    error = io_uring_queue_init_params(kSubmissions, &ring, &params);
    if (error == 0) {
      // By default 4 for each processor: so many reads that hang in a network's file system would
      // keep those of a local disk waiting. It is a wish.
      unsigned workers[2] = {kWorkersMax, 0};
      io_uring_register_iowq_max_workers(&ring, workers);
      return std::make_unique<UringLoop>(ring, flags != 0);
    }
    if (error != -EINVAL) break;
  }
  return fail(-error);
}

}  // namespace ninep::io
