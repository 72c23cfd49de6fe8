// What the command line says of itself: --help, the man page and completions, all from the commands
// and options that CLI11 knows.
#pragma once

#include <string>
#include <vector>

#include "client/tool/tool.h"

namespace ninep::tool {

/// An option, or an argument by its place.
struct Described {
  std::vector<std::string> flags;  // "-d", "--depth"; none: by its place
  std::string name;                // by its place: "FILE"
  std::string value;               // what follows, for people: "N", kRemote; "": nothing
  std::string text;
  std::string fallback;              // without it, if there is something to say
  std::string range;                 // "1 to 4096"
  std::vector<std::string> choices;  // all that it may be
  bool is_required = false;
  bool repeats = false;
};

struct DescribedCommand {
  std::string name;  // "" is the program's own
  std::string text;
  std::string footer;  // sections: a heading in capitals, and below it lines that are indented
  std::vector<Described> options;
  std::vector<Described> arguments;
  std::vector<DescribedCommand> commands;  // without those that are hidden
};

DescribedCommand describe(const CLI::App& app);

/// What --help prints of `command`, which may be the program's own.
std::string help_of(const DescribedCommand& command);
/// 9p(1), in roff's man macros.
std::string man_page(const DescribedCommand& program, const std::string& version);

// Scripts for the shells, completion.cc. What files a server has they ask `9p complete`.
std::string bash_completion(const DescribedCommand& program);
std::string zsh_completion(const DescribedCommand& program);
std::string fish_completion(const DescribedCommand& program);

/// man, completion, complete: hidden commands. Those before it are what they describe.
void add_describing(CLI::App& app, Command& chosen);

}  // namespace ninep::tool
