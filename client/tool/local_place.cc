#include <array>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/tool/place.h"
#include "transports/io/owned_fd.h"

namespace ninep::tool {
namespace {

using client::error;
using io::OwnedFd;

constexpr std::size_t kBlock = 1 << 20;

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() || path == "/" ? path + name : path + "/" + name;
}

template <class T = void>
std::unexpected<client::Error> failed(const char* doing, const std::string& path) {
  return error(errno, std::string(doing) + " " + path);
}

/// A descriptor that was opened with O_PATH, as what follows links again.
std::string by_descriptor(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Attributes attributes_of(const struct statx& s) {
  Attributes a;
  a.valid = getattr::kBasic;
  Attr& r = a.attr;
  r.qid = {static_cast<U8>(S_ISDIR(s.stx_mode)   ? kQtDir
                           : S_ISLNK(s.stx_mode) ? kQtSymlink
                                                 : kQtFile),
           0, s.stx_ino};
  r.mode = s.stx_mode;
  r.uid = s.stx_uid;
  r.gid = s.stx_gid;
  r.nlink = s.stx_nlink;
  r.rdev = makedev(s.stx_rdev_major, s.stx_rdev_minor);
  r.size = s.stx_size;
  r.blksize = s.stx_blksize;
  r.blocks = s.stx_blocks;
  r.atime_sec = static_cast<U64>(s.stx_atime.tv_sec);
  r.atime_nsec = s.stx_atime.tv_nsec;
  r.mtime_sec = static_cast<U64>(s.stx_mtime.tv_sec);
  r.mtime_nsec = s.stx_mtime.tv_nsec;
  r.ctime_sec = static_cast<U64>(s.stx_ctime.tv_sec);
  r.ctime_nsec = s.stx_ctime.tv_nsec;
  return a;
}

Expected<void> change_it(int fd, const Change& change, const std::string& path) {
  // The owner first: the system takes set-id bits off when it changes.
  if (change.uid || change.gid) {
    const auto uid = change.uid ? *change.uid : static_cast<uid_t>(-1);
    const auto gid = change.gid ? *change.gid : static_cast<gid_t>(-1);
    if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0)
      return failed("change the owner of", path);
  }
  // Of a symbolic link there is no mode.
  if (change.mode && ::chmod(by_descriptor(fd).c_str(), *change.mode) != 0 && errno != EOPNOTSUPP)
    return failed("change the mode of", path);
  if (change.size && ::truncate(by_descriptor(fd).c_str(), static_cast<off_t>(*change.size)) != 0)
    return failed("truncate", path);
  if (change.atime || change.mtime) {
    const timespec keep{0, UTIME_OMIT};
    const std::array times{change.atime.value_or(keep), change.mtime.value_or(keep)};
    if (::utimensat(fd, "", times.data(), AT_EMPTY_PATH) != 0)
      return failed("change the times of", path);
  }
  return {};
}

Expected<void> set_them(int fd, const Xattrs& xattrs, const std::string& path) {
  Expected<void> result;  // of the first that can't be set
  for (const auto& [name, value] : xattrs)
    if (::setxattr(by_descriptor(fd).c_str(), name.c_str(), value.data(), value.size(), 0) != 0 &&
        result)
      result = failed(("set " + name + " of").c_str(), path);
  return result;
}

class LocalSource final : public Source {
 public:
  LocalSource(OwnedFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size_now()) {}

  Awaitable<Expected<std::size_t>> read(U64 offset, Room into) override {
    std::size_t got = 0;
    while (got < into.size()) {
      const ssize_t size = ::pread(fd_.get(), into.data() + got, into.size() - got,
                                   static_cast<off_t>(offset + got));
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) co_return failed("read", path_);
      if (size == 0) break;
      got += static_cast<std::size_t>(size);
    }
    co_return got;
  }
  U64 data_from(U64 offset) override {
    const off_t at = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (at >= 0) return static_cast<U64>(at);
    // A hole to the end; which may be another one by now.
    struct stat status{};
    if (errno != ENXIO || ::fstat(fd_.get(), &status) != 0) return offset;
    return std::max(offset, static_cast<U64>(status.st_size));
  }
  bool says_too_much() override { return size_now() == size_; }

