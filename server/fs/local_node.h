// The local back end's parts: what local.cc, local_node.cc and local_file.cc share.
#pragma once

#include <algorithm>
#include <optional>

#include "server/fs/file_systems.h"
#include "server/fs/fs.h"

namespace ninep::fs {

/// A descriptor that is closed with its owner: by the loop, where closing may sleep.
class Descriptor {
 public:
  Descriptor(io::Loop& loop, io::Sleep sleep, int fd) : loop_(&loop), sleep_(sleep), fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept
      : loop_(other.loop_), sleep_(other.sleep_), fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();

  int get() const { return fd_; }
  io::Sleep sleep() const { return sleep_; }
  /// When it is known what it is on.
  void set_sleep(io::Sleep sleep) { sleep_ = sleep; }

 private:
  io::Loop* loop_;
  io::Sleep sleep_;
  int fd_;
};

/// "/proc/self/fd/N": the way to what an O_PATH descriptor stands for, for calls that take a path.
class ProcPath {
 public:
  explicit ProcPath(int fd);
  const char* c_str() const { return text_; }

 private:
  char text_[32];
};

/// A NUL-terminated copy of a name.
class Name {
 public:
  explicit Name(Str name);  // at most 255 bytes
  const char* c_str() const { return text_; }

 private:
  char text_[256];
};

/// What the nodes of one attach have in common.
struct LocalRoot : RefCounted {
  std::shared_ptr<FileSystems> file_systems;
  int export_fd = -1;  // the exported directory's; the tree's own
  U64 device = 0;      // of the attach's root
  U64 inode = 0;
};

/// The bits of statx(2) that nodes are made from.
inline constexpr U32 kStatxMask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

Rgetattr to_attributes(const struct statx& status, U64 path);
Qid to_qid(const struct statx& status, U64 path);
U64 device_to_wire(U32 major, U32 minor);

class LocalFile final : public File {
 public:
  LocalFile(Descriptor fd, Ref<LocalRoot> root, const FileSystem& fs, bool writable, U64 inode)
      : fd_(std::move(fd)),
        root_(std::move(root)),
        fs_(fs),
        writable_(writable),
        is_root_(fs.device == root_->device && inode == root_->inode),
        inode_(inode) {}

  Task<Result<U32>> read(Context&, std::span<const iovec> to, U64 offset) override;
  Task<Result<U32>> write(Context&, std::span<const iovec> from, U64 offset) override;
  Task<Result<U32>> readdir(Context&, Room room, U64 offset) override;
  Task<Status> sync(Context&, bool data_only) override;

  int fd() const { return fd_.get(); }
  bool writable() const { return writable_; }

 private:
  static constexpr U64 kUnknown = ~U64{0};

  struct ListingEnd {
    LocalFile& file;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) { file.listing_waiters_.push_back(waiter); }
    void await_resume() const {}
  };
  Task<Result<U32>> list(Context&, Room room, U64 offset);
  bool translate(Bytes entries, Room& room, U64& offset);

  Descriptor fd_;
  const Ref<LocalRoot> root_;
  const FileSystem& fs_;
  const bool writable_;
  const bool is_root_;
  const U64 inode_;
  U64 position_ = 0;      // where the directory's descriptor stands
  bool listing_ = false;  // somebody is moving it
  std::vector<std::coroutine_handle<>> listing_waiters_;
};

class LocalNode final : public Node {
 public:
  LocalNode(Descriptor fd, Ref<LocalRoot> root, const FileSystem& fs, const struct statx& status,
            U64 path)
      : fd_(std::move(fd)),
        root_(std::move(root)),
        fs_(fs),
        qid_(to_qid(status, path)),
        type_(status.stx_mode & S_IFMT),
        inode_(status.stx_ino) {}

  Qid qid() const override { return qid_; }
  FileKey key() const override { return {fs_.device, inode_}; }
  Task<Result<Ref<Node>>> walk(Context&, Str name) override;
  Task<Result<Rgetattr>> getattr(Context&, U64 request_mask, File* open) override;
  Task<Status> setattr(Context&, const Tsetattr& to, File* open) override;
  Task<Result<Rstatfs>> statfs(Context&) override;
  Task<Result<std::string>> readlink(Context&) override;
  Task<Result<Ref<File>>> open(Context&, U32 flags) override;
  Task<Result<Created>> create(Context&, Str name, U32 flags, U32 mode, U32 gid) override;
  Task<Result<Qid>> mkdir(Context&, Str name, U32 mode, U32 gid) override;
  Task<Result<Qid>> mknod(Context&, Str name, U32 mode, U32 major, U32 minor, U32 gid) override;
  Task<Result<Qid>> symlink(Context&, Str name, Str target, U32 gid) override;
  Task<Status> link(Context&, Node& file, Str name) override;
  Task<Status> unlink(Context&, Str name, bool directory) override;
  Task<Status> rename(Context&, Str name, Node& to_dir, Str to) override;
  Task<Status> remove_self(Context&) override;
  Task<Status> rename_self(Context&, Node& to_dir, Str to) override;
  Task<Result<std::vector<std::byte>>> getxattr(Context&, Str name) override;
  Task<Result<std::vector<std::byte>>> listxattr(Context&) override;
  Task<Status> setxattr(Context&, Str name, Bytes value, U32 flags) override;
  Task<Status> removexattr(Context&, Str name) override;

  int fd() const { return fd_.get(); }
  U64 inode() const { return inode_; }
  U64 device() const { return fs_.device; }

 private:
  bool is_root() const { return fs_.device == root_->device && inode_ == root_->inode; }
  io::Sleep sleep() const { return fs_.sleep; }
  /// Of a call that has to do with both.
  io::Sleep sleep_with(const Node& other) const {
    return std::max(sleep(), static_cast<const LocalNode&>(other).sleep());
  }

  Task<std::optional<Descriptor>> hold(Context&, const char* name);
  /// The O_PATH descriptor of `name`, one step below.
  Task<Result<Descriptor>> step(Context&, const char* name);
  Task<Result<Descriptor>> open_path(Context&, const char* name, U64 resolve);
  /// A node of that, or of something here that was opened otherwise.
  Task<Result<Ref<Node>>> adopt(Context&, Descriptor fd);
  Task<Result<Ref<Node>>> parent(Context&);
  Task<Result<Qid>> qid_of(Context&, const char* name);
  /// Where this file's present name is: a directory's descriptor and the name in it.
  struct Place;
  Task<Result<Place>> place(Context&);

  const Descriptor fd_;
  const Ref<LocalRoot> root_;
  const FileSystem& fs_;
  Qid qid_;
  const U32 type_;  // S_IFMT
  const U64 inode_;
};

/// Makes a node of an O_PATH descriptor, whose sleep() is how it may be asked for its status.
/// `likely`: the file system that it is on, if nothing else is mounted there.
Task<Result<Ref<LocalNode>>> make_local_node(Context&, Ref<LocalRoot> root, Descriptor fd,
                                             const FileSystem& likely);

}  // namespace ninep::fs
