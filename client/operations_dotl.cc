#include "client/operations_dotl.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace ninep::client {
namespace {

/// For a message whose answer says no more than that it is done.
template <class R>
asio::awaitable<Expected<void>> done(asio::awaitable<Expected<Reply<R>>> calling) {
  const auto answered = co_await std::move(calling);
  NINEP_CO_RETURN_IF_WRONG(answered);
  co_return Expected<void>();
}

template <class R>
asio::awaitable<Expected<Qid>> qid(asio::awaitable<Expected<Reply<R>>> calling) {
  const auto answered = co_await std::move(calling);
  NINEP_CO_RETURN_IF_WRONG(answered);
  co_return (*answered)->qid;
}

Tsetattr setattr_of(Fid fid, const Change& change) {
  using namespace setattr;
  Tsetattr t{};
  t.fid = fid;
  const auto take = [&](auto& to, const auto& from, U32 bit) {
    if (!from) return;
    to = *from;
    t.valid |= bit;
  };
  take(t.mode, change.mode, kMode);
  take(t.uid, change.uid, kUid);
  take(t.gid, change.gid, kGid);
  take(t.size, change.size, kSize);
  const auto take_time = [&](U64& sec, U64& nsec, const std::optional<timespec>& from, U32 bit,
                             U32 set_bit) {
    if (!from || from->tv_nsec == UTIME_OMIT) return;
    t.valid |= bit;
    if (from->tv_nsec == UTIME_NOW) return;
    t.valid |= set_bit;
    sec = static_cast<U64>(from->tv_sec);
    nsec = static_cast<U64>(from->tv_nsec);
  };
  take_time(t.atime_sec, t.atime_nsec, change.atime, kAtime, kAtimeSet);
  take_time(t.mtime_sec, t.mtime_nsec, change.mtime, kMtime, kMtimeSet);
  return t;
}

}  // namespace

asio::awaitable<Expected<Opened>> OperationsDotL::open(Fid fid, U32 flags) {
  const auto opened = co_await call(Tlopen{fid, flags});
  NINEP_CO_RETURN_IF_WRONG(opened);
  co_return Opened{(*opened)->qid, iounit((*opened)->iounit)};
}

asio::awaitable<Expected<Opened>> OperationsDotL::create(Fid fid, std::string name, U32 flags,
                                                         U32 mode, U32 gid) {
  const auto created = co_await call(Tlcreate{fid, name, flags | lopen::kCreate, mode, gid});
  NINEP_CO_RETURN_IF_WRONG(created);
  co_return Opened{(*created)->qid, iounit((*created)->iounit)};
}

asio::awaitable<Expected<Qid>> OperationsDotL::mkdir(Fid directory, std::string name, U32 mode,
                                                     U32 gid) {
  co_return co_await qid(call(Tmkdir{directory, name, mode, gid}));
}

asio::awaitable<Expected<Qid>> OperationsDotL::symlink(Fid directory, std::string name,
                                                       std::string target, U32 gid) {
  co_return co_await qid(call(Tsymlink{directory, name, target, gid}));
}

asio::awaitable<Expected<Qid>> OperationsDotL::mknod(Fid directory, std::string name, U32 mode,
                                                     U64 rdev, U32 gid) {
  co_return co_await qid(call(Tmknod{directory, name, mode, major(rdev), minor(rdev), gid}));
}

asio::awaitable<Expected<void>> OperationsDotL::link(Fid directory, std::string name, Fid file) {
  co_return co_await done(call(Tlink{directory, file, name}));
}

// Linux falls back to Tremove and Trename at the same errno: diod 1.0.24 has nothing else.
asio::awaitable<Expected<void>> OperationsDotL::remove(Fid directory, std::string name,
                                                       bool is_directory) {
  if (has_unlinkat_) {
    const auto removed =
        co_await done(call(Tunlinkat{directory, name, is_directory ? kUnlinkRemoveDir : U32{0}}));
    if (removed || !is(removed.error(), EOPNOTSUPP)) co_return removed;
  }
  const auto removed = co_await remove_by_fid(directory, name, is_directory);
  if (removed) has_unlinkat_ = false;
  co_return removed;
}

