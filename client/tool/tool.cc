#include "client/tool/tool.h"

#include <cstdio>

#include <sys/stat.h>
#include <unistd.h>

#include "client/tool/text.h"

namespace ninep::tool {
namespace {

using client::Client;
using client::error;
using client::is;
using client::Node;

constexpr int kLinksMax = 40;  // as many as Linux follows

std::vector<std::string> split(Str path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0 && path.substr(0, end) != ".") names.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) path += (path.empty() ? "" : "/") + name;
  return path;
}

}  // namespace

Awaitable<Expected<Client*>> Tool::client(const Target& target) {
  if (const auto known = by_address_.find(target.address_text); known != by_address_.end())
    co_return known->second;
  client::Options here = options;
  if (target.aname) here.user.aname = *target.aname;
  auto connected = co_await Client::connect(target.address, here);
  if (!connected && connected.error().doing == "Tattach" && here.user.aname.empty() &&
      connected.error().why.empty())
    connected.error().why =
        "if the server has several trees: which? " + target.address_text + ",aname=/TREE";
  NINEP_CO_RETURN_IF_WRONG(connected);
  co_return by_address_[target.address_text] = &clients_.emplace_back(std::move(*connected));
}

void Tool::disconnect() {
  by_address_.clear();
  clients_.clear();
}

Awaitable<Expected<Node>> Tool::node(const Target& target, bool follow) {
  auto node = co_await find(target, follow || target.says_directory());
  if (node && target.says_directory() && !node->is_directory())
    co_return error(ENOTDIR, "find " + target.text());
  co_return node;
}

// In one walk, where there is no link; name by name from the first one on.
Awaitable<Expected<Node>> Tool::find(const Target& target, bool follow) {
  const auto at = co_await client(target);
  NINEP_CO_RETURN_IF_WRONG(at);
  Node& root = (*at)->root();
  auto straight = co_await root.walk(target.path);
  if (straight && (!straight->is_symlink() || !follow)) co_return straight;
  if (!straight && !is(straight.error(), ENOTDIR) && !is(straight.error(), ENOENT) &&
      !is(straight.error(), ELOOP))
    co_return straight;
  std::vector<std::string> done;
  std::vector<std::string> left = split(target.path);
  int links = 0;
  while (!left.empty()) {
    const std::string name = left.front();
    left.erase(left.begin());
    if (name == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(name);
    auto node = co_await root.walk(joined(done));
    NINEP_CO_RETURN_IF_WRONG(node);
    if (!node->is_symlink() || (left.empty() && !follow)) continue;
    if (++links > kLinksMax) co_return error(ELOOP, "find " + target.text());
    const auto to = co_await node->readlink();
    NINEP_CO_RETURN_IF_WRONG(to);
    if (to->starts_with('/'))
      co_return error(EXDEV, "find " + target.text(),
                      joined(done) + " leads to " + *to + ", which is a path of the server's host");
    done.pop_back();
    const std::vector<std::string> more = split(*to);
    left.insert(left.begin(), more.begin(), more.end());
  }
  co_return co_await root.walk(joined(done));
}

Awaitable<Expected<Tool::Named>> Tool::named(const Target& target) {
  std::vector<std::string> names = split(target.path);
  if (names.empty() || names.back() == "..")
    co_return error(EINVAL, target.text(), "it has no name to work with");
  Target directory = target;
  const std::string name = names.back();
  names.pop_back();
  directory.path = joined(names);
  auto found = co_await node(directory);
  NINEP_CO_RETURN_IF_WRONG(found);
  Named both{std::move(*found), name};
  co_return Expected<Named>(std::move(both));
}

void Tool::wrong(const client::Error& error) {
  status_ = 1;
  std::fprintf(stderr, "9p: %s\n", shown(error.text(), kErrorMax).c_str());
}

void Tool::print(const nlohmann::json& object) {
  // A name may be any bytes.
  const bool ascii = ::isatty(STDOUT_FILENO) != 0;  // a terminal takes some of the rest for orders
  std::puts(object.dump(-1, ' ', ascii, nlohmann::json::error_handler_t::replace).c_str());
}

U32 mode_mask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

std::string not_negative(const std::string& number) {
  return number.find('-') == std::string::npos ? "" : "a number that is not negative";
}

Target target_of(const std::string& text) {
  auto target = Target::parse(text);
  if (!target) throw CLI::ValidationError(text, target.error());
  return *std::move(target);
}

Target remote_of(const std::string& text) {
  Target target = target_of(text);
  if (!target.is_remote)
    throw CLI::ValidationError(text, "is a local path; a server's file is ADDRESS:/PATH");
  return target;
}

std::vector<Target> remotes_of(const std::vector<std::string>& texts) {
  std::vector<Target> targets;
  for (const std::string& text : texts) targets.push_back(remote_of(text));
  return targets;
}

}  // namespace ninep::tool
