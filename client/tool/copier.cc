#include "client/tool/copier.h"

#include <utility>

#include <dirent.h>
#include <sys/stat.h>

#include "client/together.h"

namespace ninep::tool {
namespace {

using client::error;
using client::Group;
using client::Turn;

constexpr U64 kSizeMax = ~U64{0} >> 1;  // of a file, as off_t has it
constexpr std::size_t kOriginalSize = 500;
constexpr unsigned kDirectories = 32;  // that are read at once

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

/// The older dialects have whole seconds, and so have some file systems, in all of their times.
bool has_nanoseconds(const Attributes& is) {
  return (is.attr.mtime_nsec | is.attr.ctime_nsec) != 0;
}
bool is_same(const Attributes& a, const Attributes& b) {
  const bool is_device = S_ISCHR(a.attr.mode) || S_ISBLK(a.attr.mode);
  if (is_device && a.attr.rdev != b.attr.rdev) return false;
  return (a.attr.mode & S_IFMT) == (b.attr.mode & S_IFMT) && a.attr.size == b.attr.size &&
         a.attr.mtime_sec == b.attr.mtime_sec &&
         (a.attr.mtime_nsec == b.attr.mtime_nsec || !has_nanoseconds(a) || !has_nanoseconds(b));
}

/// What all of a file's names show.
struct Look {
  explicit Look(const Attributes& is)
      : size(is.attr.size),
        mtime_sec(is.attr.mtime_sec),
        mtime_nsec(is.attr.mtime_nsec),
        nlink(is.attr.nlink),
        mode(is.attr.mode),
        mark(client::mark_of(is)) {}
  bool may_be_of(const Look& other) const {
    return size == other.size && mtime_sec == other.mtime_sec && mtime_nsec == other.mtime_nsec &&
           nlink == other.nlink && mode == other.mode &&
           client::compare(mark, other.mark) != client::Same::kNo;
  }
  U64 size, mtime_sec, mtime_nsec, nlink;
  U32 mode;
  client::Mark mark;
};

}  // namespace

/// Where the first of a file's names was copied to; the others wait for it.
struct Copier::Original {
  Original(const asio::any_io_executor& executor, const Item& item, const Attributes& of)
      : done(executor), path(item.path) {
    if (item.from->identity().of.server) look.emplace(of);
  }
  bool is_of(const Attributes& other) const { return !look || look->may_be_of(Look(other)); }

