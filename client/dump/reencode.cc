#include "client/dump/reencode.h"

namespace ninep {

Str outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
      return "done";
    case Outcome::kUnknown:
      return "unknown message";
    case Outcome::kWrongDialect:
      return "not a message of this dialect";
    case Outcome::kMalformed:
      return "malformed body";
  }
  return "";
}

Reencoded reencode(Bytes frame, Dialects d) {
  Reencoded result{};
  result.outcome = visit_frame(frame, d, [&](const auto& m) {
    const std::size_t size = frame_size(m, d);
    if (size >= kUnencodable) return;
    result.frame.resize(size);
    result.frame.resize(encode_frame(read_header(frame).tag, m, d, result.frame));
  });
  return result;
}

}  // namespace ninep
