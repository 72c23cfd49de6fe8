// Frames as JSON: field names as on the wire, integers as numbers, qids and stats as objects.
// Data, and strings that are not UTF-8, are {"hex": "..."}: nothing is lost.
#pragma once

#include <nlohmann/json.hpp>

#include "proto/dispatch.h"

namespace ninep {

using Json = nlohmann::ordered_json;

std::string to_hex(Bytes bytes);
/// The text itself if it is UTF-8, else {"hex": "..."}.
Json str_to_json(Str s);

/// {"message": "Tclunk", "tag": 3, "body": {"fid": 1}}. For a frame that is not a message of this
/// dialect {"type": 200, "tag": 3, "error": "unknown message", "hex": the body}.
/// `frame` holds at least a header; its size field is not looked at.
Json frame_to_json(Bytes frame, Dialects d);

}  // namespace ninep
