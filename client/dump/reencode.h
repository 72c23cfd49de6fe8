// Decodes a frame of either direction, and encodes what came out of it.
#pragma once

#include <vector>

#include "proto/dispatch.h"

namespace ninep {

/// visit_request() or visit_reply(), as the frame's type says.
template <class Visitor>
Outcome visit_frame(Bytes frame, Dialects d, Visitor&& visitor) {
  const U8 code = read_header(frame).type;
  return is_request(code) ? visit_request(code, frame_body(frame), d, visitor)
                          : visit_reply(code, frame_body(frame), d, visitor);
}

/// "unknown message", "malformed body", ...
Str outcome_text(Outcome outcome);

struct Reencoded {
  Outcome outcome;
  std::vector<std::byte> frame;  // empty if the outcome isn't kDone, or nothing can be encoded
};
/// `frame` holds at least a header.
Reencoded reencode(Bytes frame, Dialects d);

}  // namespace ninep
