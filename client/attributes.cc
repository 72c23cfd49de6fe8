#include "client/attributes.h"

#include <charconv>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/old_modes.h"

namespace ninep::client {

bool Attributes::is_directory() const { return S_ISDIR(attr.mode); }
bool Attributes::is_symlink() const { return S_ISLNK(attr.mode); }
bool Attributes::is_regular() const { return S_ISREG(attr.mode); }

Mark mark_of(const Attributes& is) {
  Mark mark;
  if (is.has(getattr::kGen)) mark.generation = is.attr.gen;
  if (is.has(getattr::kBtime)) mark.born = {is.attr.btime_sec, is.attr.btime_nsec};
  return mark;
}

Same compare(const Mark& a, const Mark& b) {
  const bool both_generation = a.generation && b.generation;
  const bool both_born = a.born && b.born;
  if ((both_generation && a.generation != b.generation) || (both_born && a.born != b.born))
    return Same::kNo;
  return both_generation || both_born ? Same::kYes : Same::kUnknown;
}

namespace {

// .u: "b 8 0".
U64 device_of(Str extension) {
  const auto number = [&](Str& rest) {
    unsigned value = 0;
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return value;
  };
  if (extension.size() < 2) return 0;
  Str rest = extension.substr(1);
  const unsigned major = number(rest);
  return makedev(major, number(rest));
}

// .u: QEMU's of directories and regular files; Linux's client takes it.
std::optional<U64> links_of(Str extension) {
  constexpr Str kWord = "HARDLINKCOUNT ";
  if (!extension.starts_with(kWord)) return std::nullopt;
  U64 count = 0;
  const char* const end = extension.data() + extension.size();
  const auto read = std::from_chars(extension.data() + kWord.size(), end, count);
  return read.ec == std::errc() && read.ptr == end ? std::optional(count) : std::nullopt;
}

constexpr U32 kNoNumber = 0xFFFFFFFF;

}  // namespace

Attributes attributes_of(const Stat& stat, Dialects dialect) {
  using namespace getattr;
  Attributes a;
  a.valid = kMode | kAtime | kMtime | kIno | kSize;
  a.attr.qid = stat.qid;
  const Str extension = stat.extension.value;
  a.attr.mode = old_modes::to_linux(stat.mode, extension, dialect);
  a.attr.nlink = 1;
  a.attr.size = stat.length;
  a.attr.blksize = 4096;
  a.attr.blocks = (stat.length + 511) / 512;
  a.attr.atime_sec = stat.atime;
  a.attr.mtime_sec = a.attr.ctime_sec = stat.mtime;
  a.user = stat.uid;
  a.group = stat.gid;
  a.last_user = stat.muid;
  if (dialect != kDotU) return a;
  const auto take = [&](U32& to, U32 number, U64 bit) {
    if (number == kNoNumber) return;
    to = number;
    a.valid |= bit;
  };
  take(a.attr.uid, stat.n_uid, kUid);
  take(a.attr.gid, stat.n_gid, kGid);
  if (a.is_symlink()) a.target = extension;
  if (a.is_directory() || a.is_regular()) {
    if (const auto links = links_of(extension)) {
      a.attr.nlink = *links;
      a.valid |= kNlink;
    }
  }
  if (S_ISCHR(a.attr.mode) || S_ISBLK(a.attr.mode)) {
    a.valid |= kRdev;
    a.attr.rdev = device_of(extension);
  }
  return a;
}

}  // namespace ninep::client
