// Inodes: what the kernel knows of the mount's files by number, and the fids that they stand for.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <unordered_map>

#include "client/client.h"

namespace ninep::mount {

struct OpenFile;

/// A file that the kernel may ask for. A request that is under way keeps it, forgotten or not.
struct Inode {
  using Clock = std::chrono::steady_clock;

  U64 number = 0;
  std::shared_ptr<client::Node> node;  // the last one that was looked up
  U64 in = 0;                          // the number of the folder where it was
  std::string name;                    // and its name there
  U32 type = 0;                        // S_IFMT
  U64 lookups = 0;                     // that the kernel has not forgotten
  client::Mark mark;                   // by which it is told from others of its qid.path
  std::optional<U32> cached_version;   // qid.version of what the kernel's cache has
  std::list<OpenFile*> files;          // that are open

  // Of a folder: whose group is that of what is made in it, and whether that gets an access list.
  // Known until then.
  std::optional<U32> group;
  Clock::time_point group_until{};
  bool hands_list_on = false;
  Clock::time_point list_until{};
  unsigned lists_set = 0;  // by us: what was asked before says nothing
  // The kernel asks for this attribute before each write.
  Clock::time_point no_capability_until{};
  Clock::time_point no_set_id_until{};

  /// An owner of record locks, and one of the open files that he has them by.
  struct LockOwner {
    U64 owner;
    U32 pid;
    std::weak_ptr<OpenFile> file;
  };
  std::vector<LockOwner> lock_owners;

  std::optional<std::list<U64>::iterator> recent;  // none: its node rests
};
using InodeRef = std::shared_ptr<Inode>;

/// From now on for so long.
inline Inode::Clock::time_point until(double seconds) {
  return Inode::Clock::now() +
         std::chrono::duration_cast<Inode::Clock::duration>(std::chrono::duration<double>(seconds));
}

class Inodes {
 public:
  explicit Inodes(client::Node root);

  /// Null: the kernel asks for what it has forgotten. What is found isn't the next that rests.
  InodeRef find(U64 number);
  /// What is known of that qid.path; null: nothing.
  InodeRef known(U64 path) const;
  /// The file's inode, told to the kernel once more. What has one already (it is the same file)
  /// keeps it, and is reached by the newer node from now on. `in`, `name`: where it is.
  InodeRef looked_up(client::Node node, const client::Attributes& is, const Inode& in,
                     std::string name);
  void forget(U64 number, U64 lookups);
  std::size_t count() const { return by_number_.size(); }

  /// Leaves half as many fids as there are now to files that nobody uses, from now on.
  void halve();
  std::size_t awake_max() const { return awake_max_; }

 private:
  void used(Inode& inode);
  void rest();

  static constexpr std::size_t kAwakeMax = 8192;  // a server has a descriptor for each
  static constexpr std::size_t kAwakeMin = 64;

  std::unordered_map<U64, InodeRef> by_number_;
  std::unordered_map<U64, U64> by_qid_;  // qid.path: number
  U64 next_ = 2;                         // 1 is the root: FUSE_ROOT_ID
  std::list<U64> recent_;                // those with a fid that may rest; the last used first
  std::size_t awake_max_ = kAwakeMax;
};

}  // namespace ninep::mount
