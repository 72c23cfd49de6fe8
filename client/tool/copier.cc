#include "client/tool/copier.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <dirent.h>
#include <sys/stat.h>

#include "client/together.h"

namespace ninep::tool {
namespace {

using client::error;
using client::Group;

constexpr U64 kSizeMax = ~U64{0} >> 1;  // of a file, as off_t has it
constexpr std::size_t kOriginalSize = 400;
constexpr std::size_t kHole = 32 << 10;  // zeros of that many bytes are not written
constexpr unsigned kDirectories = 32;    // that are read at once
constexpr unsigned kTriesMax = 100;      // of one file, where the server is lost each time

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

client::Error too_much(const Place& in) {
  return {Errno{EOVERFLOW}, "copy what is in " + in.path_of("."), "more than there is memory for"};
}

/// As names of a set need it, which is more than of a list.
bool takes(const std::vector<Found>& found, Budget::Share& share) {
  constexpr std::size_t kOfSet = 48;
  std::size_t size = 0;
  for (const Found& one : found) size += sizeof one + kOfSet + one.name.size();
  return share.take(size);
}

/// Tells one state of a file's content from others.
std::string stamp_of(const std::string& name, const Attributes& is) {
  std::string text = name;
  for (const U64 part : {is.attr.size, is.attr.mtime_sec, is.attr.mtime_nsec, is.attr.ctime_sec,
                         is.attr.ctime_nsec, is.attr.qid.path})
    text += "/" + std::to_string(part);
  return text;
}

/// A side without nanoseconds has whole seconds: the older dialects, and some file systems.
bool is_same(const Attributes& a, const Attributes& b) {
  const bool is_device = S_ISCHR(a.attr.mode) || S_ISBLK(a.attr.mode);
  if (is_device && a.attr.rdev != b.attr.rdev) return false;
  return (a.attr.mode & S_IFMT) == (b.attr.mode & S_IFMT) && a.attr.size == b.attr.size &&
         a.attr.mtime_sec == b.attr.mtime_sec &&
         (a.attr.mtime_nsec == b.attr.mtime_nsec || a.attr.mtime_nsec == 0 ||
          b.attr.mtime_nsec == 0);
}

/// As utimensat(2) takes it, whatever a server says.
timespec time_of(U64 seconds, U64 nanoseconds) {
  constexpr U64 kMost = 999'999'999;
  return {static_cast<time_t>(seconds), static_cast<long>(std::min(nanoseconds, kMost))};
}

bool is_unknown(const Expected<void>& done) {
  return !done && done.error().fate == client::Fate::kUnknown;
}

bool is_zero(Bytes bytes) {
  return bytes.empty() || (bytes[0] == std::byte{} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

/// Places in a gate that were got.
class Copier::Turn {
 public:
  explicit Turn(client::Gate& gate, std::size_t places = 1) : gate_(gate), places_(places) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { gate_.leave(places_); }

 private:
  client::Gate& gate_;
  const std::size_t places_;
};

/// Where the first of a file's names was copied to; the others wait for it.
struct Copier::Original {
  Original(const asio::any_io_executor& executor, std::string to) : done(executor), path(to) {}
  client::Signal done;
  std::string path;
  bool is_there = false;
  std::optional<U64> number;  // its qid.path there, if it was left as it is
};

/// A file's content on its way.
struct Copier::Transfer {
  const std::string& path;
  Source& source;
  Sink& sink;
  U64 next;  // the first byte that nobody has taken on
  U64 size;
  bool has_data = false;  // of this attempt, or of one before
  std::set<U64> begun;    // blocks that aren't there yet, by where they begin
  std::optional<client::Error> wrong;
  std::vector<std::vector<std::byte>> rooms;  // that nobody uses now

  std::vector<std::byte> take_room(std::size_t bytes) {
    std::vector<std::byte> room;
    if (!rooms.empty()) {
      room = std::move(rooms.back());
      rooms.pop_back();
    }
    room.resize(bytes);
    return room;
  }
};

Copier::Copier(asio::any_io_executor executor, const Options& options, Progress& progress)
    : executor_(executor),
      options_(options),
      progress_(progress),
      files_(executor, options.jobs),
      directories_(executor, kDirectories),
      memory_(executor, options.memory) {}

Copier::~Copier() = default;

Change Copier::change_of(const Attributes& is) const {
  Change change;
  const bool keeps_set_id = options_.owner || is.is_directory();
  change.mode = is.attr.mode & (keeps_set_id ? 07777 : 01777);
  change.atime = time_of(is.attr.atime_sec, is.attr.atime_nsec);
  change.mtime = time_of(is.attr.mtime_sec, is.attr.mtime_nsec);
  if (options_.owner && is.has(getattr::kUid | getattr::kGid)) {
    change.uid = is.attr.uid;
    change.gid = is.attr.gid;
  }
  return change;
}

void Copier::give_up(client::Error error) {
  if (!std::exchange(given_up_, true)) progress_.wrong(error);
}

// ------------------------------------------------------------------ trees

Awaitable<void> Copier::copy(Place& from, std::string name, Place& to, std::string to_name,
                             std::string path) {
  const auto is = co_await from.stat(name);
  if (!is) co_return progress_.wrong(is.error());
  Item item{&from, name, &to, to_name, path, static_cast<U8>(IFTODT(is->attr.mode)), true};
  if (item.type == DT_DIR && !options_.recursive)
    co_return progress_.wrong(
        client::Error{Errno{EISDIR}, "copy " + from.path_of(name), "say -r to copy it all"});
  const auto copied = co_await any(item, nullptr);
  if (!copied) progress_.wrong(copied.error());
}

Awaitable<void> Copier::contents(Place& from, Place* to) {
  if (to) targets_.insert(to->identity());
  return contents(from, to, "");
}

Awaitable<void> Copier::contents(Place& from, Place* to, std::string path) {
  Budget::Share all_names(budget_);
  if (!all_names.take(Budget::kLevel + 2 * path.size())) give_up(too_much(from));
  bool is_whole = true;
  UnderWay under_way;
  Group group(executor_);
  std::set<std::string> names;
  while (!given_up_) {
    auto found = co_await from.next();
    is_whole = found.has_value();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty()) break;
    Budget::Share some(budget_);
    if (!takes(*found, some) || (options_.remove && !takes(*found, all_names)))
      give_up(too_much(from));
    for (Found& one : *found) {
      if (given_up_) break;
      if (is_part_name(one.name) && one.type != DT_DIR) continue;
      Item item{&from, one.name, to, one.name, joined(path, one.name), one.type};
      if (options_.remove) names.insert(one.name);
      // As many files at once as there are places; directories as well, and where all are taken
      // one that is met is copied here and now: nobody waits for a place and keeps one.
      if (!under_way.insert(one.name).second) continue;
      if (item.type == DT_DIR) {
        if (directories_.try_enter()) {
          group.spawn(tree(std::move(item), true, under_way));
        } else {
          co_await tree(std::move(item), false, under_way);
        }
      } else {
        if (!co_await files_.enter()) break;
        group.spawn(file(std::move(item), under_way));
      }
    }
  }
  co_await group.all_done();
  // What wasn't seen may be there.
  if (to && options_.remove && is_whole && !given_up_) co_await remove_others(*to, names);
}

Awaitable<void> Copier::file(Item item, UnderWay& under_way) {
  std::optional<Turn> turn(std::in_place, files_);
  const auto copied = co_await any(item, &turn);
  under_way.erase(item.name);
  if (!copied) progress_.wrong(copied.error());
}

Awaitable<void> Copier::tree(Item item, bool has_place, UnderWay& under_way) {
  std::optional<Turn> turn;
  if (has_place) turn.emplace(directories_);
  const auto copied = co_await directory(item);
  under_way.erase(item.name);
  if (!copied) progress_.wrong(copied.error());
}

// The type that a directory told may have been none, or another one. What is in a directory waits
// for places, so that it must not have one.
Awaitable<Expected<void>> Copier::any(Item& item, std::optional<Turn>* turn) {
  if (item.type == DT_DIR) co_return co_await directory(item);
  const auto is = co_await item.from->stat(item.name);
  if (!is && client::is(is.error(), ENAMETOOLONG)) give_up(is.error());
  if (given_up_) co_return Expected<void>();
  NINEP_CO_RETURN_IF_WRONG(is);
  if (is->is_directory()) {
    if (turn) turn->reset();
    co_return co_await directory(item);
  }
  if (is->is_regular() && is->attr.size > kSizeMax)
    co_return error(EFBIG, "copy " + item.path, std::to_string(is->attr.size) + " bytes");
  progress_.found(is->is_regular() ? is->attr.size : 0);
  const auto target = co_await there(item, *is);
  bool is_there = options_.update && target && is_same(*is, *target);
  if (is_there && is->is_symlink()) is_there = co_await leads_to_the_same(item);
  if (is_there && has_its_links(item, *is, *target)) {
    progress_.skipped(is->attr.size);
    co_return co_await attributes(item, *is, *target);
  }
  if (options_.dry) {
    co_await make_way(item);
    progress_.file_done(item.path);
    co_return Expected<void>();
  }
  Expected<void> copied;
  if (is->is_regular())
    copied = co_await regular(item, *is);
  else
    for (unsigned tries = 1;; ++tries) {
      copied = co_await other(item, *is);
      if (!is_unknown(copied) || tries == kTriesMax) break;
    }
  if (copied) progress_.file_done(item.path);
  co_return copied;
}

Awaitable<std::optional<Attributes>> Copier::there(Item& item, const Attributes& is) {
  if (!item.to || !(options_.update || options_.remove)) co_return std::nullopt;
  const auto there = co_await item.to->stat(item.to_name);
  if (!there) co_return std::nullopt;
  const bool is_another_kind = ((there->attr.mode ^ is.attr.mode) & S_IFMT) != 0;
  if (!is_another_kind) co_return *there;
  if (options_.remove) item.in_the_way = static_cast<U8>(IFTODT(there->attr.mode));
  co_return std::nullopt;
}

Awaitable<void> Copier::make_way(const Item& item) {
  if (item.in_the_way == DT_UNKNOWN) co_return;
  co_await remove_tree(*item.to, item.to_name, item.in_the_way);
}

Awaitable<bool> Copier::leads_to_the_same(const Item& item) {
  const auto is = co_await item.from->readlink(item.name);
  const auto there = co_await item.to->readlink(item.to_name);
  const bool is_same = is && there && *is == *there;
  co_return is_same;
}

bool Copier::has_its_links(const Item& item, const Attributes& is, const Attributes& there) {
  if (!is.is_regular() || !has_links_) return true;
  if (is.attr.nlink < 2) return there.attr.nlink < 2;
  const Identity identity{item.from->identity().of, is.attr.qid.path};
  const auto known = originals_.find(identity);
  if (known != originals_.end()) return known->second->number == there.attr.qid.path;
  if (!kept_.take(kOriginalSize + item.path.size())) return true;
  const auto original = std::make_shared<Original>(executor_, item.path);
  original->is_there = true;
  original->number = there.attr.qid.path;
  original->done.set();
  originals_.emplace(identity, original);
  return true;
}

Awaitable<Expected<void>> Copier::attributes(const Item& item, const Attributes& is,
                                             const Attributes& there) {
  if (options_.dry) co_return Expected<void>();
  const Change all = change_of(is);
  const bool is_theirs = all.uid && (*all.uid != there.attr.uid || *all.gid != there.attr.gid);
  if (is_theirs) {
    Change owner;
    owner.uid = all.uid;
    owner.gid = all.gid;
    const auto changed = co_await item.to->change(item.to_name, owner);
    NINEP_CO_RETURN_IF_WRONG(changed);
  }
  Change mode;
  mode.mode = all.mode;
  bool is_to_change = !is.is_symlink() && (is_theirs || *all.mode != (there.attr.mode & 07777));
  // Who may not write yet can't set attributes.
  if (is_to_change && (*all.mode & S_IWUSR) && !(there.attr.mode & S_IWUSR)) {
    is_to_change = false;
    const auto changed = co_await item.to->change(item.to_name, mode);
    NINEP_CO_RETURN_IF_WRONG(changed);
  }
  if (options_.xattrs && is.is_regular()) {
    auto wanted = co_await item.from->xattrs(item.name, options_.owner);
    NINEP_CO_RETURN_IF_WRONG(wanted);
    const auto had = co_await item.to->xattrs(item.to_name, options_.owner);
    NINEP_CO_RETURN_IF_WRONG(had);
    std::erase_if(*wanted,
                  [&](const auto& one) { return std::ranges::find(*had, one) != had->end(); });
    if (!wanted->empty()) {
      const auto set = co_await item.to->set_xattrs(item.to_name, std::move(*wanted));
      NINEP_CO_RETURN_IF_WRONG(set);
    }
  }
  if (!is_to_change) co_return Expected<void>();
  co_return co_await item.to->change(item.to_name, mode);
}

Awaitable<Expected<void>> Copier::directory(Item& item) {
  auto from = co_await item.from->enter(item.name);
  if (!from && client::is(from.error(), ENAMETOOLONG)) give_up(from.error());
  if (given_up_) co_return Expected<void>();
  NINEP_CO_RETURN_IF_WRONG(from);
  if (targets_.contains((*from)->identity()))
    co_return error(EINVAL, "copy " + item.path, "it would be copied into itself");
  const auto is = co_await item.from->stat(item.name);
  NINEP_CO_RETURN_IF_WRONG(is);
  const auto target = co_await there(item, *is);
  co_await make_way(item);
  if (options_.dry) {
    progress_.file_done(item.path + "/");
    Expected<std::unique_ptr<Place>> to;
    if (target) to = co_await item.to->enter(item.to_name);
    Place* const into = to ? to->get() : nullptr;
    co_await contents(**from, into, item.path);
    co_return Expected<void>();
  }
  const auto made = co_await item.to->mkdir(item.to_name);
  NINEP_CO_RETURN_IF_WRONG(made);
  auto to = co_await item.to->enter(item.to_name);
  NINEP_CO_RETURN_IF_WRONG(to);
  if (item.is_top) targets_.insert((*to)->identity());
  co_await contents(**from, to->get(), item.path);
  if (options_.xattrs) {
    auto xattrs = co_await item.from->xattrs(item.name, options_.owner);
    NINEP_CO_RETURN_IF_WRONG(xattrs);
    const auto set = co_await item.to->set_xattrs(item.to_name, std::move(*xattrs));
    NINEP_CO_RETURN_IF_WRONG(set);
  }
  // Last, as what was made in it changed its time. Whoever may not change it needn't, where it is
  // alike.
  const Change change = change_of(*is);
  const auto there = co_await item.to->stat(item.to_name);
  if (there && *change.mode == (there->attr.mode & 07777) &&
      is->attr.mtime_sec == there->attr.mtime_sec &&
      is->attr.mtime_nsec == there->attr.mtime_nsec &&
      (!change.uid || (*change.uid == there->attr.uid && *change.gid == there->attr.gid)))
    co_return Expected<void>();
  co_return co_await item.to->change(item.to_name, change);
}

// ------------------------------------------------------------------ files

Awaitable<Expected<void>> Copier::regular(const Item& item, const Attributes& is) {
  if (is.attr.nlink < 2) co_return co_await content(item, is);
  // Where there is no memory for more of them, a name becomes a file of its own.
  const Identity identity{item.from->identity().of, is.attr.qid.path};
  const bool is_known = originals_.contains(identity);
  if (!is_known && !kept_.take(kOriginalSize + item.path.size()))
    co_return co_await content(item, is);
  const auto [at, is_first] = originals_.try_emplace(identity, nullptr);
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
  co_await make_way(item);
  const auto linked = co_await item.to->link(item.to_name, original->path);
  if (linked) {
    progress_.did(is.attr.size, false);
    co_return linked;
  }
  has_links_ = has_links_ && !client::is(linked.error(), EOPNOTSUPP) &&
               !client::is(linked.error(), EPERM) && !client::is(linked.error(), EXDEV);
  co_return co_await content(item, is);
}

// Where nobody knows what came of a request that was lost with its connection, the file is copied
// again: from where it was, as where a copy broke off.
Awaitable<Expected<void>> Copier::content(const Item& item, const Attributes& is) {
  for (unsigned tries = 1;; ++tries) {
    auto copied = co_await content_once(item, is, tries > 1);
    if (!is_unknown(copied) || tries == kTriesMax) co_return copied;
  }
}

Awaitable<Expected<void>> Copier::content_once(const Item& item, const Attributes& is,
                                               bool is_counted) {
  auto source = co_await item.from->read(item.name);
  NINEP_CO_RETURN_IF_WRONG(source);
  Xattrs xattrs;
  if (options_.xattrs) {
    auto got = co_await item.from->xattrs(item.name, options_.owner);
    NINEP_CO_RETURN_IF_WRONG(got);
    xattrs = std::move(*got);
  }
  auto sink = co_await item.to->write(item.to_name, stamp_of(item.to_name, is));
  NINEP_CO_RETURN_IF_WRONG(sink);
  Transfer transfer{item.path, **source, **sink, std::min((*sink)->begins_at(), is.attr.size),
                    is.attr.size};
  transfer.has_data = transfer.next > 0;
  if (!is_counted) progress_.did(transfer.next, false);
  Expected<void> done;
  if (is.attr.size == 0)
    done = co_await sizeless(transfer);
  else
    co_await blocks(item, transfer);
  if (transfer.wrong) done = std::unexpected(*transfer.wrong);
  const bool is_whole = done.has_value();
  if (is_whole) {
    co_await make_way(item);
    done = co_await (*sink)->finish(transfer.size, change_of(is), std::move(xattrs));
  }
  if (!done && is_of_no_use(transfer, is_whole, done.error())) co_await (*sink)->discard();
  co_return done;
}

// What a part that is left has: nothing, or what there is no room for, or what may not have its
// name.
bool Copier::is_of_no_use(const Transfer& transfer, bool is_whole, const client::Error& why) {
  if (why.fate != client::Fate::kKnown || client::is(why, ECANCELED) || client::is(why, ETIMEDOUT))
    return false;
  return is_whole || !transfer.has_data || client::is(why, ENOSPC) || client::is(why, EDQUOT) ||
         client::is(why, EFBIG);
}

Awaitable<Expected<void>> Copier::sizeless(Transfer& transfer) {
  constexpr std::size_t kSome = 64 << 10;
  if (!co_await memory_.enter(kSome)) co_return error(ECANCELED, "copy");
  const Turn turn(memory_, kSome);
  std::vector<std::byte> room(kSome);
  for (;;) {
    const auto got = co_await transfer.source.read(transfer.size, room);
    NINEP_CO_RETURN_IF_WRONG(got);
    if (*got == 0) co_return Expected<void>();
    const auto written = co_await transfer.sink.write(transfer.size, Bytes(room).first(*got));
    NINEP_CO_RETURN_IF_WRONG(written);
    transfer.size += *got;
    transfer.has_data = true;
    progress_.did(*got, true);
  }
}

// So many blocks at once as the connections are worth; the last of a file, which most files have
// alone, here. Wherever it breaks off, what a part lacks is within the last kPartRewind bytes.
Awaitable<void> Copier::blocks(const Item& item, Transfer& transfer) {
  const std::size_t most = std::min({options_.block, item.from->block(), item.to->block()});
  Group group(executor_);
  while (transfer.next < transfer.size && !transfer.wrong) {
    const U64 at = std::min(transfer.source.data_from(transfer.next), transfer.size);
    progress_.did(at - transfer.next, false);
    transfer.next = at;
    if (at == transfer.size) break;
    const auto size = static_cast<std::size_t>(std::min<U64>(most, transfer.size - at));
    transfer.next += size;
    while (!transfer.wrong && !transfer.begun.empty() &&
           transfer.next - *transfer.begun.begin() > kPartRewind)
      co_await group.fewer_than(group.count());
    if (transfer.wrong) break;
    transfer.begun.insert(at);
    if (!co_await memory_.enter(size)) {
      transfer.wrong = error(ECANCELED, "copy " + item.path).error();
      break;
    }
    if (transfer.next == transfer.size && group.count() == 0) {
      co_await one_block(transfer, at, size);
      break;
    }
    group.spawn(one_block(transfer, at, size));
    const std::size_t depth = std::max(item.from->depth(), item.to->depth()) + most;
    co_await group.fewer_than(depth / most + 1);
  }
  co_await group.all_done();
}

Awaitable<void> Copier::one_block(Transfer& transfer, U64 at, std::size_t size) {
  const Turn turn(memory_, size);
  if (!transfer.wrong) {
    std::vector<std::byte> room = transfer.take_room(size);
    const auto moved = co_await move_block(transfer, at, room);
    if (moved)
      transfer.begun.erase(at);
    else if (!transfer.wrong)
      transfer.wrong = moved.error();
    transfer.rooms.push_back(std::move(room));
  }
}

Awaitable<Expected<void>> Copier::move_block(Transfer& transfer, U64 at, Room room) {
  const auto got = co_await transfer.source.read(at, room);
  NINEP_CO_RETURN_IF_WRONG(got);
  if (*got < room.size()) {
    if (!transfer.source.says_too_much())
      co_return error(EIO, "copy " + transfer.path, "the file became shorter meanwhile");
    transfer.size = std::min(transfer.size, at + *got);
    room = room.first(*got);
  }
  // What is written at once: from a piece that isn't zero to one that is.
  for (std::size_t begin = 0; begin < room.size();) {
    const auto piece = [&](std::size_t from) {
      return Bytes(room).subspan(from, std::min<std::size_t>(kHole, room.size() - from));
    };
    if (is_zero(piece(begin))) {
      progress_.did(piece(begin).size(), true);
      begin += piece(begin).size();
      continue;
    }
    std::size_t end = begin + piece(begin).size();
    while (end < room.size() && !is_zero(piece(end))) end += piece(end).size();
    const Bytes part = Bytes(room).subspan(begin, end - begin);
    transfer.has_data = true;
    const auto written = co_await transfer.sink.write(at + begin, part);
    NINEP_CO_RETURN_IF_WRONG(written);
    progress_.did(part.size(), true);
    begin = end;
  }
  co_return Expected<void>();
}

// Links, devices, pipes. What is there already makes way, if it isn't a directory. A device may be
// any of this host's, and is made for who keeps owners alone.
Awaitable<Expected<void>> Copier::other(const Item& item, const Attributes& is) {
  const U32 type = is.attr.mode & S_IFMT;
  if (type != S_IFLNK && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
    co_return error(EINVAL, "copy " + item.path, "it is of no type");
  if ((type == S_IFCHR || type == S_IFBLK) && !options_.owner)
    co_return error(EPERM, "copy " + item.path, "devices are copied with --owner");
  std::string target;
  if (is.is_symlink()) {
    auto got = co_await item.from->readlink(item.name);
    NINEP_CO_RETURN_IF_WRONG(got);
    target = std::move(*got);
  }
  const auto make = [&] {
    return is.is_symlink()
               ? item.to->symlink(item.to_name, target)
               : item.to->mknod(item.to_name, type | (is.attr.mode & 0777), is.attr.rdev);
  };
  co_await make_way(item);
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
  constexpr std::size_t kNamesMax = 1 << 24;
  Budget::Share level(budget_);
  if (!level.take(Budget::kLevel)) co_return give_up(too_much(to));
  for (std::size_t count = 0;;) {
    const auto found = co_await to.next();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty() || given_up_) co_return;
    Budget::Share some(budget_);
    count += found->size();
    if (!takes(*found, some) || count > kNamesMax) co_return give_up(too_much(to));
    for (const Found& one : *found) {
      // What isn't whole goes on where it is when the copy is said again.
      const bool is_kept = progress_.errors() != 0 && is_part_name(one.name);
      if (!is_kept && !names.contains(one.name)) co_await remove_tree(to, one.name, one.type);
    }
  }
}

Awaitable<void> Copier::remove_tree(Place& in, std::string name, U8 type) {
  if (options_.dry) co_return progress_.removed(in.path_of(name));
  if (type == DT_UNKNOWN) {
    const auto is = co_await in.stat(name);
    if (!is) co_return progress_.wrong(is.error());
    type = static_cast<U8>(IFTODT(is->attr.mode));
  }
  if (type == DT_DIR) {
    auto inner = co_await in.enter(name);
    if (!inner && client::is(inner.error(), ENAMETOOLONG)) co_return give_up(inner.error());
    if (!inner) co_return progress_.wrong(inner.error());
    co_await remove_others(**inner, std::set<std::string>());
  }
  if (given_up_) co_return;
  const auto removed = co_await in.remove(name, type == DT_DIR);
  const bool is_gone = removed || client::is(removed.error(), ENOENT);
  if (!is_gone) co_return progress_.wrong(removed.error());
  progress_.removed(in.path_of(name));
}

}  // namespace ninep::tool
