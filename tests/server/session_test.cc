// Session by itself, request by request, on this thread: what depends on the exact order of events.
#include "server/session.h"

#include "fuzz/direct.h"
#include "tests/bytes.h"
#include "tests/transports/io/loops.h"

namespace ninep::test {
namespace {

/// A file whose getattr waits for an event.
struct WaitingNode final : fs::Node {
  explicit WaitingNode(io::Event& event) : go_on(event) {}
  Qid qid() const override { return {.type = kQtDir, .version = 1, .path = 1}; }
  io::Task<Result<Rgetattr>> getattr(fs::Context&, U64, fs::File*) override {
    io::Event& told = go_on;  // g++ 12's UBSan mistakes `this` within a co_await
    co_await told;
    co_return Rgetattr{};
  }
  io::Event& go_on;
};
struct WaitingTree final : fs::Tree {
  io::Task<Result<Ref<fs::Node>>> attach(fs::Context&, Str) override {
    return Result<Ref<fs::Node>>(make_ref<WaitingNode>(go_on));
  }
  io::Event go_on;
};

/// Lets everything go first that is ready now.
struct Yield {
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) const { io::ReadyQueue::current().push(h); }
  void await_resume() const {}
};

struct Talk {
  Talk() : loop(io::make_fake_loop(seed(), {.late = 0, .shortened = 0})) {
    session = std::make_unique<server::Session>(*loop, shared, server::Export{tree}, "test");
  }
  template <Message M>
  void send(U16 tag, const M& m) {
    ++open;
    session->request(
        *fuzz::DirectRequest::make(frame_of(Tag{tag}, m, kDotL), 8192, [this](Bytes reply) {
          --open;
          if (!reply.empty()) answered.push_back(static_cast<int>(read_header(reply).tag));
        }));
  }
  io::Task<void> all_answered() {
    while (open != 0) co_await Yield{};
  }

  const std::shared_ptr<WaitingTree> tree = std::make_shared<WaitingTree>();
  std::unique_ptr<io::Loop> loop;
  server::Shared shared;
  std::unique_ptr<server::Session> session;
  unsigned open = 0;
  std::vector<int> answered;  // tags, in order
};

io::Task<void> begin(Talk& talk) {
  talk.send(0xFFFF, Tversion{8192, "9P2000.L"});
  talk.send(0, Tattach{Fid{0}, kNoFid, "", "", 0});
  while (talk.open != 0) {
    io::Event turn;
    talk.loop->post([&turn] { turn.set(); });
    co_await turn;
  }
  talk.answered.clear();
}

// "If multiple Tflushes are received for a given request, they must be answered in order", also if
// a further one comes between the request's end and the answer to the first. flush(5)
io::Task<void> flush_behind_the_end(Talk& talk, int turns) {
  auto beginning = begin(talk);
  co_await beginning;
  talk.send(1, Tgetattr{Fid{0}, 0});
  talk.send(2, Tflush{Tag{1}});
  talk.tree->go_on.set();
  for (int i = 0; i < turns; ++i) co_await Yield{};
  talk.send(3, Tflush{Tag{1}});
  talk.send(4, Tflush{Tag{1}});
  auto answering = talk.all_answered();
  co_await answering;
  auto closing = talk.session->close();
  co_await closing;
}
TEST(Session, FlushesAreAnsweredInOrderWheneverTheyCome) {
  for (int turns = 0; turns < 8; ++turns) {
    Talk talk;
    run(*talk.loop, flush_behind_the_end(talk, turns));
    EXPECT_EQ(talk.answered, (std::vector{1, 2, 3, 4})) << "after " << turns << " turns";
  }
}

}  // namespace
}  // namespace ninep::test
