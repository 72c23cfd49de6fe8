// Tool: what the commands of `9p` have in common: options, connections, what is printed.
#pragma once

#include <functional>
#include <list>
#include <map>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/tool/place.h"
#include "client/tool/target.h"

namespace ninep::tool {

class Tool {
 public:
  // What main() read from the command line.
  client::Options options;
  bool json = false;
  bool quiet = false;
  unsigned jobs = 64;

  /// The tree at that address; a connection for each address is made once.
  Awaitable<Expected<client::Client*>> client(const Target& target);
  /// Ends the connections, as soon as all that was asked for on them is answered.
  void disconnect();
  /// The file, by its path. Symbolic links before its last name are followed, within the tree; the
  /// last one if `follow`, and where the target says that it is a directory. ENOTDIR: it says so,
  /// and is none; EXDEV: a link leads out of the tree.
  Awaitable<Expected<client::Node>> node(const Target& target, bool follow = true);
  /// The directory that a path's last name is in, and that name; EINVAL: the root has none.
  struct Named {
    client::Node directory;
    std::string name;
  };
  Awaitable<Expected<Named>> named(const Target& target);

  void wrong(const client::Error& error);
  /// What the program ends with: 1, when something was wrong.
  int status() const { return status_; }
  void fail(int status = 1) { status_ = status; }

  /// An object of its own on a line.
  void print(const nlohmann::json& object);

 private:
  Awaitable<Expected<client::Node>> find(const Target& target, bool follow);

  std::list<client::Client> clients_;
  std::map<std::string, client::Client*> by_address_;
  int status_ = 0;
};

/// What a command does when it was chosen and its arguments are there.
using Command = std::function<Awaitable<void>(Tool&)>;
/// Makes commands known to the command line: `chosen` becomes the one that is called for.
using Add = void (*)(CLI::App& app, Command& chosen);
void add_listing(CLI::App& app, Command& chosen);   // ls, tree, stat, df
void add_data(CLI::App& app, Command& chosen);      // cat, get, put, cp, sync
void add_names(CLI::App& app, Command& chosen);     // mkdir, rm, mv, ln
void add_changes(CLI::App& app, Command& chosen);   // chmod, touch, xattr
void add_session(CLI::App& app, Command& chosen);   // ping, lock
void add_mounting(CLI::App& app, Command& chosen);  // mount
void add_bench(CLI::App& app, Command& chosen);     // bench

/// What --help calls an argument; completion goes by it.
inline constexpr const char* kRemote = "ADDRESS:/PATH";  // a server's file
inline constexpr const char* kEither = "PATH";           // that, or a local one
inline constexpr const char* kLocal = "DIRECTORY";       // of this host
inline constexpr const char* kCommand = "COMMAND";       // a program, and its arguments

/// Permissions that what the user makes doesn't get (umask(2)).
U32 mode_mask();

/// A check of options of 64 bits: CLI11 takes -1 for the largest number. What is wrong, or "".
std::string not_negative(const std::string& number);

/// What a target's text says, or the program ends with 2: for commands' arguments.
Target target_of(const std::string& text);
/// The same; the target has to be on a server.
Target remote_of(const std::string& text);
/// All of them, before something is done with the first.
std::vector<Target> remotes_of(const std::vector<std::string>& texts);

}  // namespace ninep::tool
