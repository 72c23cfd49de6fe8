#include "client/operations_old.h"

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

U32 seconds_of(const timespec& time) {
  return static_cast<U32>(time.tv_nsec == UTIME_NOW ? ::time(nullptr) : time.tv_sec);
}

constexpr U8 kReadOnly = 0;

}  // namespace

asio::awaitable<Expected<Opened>> OperationsOld::open(Fid fid, U32 flags) {
  const auto opened = co_await call(Topen{fid, old_modes::open_mode(flags)});
  NINEP_CO_RETURN_IF_WRONG(opened);
  co_return Opened{(*opened)->qid, iounit((*opened)->iounit)};
}

// "An attempt to create a file in a directory where the given name already exists will be
// rejected". What is there already is opened, then, if that will do.
asio::awaitable<Expected<Opened>> OperationsOld::create(Fid fid, std::string name, U32 flags,
                                                        U32 mode, U32) {
  const U32 perm = old_modes::permissions(mode, dialect());
  const auto created = co_await call(Tcreate{fid, name, perm, old_modes::open_mode(flags), Str()});
  if (created) co_return Opened{(*created)->qid, iounit((*created)->iounit)};
  if (flags & lopen::kExclusive) co_return std::unexpected(created.error());
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(fid, *spare, std::vector<std::string>(1, name));
  if (!walked) {
    fids().give_back(*spare);
    co_return std::unexpected(created.error());
  }
  // The caller's fid becomes the file's.
  (void)co_await clunk(fid);
  const auto moved = co_await walk(*spare, fid, std::vector<std::string>());
  (void)co_await clunk(*spare);
  fids().give_back(*spare);
  NINEP_CO_RETURN_IF_WRONG(moved);
  co_return co_await open(fid, flags);
}

// Tcreate opens what it makes: that is closed again.
asio::awaitable<Expected<Qid>> OperationsOld::make(Fid directory, std::string name, U32 perm,
                                                   std::string extension) {
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
    default: return make(directory, std::move(name), perm, "");
  }
}

asio::awaitable<Expected<void>> OperationsOld::link(Fid directory, std::string name, Fid file) {
  const auto made = co_await make_in_dot_u(directory, std::move(name), old_modes::kLink,
                                           std::to_string(static_cast<U32>(file)));
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return Expected<void>();
}

// "It is correct to consider remove to be a clunk with the side effect of removing the file".
asio::awaitable<Expected<void>> OperationsOld::remove(Fid directory, std::string name, bool) {
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(directory, *spare, std::vector<std::string>(1, name));
  if (!walked) {
    fids().give_back(*spare);
    co_return std::unexpected(walked.error());
  }
  const auto removed = co_await call(Tremove{*spare});
  fids().give_back(*spare);
  NINEP_CO_RETURN_IF_WRONG(removed);
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> OperationsOld::rename(Fid from, std::string name, Fid to,
                                                      std::string to_name) {
  const auto here = co_await stat(from);
  NINEP_CO_RETURN_IF_WRONG(here);
  const auto there = co_await stat(to);
  NINEP_CO_RETURN_IF_WRONG(there);
  if (here->attr.qid.path != there->attr.qid.path)
    co_return error(EOPNOTSUPP, "Twstat", "a file can't leave its directory before 9P2000.L");
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  Expected<void> result;
  const auto walked = co_await walk(from, *spare, std::vector<std::string>(1, name));
  if (walked) {
    Stat stat = untouched();
    stat.name = to_name;
    const auto renamed = co_await call(Twstat{*spare, {stat}});
    if (!renamed) result = std::unexpected(renamed.error());
    (void)co_await clunk(*spare);
  } else {
    result = std::unexpected(walked.error());
  }
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
    // A directory stays one: "the directory bit cannot be changed".
    const auto is = co_await this->stat(fid);
    NINEP_CO_RETURN_IF_WRONG(is);
    stat.mode = old_modes::permissions(*change.mode, dialect()) |
                (is->is_directory() ? old_modes::kDir : U32{0});
  }
  if (change.uid) stat.n_uid = *change.uid;
  if (change.gid) stat.n_gid = *change.gid;
  if (change.size) stat.length = *change.size;
  if (change.atime) stat.atime = seconds_of(*change.atime);
  if (change.mtime) stat.mtime = seconds_of(*change.mtime);
  const auto changed = co_await call(Twstat{fid, {stat}});
  NINEP_CO_RETURN_IF_WRONG(changed);
  co_return Expected<void>();
}

asio::awaitable<Expected<std::string>> OperationsOld::readlink(Fid fid) {
  const auto is = co_await stat(fid);
  NINEP_CO_RETURN_IF_WRONG(is);
  if (!is->is_symlink()) co_return error(EINVAL, "Tstat", "not a symbolic link");
  co_return is->target;
}

// "Seeking is not allowed in directories": the next offset is the last one and what it gave.
asio::awaitable<Expected<std::vector<Entry>>> OperationsOld::readdir(Fid fid, U64 offset) {
  std::vector<Entry> entries;
  std::vector<std::byte> room(session().payload_max());
  constexpr int kRoundsMax = 100;
  for (int round = 0; entries.empty(); ++round) {
    const auto got = co_await read(fid, offset, room);
    NINEP_CO_RETURN_IF_WRONG(got);
    if (*got == 0) break;
    if (round == kRoundsMax) co_return error(EPROTO, "Tread", "a directory that doesn't end");
    offset += *got;
    Bytes rest = Bytes(room).first(*got);
    while (!rest.empty()) {
      Stat stat;
      if (!decode_front(rest, dialect(), stat))
        co_return error(EPROTO, "Tread", "a malformed directory");
      if (!is_name(stat.name)) continue;
      Entry entry{std::string(stat.name), stat.qid, DT_UNKNOWN, offset, {}};
      entry.attributes = attributes_of(stat, dialect());
      entry.type = static_cast<U8>(IFTODT(entry.attributes->attr.mode));
      entries.push_back(std::move(entry));
    }
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