  client::Signal done;
  std::string path;
  std::optional<Look> look;  // of a server's: there are such as number several files alike
  bool is_there = false;
  std::optional<U64> number;  // its qid.path there, if it was left as it is
};

Copier::Copier(asio::any_io_executor executor, const Options& options, Progress& progress)
    : executor_(executor),
      options_(options),
      progress_(progress),
      files_(executor, options.jobs),
      directories_(executor, kDirectories),
      content_(executor, {options.block, options.memory, options.xattrs, options.owner}, progress),
      attributes_({options.owner, options.xattrs, options.dry}, progress),
      removal_(options.dry, sources_, budget_, progress) {}

Copier::~Copier() = default;

CopiedAttributes::What Copier::pair(const Item& item, const Attributes& is) {
  return {*item.from, item.name, *item.to, item.to_name, item.path, is};
}

// ------------------------------------------------------------------ trees

Awaitable<void> Copier::copy(Place& from, std::string name, Place& to, std::string to_name,
                             bool takes_links) {
  const auto is = co_await from.stat(name);
  if (!is) co_return progress_.wrong(is.error());
  Item item{&from, name, &to, to_name, to_name, static_cast<U8>(IFTODT(is->attr.mode)), true};
  item.takes_links = takes_links;
  if (item.type == DT_DIR && !options_.recursive)
    co_return progress_.wrong(
        client::Error{Errno{EISDIR}, "copy " + from.path_of(name), "say -r to copy it all"});
  const auto copied = co_await any(item, nullptr);
  if (!copied) progress_.wrong(copied.error());
}

Awaitable<void> Copier::contents(Place& from, Place* to, Top top) {
  const Directories::Stay from_stays(sources_, from);
  std::optional<Directories::Stay> to_stays;
  if (to) to_stays.emplace(targets_, *to);
  const auto is = co_await from.stat("");
  co_await contents(from, to, "");
  if (options_.dry || top == Top::kStays) co_return;
  if (!is) co_return progress_.wrong(is.error());
  const Item item{&from, "", to, "", ".", DT_DIR};
  const auto done = co_await attributes_.finish_directory(pair(item, *is), top == Top::kBecomes);
  if (!done) progress_.wrong(done.error());
}

Awaitable<void> Copier::contents(Place& from, Place* to, std::string path) {
  Budget::Share all_names(budget_);
  if (!all_names.take(Budget::kLevel + 2 * path.size())) progress_.give_up(too_much(from));
  bool is_whole = true;
  UnderWay under_way;
  Group group(executor_);
  std::set<std::string> names;
  while (!progress_.has_given_up()) {
    auto found = co_await from.next();
    is_whole = found.has_value();
    if (!found) progress_.wrong(found.error());
    if (!found || found->empty()) break;
    Budget::Share some(budget_);
    if (!some.take(size_as_set(*found)) ||
        (options_.remove && !all_names.take(size_as_set(*found))))
      progress_.give_up(too_much(from));
    for (Found& one : *found) {
      if (progress_.has_given_up()) break;
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
  if (to && options_.remove && is_whole && !progress_.has_given_up())
    co_await removal_.others(*to, names);
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
  if (!is && client::is(is.error(), ENAMETOOLONG)) progress_.give_up(is.error());
  if (progress_.has_given_up()) co_return Expected<void>();
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
    co_return co_await attributes_.refresh(pair(item, *is), *target);
  }
  const auto may = may_be_copied(item, *is);
  NINEP_CO_RETURN_IF_WRONG(may);
  const auto replaced = co_await may_be_replaced(item, *is);
  NINEP_CO_RETURN_IF_WRONG(replaced);
  if (options_.dry) {
    const auto way = co_await way_for(item, *is);
    if (way) progress_.file_done(item.path);
    co_return way;
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

Awaitable<Expected<void>> Copier::way_for(Item& item, const Attributes& is) {
  if (!item.to) co_return Expected<void>();
  if (options_.remove) co_return co_await make_way(item);
  const auto there = co_await item.to->stat(item.to_name);
  if (there && there->is_directory() != is.is_directory())
    co_return error(is.is_directory() ? EEXIST : EISDIR,
                    "copy to " + item.to->path_of(item.to_name));
  co_return Expected<void>();
}

Awaitable<Expected<void>> Copier::make_way(Item& item) {
  if (item.in_the_way == DT_UNKNOWN) co_return Expected<void>();
  const U8 type = std::exchange(item.in_the_way, U8{DT_UNKNOWN});
  const Found there{item.to_name, type};
  co_return co_await removal_.tree(*item.to, there, item.has_made_way);
}

// Where the name is taken, it is made under another one first: what is there goes when what comes
// is there.
Awaitable<Expected<void>> Copier::put(Item& item, const Make& make, bool is_directory) {
  auto made = co_await make(item.to_name);
  if (made || !client::is(made.error(), EEXIST)) co_return made;
  const std::string part = part_name(item.to_name, item.to_name, 0);
  made = co_await make(part);
  if (!made && client::is(made.error(), EEXIST)) {
    const Found left{part, DT_UNKNOWN};
    bool ignored = false;
    const auto removed = co_await removal_.tree(*item.to, left, ignored);
    NINEP_CO_RETURN_IF_WRONG(removed);
    made = co_await make(part);
  }
  NINEP_CO_RETURN_IF_WRONG(made);
  const auto way = co_await make_way(item);
  Expected<void> placed;
  if (way)
    placed = co_await item.to->rename(part, item.to_name);
  else
    placed = std::unexpected(way.error());
  // It stays where both are one file, and what has gone for it hasn't gone for nothing.
  if (placed || !item.has_made_way) (void)co_await item.to->remove(part, is_directory, {});
  co_return placed;
}

Awaitable<Expected<void>> Copier::make_directory(Place& in, std::string name) {
  const auto made = co_await in.mkdir(name);
  NINEP_CO_RETURN_IF_WRONG(made);
  if (*made) co_return error(EEXIST, "mkdir " + in.path_of(name));
  co_return Expected<void>();
}

Awaitable<Expected<void>> Copier::may_become(const Item& item, Place* there) {
  if (!there || item.is_top) co_return Expected<void>();  // what is copied can't be above itself
  const bool is_source = co_await sources_.have(*there);
  if (is_source)
    co_return error(EINVAL, "copy to " + item.to->path_of(item.to_name),
                    "it is what is being copied");
  co_return Expected<void>();
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
  if (known != originals_.end())
    return (known->second->number == there.attr.qid.path) == known->second->is_of(is);
  if (!kept_.take(kOriginalSize + item.path.size())) return true;
  const auto original = std::make_shared<Original>(executor_, item, is);
  original->is_there = true;
  original->number = there.attr.qid.path;
  original->done.set();
  originals_.emplace(identity, original);
  return true;
}

Awaitable<Expected<void>> Copier::directory(Item& item) {
  auto from = co_await item.from->enter(item.name);
  if (!from && client::is(from.error(), ENAMETOOLONG)) progress_.give_up(from.error());
  if (progress_.has_given_up()) co_return Expected<void>();
  NINEP_CO_RETURN_IF_WRONG(from);
  std::optional<Directories::Stay> from_stays, to_stays;
  if (item.is_top) from_stays.emplace(sources_, **from);
  const bool is_target = co_await targets_.have(**from);
  if (is_target) co_return error(EINVAL, "copy " + item.path, "it would be copied into itself");
  const auto is = co_await item.from->stat(item.name);
  NINEP_CO_RETURN_IF_WRONG(is);
  const auto target = co_await there(item, *is);
  if (options_.dry) {
    const auto way = co_await way_for(item, *is);
    NINEP_CO_RETURN_IF_WRONG(way);
    if (!target) progress_.named(item.path + "/");
    Expected<std::unique_ptr<Place>> to;
    if (target) to = co_await item.to->enter(item.to_name);
    Place* const into = to ? to->get() : nullptr;
    const auto may = co_await may_become(item, into);
    NINEP_CO_RETURN_IF_WRONG(may);
    co_await contents(**from, into, item.path);
    co_return Expected<void>();
  }
  if (item.in_the_way != DT_UNKNOWN) {
    // What is there goes for what can be had.
    auto first = co_await item.from->enter(item.name);
    NINEP_CO_RETURN_IF_WRONG(first);
    const auto listed = co_await (*first)->next();
    NINEP_CO_RETURN_IF_WRONG(listed);
    const auto make = [&](std::string name) { return make_directory(*item.to, std::move(name)); };
    const auto placed = co_await put(item, make, true);
    NINEP_CO_RETURN_IF_WRONG(placed);
  }
  const auto made = co_await item.to->mkdir(item.to_name);
  NINEP_CO_RETURN_IF_WRONG(made);
  auto to = co_await item.to->enter(item.to_name);
  Place* const into = to ? to->get() : nullptr;
  const auto may = co_await may_become(item, into);
  NINEP_CO_RETURN_IF_WRONG(may);
  // Its mode comes in the end; until then its owner has to be able to work in it.
  constexpr U32 kWorkable = S_IRWXU;
  if (*made && ((*made)->attr.mode & kWorkable) != kWorkable) {
    Change workable;
    workable.mode = ((*made)->attr.mode & 07777) | kWorkable;
    (void)co_await item.to->change(item.to_name, workable);
    if (!to) to = co_await item.to->enter(item.to_name);
  }
  NINEP_CO_RETURN_IF_WRONG(to);
  if (item.is_top) to_stays.emplace(targets_, **to);
  co_await contents(**from, to->get(), item.path);
  co_return co_await attributes_.finish_directory(pair(item, *is), false);
}

// ------------------------------------------------------------------ files

Awaitable<Expected<void>> Copier::regular(Item& item, const Attributes& is) {
  if (is.attr.nlink < 2) co_return co_await content(item, is);
  // Where there is no memory for more of them, a name becomes a file of its own.
  const Identity identity{item.from->identity().of, is.attr.qid.path};
  const bool is_known = originals_.contains(identity);
  if (!is_known && !kept_.take(kOriginalSize + item.path.size()))
    co_return co_await content(item, is);
  const auto [at, is_first] = originals_.try_emplace(identity, nullptr);
  if (is_first) {
    const auto original = at->second = std::make_shared<Original>(executor_, item, is);
    const auto copied = co_await content(item, is);
    original->is_there = copied.has_value();
    original->done.set();
    co_return copied;
  }
  const auto original = at->second;
  if (!original->is_of(is)) co_return co_await content(item, is);
  if (!co_await original->done.wait()) co_return error(ECANCELED, "copy " + item.path);
  if (!original->is_there) co_return co_await content(item, is);
  const auto link = [&](std::string name) { return item.to->link(name, original->path); };
  const auto linked = co_await put(item, link, false);
  if (linked) {
    progress_.did(is.attr.size, false);
    co_return linked;
  }
  has_links_ = has_links_ && !client::is(linked.error(), EOPNOTSUPP) &&
               !client::is(linked.error(), EPERM) && !client::is(linked.error(), EXDEV);
  co_return co_await content(item, is);
}

Awaitable<Expected<void>> Copier::content(Item& item, const Attributes& is) {
  const Change change = attributes_.change_of(is);
  const auto ready = [&] { return make_way(item); };
  const Content::What what{*item.from, item.name, *item.to, item.to_name,
                           item.path,  is,        change,   item.has_made_way};
  co_return co_await content_.copy(what, ready);
}

Expected<void> Copier::may_be_copied(const Item& item, const Attributes& is) const {
  const U32 type = is.attr.mode & S_IFMT;
  const bool is_device = type == S_IFCHR || type == S_IFBLK;
  if (!is.is_regular() && type != S_IFLNK && type != S_IFIFO && type != S_IFSOCK && !is_device)
    return error(EINVAL, "copy " + item.path, "it is of no type");
  // It may be any of this host's.
  if (is_device && !options_.owner)
    return error(EPERM, "copy " + item.path, "devices are copied with --owner");
  // Whoever says the same once more means what it is called, and not what it leads to: that may be
  // anywhere, and the server chooses.
  if (is.is_symlink() && !item.takes_links)
    return error(ELOOP, "copy " + item.path,
                 "it is a symbolic link: say a directory to put it in, or \"" + item.name +
                     "/\" for the directory that it leads to");
  return {};
}

// On a server what is in a directory isn't asked for: a request for each file.
Awaitable<Expected<void>> Copier::may_be_replaced(const Item& item, const Attributes& by) const {
  const bool is_asked = item.to && (item.is_top || !item.to->identity().of.server);
  if (options_.remove || !is_asked) co_return Expected<void>();
  const auto there = co_await item.to->stat(item.to_name);
  const U32 type = there ? there->attr.mode & S_IFMT : 0;
  const bool is_special = type == S_IFCHR || type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
  // What it leads to may be one of these, or anything.
  if (item.is_top && type == S_IFLNK && !by.is_symlink())
    co_return error(ELOOP, "copy to " + item.to->path_of(item.to_name),
                    "it is a symbolic link, which stays: say what it leads to");
  if (is_special && type != (by.attr.mode & S_IFMT))
    co_return error(EEXIST, "copy to " + item.to->path_of(item.to_name),
                    "it is a device, a pipe or a socket, which stays: `9p cat` writes to one");
  co_return Expected<void>();
}

// Links, devices, pipes.
Awaitable<Expected<void>> Copier::other(Item& item, const Attributes& is) {
  const U32 type = is.attr.mode & S_IFMT;
  std::string target;
  if (is.is_symlink()) {
    auto got = co_await item.from->readlink(item.name);
    NINEP_CO_RETURN_IF_WRONG(got);
    target = std::move(*got);
  }
  const auto make = [&](std::string name) {
    return is.is_symlink() ? item.to->symlink(name, target)
                           : item.to->mknod(name, type | (is.attr.mode & S_IRWXU), is.attr.rdev);
  };
  const auto made = co_await put(item, make, false);
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return co_await attributes_.finish_other(pair(item, is));
}

}  // namespace ninep::tool
