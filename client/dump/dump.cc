#include "client/dump/dump.h"

#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>

#include "client/dump/frame_line.h"
#include "client/dump/json.h"
#include "client/dump/reencode.h"
#include "proto/print.h"

namespace ninep {
namespace {

/// "at byte 7: 00 became 55 (53 bytes became 53)"
std::string difference(Bytes before, Bytes after) {
  const auto [a, b] = std::ranges::mismatch(before, after);
  const auto byte_at = [](Bytes bytes, auto at) {
    return at == bytes.end() ? std::string("nothing") : to_hex(Bytes(&*at, 1));
  };
  return "at byte " + std::to_string(a - before.begin()) + ": " + byte_at(before, a) + " became " +
         byte_at(after, b) + " (" + std::to_string(before.size()) + " bytes became " +
         std::to_string(after.size()) + ")";
}

class Dumper {
 public:
  Dumper(const DumpOptions& options, std::ostream& out, std::ostream& err)
      : options_(options), out_(out), err_(err) {}

  void fault(const std::string& where, const std::string& what) {
    err_ << "9pdump: " << where << ": " << what << '\n';
    good_ = false;
  }

  /// False: enough was seen.
  bool frame(const std::string& where, Str source, Dialects d, Bytes bytes) {
    if (options_.json) {
      Json json;
      if (!source.empty()) json["source"] = str_to_json(source);
      json["dialect"] = dialect_name(d);
      json.update(frame_to_json(bytes, d));
      out_ << json.dump() << '\n';
    } else {
      if (!source.empty()) out_ << source << ' ';
      out_ << print_frame(bytes, d) << '\n';
    }
    const Reencoded again = reencode(bytes, d);
    const std::string name = "type " + std::to_string(read_header(bytes).type) + " " +
                             std::string(message_name(read_header(bytes).type));
    if (again.outcome != Outcome::kDone) {
      fault(where, name + ": " + std::string(outcome_text(again.outcome)) + " in " +
                       std::string(dialect_name(d)));
    } else if (options_.verify && !std::ranges::equal(again.frame, bytes)) {
      fault(where, name + " does not encode back: " + difference(bytes, again.frame));
    }
    return good_ || !options_.verify;
  }

  bool good() const { return good_; }

 private:
  const DumpOptions& options_;
  std::ostream& out_;
  std::ostream& err_;
  bool good_ = true;
};

void dump_lines(Dumper& dumper, std::istream& in) {
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    const std::string where = "line " + std::to_string(number);
    const auto line = parse_frame_line(text);
    if (!line) {
      dumper.fault(where, line.error());
    } else if (*line && !dumper.frame(where, (*line)->source, (*line)->dialect, (*line)->frame)) {
      return;
    }
  }
}

void dump_raw(Dumper& dumper, const DumpOptions& options, std::istream& in) {
  const std::string stream(std::istreambuf_iterator<char>(in), {});
  Bytes rest = as_bytes(stream);
  while (!rest.empty()) {
    const std::string where = "offset " + std::to_string(stream.size() - rest.size());
    const Split split = split_frame(rest, options.msize);
    if (split.front == Front::kBroken)
      return dumper.fault(where, "a frame of " + std::to_string(split.size) +
                                     " bytes; they have 7 to " + std::to_string(options.msize));
    if (split.front == Front::kIncomplete)
      return dumper.fault(where, "the stream ends within a frame: " + std::to_string(rest.size()) +
                                     " of " + std::to_string(split.size) + " bytes");
    if (!dumper.frame(where, "", options.dialect, rest.first(split.size))) return;
    rest = rest.subspan(split.size);
  }
}

}  // namespace

bool dump(const DumpOptions& options, std::istream& in, std::ostream& out, std::ostream& err) {
  Dumper dumper(options, out, err);
  if (options.raw) {
    dump_raw(dumper, options, in);
  } else {
    dump_lines(dumper, in);
  }
  return dumper.good();
}

}  // namespace ninep
