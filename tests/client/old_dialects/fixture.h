// A client of a server of the older dialects, which refuses all that the manual lets it refuse.
#pragma once

#include <filesystem>
#include <list>

#include "tests/client/old_dialects/server.h"
#include "tests/client/on_loop.h"
#include "tests/client/pattern.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {

inline std::string dialect_text(const testing::TestParamInfo<Dialects>& info) {
  return info.param == kDotL ? "DotL" : info.param == kDotU ? "DotU" : "Plain";
}

class OldDialect : public OnLoop, public testing::WithParamInterface<Dialects> {
 protected:
  OldDialect() { serve({}); }
  ~OldDialect() override {
    // What has gone is clunked by now, and what the client did was allowed.
    if (!clients.empty()) {
      (void)wait(clients.front().root().stat());
      clients.resize(1);
    }
    EXPECT_EQ(server->complaints(), std::vector<std::string>());
    disconnect();
  }
  void disconnect() {
    clients.clear();
    settle();
  }
  static bool is_dot_u() { return GetParam() == kDotU; }
  client::Node& serve(OldServer::Options options) {
    disconnect();
    server.reset();
    std::filesystem::remove(folder / "s");
    options.dialect = GetParam();
    server.emplace(folder / "s", options);
    return connect();
  }
  client::Node& connect() {
    client::Options options;
    options.user.uname = "me";
    return clients.emplace_back(get(client::Client::connect("unix:" + (folder / "s"), options)))
        .root();
  }
  client::Node& root() { return clients.front().root(); }
  OldServer::Facts facts(const std::string& path) {
    const auto f = server->facts(path);
    EXPECT_TRUE(f) << path;
    return f.value_or(OldServer::Facts{});
  }

  TempDir folder;
  std::optional<OldServer> server;
  std::list<client::Client> clients;
};

}  // namespace ninep::test
