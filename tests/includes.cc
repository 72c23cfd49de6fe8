#include "tests/includes.h"

#include <algorithm>
#include <array>
#include <regex>
#include <sstream>

namespace ninep::test {
namespace {

struct Folder {
  std::string_view name;
  std::vector<std::string_view> may_include;
};

const std::vector<Folder> kFolders = {
    {"proto", {"proto"}},
    {"transports", {"proto", "transports"}},
    {"server", {"proto", "transports", "server"}},
    {"client", {"proto", "transports", "client"}},
};

bool below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && path.substr(folder.size()).starts_with('/');
}

/// A header of the standard library, or one of those of C that have no C++ name for what they hold.
bool standard(std::string_view header) {
  static const std::regex kStandard("[a-z_0-9]+");
  static constexpr std::array kOfC = {"string.h", "errno.h", "stdint.h", "stdlib.h"};
  return std::regex_match(header.begin(), header.end(), kStandard) ||
         std::ranges::find(kOfC, header) != kOfC.end();
}

/// Packages that only some of the client's programs use.
struct Package {
  std::string_view name;                  // of the folder with its headers
  std::vector<std::string_view> belongs;  // to these
};

const std::vector<Package> kPackages = {
    {"fuse3", {"client/mount"}},
    {"CLI", {"client/tool", "client/dump"}},
    {"nlohmann", {"client/tool", "client/dump", "client/bench"}},
};

/// Why `path`, a file in `folder`, must not include `header`; "" if it may.
std::string reason(std::string_view path, const Folder& folder, std::string_view header,
                   bool quoted) {
  const auto is_in = [&](std::string_view place) { return below(path, place); };
  // client/ itself is the library; what is below it are programs.
  const auto is_of_library = [](std::string_view file) {
    return below(file, "client") && file.substr(7).find('/') == file.npos;
  };
  if (is_of_library(path) && below(header, "client") && !is_of_library(header))
    return "itself doesn't know the programs below it";
  for (const Folder& other : kFolders)
    if (below(header, other.name))
      return std::ranges::find(folder.may_include, other.name) == folder.may_include.end()
                 ? "doesn't know " + std::string(other.name) + "/"
                 : "";
  for (const std::string_view outside : {"tests", "fuzz", "bench", "examples"})
    if (below(header, outside)) return "doesn't know " + std::string(outside) + "/";
  if (quoted) return "names its own headers from the root of the tree";
  if (header == "liburing.h" || header.starts_with("liburing/"))
    return is_in("transports/io") ? "" : "leaves liburing to transports/io/";
  if (header == "asio.hpp" || below(header, "asio") || below(header, "boost"))
    return is_in("transports/io") || is_in("transports/asio") || is_in("client")
               ? ""
               : "leaves Asio to transports/io/, transports/asio/ and client/";
  for (const Package& package : kPackages)
    if (folder.name == "client" && below(header, package.name) &&
        std::ranges::none_of(package.belongs, is_in))
      return "leaves " + std::string(package.name) + " to " + std::string(package.belongs[0]) + "/";
  if (folder.name == "proto" && !standard(header)) return "needs the standard library alone";
  return "";
}

}  // namespace

std::vector<std::string> forbidden_includes(std::string_view path, std::string_view text) {
  const auto folder =
      std::ranges::find_if(kFolders, [&](const Folder& f) { return below(path, f.name); });
  if (folder == kFolders.end()) return {};  // tests, fuzz, bench: anything
  static const std::regex kInclude(R"re(\s*#\s*include\s*(["<])([^">]*)[">].*)re");
  std::vector<std::string> faults;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (!std::regex_match(line, match, kInclude)) continue;
    const std::string header = match[2];
    const std::string why = reason(path, *folder, header, match[1] == "\"");
    if (!why.empty())
      faults.push_back(std::string(path) + ":" + std::to_string(number) + ": " +
                       std::string(folder->name) + "/ " + why + ": " + header);
  }
  return faults;
}

}  // namespace ninep::test
