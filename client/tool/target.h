// Where a file is, as people write it for the tool: "ADDRESS:/PATH" on a server, or a local path.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "transports/address.h"

namespace ninep::tool {

/// "tcp:host:564:/etc/hosts", "tcp:host" (its root; port 564), "unix:/run/9p.sock:/a/b",
/// "vsock:2:564:/", "./a/b". An address begins with its kind and ":"; a local file that is called
/// like that is written "./tcp:...". Of a server with several trees: "tcp:host,aname=/srv:/a/b".
struct Target {
  bool is_remote = false;
  transport::Address address;  // remote
  std::optional<std::string> aname;
  std::string address_text;  // as it was written: targets of one text are on one connection
  std::string path;          // remote: from the root, without "/" before it; "" is the root

  std::string text() const;
  /// It ends with "/": there is a directory, or will be.
  bool says_directory() const { return path.ends_with('/'); }
  /// Its last name; of the root "".
  std::string name() const;

  /// Or what is wrong with it.
  static std::expected<Target, std::string> parse(const std::string& text);
};

/// For --help.
extern const char* const kAddresses;

}  // namespace ninep::tool