 private:
  off_t size_now() const {
    struct stat status{};
    return ::fstat(fd_.get(), &status) == 0 ? status.st_size : -1;
  }
  OwnedFd fd_;
  std::string path_;
  const off_t size_;
};

class LocalSink final : public Sink {
 public:
  LocalSink(int directory, OwnedFd fd, std::string part, std::string name, std::string path,
            U64 begins_at)
      : directory_(directory),
        fd_(std::move(fd)),
        part_(std::move(part)),
        name_(std::move(name)),
        path_(std::move(path)),
        begins_at_(begins_at) {}

  U64 begins_at() const override { return begins_at_; }
  Awaitable<Expected<void>> write(U64 offset, Bytes data) override {
    while (!data.empty()) {
      const ssize_t size =
          ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) co_return failed("write", path_);
      data = data.subspan(static_cast<std::size_t>(size));
      offset += static_cast<U64>(size);
    }
    co_return Expected<void>();
  }
  Awaitable<Expected<std::optional<client::Error>>> finish(U64 size, Change change,
                                                           std::optional<Xattrs> xattrs) override {
    std::optional<client::Error> lacks;
    // In this order: another size or owner costs a file its capabilities, which are attributes.
    const auto owned = change_it(
        fd_.get(),
        {.uid = std::exchange(change.uid, {}), .gid = std::exchange(change.gid, {}), .size = size},
        path_);
    NINEP_CO_RETURN_IF_WRONG(owned);
    if (xattrs) {
      if (!has(*xattrs, kAccessList)) (void)::fremovexattr(fd_.get(), kAccessList);
      const auto set = set_them(fd_.get(), *xattrs, path_);
      if (!set) lacks = set.error();
    }
    const auto changed = change_it(fd_.get(), change, path_);
    NINEP_CO_RETURN_IF_WRONG(changed);
    // What could not be written may be known no sooner.
    if (::close(fd_.leak()) != 0) co_return failed("close", path_);
    co_return lacks;
  }
  Awaitable<Expected<void>> take_name() override {
    if (::renameat(directory_, part_.c_str(), directory_, name_.c_str()) != 0)
      co_return failed("rename to", path_);
    co_return Expected<void>();
  }
  Awaitable<void> discard() override {
    (void)::unlinkat(directory_, part_.c_str(), 0);
    co_return;
  }

 private:
  const int directory_;
  OwnedFd fd_;
  const std::string part_, name_, path_;
  const U64 begins_at_;
};

class LocalPlace final : public Place {
 public:
  /// `top`: the directory that all paths of link() are from; it outlives this one.
  LocalPlace(OwnedFd fd, int top, std::string path)
      : fd_(std::move(fd)), top_(top < 0 ? fd_.get() : top), path_(std::move(path)) {
    struct stat status{};
    if (::fstat(fd_.get(), &status) == 0) identity_ = {{nullptr, status.st_dev}, status.st_ino};
  }
  ~LocalPlace() override {
    if (listing_) ::closedir(listing_);
  }

  std::size_t block() const override { return kBlock; }
  std::size_t depth() const override { return 0; }
  Identity identity() const override { return identity_; }
  std::string path_of(const std::string& name) const override { return joined(path_, name); }

  Awaitable<Expected<std::vector<Found>>> next() override {
    constexpr std::size_t kSome = 256;
    if (!listing_) {
      const int fd = ::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (fd < 0 || !(listing_ = ::fdopendir(fd))) co_return failed("read directory", path_);
    }
    std::vector<Found> some;
    while (some.size() < kSome) {
      errno = 0;
      const dirent* const entry = ::readdir(listing_);
      if (!entry && errno != 0) co_return failed("read directory", path_);
      if (!entry) break;
      if (client::is_name(entry->d_name)) some.push_back({entry->d_name, type_of(*entry)});
    }
    co_return some;
  }