asio::awaitable<Expected<void>> OperationsDotL::rename(Fid from, std::string name, Fid to,
                                                       std::string to_name) {
  if (has_renameat_) {
    const auto renamed = co_await done(call(Trenameat{from, name, to, to_name}));
    if (renamed || !is(renamed.error(), EOPNOTSUPP)) co_return renamed;
  }
  const auto renamed = co_await rename_by_fid(from, name, to, to_name);
  if (renamed) has_renameat_ = false;
  co_return renamed;
}

asio::awaitable<Expected<void>> OperationsDotL::rename_by_fid(Fid from, std::string name, Fid to,
                                                              std::string to_name) {
  const auto spare = fids().take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(from, *spare, std::vector<std::string>(1, name));
  Expected<void> renamed;
  if (walked) {
    renamed = co_await done(call(Trename{*spare, to, to_name}));
    (void)co_await clunk(*spare);
  } else {
    renamed = std::unexpected(walked.error());
  }
  fids().give_back(*spare);
  co_return renamed;
}

// ------------------------------------------------------------------ attributes

asio::awaitable<Expected<Attributes>> OperationsDotL::stat(Fid fid) {
  const auto got = co_await call(
      Tgetattr{fid, getattr::kBasic | getattr::kBtime | getattr::kGen | getattr::kDataVersion});
  NINEP_CO_RETURN_IF_WRONG(got);
  Attributes attributes;
  attributes.valid = (*got)->valid;
  attributes.attr = (*got)->attr;
  // diod 1.0.24 says that it has what it was asked for, whatever that is.
  const Attr& attr = attributes.attr;
  if (attr.btime_sec == 0 && attr.btime_nsec == 0) attributes.valid &= ~getattr::kBtime;
  if (attr.gen == 0) attributes.valid &= ~getattr::kGen;
  if (attr.data_version == 0) attributes.valid &= ~getattr::kDataVersion;
  co_return attributes;
}

asio::awaitable<Expected<void>> OperationsDotL::change(Fid fid, Change change) {
  co_return co_await done(call(setattr_of(fid, change)));
}

asio::awaitable<Expected<std::string>> OperationsDotL::readlink(Fid fid) {
  const auto got = co_await call(Treadlink{fid});
  NINEP_CO_RETURN_IF_WRONG(got);
  co_return std::string((*got)->target);
}

namespace {

// There are servers that write the qid's type there (hugelgupf/p9), and such whose qids here have
// none (QEMU).
U8 type_of(const Dirent& entry) {
  const U8 of_qid = entry.qid.type;
  if (of_qid & kQtDir) return DT_DIR;
  if (of_qid & kQtSymlink) return DT_LNK;
  if (of_qid != kQtFile && entry.type == of_qid) return DT_UNKNOWN;
  switch (entry.type) {
    case DT_FIFO:
    case DT_CHR:
    case DT_DIR:
    case DT_BLK:
    case DT_REG:
    case DT_LNK:
    case DT_SOCK:
      return entry.type;
    default:
      return DT_UNKNOWN;
  }
}

}  // namespace

asio::awaitable<Expected<std::vector<Entry>>> OperationsDotL::readdir(Fid fid, U64 offset) {
  std::vector<Entry> entries;
  // What is left out must not be taken for the end.
  constexpr int kRoundsMax = 100;
  for (int round = 0; entries.empty(); ++round) {
    const auto got =
        co_await call(Treaddir{fid, offset, std::min(session().payload_max(), kReaddirMax)});
    NINEP_CO_RETURN_IF_WRONG(got);
    Bytes rest = (*got)->data.bytes;
    if (rest.empty()) break;
    while (!rest.empty()) {
      Dirent entry;
      if (!decode_front(rest, kDotL, entry))
        co_return error(EPROTO, "Treaddir", "a malformed directory");
      offset = entry.offset;
      if (is_name(entry.name))
        entries.push_back({std::string(entry.name), entry.qid, type_of(entry), entry.offset, {}});
    }
    if (round == kRoundsMax) co_return error(EPROTO, "Treaddir", "a directory that doesn't end");
  }
  co_return entries;
}

