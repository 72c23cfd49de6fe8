// A folder that 9pserve serves, behind a proxy that loses what it is told to.
#pragma once

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include <gtest/gtest.h>

#include "tests/client/proxy.h"
#include "tests/server/program.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {

class Served {
 public:
  Served() {
    std::filesystem::create_directory(tree());
    start();
    start_proxy();
  }
  void start() {
    server.emplace(std::vector<std::string>{"--listen", "unix:" + folder.path() + "/server",
                                            "--msize", "4194304", tree()});
    NINEP_CHECK(server->says("listening on"));
  }
  void start_proxy() {
    std::filesystem::remove(folder.path() + "/proxy");
    proxy.emplace(folder.path() + "/proxy", folder.path() + "/server");
  }
  void kill() {
    server->signal(SIGKILL);
    server->wait();
  }
  void restart() {
    kill();
    start();
  }
  /// Of the proxy.
  std::string address() const { return "unix:" + folder.path() + "/proxy"; }
  std::string tree() const { return folder.path() + "/tree"; }
  void write(const std::string& name, Str content) {
    std::ofstream(tree() + "/" + name) << content;
  }
  std::string content(const std::string& name) const {
    std::ifstream in(tree() + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempDir folder;
  std::optional<Program> server;
  std::optional<Proxy> proxy;
};

}  // namespace ninep::test
