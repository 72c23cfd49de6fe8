// front_ends PATH PATH COUNT SEED: so many front ends die in the middle of their work, one after
// the other, at a vhost-user device and at a vfio-user device of a 9pserve.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/server/unix_sockets.h"
#include "tests/transports/vfio_user/client.h"
#include "tests/transports/vhost_user/front_end.h"

namespace ninep::test {
namespace {

std::mt19937 any;
bool one_in(unsigned n) { return any() % n == 0; }

/// A guest that has opened a file, and has reads and writes under way.
template <class Front>
class Guest {
 public:
  explicit Guest(int fd) : front_(fd), driver_(ram_) {}

  void live_and_die() {
    if (one_in(10)) return;
    front_.start(ram_, driver_);
    if (one_in(10)) return;
    call(Tversion{kMsize, "9P2000.L"});
    call(Tattach{Fid{0}, kNoFid, "", "", 0});
    call(Twalk{Fid{0}, Fid{1}, {}});
    call(Tlcreate{Fid{1}, "file-" + std::to_string(any() % 8), lopen::kReadWrite, 0644, 0});
    call(Tlock{Fid{1}, lock::kWrite, 0, any() % 100, 1, 1, "guest"});
    const std::vector<std::byte> bytes(kMsize / 2, std::byte{1});
    const Bytes data(bytes);
    for (U16 tag = 1; tag <= 30; ++tag) {
      if (one_in(2)) {
        offer(frame_of(Tag{tag}, Twrite{Fid{1}, tag * 1000u, data}, kDotL));
      } else {
        offer(frame_of(Tag{tag}, Tread{Fid{1}, tag * 1000u, kMsize / 2}, kDotL));
      }
      if (one_in(4)) front_.kick();
    }
    if (one_in(4)) NINEP_CHECK(::ftruncate(ram_.fd(), 0) == 0);  // and takes its memory along
    if (one_in(4)) front_.send_raw(data);
  }

 private:
  static constexpr U32 kMsize = 8192;
  U16 offer(Bytes frame) {
    return driver_.chain({{ram_.put(frame), static_cast<U32>(frame.size())},
                          {room_ = ram_.take(kMsize), kMsize, kWrite}});
  }
  template <class M>
  void call(const M& m) {
    offer(frame_of(Tag{0}, m, kDotL));
    front_.kick();
    NINEP_CHECK(front_.wait_used(driver_));
    const Header header = read_header(Bytes(ram_.at(room_), kHeaderSize));
    // Two may want the same lock, and a file may be there.
    NINEP_CHECK(header.type == Describe<M>::code + 1 || header.type == Describe<Rlerror>::code);
  }

  GuestRam ram_{4 << 20};
  Front front_;
  Driver driver_;
  U64 room_ = 0;
};

}  // namespace
}  // namespace ninep::test

int main(int argc, char** argv) {
  using namespace ninep::test;
  if (argc != 5) {
    std::fprintf(stderr, "see the head of front_ends.cc\n");
    return 2;
  }
  const int count = std::atoi(argv[3]);
  any.seed(static_cast<unsigned>(std::atol(argv[4])));
  for (int i = 0; i < count; ++i) {
    if (i % 2 == 0) {
      Guest<FrontEnd>(connected_to(argv[1])).live_and_die();
    } else {
      Guest<VfioClient>(connected_to(argv[2])).live_and_die();
    }
  }
  std::printf("%d front ends died\n", count);
  return 0;
}
