#include "client/dump/frame_line.h"

#include <sstream>

namespace ninep {
namespace {

std::optional<unsigned> digit(char c) {
  static constexpr Str kDigits = "0123456789abcdef";
  const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c;
  const auto at = kDigits.find(lower);
  return at == Str::npos ? std::nullopt : std::optional(static_cast<unsigned>(at));
}

std::expected<std::vector<std::byte>, std::string> bytes_of(Str hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const auto value = digit(hex[i]);
    if (!value) return std::unexpected("'" + std::string(1, hex[i]) + "' is not a hex digit");
    if (i % 2 == 0) {
      bytes.push_back(static_cast<std::byte>(*value << 4));
    } else {
      bytes.back() |= static_cast<std::byte>(*value);
    }
  }
  if (hex.size() % 2 != 0) return std::unexpected("an odd number of hex digits");
  return bytes;
}

}  // namespace

std::optional<Dialects> dialect_of(Str name) {
  for (const Dialects d : {k9P2000, kDotU, kDotL})
    if (name == dialect_name(d)) return d;
  return std::nullopt;
}

std::expected<std::optional<FrameLine>, std::string> parse_frame_line(Str line) {
  std::istringstream words{std::string(line.substr(0, line.find('#')))};
  std::string source, side, dialect, hex, more;
  if (!(words >> source)) return std::nullopt;
  if (!(words >> side >> dialect >> hex) || words >> more)
    return std::unexpected("expected four words: SOURCE client|server DIALECT HEX");
  if (side != "client" && side != "server")
    return std::unexpected("'" + side + "' is neither client nor server");
  const auto spoken = dialect_of(dialect);
  if (!spoken) return std::unexpected("'" + dialect + "' is none of 9P2000, 9P2000.u and 9P2000.L");
  auto frame = bytes_of(hex);
  if (!frame) return std::unexpected(frame.error());
  if (frame->size() < kHeaderSize)
    return std::unexpected("a frame of " + std::to_string(frame->size()) +
                           " bytes is shorter than a header");
  const Header header = read_header(*frame);
  if (header.size != frame->size())
    return std::unexpected("the frame says it has " + std::to_string(header.size) +
                           " bytes, but there are " + std::to_string(frame->size()));
  if (is_request(header.type) != (side == "client"))
    return std::unexpected("type " + std::to_string(header.type) + " is not sent by a " + side);
  return FrameLine{std::move(source), *spoken, *std::move(frame)};
}

}  // namespace ninep