asio::awaitable<Expected<void>> OperationsDotL::fsync(Fid fid, bool data_only) {
  co_return co_await done(call(Tfsync{fid, data_only ? U32{1} : U32{0}}));
}

asio::awaitable<Expected<Rstatfs>> OperationsDotL::statfs(Fid fid) {
  const auto got = co_await call(Tstatfs{fid});
  NINEP_CO_RETURN_IF_WRONG(got);
  co_return **got;
}

// ------------------------------------------------------------------ extended attributes

asio::awaitable<Expected<std::string>> OperationsDotL::read_xattr(Fid fid, std::string name) {
  const auto taken = fids().take();
  NINEP_CO_RETURN_IF_WRONG(taken);
  const auto walked = co_await call(Txattrwalk{fid, *taken, name});
  if (!walked) {
    if (is_given_up(walked.error())) (void)co_await clunk(*taken);
    fids().give_back(*taken);
    co_return std::unexpected(walked.error());
  }
  Expected<std::string> value;
  const U64 size = (*walked)->size;
  if (size > kXattrMax) {
    value = error(E2BIG, "Txattrwalk", std::to_string(size) + " bytes");
  } else {
    value->resize(static_cast<std::size_t>(size));
    std::size_t at = 0;
    while (at < size) {
      const auto read = co_await this->read(
          *taken, at, std::as_writable_bytes(std::span(value->data(), value->size())).subspan(at));
      if (!read) {
        value = std::unexpected(read.error());
        break;
      }
      if (*read == 0) {
        value->resize(at);
        break;
      }
      at += *read;
    }
  }
  (void)co_await clunk(*taken);
  fids().give_back(*taken);
  co_return value;
}

// The value is set when its fid is clunked, which tells whether it worked.
asio::awaitable<Expected<void>> OperationsDotL::write_xattr(Fid fid, std::string name,
                                                            std::string value, U32 flags) {
  const auto taken = fids().take();
  NINEP_CO_RETURN_IF_WRONG(taken);
  const auto walked = co_await walk(fid, *taken, {});
  if (!walked) {
    fids().give_back(*taken);
    co_return std::unexpected(walked.error());
  }
  Expected<void> result;
  const auto created = co_await call(Txattrcreate{*taken, name, value.size(), flags});
  if (!created) result = std::unexpected(created.error());
  for (std::size_t at = 0; result && at < value.size();) {
    const auto part = as_bytes(value).subspan(
        at, std::min<std::size_t>(value.size() - at, session().payload_max()));
    const auto written = co_await write(*taken, at, part);
    if (!written)
      result = std::unexpected(written.error());
    else if (*written == 0)
      result = error(EIO, "Twrite", "nothing was written");
    else
      at += *written;
  }
  const auto clunked = co_await clunk(*taken);
  fids().give_back(*taken);
  if (result && !clunked) result = std::unexpected(clunked.error());
  co_return result;
}

asio::awaitable<Expected<void>> OperationsDotL::remove_xattr(Fid fid, std::string name) {
  return write_xattr(fid, std::move(name), "", kXattrReplace);
}

// ------------------------------------------------------------------ locks

asio::awaitable<Expected<U8>> OperationsDotL::lock(Fid fid, Lock lock, U32 flags) {
  // Whoever waits in line is answered when it is his turn.
  constexpr std::chrono::hours kForever{24 * 365};
  const auto patience = flags & lock::kBlock ? kForever : std::chrono::milliseconds();
  const auto got = co_await call(
      Tlock{fid, lock.type, flags, lock.start, lock.length, lock.proc_id, lock.client_id},
      patience);
  NINEP_CO_RETURN_IF_WRONG(got);
  co_return (*got)->status;
}

asio::awaitable<Expected<Lock>> OperationsDotL::getlock(Fid fid, Lock lock) {
  const auto got = co_await call(
      Tgetlock{fid, lock.type, lock.start, lock.length, lock.proc_id, lock.client_id});
  NINEP_CO_RETURN_IF_WRONG(got);
  const Rgetlock& r = **got;
  co_return Lock{r.type, r.start, r.length, r.proc_id, std::string(r.client_id)};
}

}  // namespace ninep::client
