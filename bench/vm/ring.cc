// ninep_ring PATH DEPTH SECONDS [PAUSE]: a driver at a vhost-user device of a 9pserve's that keeps
// DEPTH requests under way, as a guest does whose processor is as fast as this one; between two
// requests it spends PAUSE microseconds on its own. Prints requests per second, and kicks and
// interrupts per request.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tests/server/unix_sockets.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

using Clock = std::chrono::steady_clock;

class Guest {
 public:
  explicit Guest(const char* path) : front_(connected_to(path)), driver_(ram_) {
    front_.start(ram_, driver_);
    call(Tversion{kMsize, "9P2000.L"});
    call(Tattach{Fid{0}, kNoFid, "", "", 0});
    driver_.set_used_event(seen_);
  }

  void run(unsigned depth, double seconds, std::chrono::nanoseconds pause) {
    for (unsigned i = 0; i < depth; ++i) {
      const auto frame = frame_of(Tag{static_cast<U16>(i)}, Tgetattr{Fid{0}, 0x7ff}, kDotL);
      requests_.push_back(
          {{ram_.put(frame), static_cast<U32>(frame.size())}, {ram_.take(kMsize), kMsize, kWrite}});
      offer(i);
    }
    const auto began = Clock::now();
    const auto end = began + std::chrono::duration<double>(seconds);
    std::chrono::duration<double> took{};
    while ((took = Clock::now() - began) < end - began) {
      const auto used = driver_.used();
      if (!used) {
        sleep();
        continue;
      }
      ++seen_;
      ++replies_;
      driver_.set_used_event(seen_);
      const unsigned which = which_[used->head];
      for (const auto until = Clock::now() + pause; Clock::now() < until;) {
      }
      offer(which);
    }
    const double replies = replies_;
    std::printf("%.0f requests/s, %.3f kicks and %.3f interrupts each\n", replies / took.count(),
                kicks_ / replies, interrupts_ / replies);
  }

 private:
  static constexpr U32 kMsize = 8192;

  template <class M>
  void call(const M& m) {
    const auto frame = frame_of(Tag{0}, m, kDotL);
    driver_.chain(
        {{ram_.put(frame), static_cast<U32>(frame.size())}, {ram_.take(kMsize), kMsize, kWrite}});
    ++offered_;
    ++seen_;
    front_.kick();
    NINEP_CHECK(front_.wait_used(driver_));
  }
  void offer(unsigned which) {
    which_[driver_.chain(requests_[which])] = which;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (driver_.available_event() == offered_++) {
      front_.kick();
      ++kicks_;
    }
  }
  void sleep() {
    driver_.set_used_event(seen_);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (driver_.used_index() != seen_) return;
    pollfd polled{front_.call_fd(), POLLIN, 0};
    NINEP_CHECK(::poll(&polled, 1, 60'000) == 1);
    U64 count;
    NINEP_CHECK(::read(front_.call_fd(), &count, sizeof count) == sizeof count);
    interrupts_ += static_cast<double>(count);
  }

  GuestRam ram_{16 << 20};
  FrontEnd front_;
  Driver driver_;
  std::vector<std::vector<Piece>> requests_;
  std::array<unsigned, 128> which_{};
  U16 offered_ = 0;
  U16 seen_ = 0;
  double replies_ = 0;
  double kicks_ = 0;
  double interrupts_ = 0;
};

}  // namespace
}  // namespace ninep::test

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "see the head of ring.cc\n");
    return 2;
  }
  const auto pause =
      std::chrono::nanoseconds(argc == 5 ? std::lround(1000 * std::atof(argv[4])) : 0);
  ninep::test::Guest(argv[1]).run(static_cast<unsigned>(std::atoi(argv[2])), std::atof(argv[3]),
                                  pause);
  return 0;
}
