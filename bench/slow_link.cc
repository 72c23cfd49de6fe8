// slow_link: runs two commands in network namespaces of their own, joined by a link that delays
// each packet and limits the rate. For measuring what a client does with a link, where the kernel
// has no netem. As root.
//
//   slow_link DELAY_MS MBIT_PER_S FAR_COMMAND NEAR_COMMAND
//
// Both are shell commands. The far one is at 10.9.0.2, the near one at 10.9.0.1; it is started when
// the link is up, and its status is this program's. Then the far one is killed.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::duration_cast;
using std::chrono::nanoseconds;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(125);
}

void set_up(const char* name, const char* address) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (address) {
    auto& in = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
    in.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &in.sin_addr);
    if (::ioctl(socket, SIOCSIFADDR, &request) != 0) die("address");
    ::inet_pton(AF_INET, "255.255.255.0", &in.sin_addr);
    if (::ioctl(socket, SIOCSIFNETMASK, &request) != 0) die("netmask");
  }
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) die("up");
  ::close(socket);
}

/// A namespace of this process's own, and an interface in it whose packets come here.
int enter_namespace(const char* address) {
  if (::unshare(CLONE_NEWNET) != 0) die("unshare");
  const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (tun < 0) die("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, "link", IFNAMSIZ - 1);
  if (::ioctl(tun, TUNSETIFF, &request) != 0) die("TUNSETIFF");
  set_up("lo", nullptr);
  set_up("link", address);
  return tun;
}

pid_t start(const char* command) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  ::execl("/bin/sh", "sh", "-c", command, nullptr);
  ::_exit(127);
}

/// One direction.
class Direction {
 public:
  Direction(int from, int to, nanoseconds delay, double bytes_per_ns)
      : from_(from), to_(to), delay_(delay), bytes_per_ns_(bytes_per_ns) {}

  void receive(Time now) {
    std::array<char, 65536> packet;
    for (ssize_t size; (size = ::read(from_, packet.data(), packet.size())) > 0;) {
      // A router's buffer: what the link carries in 20 ms. What comes then is dropped.
      const Time free = std::max(now, free_);
      if (free - now > std::chrono::milliseconds(20)) continue;
      free_ = free + nanoseconds(static_cast<long>(static_cast<double>(size) / bytes_per_ns_));
      waiting_.push_back({free_ + delay_, {packet.data(), packet.data() + size}});
    }
  }
  void send(Time now) {
    for (; !waiting_.empty() && waiting_.front().at <= now; waiting_.pop_front())
      (void)!::write(to_, waiting_.front().bytes.data(), waiting_.front().bytes.size());
  }
  Time next() const { return waiting_.empty() ? Time::max() : waiting_.front().at; }

 private:
  struct Packet {
    Time at;
    std::vector<char> bytes;
  };
  const int from_;
  const int to_;
  const nanoseconds delay_;
  const double bytes_per_ns_;
  Time free_{};  // when the link has sent all that it was given
  std::deque<Packet> waiting_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "slow_link DELAY_MS MBIT_PER_S FAR_COMMAND NEAR_COMMAND\n");
    return 125;
  }
  const nanoseconds delay(static_cast<long>(std::atof(argv[1]) * 1e6));
  const double bytes_per_ns = std::atof(argv[2]) * 1e6 / 8 / 1e9;
  // The namespaces are made one after the other by this process, and each command is started in
  // one.
  const int far = enter_namespace("10.9.0.2");
  const pid_t far_command = start(argv[3]);
  const int near = enter_namespace("10.9.0.1");
  const pid_t near_command = start(argv[4]);
  Direction there(near, far, delay, bytes_per_ns);
  Direction back(far, near, delay, bytes_per_ns);
  int status = 0;
  while (::waitpid(near_command, &status, WNOHANG) == 0) {
    const Time now = Clock::now();
    const auto wait = std::clamp<nanoseconds>(std::min(there.next(), back.next()) - now,
                                              nanoseconds(0), std::chrono::milliseconds(20));
    const timespec limit{0, static_cast<long>(wait.count())};
    std::array<pollfd, 2> both{{{near, POLLIN, 0}, {far, POLLIN, 0}}};
    ::ppoll(both.data(), both.size(), &limit, nullptr);
    there.receive(Clock::now());
    back.receive(Clock::now());
    there.send(Clock::now());
    back.send(Clock::now());
  }
  ::kill(-far_command, SIGKILL);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
