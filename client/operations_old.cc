#include "client/operations_old.h"

#include <algorithm>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/old_modes.h"

namespace ninep::client {
namespace {

/// "The client may ... set [fields] to 'don't touch' values": all bits, and no text. stat(5).
Stat untouched() {
  Stat s{};
  s.type = 0xFFFF;
  s.dev = 0xFFFFFFFF;
  s.qid = {0xFF, 0xFFFFFFFF, ~U64{0}};
  s.mode = s.atime = s.mtime = 0xFFFFFFFF;
  s.length = ~U64{0};
  s.n_uid = U32{0xFFFFFFFF};
  s.n_gid = U32{0xFFFFFFFF};
  s.n_muid = U32{0xFFFFFFFF};
  return s;
}

// All bits are "don't touch".
U32 seconds_of(const std::optional<timespec>& time) {
  if (!time || time->tv_nsec == UTIME_OMIT) return 0xFFFFFFFF;
  const time_t seconds = time->tv_nsec == UTIME_NOW ? ::time(nullptr) : time->tv_sec;
  return static_cast<U32>(std::clamp<time_t>(seconds, 0, 0xFFFFFFFE));
}

constexpr U8 kReadOnly = 0;

// open(5) has no OAPPEND. Two that write at the end that they know of overwrite one another: what
// isn't "append only: offset is ignored in writes" is not appended to.
std::unexpected<Error> no_append(const char* doing) {
  return error(EOPNOTSUPP, doing, "before 9P2000.L only files that always are can be appended to");
}

std::unexpected<Error> no_name(const char* doing, Str name) {
  return error(EINVAL, doing, "\"" + std::string(name) + "\" is no file's name");
}

asio::awaitable<Expected<Qid>> refused(int host_errno, const char* doing) {
  co_return error(host_errno, doing);
}

}  // namespace

asio::awaitable<Expected<Opened>> OperationsOld::open(Fid fid, U32 flags) {
  if (flags & lopen::kAppend) {
    const auto is = co_await stat(fid);
    NINEP_CO_RETURN_IF_WRONG(is);
    if (!(is->attr.qid.type & kQtAppend)) co_return no_append("Topen");
  }
  reached_.erase(fid);
  const auto opened = co_await call(Topen{fid, old_modes::open_mode(flags)});
  NINEP_CO_RETURN_IF_WRONG(opened);
  const Qid& qid = (*opened)->qid;
  if ((flags & lopen::kDirectory) && !(qid.type & kQtDir)) co_return error(ENOTDIR, "Topen");
  co_return Opened{qid, iounit((*opened)->iounit)};
}

// "An attempt to create a file in a directory where the given name already exists will be
// rejected". What is there already is opened, then, if that will do. Servers of Unix files (QEMU,
// go9p) reject nothing: who wants a new file has to look.
asio::awaitable<Expected<Opened>> OperationsOld::create(Fid fid, std::string name, U32 flags,
                                                        U32 mode, U32) {
  if (flags & (lopen::kExclusive | lopen::kAppend)) {
    const auto found = co_await find(fid, name);
    NINEP_CO_RETURN_IF_WRONG(found);
    const bool is_there = found->has_value();
    if (is_there && (flags & lopen::kExclusive)) co_return error(EEXIST, "Twalk", "there is one");
    if ((flags & lopen::kAppend) && !(is_there && ((*found)->type & kQtAppend)))
      co_return no_append("Tcreate");
  }
  const U32 perm = old_modes::permissions(mode, dialect());
  const auto created = co_await call(Tcreate{fid, name, perm, old_modes::open_mode(flags), Str()});
  if (created) co_return Opened{(*created)->qid, iounit((*created)->iounit)};
  if ((flags & lopen::kExclusive) || created.error().fate != Fate::kKnown ||
      is(created.error(), ECANCELED))
    co_return std::unexpected(created.error());
  const auto walked = co_await walk(fid, fid, std::vector<std::string>(1, name));
  if (!walked && walked.error().fate == Fate::kKnown) co_return std::unexpected(created.error());
  NINEP_CO_RETURN_IF_WRONG(walked);
  if (walked->type & kQtDir) co_return error(EISDIR, "Tcreate");
  co_return co_await open(fid, flags);
}

// Tcreate opens what it makes: that is closed again.
asio::awaitable<Expected<Qid>> OperationsOld::make(Fid directory, std::string name, U32 perm,
                                                   std::string extension) {
  if (!is_name(name)) co_return no_name("Tcreate", name);
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(directory, *spare, std::vector<std::string>());
  if (!walked) {
    fids().give_back(*spare);
    co_return std::unexpected(walked.error());
  }
  const auto created = co_await call(Tcreate{*spare, name, perm, kReadOnly, Str(extension)});
  (void)co_await clunk(*spare);
  fids().give_back(*spare);
  NINEP_CO_RETURN_IF_WRONG(created);
  co_return (*created)->qid;
}

asio::awaitable<Expected<Qid>> OperationsOld::make_in_dot_u(Fid directory, std::string name,
                                                            U32 perm, std::string extension) {
  if (dialect() != kDotU)
    co_return error(EOPNOTSUPP, "Tcreate", "9P2000 has files and directories alone");
  co_return co_await make(directory, std::move(name), perm, std::move(extension));
}

asio::awaitable<Expected<Qid>> OperationsOld::mkdir(Fid directory, std::string name, U32 mode,
                                                    U32) {
  return make(directory, std::move(name), old_modes::kDir | old_modes::permissions(mode, dialect()),
              "");
}

asio::awaitable<Expected<Qid>> OperationsOld::symlink(Fid directory, std::string name,
                                                      std::string target, U32) {
  return make_in_dot_u(directory, std::move(name), old_modes::kSymlink | 0777, std::move(target));
}

asio::awaitable<Expected<Qid>> OperationsOld::mknod(Fid directory, std::string name, U32 mode,
                                                    U64 rdev, U32) {
  const U32 perm = old_modes::permissions(mode, dialect());
  const auto device = [&](const char* kind) {
    return kind + (" " + std::to_string(major(rdev))) + " " + std::to_string(minor(rdev));
  };
  switch (mode & S_IFMT) {
    case S_IFIFO:
      return make_in_dot_u(directory, std::move(name), old_modes::kNamedPipe | perm, "");
    case S_IFSOCK:
      return make_in_dot_u(directory, std::move(name), old_modes::kSocket | perm, "");
    case S_IFCHR:
      return make_in_dot_u(directory, std::move(name), old_modes::kDevice | perm, device("c"));
    case S_IFBLK:
      return make_in_dot_u(directory, std::move(name), old_modes::kDevice | perm, device("b"));
    case S_IFREG:
    case 0:
      return make(directory, std::move(name), perm, "");
    default:
      return refused(EINVAL, "Tcreate");
  }
}

asio::awaitable<Expected<void>> OperationsOld::link(Fid directory, std::string name, Fid file) {
  const auto made = co_await make_in_dot_u(directory, std::move(name), old_modes::kLink,
                                           std::to_string(static_cast<U32>(file)));
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> OperationsOld::remove(Fid directory, std::string name,
                                                      bool is_directory) {
  if (!is_name(name)) co_return no_name("Tremove", name);
  co_return co_await remove_by_fid(directory, std::move(name), is_directory);
}

asio::awaitable<Expected<void>> OperationsOld::set_name(Fid fid, std::string name) {
  Stat stat = untouched();
  stat.name = name;
  const auto renamed = co_await call(Twstat{fid, {stat}});
  NINEP_CO_RETURN_IF_WRONG(renamed);
  co_return Expected<void>();
}

// stat(5): "it is an error to change the name to that of an existing file". rename(2) replaces it.
// False: it is the same file, and there is nothing to do.
asio::awaitable<Expected<bool>> OperationsOld::make_way(Fid directory, std::string name, Qid what) {
  const auto there = co_await find(directory, name);
  NINEP_CO_RETURN_IF_WRONG(there);
  if (*there && (*there)->path == what.path) co_return false;
  const auto removed = co_await remove(directory, name, (what.type & kQtDir) != 0);
  NINEP_CO_RETURN_IF_WRONG(removed);
  co_return true;
}

asio::awaitable<Expected<void>> OperationsOld::rename(Fid from, std::string name, Fid to,
                                                      std::string to_name) {
  if (!is_name(name)) co_return no_name("Twstat", name);
  if (!is_name(to_name)) co_return no_name("Twstat", to_name);
  if (from != to) {
    const auto here = co_await stat(from);
    NINEP_CO_RETURN_IF_WRONG(here);
    const auto there = co_await stat(to);
    NINEP_CO_RETURN_IF_WRONG(there);
    if (here->attr.qid.path != there->attr.qid.path)
      co_return error(EOPNOTSUPP, "Twstat", "a file can't leave its directory before 9P2000.L");
  }
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(from, *spare, std::vector<std::string>(1, name));
  if (!walked) {
    fids().give_back(*spare);
    co_return std::unexpected(walked.error());
  }
  auto result = co_await set_name(*spare, to_name);
  if (!result && is(result.error(), EEXIST)) {
    const auto made = co_await make_way(to, to_name, *walked);
    if (!made)
      result = std::unexpected(made.error());
    else if (*made)
      result = co_await set_name(*spare, to_name);
    else
      result = Expected<void>();
  }
  (void)co_await clunk(*spare);
  fids().give_back(*spare);
  co_return result;
}

asio::awaitable<Expected<Attributes>> OperationsOld::stat(Fid fid) {
  const auto got = co_await call(Tstat{fid});
  NINEP_CO_RETURN_IF_WRONG(got);
  co_return attributes_of((*got)->stat.stat, dialect());
}

asio::awaitable<Expected<void>> OperationsOld::change(Fid fid, Change change) {
  if ((change.uid || change.gid) && dialect() != kDotU)
    co_return error(EOPNOTSUPP, "Twstat", "9P2000 has no numbers of users");
  Stat stat = untouched();
  if (change.mode) {
    // All else that the mode says stays: "the directory bit cannot be changed", nor, in .u, a kind.
    const auto is = co_await call(Tstat{fid});
    NINEP_CO_RETURN_IF_WRONG(is);
    const U32 ours = dialect() == kDotU ? old_modes::kPermissionsDotU : old_modes::kPermissions;
    stat.mode = ((*is)->stat.stat.mode & ~ours) | old_modes::permissions(*change.mode, dialect());
  }
  if (change.uid) stat.n_uid = *change.uid;
  if (change.gid) stat.n_gid = *change.gid;
  if (change.size) stat.length = *change.size;
  stat.atime = seconds_of(change.atime);
  stat.mtime = seconds_of(change.mtime);
  auto changed = co_await call(Twstat{fid, {stat}});
  // Plan 9 has no way to set the time of reading, and does all or nothing.
  if (!changed && changed.error().fate == Fate::kKnown && !is(changed.error(), ECANCELED) &&
      dialect() == k9P2000 && stat.atime != untouched().atime && stat.mtime != untouched().mtime) {
    stat.atime = untouched().atime;
    changed = co_await call(Twstat{fid, {stat}});
  }
  NINEP_CO_RETURN_IF_WRONG(changed);
  co_return Expected<void>();
}

asio::awaitable<Expected<std::string>> OperationsOld::readlink(Fid fid) {
  const auto is = co_await stat(fid);
  NINEP_CO_RETURN_IF_WRONG(is);
  if (!is->is_symlink()) co_return error(EINVAL, "Tstat", "not a symbolic link");
  co_return is->target;
}

// "The offset must be zero or the value of offset in the previous read plus its count": to another
// one, or on a new connection, the way leads from the start.
asio::awaitable<Expected<std::vector<Entry>>> OperationsOld::readdir(Fid fid, U64 offset) {
  std::vector<Entry> entries;
  std::vector<std::byte> room(std::min(session().payload_max(), kReaddirMax));
  const auto reached = reached_.find(fid);
  U64 at = reached != reached_.end() && reached->second == offset ? offset : 0;
  // What is left out must not be taken for the end.
  constexpr int kRoundsMax = 100;
  for (int round = 0; entries.empty();) {
    const auto got = co_await read(fid, at, room);
    NINEP_CO_RETURN_IF_WRONG(got);
    if (*got == 0) break;
    if (at >= offset && ++round > kRoundsMax)
      co_return error(EPROTO, "Tread", "a directory that doesn't end");
    const U64 end = at + *got;
    Bytes rest = Bytes(room).first(*got);
    while (!rest.empty()) {
      Stat stat;
      if (!decode_front(rest, dialect(), stat))
        co_return error(EPROTO, "Tread", "a malformed directory");
      const U64 next = end - rest.size();
      if (next <= offset || !is_name(stat.name)) continue;
      Entry entry{std::string(stat.name), stat.qid, DT_UNKNOWN, next, {}};
      entry.attributes = attributes_of(stat, dialect());
      entry.type = static_cast<U8>(IFTODT(entry.attributes->attr.mode));
      entries.push_back(std::move(entry));
    }
    at = end;
    reached_[fid] = at;
  }
  co_return entries;
}

// "If all the elements of the directory entry written ... are 'don't touch' values, the server may
// interpret it as a request to guarantee that the contents of the associated file are committed to
// stable storage". stat(5).
asio::awaitable<Expected<void>> OperationsOld::fsync(Fid fid, bool) {
  const auto changed = co_await call(Twstat{fid, {untouched()}});
  NINEP_CO_RETURN_IF_WRONG(changed);
  co_return Expected<void>();
}

}  // namespace ninep::client
