// The window, on a link of a rate and a latency.
#include "client/window.h"

#include "client/together.h"
#include "tests/client/on_loop.h"

namespace ninep::test {
namespace {

using client::Window;
using Clock = Window::Clock;

class WindowTest : public OnLoop {
 protected:
  /// Carries one message behind the other, each for a while; its answer comes after the latency.
  struct Link {
    double bytes_per_second;
    std::chrono::milliseconds latency;
    Clock::time_point free{};
  };
  asio::awaitable<void> transfer(Window& window, Link& link, Clock::time_point end) {
    constexpr std::size_t kMessage = 64 << 10;
    while (Clock::now() < end) {
      EXPECT_TRUE(co_await window.enter(kMessage));
      const auto began = Clock::now();
      const std::chrono::duration<double> carried(kMessage / link.bytes_per_second);
      link.free = std::max(link.free, began) + std::chrono::duration_cast<Clock::duration>(carried);
      asio::steady_timer timer(context, link.free + link.latency);
      co_await timer.async_wait(asio::use_awaitable);
      window.leave(kMessage, Clock::now() - began);
      if (Clock::now() > end - std::chrono::seconds(1)) least_ = std::min(least_, window.size());
    }
  }
  /// The least that the window was in the last second; from time to time it tries more.
  std::size_t size_on(Window& window, Link link, std::chrono::milliseconds time) {
    const auto all = [&]() -> asio::awaitable<std::size_t> {
      least_ = ~std::size_t{0};
      std::vector<asio::awaitable<void>> workers;
      for (int i = 0; i < 400; ++i) workers.push_back(transfer(window, link, Clock::now() + time));
      co_await client::together(std::move(workers));
      co_return least_;
    };
    return wait(all());
  }

 private:
  std::size_t least_ = 0;
};

TEST_F(WindowTest, IsNoLargerThanItMayBe) {
  EXPECT_EQ(Window(context.get_executor(), 8192).size(), 8192u);
}

TEST_F(WindowTest, HoldsWhatTheLinkHolds) {
  using std::chrono::milliseconds;
  Window far(context.get_executor(), 16 << 20);
  const std::size_t start = far.size();
  // 100 MB/s for 40 ms are 4 MB.
  EXPECT_GT(size_on(far, {100e6, milliseconds(40)}, milliseconds(2000)), 1'000'000u);
  EXPECT_LE(far.size(), 16u << 20);
  // 20 MB/s for 5 ms are 100 kB: all else would only wait in line.
  Window slow(context.get_executor(), 16 << 20);
  EXPECT_LT(size_on(slow, {20e6, milliseconds(5)}, milliseconds(2000)), 8 * start);
  Window capped(context.get_executor(), 1 << 20);
  EXPECT_LE(size_on(capped, {100e6, milliseconds(40)}, milliseconds(1000)), 1u << 20);
}

}  // namespace
}  // namespace ninep::test
