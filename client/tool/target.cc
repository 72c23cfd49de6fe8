#include "client/tool/target.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace ninep::tool {

const char* const kAddresses = R"(ADDRESSES
  A file on a server is ADDRESS:/PATH; ADDRESS alone is the root of what it serves. All else is a
  local path (./tcp:x, if it looks like an address).

  tcp:fileserver                       a host's port 564, its root
  tcp:fileserver:/home/me/notes        a file of it
  tcp:10.0.0.7:5640:/data              another port
  tcp:[fe80::1%eth0]:564:/data         IPv6
  unix:/run/9pserve.sock:/data         a UNIX socket
  vsock:2:564:/share                   from a VM, its host
  fd:3:/data                           a connection that is open already
  tcp:fileserver,aname=/srv:/notes     of a server with several trees (diod, nfs-ganesha), the
                                       file notes in its tree /srv
)";

namespace {

constexpr std::string_view kAname = ",aname=";
constexpr std::array<std::string_view, 5> kKinds = {"tcp:", "unix:", "vsock:", "fd:", "stdio:"};

// The port may be left out.
std::string with_port(std::string address) {
  const std::size_t host = address.find(':') + 1;
  const std::size_t after = address.find(']', host);
  const std::size_t port = address.find(':', after == std::string::npos ? host : after);
  return port == std::string::npos ? address + ":564" : address;
}

}  // namespace

std::expected<Target, std::string> Target::parse(const std::string& text) {
  Target target;
  const auto kind = std::ranges::find_if(kKinds, [&](auto k) { return text.starts_with(k); });
  if (kind == kKinds.end()) {
    target.path = text;
    if (text.empty()) return std::unexpected("a file's name is empty");
    return target;
  }
  target.is_remote = true;
  // A socket's path has a "/" of its own right behind the kind.
  const std::size_t from = kind->size() + (text.substr(kind->size()).starts_with('/') ? 1 : 0);
  const std::size_t colon = text.find(":/", from);
  target.address_text = text.substr(0, colon);
  if (colon != std::string::npos) target.path = text.substr(colon + 1);
  target.path.erase(0, std::min(target.path.find_first_not_of('/'), target.path.size()));
  std::string peer = target.address_text;
  if (const std::size_t at = peer.find(kAname); at != std::string::npos) {
    target.aname = peer.substr(at + kAname.size());
    peer.erase(at);
  }
  auto address = transport::Address::parse(*kind == "tcp:" ? with_port(peer) : peer);
  if (!address.ok()) return std::unexpected(std::string(address.status().message()));
  target.address = *std::move(address);
  return target;
}

std::string Target::text() const { return is_remote ? address_text + ":/" + path : path; }

std::string Target::name() const {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "";
  const std::size_t slash = path.rfind('/', end);
  const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(begin, end + 1 - begin);
}

}  // namespace ninep::tool
