#include "client/names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ninep::client {

// A child has its parent; the parent knows the child as long as somebody has it.
struct Names::Name : std::enable_shared_from_this<Name> {
  Name(std::shared_ptr<Name> in, Str called) : parent(std::move(in)), name(called) {}
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  ~Name() {
    if (parent && !is_gone) parent->children.erase(name);
  }

  std::shared_ptr<Name> parent;  // none: the root
  std::string name;
  std::map<std::string, Name*, std::less<>> children;
  std::optional<U64> number;  // its qid.path
  struct Seen {
    U64 connection = 0;
    Mark mark;
  };
  std::array<Seen, 2> seen;  // on the last connections; the newer one first
  bool is_gone = false;
  U64 moved = 0;  // in the tree's which rename; of the root: how many there were
};

Names::Names() : root_(std::make_shared<Name>(nullptr, "")) {}

Names::Place Names::Place::child(Str name) const {
  const auto [at, is_new] = name_->children.try_emplace(std::string(name), nullptr);
  if (!is_new) return Place(at->second->shared_from_this());
  const auto made = std::make_shared<Name>(name_, name);
  at->second = made.get();
  return Place(made);
}

Names::Place Names::Place::parent() const { return name_->parent ? Place(name_->parent) : *this; }

void Names::Place::has(U64 number) const {
  if (name_->number == number) return;
  name_->number = number;
  name_->seen = {};
}

void Names::Place::has(U64 number, U64 connection, const Mark& mark) const {
  if (name_->number != number) return;
  auto& seen = name_->seen;
  if (seen[0].connection != connection) seen[1] = std::exchange(seen[0], {});
  seen[0] = {connection, mark};
}

std::optional<Mark> Names::Place::mark(U64 number, U64 connection) const {
  if (connection == 0 || name_->number != number) return std::nullopt;
  for (const auto& one : name_->seen)
    if (one.connection == connection) return one.mark;
  return std::nullopt;
}

std::optional<std::vector<std::string>> Names::Place::path() const {
  std::vector<std::string> path;
  for (const Name* at = name_.get(); at->parent; at = at->parent.get()) {
    if (at->is_gone) return std::nullopt;
    path.push_back(at->name);
  }
  std::ranges::reverse(path);
  return path;
}

U64 Names::Place::moved() const {
  U64 last = 0;
  for (const Name* at = name_.get(); at->parent; at = at->parent.get())
    last = std::max(last, at->moved);
  return last;
}

std::size_t Names::Place::depth() const {
  std::size_t depth = 0;
  for (const Name* at = name_.get(); at->parent; at = at->parent.get()) ++depth;
  return depth;
}

std::string Names::Place::text() const {
  constexpr std::size_t kMost = 4096;  // bytes; of a longer one its end
  std::vector<const Name*> names;
  std::size_t size = 0;
  const Name* at = name_.get();
  for (; at && at->parent && size < kMost; at = at->parent.get()) {
    names.push_back(at);
    size += at->name.size() + 1;
  }
  if (names.empty()) return "/";
  std::string text = at->parent ? "..." : "";
  for (auto name = names.rbegin(); name != names.rend(); ++name)
    text += (text.empty() ? "" : "/") + (*name)->name;
  return text;
}

std::optional<U64> Names::number(const Place& directory, Str name) {
  const auto at = directory.name_->children.find(name);
  return at == directory.name_->children.end() ? std::nullopt : at->second->number;
}

void Names::removed(const Place& directory, Str name) {
  auto& children = directory.name_->children;
  const auto at = children.find(name);
  if (at == children.end()) return;
  at->second->is_gone = true;
  children.erase(at);
}

void Names::renamed(const Place& from, Str name, const Place& to, Str to_name) {
  if (from.name_ == to.name_ && name == to_name) return;
  removed(to, to_name);
  auto& children = from.name_->children;
  const auto at = children.find(name);
  if (at == children.end()) return;
  // The child's hold on its old parent goes last: the parent may go with it.
  Name& child = *at->second;
  children.erase(at);
  // Where others have moved `to` it isn't where we know it: it can't be below itself.
  for (const Name* above = to.name_.get(); above; above = above->parent.get())
    if (above == &child) {
      child.is_gone = true;
      return;
    }
  child.name = to_name;
  to.name_->children.emplace(child.name, &child);
  const auto old_parent = std::exchange(child.parent, to.name_);
  Name* root = to.name_.get();
  while (root->parent) root = root->parent.get();
  child.moved = ++root->moved;
}

}  // namespace ninep::client
