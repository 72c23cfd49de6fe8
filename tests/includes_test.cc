#include "tests/includes.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace ninep::test {
namespace {

namespace fs = std::filesystem;

/// The texts of the product's files, by their paths from the root of the tree.
std::map<std::string, std::string> sources() {
  std::map<std::string, std::string> all;
  for (const char* folder : {"proto", "transports", "server", "client"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(fs::path(NINEP_SOURCE_DIR) / folder)) {
      if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
      std::ifstream in(entry.path());
      all[fs::relative(entry.path(), NINEP_SOURCE_DIR)] =
          std::string(std::istreambuf_iterator<char>(in), {});
    }
  }
  return all;
}

TEST(Includes, FollowTheDependencyRule) {
  const auto all = sources();
  for (const auto& [path, text] : all)
    for (const std::string& fault : forbidden_includes(path, text)) ADD_FAILURE() << fault;
  EXPECT_GT(all.size(), 15U) << "the sources were found";
}

/// The first line of `text` that begins with `start`.
std::string first_line(const std::string& text, std::string_view start) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(start)) return line;
  return "";
}

// tests/headers.cmake compiles the other headers by themselves.
TEST(Includes, HeadersGuardThemselvesAndComeFirstInTheirSources) {
  int pairs = 0;
  for (const auto& [path, text] : sources()) {
    const fs::path header = fs::path(path).replace_extension(".h");
    if (fs::path(path).extension() == ".h") {
      EXPECT_EQ(first_line(text, "#"), "#pragma once") << path;
    } else if (fs::exists(fs::path(NINEP_SOURCE_DIR) / header)) {
      EXPECT_EQ(first_line(text, "#include"), "#include \"" + header.string() + "\"") << path;
      ++pairs;
    }
  }
  EXPECT_GT(pairs, 50) << "the sources were found";
}

struct Sample {
  const char* path;
  const char* line;
  const char* fault;  // "" if there is none
};

TEST(Includes, TheCheckerSeesWhatIsForbidden) {
  const Sample samples[] = {
      {"proto/a.h", "#include <vector>", ""},
      {"proto/a.h", "#include \"proto/types.h\"", ""},
      {"proto/a.h", "#include \"transports/io/loop.h\"", "proto/ doesn't know transports/"},
      {"proto/a.h", "#include \"client/dump/json.h\"", "proto/ doesn't know client/"},
      {"proto/a.h", "#include <absl/strings/str_cat.h>", "proto/ needs the standard library alone"},
      {"proto/a.h", "#include <sys/stat.h>", "proto/ needs the standard library alone"},
      {"proto/a.h", "  #  include <unistd.h>  // x", "proto/ needs the standard library alone"},
      {"proto/a.h", "#include \"types.h\"", "proto/ names its own headers from the root"},
      {"proto/a.h", "// #include <unistd.h>", ""},
      {"transports/stream/a.cc", "#include \"proto/frame.h\"", ""},
      {"transports/stream/a.cc", "#include \"server/session.h\"",
       "transports/ doesn't know server/"},
      {"transports/stream/a.cc", "#include <liburing.h>", "transports/ leaves liburing"},
      {"transports/io/a.cc", "#include <liburing.h>", ""},
      {"transports/io/a.cc", "#include <asio.hpp>", ""},
      {"transports/asio/a.cc", "#include <asio/io_context.hpp>", ""},
      {"transports/stream/a.cc", "#include <asio.hpp>", "transports/ leaves Asio"},
      {"server/a.cc", "#include \"transports/transport.h\"", ""},
      {"server/a.cc", "#include <absl/container/flat_hash_map.h>", ""},
      {"server/a.cc", "#include <asio/io_context.hpp>", "server/ leaves Asio"},
      {"server/a.cc", "#include <liburing.h>", "server/ leaves liburing"},
      {"server/a.cc", "#include \"client/client.h\"", "server/ doesn't know client/"},
      {"server/a.cc", "#include \"tests/bytes.h\"", "server/ doesn't know tests/"},
      {"client/a.cc", "#include <asio.hpp>", ""},
      {"client/a.cc", "#include <liburing.h>", "client/ leaves liburing"},
      {"client/a.cc", "#include <server/session.h>", "client/ doesn't know server/"},
      {"client/a.cc", "#include \"client/b.h\"", ""},
      {"client/a.cc", "#include \"client/mount/b.h\"", "client/ itself doesn't know the programs"},
      {"client/tool/a.cc", "#include \"client/mount/b.h\"", ""},
      {"client/tool/a.cc", "#include \"client/b.h\"", ""},
      {"client/a.cc", "#include <fuse3/fuse_lowlevel.h>", "client/ leaves fuse3 to client/mount/"},
      {"client/tool/a.cc", "#include <fuse3/fuse.h>", "client/ leaves fuse3 to client/mount/"},
      {"client/mount/a.cc", "#include <fuse3/fuse_lowlevel.h>", ""},
      {"client/a.h", "#include <CLI/CLI.hpp>", "client/ leaves CLI to client/tool/"},
      {"client/mount/a.cc", "#include <CLI/CLI.hpp>", "client/ leaves CLI to client/tool/"},
      {"client/tool/a.cc", "#include <CLI/CLI.hpp>", ""},
      {"client/dump/a.cc", "#include <CLI/CLI.hpp>", ""},
      {"client/a.cc", "#include <nlohmann/json.hpp>", "client/ leaves nlohmann to client/tool/"},
      {"client/mount/a.cc", "#include <nlohmann/json.hpp>", "client/ leaves nlohmann to"},
      {"client/bench/a.cc", "#include <nlohmann/json.hpp>", ""},
      {"client/examples/a.cc", "#include <nlohmann/json.hpp>", "client/ leaves nlohmann to"},
      {"server/a.cc", "#include <CLI/CLI.hpp>", ""},
      {"fuzz/a.cc", "#include \"client/dump/json.h\"", ""},
      {"tests/a.cc", "#include <liburing.h>", ""},
  };
  for (const Sample& sample : samples) {
    const auto faults = forbidden_includes(sample.path, "\n" + std::string(sample.line) + "\n");
    const std::string where = std::string(sample.path) + ": " + sample.line;
    if (*sample.fault == '\0') {
      EXPECT_TRUE(faults.empty()) << where << ": " << faults.front();
    } else {
      ASSERT_EQ(faults.size(), 1u) << where;
      EXPECT_EQ(faults[0].rfind(sample.path + std::string(":2: ") + sample.fault, 0), 0u)
          << faults[0];
    }
  }
}

}  // namespace
}  // namespace ninep::test
