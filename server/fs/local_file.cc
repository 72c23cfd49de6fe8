#include <cstring>

#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>

#include "proto/codec.h"
#include "server/fs/local_node.h"
#include "transports/io/chunk.h"

namespace ninep::fs {
namespace {

namespace ops = io::ops;

// What getdents64(2) writes; the name, NUL-terminated, stands behind it.
struct HostEntry {
  U64 inode;
  U64 offset;
  U16 size;
  U8 type;
};
constexpr std::size_t kNameAt = 19;

QidType qid_type(U8 type) {
  return type == DT_DIR ? kQtDir : type == DT_LNK ? kQtSymlink : kQtFile;
}

constexpr std::size_t kEntriesMin = 512;  // one entry with the longest name

Result<U32> count(int result) {
  if (result < 0) return fail(-result);
  return static_cast<U32>(result);
}

}  // namespace

Task<Result<U32>> LocalFile::read(Context& ctx, std::span<const iovec> to, U64 offset) {
  if (offset > LLONG_MAX) co_return fail(EINVAL);
  co_return count(co_await ctx.run(ops::read(fs_.sleep, fd_.get(), to, offset)));
}

// As the user: the kernel takes set-uid bits away unless the writer may keep them.
Task<Result<U32>> LocalFile::write(Context& ctx, std::span<const iovec> from, U64 offset) {
  if (offset > LLONG_MAX) co_return fail(EFBIG);
  co_return count(co_await ctx.run_as_user(ops::write(fs_.sleep, fd_.get(), from, offset, 0)));
}

Task<Status> LocalFile::sync(Context& ctx, bool data_only) {
  const int result = co_await ctx.run(ops::sync(fs_.sleep, fd_.get(), data_only));
  if (result < 0) co_return fail(-result);
  co_return Status{};
}

// Moves entries that the kernel gave to the reply, as long as they fit. `offset` follows.
bool LocalFile::translate(Bytes entries, Room& room, U64& offset) {
  while (!entries.empty()) {
    HostEntry entry;
    std::memcpy(&entry, entries.data(), kNameAt);
    const Str name = reinterpret_cast<const char*>(entries.data()) + kNameAt;
    entries = entries.subspan(entry.size);
    position_ = entry.offset;
    // The parent of an attach's root is nobody's business.
    const U64 inode = is_root_ && name == ".." ? inode_ : entry.inode;
    const auto path = root_->file_systems->path(fs_, inode);
    Dirent dirent{};
    dirent.qid = {.type = qid_type(entry.type), .version = 0, .path = path ? *path : inode};
    dirent.offset = entry.offset;
    dirent.type = entry.type;
    dirent.name = name;
    if (!encode_front(dirent, kDotL, room)) {
      position_ = kUnknown;  // the descriptor stands behind what was not taken
      return false;
    }
    offset = entry.offset;
  }
  return true;
}

// One after the other: the descriptor stands in one place only.
Task<Result<U32>> LocalFile::readdir(Context& ctx, Room room, U64 offset) {
  if (offset > LLONG_MAX) co_return fail(EINVAL);
  while (listing_) co_await ListingEnd{*this};
  listing_ = true;
  auto listing = list(ctx, room, offset);
  auto size = co_await listing;
  listing_ = false;
  for (const auto waiter : std::exchange(listing_waiters_, {}))
    io::ReadyQueue::current().push(waiter);
  co_return size;
}

// Cookies are the kernel's own: the offset of an entry is where the next one is.
Task<Result<U32>> LocalFile::list(Context& ctx, Room room, U64 offset) {
  const std::size_t size = room.size();
  const Ref<io::Chunk> entries = io::Chunk::take(std::max(size, kEntriesMin));
  while (true) {
    // An entry is up to a sixth larger on the wire than the kernel's. What doesn't fit would be
    // read again.
    const Room host = entries->room(0, std::max(room.size() / 7 * 6, kEntriesMin));
    const U64 from = offset == position_ && offset != 0 ? ops::kHere : offset;
    const int got = co_await ctx.run(ops::getdents(fs_.sleep, fd_.get(), host, from));
    if (got < 0 && room.size() == size) co_return fail(-got);
    if (got <= 0) break;
    const bool all = translate(host.first(static_cast<std::size_t>(got)), room, offset);
    if (!all && room.size() == size) co_return fail(EINVAL);  // an empty reply would be the end
    // A further round only where a good part of the room is left.
    if (!all || room.size() < size / 4) break;
  }
  co_return static_cast<U32>(size - room.size());
}

}  // namespace ninep::fs
