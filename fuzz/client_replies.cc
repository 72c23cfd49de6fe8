// Any bytes as what a server sends to a client that waits for some replies: what is made of them
// doesn't depend on how they are cut. The first byte is msize, the second how many replies are
// awaited (three bytes each), the third the size of the pieces.
//
// A reply is brought to its request as it came, to the byte, and to nobody else's.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "client/replies.h"

namespace ninep {
namespace {

/// The requests of one client, until they are answered.
class Waiting final : public client::Requests {
 public:
  struct One {
    client::Awaited awaited;
    std::vector<std::byte> room;  // of just its size, so that AddressSanitizer sees a byte too many
  };
  /// In the order of their coming: tag, the frame without its data, the data.
  struct Answer {
    Tag tag;
    std::string frame;
    std::string data;
    bool operator==(const Answer&) const = default;
  };

  void await(Tag tag, std::size_t most, std::size_t room) {
    One& one = waiting_[tag];
    one.room.resize(room);
    one.awaited.type = Describe<Rread>::code;
    one.awaited.most = most;
    one.awaited.into = one.room;
  }
  client::Awaited* awaited(Tag tag) override {
    const auto at = waiting_.find(tag);
    return at == waiting_.end() ? nullptr : &at->second.awaited;
  }
  void answered(Tag tag) override {
    const auto at = waiting_.find(tag);
    if (at == waiting_.end()) std::abort();  // answered twice, or nobody
    const One& one = at->second;
    answers.push_back({tag, std::string(as_str(one.awaited.bytes())),
                       std::string(as_str(Bytes(one.room).first(one.awaited.read)))});
    waiting_.erase(at);  // as its caller goes, and all that it had
  }

  std::vector<Answer> answers;

 private:
  std::map<Tag, One> waiting_;
};

struct Seen {
  std::vector<Waiting::Answer> answers;
  std::string wrong;
  bool operator==(const Seen&) const = default;
};

Seen receive(Bytes stream, Bytes awaited, U32 msize, std::size_t piece) {
  Waiting waiting;
  for (; awaited.size() >= 3; awaited = awaited.subspan(3))
    waiting.await(Tag{static_cast<U16>(awaited[0])},
                  kHeaderSize + (std::size_t{static_cast<U8>(awaited[1])} << 5),
                  std::size_t{static_cast<U8>(awaited[2])} << 3);
  client::Replies replies(waiting);
  replies.set_msize(msize);
  Seen seen;
  while (!stream.empty() && seen.wrong.empty()) {
    std::size_t size = 0;
    for (const iovec& part : replies.room()) {
      const std::size_t some = std::min({part.iov_len, piece - size, stream.size()});
      std::copy_n(stream.begin(), some, static_cast<std::byte*>(part.iov_base));
      stream = stream.subspan(some);
      size += some;
    }
    if (size == 0) std::abort();  // no room: what comes is never received
    if (const auto received = replies.received(size); !received) seen.wrong = received.error();
  }
  seen.answers = std::move(waiting.answers);
  return seen;
}

/// What has to come of it, from its definition.
void check(const Seen& seen, Bytes stream) {
  for (const Waiting::Answer& answer : seen.answers) {
    const Header header = read_header(stream);
    const Bytes frame = stream.first(header.size);
    if (answer.tag != header.tag || answer.frame + answer.data != as_str(frame)) std::abort();
    stream = stream.subspan(header.size);
  }
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 3) return 0;
  const U32 msize = 256u + 256u * input[0];
  const std::size_t piece = 1u + input[2] % 64;
  const Bytes rest = std::as_bytes(std::span(input + 3, size - 3));
  const Bytes awaited = rest.first(std::min<std::size_t>(rest.size(), 3u * (input[1] % 8)));
  const Bytes stream = rest.subspan(awaited.size());
  const Seen whole = receive(stream, awaited, msize, stream.size() + 1);
  if (!(whole == receive(stream, awaited, msize, piece))) std::abort();
  check(whole, stream);
  return 0;
}
