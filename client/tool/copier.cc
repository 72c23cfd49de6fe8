#include "client/tool/copier.h"

#include <algorithm>
#include <functional>

#include <dirent.h>
#include <sys/stat.h>

#include "client/together.h"

namespace ninep::tool {
namespace {

using client::error;
using client::Group;

constexpr U64 kHole = 64 << 10;         // zeros of that many bytes are not written
constexpr unsigned kDirectories = 32;   // that are read at once
constexpr std::size_t kFileBlocks = 4;  // of one file at once

/// A place in a gate, if it was got.
class Turn {
 public:
  explicit Turn(client::Gate& gate) : gate_(gate) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { gate_.leave(); }

 private:
  client::Gate& gate_;
};

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

/// Tells one state of a file's content from others, in a name.
std::string stamp_of(const std::string& name, const Attributes& is) {
  std::string text = name;
  for (const U64 part : {is.attr.size, is.attr.mtime_sec, is.attr.mtime_nsec, is.attr.qid.path})
    text += "/" + std::to_string(part);
  char hex[20];
  std::snprintf(hex, sizeof hex, "%016zx", std::hash<std::string>()(text));
  return hex;
}

bool is_same(const Attributes& a, const Attributes& b) {
  return (a.attr.mode & S_IFMT) == (b.attr.mode & S_IFMT) && a.attr.size == b.attr.size &&
         a.attr.mtime_sec == b.attr.mtime_sec && a.attr.mtime_nsec == b.attr.mtime_nsec;
}

bool is_zero(Bytes bytes) {
  return bytes.empty() || (bytes[0] == std::byte{} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

/// Where the first of a file's names was copied to; the others wait for it.
struct Copier::Original {
  Original(const asio::any_io_executor& executor, std::string to) : done(executor), path(to) {}
  client::Signal done;
  std::string path;
  bool is_there = false;
};

Copier::Copier(asio::any_io_executor executor, const Options& options, Progress& progress)
    : executor_(executor),
      options_(options),
      progress_(progress),
      files_(executor, options.jobs),
      directories_(executor, kDirectories),
      blocks_(executor, options.blocks) {}

Copier::~Copier() = default;

Change Copier::change_of(const Attributes& is) const {
  Change change;
  change.mode = is.attr.mode & 07777;
  change.atime = timespec{static_cast<time_t>(is.attr.atime_sec),
                          static_cast<long>(is.attr.atime_nsec)};
  change.mtime = timespec{static_cast<time_t>(is.attr.mtime_sec),
                          static_cast<long>(is.attr.mtime_nsec)};
  if (options_.owner && is.has(getattr::kUid | getattr::kGid)) {
    change.uid = is.attr.uid;
    change.gid = is.attr.gid;
  }
  return change;
}

// ------------------------------------------------------------------ trees

Awaitable<void> Copier::copy(Place& from, std::string name, Place& to, std::string to_name,
                             std::string path) {
  const auto is = co_await from.stat(name);
  if (!is) co_return progress_.wrong(is.error());
  Item item{&from, name, &to, to_name, path, static_cast<U8>(IFTODT(is->attr.mode))};
  if (item.type == DT_DIR && !options_.recursive)
    co_return progress_.wrong(
        client::Error{Errno{EISDIR}, "copy " + from.path_of(name), "say -r to copy it all"});
  const auto copied = co_await any(item);
  if (!copied) progress_.wrong(copied.error());
}

Awaitable<void> Copier::contents(Place& from, Place& to, std::string path) {
  Group group(executor_);
  std::set<std::string> names;
  for (;;) {
    auto found = co_await from.next();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty()) break;
    for (Found& one : *found) {
      if (one.name.ends_with(".9p-part") && one.name.starts_with('.')) continue;
      Item item{&from, one.name, &to, one.name, joined(path, one.name), one.type};
      if (options_.remove) names.insert(one.name);
      // As many files at once as there are places; directories as well, and where all are taken
      // one that is met is copied here and now: nobody waits for a place and keeps one.
      if (item.type == DT_DIR) {
        if (directories_.try_enter()) {
          group.spawn(tree(std::move(item), true));
        } else {
          co_await tree(std::move(item), false);
        }
      } else if (co_await files_.enter()) {
        group.spawn(file(std::move(item)));
      }
    }
  }
  co_await group.all_done();
  if (options_.remove) co_await remove_others(to, names);
}

Awaitable<void> Copier::file(Item item) {
  const Turn turn(files_);
  const auto copied = co_await any(item);
  if (!copied) progress_.wrong(copied.error());
}

Awaitable<void> Copier::tree(Item item, bool has_place) {
  std::optional<Turn> turn;
  if (has_place) turn.emplace(directories_);
  const auto copied = co_await directory(item);
  if (!copied) progress_.wrong(copied.error());
}

// The type that a directory told may have been none, or another one.
Awaitable<Expected<void>> Copier::any(const Item& item) {
  if (item.type == DT_DIR) co_return co_await directory(item);
  const auto is = co_await item.from->stat(item.name);
  NINEP_CO_RETURN_IF_WRONG(is);
  if (is->is_directory()) co_return co_await directory(item);
  progress_.found(is->is_regular() ? is->attr.size : 0);
  if (options_.update) {
    const auto there = co_await item.to->stat(item.to_name);
    if (there && is_same(*is, *there)) {
      progress_.skipped(is->attr.size);
      co_return Expected<void>();
    }
  }
  if (options_.dry) {
    progress_.file_done(item.path);
    co_return Expected<void>();
  }
  Expected<void> copied;
  if (is->is_regular())
    copied = co_await regular(item, *is);
  else
    copied = co_await other(item, *is);
  if (copied) progress_.file_done(item.path);
  co_return copied;
}

Awaitable<Expected<void>> Copier::directory(const Item& item) {
  auto from = co_await item.from->enter(item.name);
  NINEP_CO_RETURN_IF_WRONG(from);
  const auto is = co_await item.from->stat(item.name);
  NINEP_CO_RETURN_IF_WRONG(is);
  if (options_.dry) {
    progress_.file_done(item.path + "/");
    co_return Expected<void>();
  }
  const auto made = co_await item.to->mkdir(item.to_name);
  NINEP_CO_RETURN_IF_WRONG(made);
  auto to = co_await item.to->enter(item.to_name);
  NINEP_CO_RETURN_IF_WRONG(to);
  co_await contents(**from, **to, item.path);
  if (options_.xattrs) {
    auto xattrs = co_await item.from->xattrs(item.name);
    NINEP_CO_RETURN_IF_WRONG(xattrs);
    const auto set = co_await item.to->set_xattrs(item.to_name, std::move(*xattrs));
    NINEP_CO_RETURN_IF_WRONG(set);
  }
  // Last, as what was made in it changed its time.
  co_return co_await item.to->change(item.to_name, change_of(*is));
}

// ------------------------------------------------------------------ files

Awaitable<Expected<void>> Copier::regular(const Item& item, const Attributes& is) {
  if (is.attr.nlink < 2) co_return co_await content(item, is);
  const auto [at, is_first] = originals_.try_emplace(is.attr.qid.path, nullptr);
  if (is_first) {
    const auto original = at->second = std::make_shared<Original>(executor_, item.path);
    const auto copied = co_await content(item, is);
    original->is_there = copied.has_value();
    original->done.set();
    co_return copied;
  }
  const auto original = at->second;
  if (!co_await original->done.wait()) co_return error(ECANCELED, "copy " + item.path);
  if (!original->is_there) co_return co_await content(item, is);
  (void)co_await item.to->remove(item.to_name, false);
  const auto linked = co_await item.to->link(item.to_name, original->path);
  if (linked) {
    progress_.did(is.attr.size, false);
    co_return linked;
  }
  co_return co_await content(item, is);  // a side that has no links
}

Awaitable<Expected<void>> Copier::content(const Item& item, const Attributes& is) {
  auto source = co_await item.from->read(item.name);
  NINEP_CO_RETURN_IF_WRONG(source);
  auto sink = co_await item.to->write(item.to_name, stamp_of(item.to_name, is));
  NINEP_CO_RETURN_IF_WRONG(sink);
  Xattrs xattrs;
  if (options_.xattrs) {
    auto got = co_await item.from->xattrs(item.name);
    NINEP_CO_RETURN_IF_WRONG(got);
    xattrs = std::move(*got);
  }
  const U64 size = is.attr.size;
  U64 next = std::min((*sink)->begins_at(), size);
  progress_.did(next, false);
  std::optional<client::Error> wrong;
  const U64 count = std::min<U64>((size - next + options_.block - 1) / options_.block, kFileBlocks);
  if (count == 1) {
    co_await some_blocks(**source, **sink, next, size, wrong);
  } else if (count > 1) {
    std::vector<Awaitable<void>> all;
    for (U64 i = 0; i < count; ++i)
      all.push_back(some_blocks(**source, **sink, next, size, wrong));
    co_await client::together(std::move(all));
  }
  if (wrong) co_return std::unexpected(*wrong);
  co_return co_await (*sink)->finish(size, change_of(is), std::move(xattrs));
}

Awaitable<void> Copier::some_blocks(Source& source, Sink& sink, U64& next, U64 size,
                                    std::optional<client::Error>& wrong) {
  std::vector<std::byte> room;
  while (next < size && !wrong) {
    const U64 data = std::min(source.data_from(next), size);
    progress_.did(data - next, false);
    next = data;
    if (next == size) break;
    const U64 at = next;
    const auto count = static_cast<std::size_t>(std::min(options_.block, size - at));
    next += count;
    if (!co_await blocks_.enter()) {
      wrong = error(ECANCELED, "copy").error();
      break;
    }
    const Turn turn(blocks_);
    room.resize(count);
    const auto copied = co_await one_block(source, sink, at, room);
    if (!copied && !wrong) wrong = copied.error();
  }
}

Awaitable<Expected<void>> Copier::one_block(Source& source, Sink& sink, U64 at, Room room) {
  const auto got = co_await source.read(at, room);
  NINEP_CO_RETURN_IF_WRONG(got);
  if (*got < room.size()) co_return error(EIO, "copy", "the file became shorter meanwhile");
  // What is written at once: from a piece that isn't zero to one that is.
  for (std::size_t begin = 0; begin < room.size();) {
    const auto piece = [&](std::size_t from) {
      return Bytes(room).subspan(from, std::min<std::size_t>(kHole, room.size() - from));
    };
    if (is_zero(piece(begin)) && room.size() > kHole) {
      progress_.did(piece(begin).size(), true);
      begin += piece(begin).size();
      continue;
    }
    std::size_t end = begin + piece(begin).size();
    while (end < room.size() && !is_zero(piece(end))) end += piece(end).size();
    const auto written = co_await sink.write(at + begin, Bytes(room).subspan(begin, end - begin));
    NINEP_CO_RETURN_IF_WRONG(written);
    progress_.did(end - begin, true);
    begin = end;
  }
  co_return Expected<void>();
}

// Links, devices, pipes. What is there already makes way, if it isn't a directory.
Awaitable<Expected<void>> Copier::other(const Item& item, const Attributes& is) {
  std::string target;
  if (is.is_symlink()) {
    auto got = co_await item.from->readlink(item.name);
    NINEP_CO_RETURN_IF_WRONG(got);
    target = std::move(*got);
  }
  const auto make = [&] {
    return is.is_symlink() ? item.to->symlink(item.to_name, target)
                           : item.to->mknod(item.to_name, is.attr.mode, is.attr.rdev);
  };
  auto made = co_await make();
  if (!made && client::is(made.error(), EEXIST)) {
    const auto removed = co_await item.to->remove(item.to_name, false);
    NINEP_CO_RETURN_IF_WRONG(removed);
    made = co_await make();
  }
  NINEP_CO_RETURN_IF_WRONG(made);
  Change change = change_of(is);
  if (is.is_symlink()) change.mode.reset();
  const auto changed = co_await item.to->change(item.to_name, change);
  // Servers that change what a link leads to, or nothing, are many.
  if (!changed && !is.is_symlink()) co_return changed;
  co_return Expected<void>();
}

// ------------------------------------------------------------------ sync

Awaitable<void> Copier::remove_others(Place& to, const std::set<std::string>& names) {
  for (;;) {
    const auto found = co_await to.next();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty()) co_return;
    for (const Found& one : *found)
      if (!names.contains(one.name)) co_await remove_tree(to, one.name, one.type);
  }
}

Awaitable<void> Copier::remove_tree(Place& in, std::string name, U8 type) {
  if (type == DT_UNKNOWN) {
    const auto is = co_await in.stat(name);
    if (!is) co_return progress_.wrong(is.error());
    type = static_cast<U8>(IFTODT(is->attr.mode));
  }
  if (type == DT_DIR) {
    auto inner = co_await in.enter(name);
    if (!inner) co_return progress_.wrong(inner.error());
    co_await remove_others(**inner, std::set<std::string>());
  }
  const auto removed = co_await in.remove(name, type == DT_DIR);
  if (!removed) progress_.wrong(removed.error());
}

}  // namespace ninep::tool
