// What the kernel has open.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/gate.h"
#include "client/mount/inodes.h"

namespace ninep::mount {

/// An open file. A request that is under way keeps it, released or not.
struct OpenFile : std::enable_shared_from_this<OpenFile> {
  OpenFile(client::File opened, InodeRef of, U32 opened_with);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();

  /// Where to write: what a server has opened to append to it takes no other writes, and the other
  /// way round. A second fid is opened where the first one isn't of that kind.
  asio::awaitable<client::Expected<client::File*>> for_writes(bool appends);
  asio::awaitable<void> close();

  /// The kernel asks something of it: it has done by now what it was told when it was opened, and
  /// has dropped what it had kept of other versions.
  void is_used() {
    if (new_version) inode->cached_version = std::exchange(new_version, std::nullopt);
  }

  client::File file;
  const InodeRef inode;
  const U32 flags;                 // ninep::lopen
  std::optional<U32> new_version;  // qid.version, if the kernel was told to drop others
  client::Gate turn;               // to append, or to open the other one: one after the other

 private:
  std::optional<client::File> other_;
};

/// An open directory. The kernel's offsets are the server's, but for 1 and 2: behind "." and "..",
/// which come first. A server may have such offsets too: what is meant is known where the kernel
/// goes on, as it does unless somebody seeks.
struct OpenDirectory {
  OpenDirectory(client::Directory opened, InodeRef of);

  /// Sees to it that entries from `offset` on are in `entries`, from `next` on; none: the end.
  asio::awaitable<client::Expected<void>> fill(U64 wanted);

  client::Directory directory;
  const InodeRef inode;
  client::Gate turn;  // to list
  std::vector<client::Entry> entries;
  std::size_t next = 0;
  U64 offset = 0;     // behind what was told last
  unsigned dots = 0;  // of "." and "..", that were told
};

/// Threads whose open(2) was refused (ESTALE), as a name wasn't what the kernel took it for. It
/// looks for the name anew, and asks once more: what it has found had the name then, whoever has it
/// by now. What it comes to without a name (/proc/PID/fd, a bind mount) it asks for again at once.
class Refused {
 public:
  /// Thread 0 is any of another pid namespace: none.
  void add(int thread, const Inode& inode);
  /// 0: nothing has that name.
  void found(int thread, const std::string& name, U64 inode);
  /// Whether it may be opened, whatever has its name. Once.
  bool takes(int thread, U64 inode);

 private:
  using Clock = std::chrono::steady_clock;
  struct One {
    std::string name;
    U64 inode;
    Clock::time_point since;
  };
  static constexpr std::chrono::seconds kLongest{1};  // until it asks once more
  static constexpr std::size_t kMost = 4096;
  std::unordered_map<int, One> by_thread_;
};

}  // namespace ninep::mount
