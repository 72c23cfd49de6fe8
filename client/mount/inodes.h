// Inodes: what the kernel knows of the mount's files by number, and the fids that they stand for.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <memory>
#include <unordered_map>

#include "client/client.h"

namespace ninep::mount {

/// A file that the kernel may ask for. A request that is under way keeps it, forgotten or not.
struct Inode {
  U64 number = 0;
  std::shared_ptr<client::Node> node;  // the last one that was looked up
  U64 lookups = 0;                    // that the kernel has not forgotten
  std::optional<U32> cached_version;  // qid.version of what the kernel's cache has
};
using InodeRef = std::shared_ptr<Inode>;

class Inodes {
 public:
  explicit Inodes(client::Node root);

  /// Null: the kernel asks for what it has forgotten.
  InodeRef find(U64 number) const;
  /// The file's inode, told to the kernel once more. What has one already (its qid.path is known)
  /// keeps it, and is reached by the newer node from now on.
  InodeRef looked_up(client::Node node);
  void forget(U64 number, U64 lookups);
  std::size_t count() const { return by_number_.size(); }

 private:
  std::unordered_map<U64, InodeRef> by_number_;
  std::unordered_map<U64, U64> by_qid_;  // qid.path: number
  U64 next_ = 2;                         // 1 is the root: FUSE_ROOT_ID
};

}  // namespace ninep::mount
