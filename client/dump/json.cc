#include "client/dump/json.h"

#include "client/dump/reencode.h"

namespace ninep {
namespace {

bool is_utf8(Str s) {
  try {
    (void)Json(s).dump();  // strict: it throws, and decides by the same rules when we print
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

template <Described M>
Json fields_to_json(const M& m, Dialects d);

template <Integer T>
Json to_json(const T& value, Dialects) {
  if constexpr (std::is_enum_v<T>) {
    return static_cast<std::underlying_type_t<T>>(value);
  } else {
    return value;
  }
}
Json to_json(const Str& s, Dialects) { return str_to_json(s); }
Json to_json(const Payload& payload, Dialects) {
  return {{"count", payload.size()}, {"hex", to_hex(payload.bytes)}};
}
template <Described M>
Json to_json(const M& record, Dialects d) {
  return fields_to_json(record, d);
}
template <bool must_agree>
Json to_json(const Counted<must_agree>& counted, Dialects d) {
  return fields_to_json(counted.stat, d);
}
template <Dialects set, class T, Dialects lax>
Json to_json(const Only<set, T, lax>& only, Dialects d) {
  return has(set, d) ? to_json(only.value, d) : Json();
}
template <class T, U16 N>
Json to_json(const List<T, N>& list, Dialects d) {
  Json items = Json::array();
  for (const T& item : list) items.push_back(to_json(item, d));
  return items;
}

/// Fields that the dialect lacks are null, and left out.
template <Described M>
Json fields_to_json(const M& m, Dialects d) {
  Json object = Json::object();
  each_field<M>([&](const auto& field) {
    Json value = to_json(m.*field.at, d);
    if (!value.is_null()) object[field.name] = std::move(value);
  });
  return object;
}

}  // namespace

std::string to_hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte b : bytes) {
    text += kDigits[static_cast<U8>(b) >> 4];
    text += kDigits[static_cast<U8>(b) & 15];
  }
  return text;
}

Json str_to_json(Str s) { return is_utf8(s) ? Json(s) : Json{{"hex", to_hex(as_bytes(s))}}; }

Json frame_to_json(Bytes frame, Dialects d) {
  const Header header = read_header(frame);
  const Json tag = static_cast<U16>(header.tag);
  Json json;
  const Outcome outcome = visit_frame(frame, d, [&]<class M>(const M& m) {
    json = {{"message", Describe<M>::name}, {"tag", tag}, {"body", fields_to_json(m, d)}};
  });
  if (outcome == Outcome::kDone) return json;
  json = {{"type", header.type}};
  if (const Str name = message_name(header.type); !name.empty()) json["message"] = name;
  json["tag"] = tag;
  json["error"] = outcome_text(outcome);
  json["hex"] = to_hex(frame_body(frame));
  return json;
}

}  // namespace ninep
