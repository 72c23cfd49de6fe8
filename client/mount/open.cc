#include "client/mount/open.h"

#include <algorithm>

namespace ninep::mount {

using client::Expected;
using client::File;

OpenFile::OpenFile(File opened, InodeRef of, U32 opened_with)
    : file(std::move(opened)),
      inode(std::move(of)),
      flags(opened_with),
      turn(file.attachment()->executor(), 1) {
  inode->files.push_back(this);
}

OpenFile::~OpenFile() { inode->files.remove(this); }

asio::awaitable<Expected<File*>> OpenFile::for_writes(bool appends) {
  const bool file_appends = (flags & lopen::kAppend) != 0;
  if (appends == file_appends) co_return &file;
  if (!co_await turn.enter()) co_return client::error(ECANCELED, "open");
  const client::Turn got(turn);
  if (!other_) {
    const std::shared_ptr<client::Node> node = inode->node;
    const U32 other_flags = (flags ^ lopen::kAppend) & ~lopen::kTruncate;
    auto opened = co_await node->open(other_flags);
    NINEP_CO_RETURN_IF_WRONG(opened);
    other_ = std::move(*opened);
  }
  co_return &*other_;
}

asio::awaitable<void> OpenFile::close() {
  (void)co_await file.close();
  if (other_) (void)co_await other_->close();
}

void Refused::add(int thread, const Inode& inode) {
  if (thread == 0) return;
  if (by_thread_.size() >= kMost) by_thread_.clear();
  by_thread_[thread] = {inode.name, inode.number, Clock::now()};
}

// The folders on the way are looked up too.
void Refused::found(int thread, const std::string& name, U64 inode) {
  const auto at = by_thread_.find(thread);
  if (at == by_thread_.end() || at->second.name != name) return;
  at->second.inode = inode;
  at->second.since = Clock::now();
}

bool Refused::takes(int thread, U64 inode) {
  const auto at = by_thread_.find(thread);
  if (at == by_thread_.end()) return false;
  const One one = std::move(at->second);
  by_thread_.erase(at);
  return one.inode == inode && Clock::now() - one.since < kLongest;
}

OpenDirectory::OpenDirectory(client::Directory opened, InodeRef of)
    : directory(std::move(opened)),
      inode(std::move(of)),
      turn(directory.attachment()->executor(), 1) {}

asio::awaitable<Expected<void>> OpenDirectory::fill(U64 wanted) {
  if (wanted != offset) {
    dots = static_cast<unsigned>(std::min<U64>(wanted, 2));
    directory.seek(wanted <= 2 ? 0 : wanted);
    entries.clear();
    next = 0;
    offset = wanted;
  }
  if (next < entries.size()) co_return Expected<void>();
  auto more = co_await directory.next();
  NINEP_CO_RETURN_IF_WRONG(more);
  entries = std::move(*more);
  next = 0;
  co_return Expected<void>();
}

}  // namespace ninep::mount
