// Any bytes as a stream: it splits into the same frames however it arrives, and their data into
// the same directory entries. The first byte is the dialect, the second the size of the pieces.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "proto/dispatch.h"

namespace ninep {
namespace {

constexpr U32 kMsize = 4096;

struct Seen {
  std::vector<std::size_t> sizes;
  bool broken = false;
  bool operator==(const Seen&) const = default;
};

/// Splits what has arrived after each `piece` bytes more.
Seen split(Bytes stream, std::size_t piece) {
  Seen seen;
  std::size_t taken = 0;
  for (std::size_t arrived = 0; arrived < stream.size() && !seen.broken;) {
    arrived = std::min(arrived + piece, stream.size());
    for (;;) {
      const Split front = split_frame(stream.first(arrived).subspan(taken), kMsize);
      seen.broken = front.front == Front::kBroken;
      if (front.front != Front::kFrame) {
        // What is needed to go on is more than what is there, and never more than msize.
        if (!seen.broken && (front.size <= arrived - taken || front.size > kMsize)) std::abort();
        break;
      }
      if (front.size < kHeaderSize || front.size > arrived - taken) std::abort();
      seen.sizes.push_back(front.size);
      taken += front.size;
    }
  }
  return seen;
}

/// What decodes as a record encodes to what decodes to the same record.
template <Described R>
void read_records(Bytes bytes, Dialects d) {
  static std::vector<std::byte> buffer(1 << 17);  // more than the longest record
  for (R record{}; decode_front(bytes, d, record); record = R{}) {
    Room room = buffer;
    if (!encode_front(record, d, room)) std::abort();
    Bytes again = Bytes(buffer).first(buffer.size() - room.size());
    R same{};
    if (!decode_front(again, d, same) || !again.empty() || !(same == record)) std::abort();
  }
}

}  // namespace
}  // namespace ninep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace ninep;
  if (size < 2) return 0;
  const Bytes stream = std::as_bytes(std::span(input + 2, size - 2));
  if (!(split(stream, stream.size() + 1) == split(stream, 1u + input[1] % 32))) std::abort();
  read_records<Dirent>(stream, kDotL);
  read_records<Stat>(stream, input[0] % 2 == 0 ? k9P2000 : kDotU);
  return 0;
}
