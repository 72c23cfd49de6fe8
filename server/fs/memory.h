// A tree in memory, for tests and fuzzing: whatever Linux's file systems can do, bounded and, if
// wanted, the same in every run.
//
// Errors are those that Linux would give, errno for errno, but permissions are not enforced: files
// have owners and modes, and everybody may do everything.
#pragma once

#include <memory>

#include "server/fs/fs.h"

namespace ninep::fs {

namespace memory {
class Store;
}

/// It must outlive its nodes and files. Safe from any thread: one mutex guards all of it.
class MemoryTree final : public Tree {
 public:
  struct Options {
    U64 size_max = U64{64} << 20;  // bytes of data, names and attributes; beyond: ENOSPC
    U64 inodes_max = U64{1} << 16;
    bool counted_time = false;  // the clock is a counter: every run gives the same times
  };

  MemoryTree() : MemoryTree(Options{}) {}
  explicit MemoryTree(const Options& options);
  ~MemoryTree() override;

  /// "" and "/" are the root; others a path of directories from there.
  Task<Result<Ref<Node>>> attach(Context&, Str aname) override;

 private:
  const std::unique_ptr<memory::Store> store_;
};

}  // namespace ninep::fs
