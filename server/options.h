// The command line of 9pserve, as a table of options.
#pragma once

#include <string>
#include <vector>

#include "server/server.h"

namespace ninep::server {

struct Options {
  std::string directory;
  std::vector<std::string> listen;
  std::vector<std::string> connect;
  bool read_only = false;
  U32 msize = 1 << 20;
  unsigned threads = 0;
  std::string io = "auto";
  std::string log_level = "info";
  bool trace = false;
};

/// Reads argv. When there is nothing to serve (--help, --version, an error), the text has been
/// printed and `exit_status` is to be returned by main.
bool parse_options(int argc, char** argv, Options& options, int& exit_status);

}  // namespace ninep::server
