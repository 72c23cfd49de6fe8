#include "client/mount/inodes.h"

#include <algorithm>

namespace ninep::mount {

Inodes::Inodes(client::Node root) {
  const U64 path = root.qid().path;
  const auto inode = std::make_shared<Inode>();
  inode->number = 1;
  inode->node = std::make_shared<client::Node>(std::move(root));
  inode->lookups = 1;
  by_qid_[path] = 1;
  by_number_[1] = inode;
}

InodeRef Inodes::find(U64 number) const {
  const auto at = by_number_.find(number);
  return at == by_number_.end() ? nullptr : at->second;
}

InodeRef Inodes::looked_up(client::Node node) {
  const U64 path = node.qid().path;
  if (const auto known = by_qid_.find(path); known != by_qid_.end()) {
    const InodeRef inode = by_number_.at(known->second);
    // Of another kind: another file, which has the number of one that is gone.
    if (inode->node->qid().type == node.qid().type) {
      ++inode->lookups;
      if (inode->number != 1) inode->node = std::make_shared<client::Node>(std::move(node));
      return inode;
    }
  }
  const auto inode = std::make_shared<Inode>();
  inode->number = next_++;
  inode->node = std::make_shared<client::Node>(std::move(node));
  inode->lookups = 1;
  by_qid_[path] = inode->number;
  by_number_[inode->number] = inode;
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
  by_number_.erase(at);
}

}  // namespace ninep::mount
