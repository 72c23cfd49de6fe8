#include "proto/print.h"

#include <charconv>

#include "proto/result.h"

namespace ninep {
namespace detail {
namespace {

void append_number(std::string& out, U64 value, int base) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, end);
}

}  // namespace

void show_number(std::string& out, Str field, U64 value) {
  if (field == "mode" || field == "perm" || field == "flags") {
    out += '0';
    if (value != 0) append_number(out, value, 8);
  } else if (field == "valid" || field == "request_mask") {
    out += "0x";
    append_number(out, value, 16);
  } else {
    append_number(out, value, 10);
    if (field == "ecode") (out += ' ') += errno_name(Errno{static_cast<U32>(value)});
  }
}

void show(std::string& out, Fid fid) {
  if (fid == kNoFid) {
    out += "NOFID";
  } else {
    append_number(out, static_cast<U32>(fid), 10);
  }
}

void show(std::string& out, Tag tag) {
  if (tag == kNoTag) {
    out += "NOTAG";
  } else {
    append_number(out, static_cast<U16>(tag), 10);
  }
}

void show(std::string& out, Str s) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      ((out += "\\x") += kHex[byte >> 4]) += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void show(std::string& out, const Qid& qid) {
  out += '(';
  append_number(out, qid.type, 16);
  out += ' ';
  append_number(out, qid.version, 10);
  out += ' ';
  append_number(out, qid.path, 10);
  out += ')';
}

void show(std::string& out, const Payload& payload) {
  append_number(out, payload.size(), 10);
  out += " bytes";
}

}  // namespace detail

std::string print_frame(Bytes frame, Dialects d) {
  std::string out;
  if (frame.size() < kHeaderSize) return "frame of " + std::to_string(frame.size()) + " bytes";
  const Header header = read_header(frame);
  const Bytes body = frame_body(frame);
  const auto print_it = [&](const auto& m) { print(out, header.tag, m, d); };
  const Outcome outcome = is_request(header.type) ? visit_request(header.type, body, d, print_it)
                                                  : visit_reply(header.type, body, d, print_it);
  if (outcome == Outcome::kDone) return out;
  const Str name = message_name(header.type);
  out = name.empty() ? "type " + std::to_string(header.type) : std::string(name);
  out += " tag ";
  detail::show(out, header.tag);
  out += outcome == Outcome::kUnknown        ? ": unknown message"
         : outcome == Outcome::kWrongDialect ? ": not a message of this dialect"
                                             : ": malformed body";
  out += " of " + std::to_string(body.size()) + " bytes";
  return out;
}

}  // namespace ninep
