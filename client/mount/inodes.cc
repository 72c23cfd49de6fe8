#include "client/mount/inodes.h"

#include <algorithm>

#include <sys/stat.h>

namespace ninep::mount {

Inodes::Inodes(client::Node root) {
  const U64 path = root.qid().path;
  const auto inode = std::make_shared<Inode>();
  inode->number = 1;
  inode->node = std::make_shared<client::Node>(std::move(root));
  inode->type = S_IFDIR;
  inode->lookups = 1;
  by_qid_[path] = 1;
  by_number_[1] = inode;
}

InodeRef Inodes::find(U64 number) {
  const auto at = by_number_.find(number);
  if (at == by_number_.end()) return nullptr;
  const InodeRef inode = at->second;
  used(*inode);
  rest();
  return inode;
}

InodeRef Inodes::known(U64 path) const {
  const auto at = by_qid_.find(path);
  return at == by_qid_.end() ? nullptr : by_number_.at(at->second);
}

InodeRef Inodes::looked_up(client::Node node, const client::Attributes& is, const Inode& in,
                           std::string name) {
  const U32 type = is.attr.mode & S_IFMT;
  const U64 path = node.qid().path;
  InodeRef inode;
  if (const auto known = by_qid_.find(path); known != by_qid_.end()) {
    inode = by_number_.at(known->second);
    // Another file may have the number of one that is gone.
    const client::Same same = client::compare(inode->mark, client::mark_of(is));
    if (inode->type != type || (same == client::Same::kNo && inode->number != 1)) inode = nullptr;
  }
  if (inode) {
    if (inode->number != 1) inode->node = std::make_shared<client::Node>(std::move(node));
  } else {
    inode = std::make_shared<Inode>();
    inode->number = next_++;
    inode->type = type;
    inode->mark = client::mark_of(is);
    inode->node = std::make_shared<client::Node>(std::move(node));
    by_qid_[path] = inode->number;
    by_number_[inode->number] = inode;
  }
  if (inode->number != 1) {
    inode->in = in.number;
    inode->name = std::move(name);
  }
  ++inode->lookups;
  used(*inode);
  rest();
  return inode;
}

void Inodes::forget(U64 number, U64 lookups) {
  const auto at = by_number_.find(number);
  if (at == by_number_.end() || number == 1) return;
  Inode& inode = *at->second;
  inode.lookups -= std::min(lookups, inode.lookups);
  if (inode.lookups > 0) return;
  if (const auto by = by_qid_.find(inode.node->qid().path);
      by != by_qid_.end() && by->second == number)
    by_qid_.erase(by);
  if (inode.recent) recent_.erase(*inode.recent);
  by_number_.erase(at);
}

void Inodes::used(Inode& inode) {
  if (inode.number == 1) return;
  if (inode.recent)
    recent_.splice(recent_.begin(), recent_, *inode.recent);
  else
    inode.recent = recent_.insert(recent_.begin(), inode.number);
}

// What is in use, or open, has another look when it was used again: it may be without a name, and
// found by its fid alone.
void Inodes::rest() {
  while (recent_.size() > awake_max_) {
    const InodeRef& inode = by_number_.at(recent_.back());
    inode->recent.reset();
    recent_.pop_back();
    if (inode.use_count() == 1 && inode->node.use_count() == 1 && inode->files.empty())
      inode->node->rest();
  }
}

void Inodes::halve() {
  awake_max_ = std::max(std::min(awake_max_, recent_.size()) / 2, kAwakeMin);
  rest();
}

}  // namespace ninep::mount