  Awaitable<Expected<Attributes>> stat(std::string name) override {
    struct statx status{};
    if (::statx(fd_.get(), name.c_str(), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS,
                &status) != 0)
      co_return failed("stat", path_of(name));
    Attributes is = attributes_of(status);
    // Of another file system than its directory: its number says nothing here.
    if (makedev(status.stx_dev_major, status.stx_dev_minor) != identity_.of.device)
      is.attr.nlink = 1;
    co_return is;
  }

  Awaitable<Expected<std::unique_ptr<Place>>> enter(std::string name) override {
    OwnedFd fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) co_return failed("open", path_of(name));
    co_return std::make_unique<LocalPlace>(std::move(fd), top_, path_of(name));
  }

  Awaitable<Expected<std::unique_ptr<Source>>> read(std::string name) override {
    OwnedFd fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) co_return failed("open", path_of(name));
    co_return std::make_unique<LocalSource>(std::move(fd), path_of(name));
  }

  Awaitable<Expected<std::string>> readlink(std::string name) override {
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlinkat(fd_.get(), name.c_str(), target.data(), target.size());
    if (size < 0) co_return failed("readlink", path_of(name));
    co_return std::string(target.data(), static_cast<std::size_t>(size));
  }

  Awaitable<Expected<std::optional<Xattrs>>> xattrs(std::string name, bool all) override {
    const OwnedFd fd(path_fd(name));
    if (!fd) co_return failed("open", path_of(name));
    const std::string by = by_descriptor(fd.get());
    std::string list(65536, '\0');
    const ssize_t size = ::listxattr(by.c_str(), list.data(), list.size());
    Xattrs got;
    if (size < 0 && errno == EOPNOTSUPP) co_return std::optional<Xattrs>();
    if (size < 0) co_return failed("read attributes of", path_of(name));
    for (Str rest = Str(list).substr(0, static_cast<std::size_t>(size)); !rest.empty();) {
      const std::string one(rest.data());
      rest.remove_prefix(std::min(one.size() + 1, rest.size()));
      if (!all && !is_of_content(one)) continue;
      std::string value(65536, '\0');
      const ssize_t length = ::getxattr(by.c_str(), one.c_str(), value.data(), value.size());
      if (length < 0 && errno == ENODATA) continue;  // it has gone meanwhile
      if (length < 0) co_return failed("read attributes of", path_of(name));
      value.resize(static_cast<std::size_t>(length));
      got.emplace_back(one, std::move(value));
    }
    co_return got;
  }

  Awaitable<Expected<std::unique_ptr<Sink>>> write(std::string name, std::string stamp) override {
    for (unsigned number = 0; number < kPartNames; ++number) {
      const std::string part = part_name(name, stamp, number);
      auto fd = make_part(part);
      struct statx status{};
      if (!fd && errno == EEXIST) {
        fd = OwnedFd(::openat(fd_.get(), part.c_str(), kPartFlags));
        if (!fd || ::statx(fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) != 0 ||
            !is_part(attributes_of(status)) || !is_ours(status.stx_uid, name, stamp)) {
          // What is in the way is no part of ours.
          if (::unlinkat(fd_.get(), part.c_str(), 0) != 0) continue;
          fd = make_part(part);
          status = {};
        }
      }
      if (!fd) break;
      const U64 size = status.stx_size;
      co_return std::make_unique<LocalSink>(fd_.get(), std::move(fd), part, name, path_of(name),
                                            size - std::min(size, kPartRewind));
    }
    co_return failed("create", path_of(name));
  }

  Awaitable<Expected<std::optional<Attributes>>> mkdir(std::string name) override {
    if (::mkdirat(fd_.get(), name.c_str(), 0700) == 0) co_return std::optional<Attributes>();
    const auto wrong = failed("mkdir", path_of(name));
    auto is = co_await stat(name);
    if (!is || !is->is_directory()) co_return wrong;
    co_return std::move(*is);
  }
  Awaitable<Expected<void>> symlink(std::string name, std::string target) override {
    if (::symlinkat(target.c_str(), fd_.get(), name.c_str()) != 0)
      co_return failed("symlink", path_of(name));
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> mknod(std::string name, U32 mode, U64 rdev) override {
    if (::mknodat(fd_.get(), name.c_str(), mode, rdev) != 0)
      co_return failed("mknod", path_of(name));
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> link(std::string name, std::string other) override {
    // The directory of `other` is one that was made here: no link leads to it.
    open_how how{};
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const OwnedFd file(
        static_cast<int>(::syscall(SYS_openat2, top_, other.c_str(), &how, sizeof how)));
    if (!file) co_return failed("link", path_of(name));
    if (::linkat(AT_FDCWD, by_descriptor(file.get()).c_str(), fd_.get(), name.c_str(),
                 AT_SYMLINK_FOLLOW) != 0)
      co_return failed("link", path_of(name));
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> rename(std::string name, std::string to_name) override {
    if (::renameat(fd_.get(), name.c_str(), fd_.get(), to_name.c_str()) != 0)
      co_return failed("rename to", path_of(to_name));
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> remove(std::string name, bool is_directory,
                                   std::optional<U64>) override {
    if (::unlinkat(fd_.get(), name.c_str(), is_directory ? AT_REMOVEDIR : 0) != 0)
      co_return failed("remove", path_of(name));
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> change(std::string name, Change change) override {
    const OwnedFd fd(path_fd(name));
    if (!fd) co_return failed("open", path_of(name));
    co_return change_it(fd.get(), change, path_of(name));
  }
  Awaitable<Expected<void>> set_xattrs(std::string name, Xattrs xattrs) override {
    const OwnedFd fd(path_fd(name));
    if (!fd) co_return failed("open", path_of(name));
    co_return set_them(fd.get(), xattrs, path_of(name));
  }
  Awaitable<Expected<void>> remove_xattr(std::string name, std::string xattr) override {
    const OwnedFd fd(path_fd(name));
    if (!fd) co_return failed("open", path_of(name));
    if (::removexattr(by_descriptor(fd.get()).c_str(), xattr.c_str()) != 0)
      co_return failed(("remove " + xattr + " of").c_str(), path_of(name));
    co_return Expected<void>();
  }

 private:
  /// There are file systems that don't tell.
  U8 type_of(const dirent& entry) const {
    struct stat status{};
    if (entry.d_type != DT_UNKNOWN ||
        ::fstatat(fd_.get(), entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      return entry.d_type;
    return static_cast<U8>(IFTODT(status.st_mode));
  }
  static constexpr int kPartFlags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  OwnedFd make_part(const std::string& part) const {
    return OwnedFd(::openat(fd_.get(), part.c_str(), kPartFlags | O_CREAT | O_EXCL, 0600));
  }
  /// Whether files that are made here are `uid`'s: a file system may have its own mind.
  bool is_ours(U32 uid, const std::string& name, const std::string& stamp) {
    if (uid == ::geteuid()) return true;
    if (!owner_) {
      const std::string probe = part_name(name, stamp, kPartNames);
      struct stat status{};
      const OwnedFd fd = make_part(probe);
      if (fd && ::fstat(fd.get(), &status) == 0) owner_ = status.st_uid;
      if (fd) (void)::unlinkat(fd_.get(), probe.c_str(), 0);
    }
    return owner_ == uid;
  }
  int path_fd(const std::string& name) const {
    return ::openat(fd_.get(), name.empty() ? "." : name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }

  OwnedFd fd_;
  const int top_;
  const std::string path_;
  Identity identity_;
  std::optional<U32> owner_;  // of what is made here
  DIR* listing_ = nullptr;
};

}  // namespace

std::unique_ptr<Place> local_place(int directory, std::string path) {
  return std::make_unique<LocalPlace>(OwnedFd(directory), -1, std::move(path));
}

}  // namespace ninep::tool
