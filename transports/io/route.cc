#include "transports/io/route.h"

#include <array>

namespace ninep::io {
namespace {

struct Row {
  Kind kind;
  Str name;
  Route never;  // by Sleep
  Route cold;
  Route may;
};

constexpr Route kInPlace = Route::kInPlace;
constexpr Route kTry = Route::kTry;
constexpr Route kRing = Route::kRing;
constexpr Route kPool = Route::kPool;

// Figures are microseconds, cached, one at a time, kernel 6.18: plain call | ring | pool. A call
// that doesn't sleep is cheapest in place by 2 to 20 times; the ring is for what sleeps and for
// sockets, where one submission covers a whole turn of the loop.
constexpr std::array<Row, kKinds> kTable{{
    {Kind::kAccept, "accept", kRing, kRing, kRing},
    {Kind::kRecv, "recv", kRing, kRing, kRing},
    {Kind::kSend, "send", kRing, kRing, kRing},
    {Kind::kPoll, "poll", kRing, kRing, kRing},
    {Kind::kTimeout, "timeout", kRing, kRing, kRing},
    {Kind::kOpen, "open", kInPlace, kTry, kRing},          // 1.9 | 2.2 | 21; O_CREAT: 2.3 | 6 to 20
    {Kind::kReopen, "reopen", kInPlace, kInPlace, kPool},  // the inode is held: nothing to look up
    {Kind::kClose, "close", kInPlace, kInPlace, kPool},  // fs/local_node.cc: the last one of a file
    {Kind::kRead, "read", kInPlace, kTry, kRing},        // 4 KiB 0.5 | 0.9 ext4, 15 tmpfs
    {Kind::kWrite, "write", kInPlace, kInPlace, kRing},  // 4 KiB ext4 0.85 | 5.3 (a worker)
    {Kind::kStatx, "statx", kInPlace, kInPlace, kPool},  // 0.45 | 5 to 10 | 21
    {Kind::kSync, "sync", kInPlace, kRing, kRing},
    {Kind::kGetdents, "getdents", kInPlace, kInPlace, kPool},
    {Kind::kReadlink, "readlink", kInPlace, kInPlace, kPool},
    {Kind::kMkdir, "mkdir", kInPlace, kInPlace, kPool},  // 3.5 tmpfs, 17 ext4 | 5.3, 21
    {Kind::kMknod, "mknod", kInPlace, kInPlace, kPool},
    {Kind::kSymlink, "symlink", kInPlace, kInPlace, kPool},
    {Kind::kLink, "link", kInPlace, kInPlace, kPool},
    {Kind::kRename, "rename", kInPlace, kInPlace, kPool},
    {Kind::kUnlink, "unlink", kInPlace, kInPlace, kPool},
    {Kind::kChmod, "chmod", kInPlace, kInPlace, kPool},
    {Kind::kChown, "chown", kInPlace, kInPlace, kPool},
    {Kind::kUtimes, "utimes", kInPlace, kInPlace, kPool},
    {Kind::kTruncate, "truncate", kInPlace, kPool,
     kPool},  // gives blocks back: as long as it takes
    {Kind::kStatfs, "statfs", kInPlace, kInPlace, kPool},
    {Kind::kGetxattr, "getxattr", kInPlace, kInPlace, kPool},
    {Kind::kSetxattr, "setxattr", kInPlace, kInPlace, kPool},
    {Kind::kListxattr, "listxattr", kInPlace, kInPlace, kPool},
    {Kind::kRemovexattr, "removexattr", kInPlace, kInPlace, kPool},
    {Kind::kCall, "call", kPool, kPool, kPool},
}};

consteval bool in_order() {
  for (std::size_t i = 0; i < kKinds; ++i)
    if (static_cast<std::size_t>(kTable[i].kind) != i) return false;
  return true;
}
static_assert(in_order(), "a row for each Kind, in the order of the enum");

const Row& row(Kind kind) { return kTable[static_cast<std::size_t>(kind)]; }

}  // namespace

Str kind_name(Kind kind) { return row(kind).name; }

Route route(Kind kind, Sleep sleep) {
  const Row& r = row(kind);
  return sleep == Sleep::kNever ? r.never : sleep == Sleep::kCold ? r.cold : r.may;
}

}  // namespace ninep::io
