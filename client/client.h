// Client, Node, File, Directory: a server's files, for programs. Coroutines (asio::awaitable);
// client/blocking.h has the same names for programs that wait.
//
// All of one Client's live on its executor, which runs no two of its handlers at once; any number
// of calls may be under way, on one object too. An object that is called stays until the call
// returns. Their destructors wait for nothing: the server is told on the way.
//
// Errors say what was being done and to which file (Error::text()). Of the connection: ECONNRESET
// and the like, if it is not to be made again; ETIMEDOUT: the server doesn't answer, or hasn't come
// back; ESTALE: the file is not to be found again on a new connection; EIO: a request was lost with
// its connection, and nobody knows whether it was done; ECANCELED: the caller was cancelled (the
// server was told: flush(5)). EOPNOTSUPP: the dialect has no way to do it; EBADF: it was closed;
// EINVAL: what is no file's name; EMFILE: Options::fids_max. All else is the server's.
//
// What is given back is owned; Room and Bytes are the caller's, and stay until the call returns.
// Offsets and sizes are bytes. Source: section 5 of Plan 9's manual, and
// docs/protocol.md for .u and .L.
#pragma once

#include "client/attachment.h"

namespace ninep::client {

class Directory;
class File;

/// A file, not open: a fid that was walked to. One that was moved from or made of nothing is none:
/// it may be assigned to and goes, and is asked nothing.
class Node {
 public:
  Node() = default;  // none; to be assigned to
  explicit Node(std::shared_ptr<Attachment> attachment, HandleRef handle)
      : attachment_(std::move(attachment)), handle_(std::move(handle)) {}

  const Qid& qid() const { return handle_->qid(); }
  /// From the root, for people: "a/b"; "/" is the root.
  std::string path() const { return handle_->place().text(); }
  bool is_directory() const { return (qid().type & kQtDir) != 0; }
  bool is_symlink() const { return (qid().type & kQtSymlink) != 0; }

  /// `path`: names between "/"; ".." is the directory above, and never above the root. Symbolic
  /// links are not followed. Empty: this file, once more.
  asio::awaitable<Expected<Node>> walk(std::string path);
  asio::awaitable<Expected<Attributes>> stat();
  /// EIO of a size: a lock on the file was lost (File::has_its_locks()).
  asio::awaitable<Expected<void>> change(Change change) {
    return told_by_result(altering(std::move(change)));
  }
  /// As the link has it, which may be any text.
  asio::awaitable<Expected<std::string>> readlink();
  asio::awaitable<Expected<Rstatfs>> statfs();
  /// `flags`: ninep::lopen; the node stays.
  asio::awaitable<Expected<File>> open(U32 flags);
  asio::awaitable<Expected<Directory>> open_directory();
  /// open() with this fid itself: the node is none from then on.
  asio::awaitable<Expected<File>> open_itself(U32 flags);

  // In this directory. `name`: one name. `mode`: permissions. What is made belongs to `gid`, by
  // default the caller's effective group, where the dialect says groups.

  /// `flags`: ninep::lopen; without lopen::kExclusive a file that is there is opened, in .L.
  asio::awaitable<Expected<File>> create(std::string name, U32 flags, U32 mode,
                                         std::optional<U32> gid = {});
  asio::awaitable<Expected<Qid>> mkdir(std::string name, U32 mode, std::optional<U32> gid = {});
  asio::awaitable<Expected<Qid>> symlink(std::string name, std::string target,
                                         std::optional<U32> gid = {});
  /// `mode` with the file's type; `rdev`: makedev(3).
  asio::awaitable<Expected<Qid>> mknod(std::string name, U32 mode, U64 rdev,
                                       std::optional<U32> gid = {});
  /// `file`: of the same Client, here and of rename(); otherwise EXDEV.
  asio::awaitable<Expected<void>> link(std::string name, Node& file);
  /// `number`: the file's qid.path, by which a request that was lost with its connection can be
  /// told from one that was not done. If the caller doesn't know it, nor has a Node of the file,
  /// the server is asked first, here and of rename().
  asio::awaitable<Expected<void>> remove(std::string name, bool is_directory = false,
                                         std::optional<U64> number = {});
  /// What has that name there is gone. `what`: the file that is renamed, if the caller has it.
  asio::awaitable<Expected<void>> rename(std::string name, Node& to, std::string to_name,
                                         const Node* what = nullptr);

  // Extended attributes. Errors: ENODATA; EEXIST, ENODATA by `flags` (XATTR_CREATE, XATTR_REPLACE).
  asio::awaitable<Expected<std::vector<std::string>>> xattrs();
  asio::awaitable<Expected<std::string>> xattr(std::string name);
  asio::awaitable<Expected<void>> set_xattr(std::string name, std::string value, U32 flags = 0);
  asio::awaitable<Expected<void>> remove_xattr(std::string name);

  /// Tells the server now, and what it says of it: of a file that was written, that is when a
  /// server may know that it didn't work.
  asio::awaitable<Expected<void>> close();
  /// `same` is this file too, and what tells it from others is known of that.
  void learn_from(const Node& same) { attachment_->learn(*handle_, *same.handle_); }
  /// The server may have its fid back until the node is used again, which finds the file by its
  /// name as after a lost connection. Nothing, where it has no name any more. Not of what is open,
  /// nor with a call under way.
  void rest() { attachment_->rest(*handle_); }

  const std::shared_ptr<Attachment>& attachment() const { return attachment_; }

 protected:
  /// An error of ours says what was done to which file.
  template <class T>
  Expected<T> told(Expected<T> result, const char* doing, Str name = {}) const {
    if (!result) result.error().doing = std::string(doing) + " " + path_of(name);
    return result;
  }
  std::string path_of(Str name) const;
  asio::awaitable<Expected<void>> altering(Change change);
  /// None: it isn't there, as far as the server tells.
  asio::awaitable<Expected<std::optional<U64>>> number_of(const std::string& name,
                                                          std::optional<U64> number);
  asio::awaitable<Expected<void>> removing(std::string name, bool is_directory,
                                           std::optional<U64> number);
  asio::awaitable<Expected<void>> renaming(std::string name, Node& to, std::string to_name,
                                           const Node* what);
  /// What `name` was before, if it was another one, is no more.
  void is_new(const std::string& name, U64 number) const;
  asio::awaitable<Expected<void>> setting_xattr(std::string name, std::string value, U32 flags);
  /// An open file or directory.
  template <class Open>
  asio::awaitable<Expected<Open>> opening(U32 flags);
  asio::awaitable<Expected<File>> opening_itself(U32 flags);
  asio::awaitable<Expected<File>> creating(std::string name, U32 flags, U32 mode,
                                           std::optional<U32> gid);

  std::shared_ptr<Attachment> attachment_;
  HandleRef handle_;
};

/// An open file.
class File : public Node {
 public:
  using Node::Node;

  /// Bytes that one request carries.
  U32 iounit() const { return handle_->opened().iounit; }

  /// Fills `into`, with several requests at once where it is larger than one's. Bytes read: fewer
  /// only at the end of the file.
  asio::awaitable<Expected<std::size_t>> read(U64 offset, Room into) {
    return told_by_result(reading(offset, into));
  }
  /// All of `data`, with several requests at once. Where one fails nothing is said of the others.
  /// Of a file that was opened with lopen::kAppend: append().
  asio::awaitable<Expected<void>> write(U64 offset, Bytes data) {
    return told_by_result(writing(offset, data));
  }
  /// At the end of a file that was opened with lopen::kAppend; one call at a time. Where it fails
  /// some requests' worth may be there. Lost with its connection it is told by the file's size and
  /// end: not surely, where others append the same just then. EOPNOTSUPP: in
  /// the older dialects of a file that isn't append-only for everybody (kQtAppend; stat(5)).
  asio::awaitable<Expected<void>> append(Bytes data) { return told_by_result(appending(data)); }
  /// `data_only`: as fdatasync(2). In the older dialects a Twstat that changes nothing (stat(5)).
  asio::awaitable<Expected<void>> fsync(bool data_only = false);

  /// False: another one has it. `wait`: until it is there; the caller may be cancelled.
  asio::awaitable<Expected<bool>> lock(Lock lock, bool wait) {
    return told_by_result(locking(std::move(lock), wait));
  }
  /// `lock`: its owner and range; what it has of that, by whichever File. Behind requests to write
  /// to the file that are under way, also those of calls that were cancelled; what a write() has
  /// yet to ask for comes later. It isn't cancelled: the next call is. A lock() of the same owner
  /// that is under way is not given up: what waits for it is cancelled instead.
  asio::awaitable<Expected<void>> unlock(Lock lock);
  /// Whether it has, or had, locks of anybody's.
  bool has_locks() const { return handle_->has_locks(); }
  /// EIO: one that this or another File of the client's had on it was lost with a connection, and
  /// somebody else has had it since; until it is unlocked. Known as soon as the server is there
  /// again.
  Expected<void> has_its_locks() const { return attachment_->has_its_locks(*handle_); }
  /// What is in the way of `lock`; of type lock::kUnlock: nothing.
  asio::awaitable<Expected<Lock>> test_lock(Lock lock);

 private:
  asio::awaitable<Expected<std::size_t>> reading(U64 offset, Room into);
  asio::awaitable<Expected<void>> writing(U64 offset, Bytes data);
  asio::awaitable<Expected<void>> appending(Bytes data);
  asio::awaitable<Expected<bool>> locking(Lock lock, bool wait);
  asio::awaitable<Expected<U32>> read_one(U64 offset, Room into);
  asio::awaitable<Expected<U32>> write_one(U64 offset, Bytes data);
  asio::awaitable<Expected<std::optional<U32>>> is_appended(U64 before, Bytes data);
  bool is_append_only() const;
};

/// An open directory.
class Directory : public Node {
 public:
  using Node::Node;

  /// The next of its entries; none: the end. One call at a time.
  asio::awaitable<Expected<std::vector<Entry>>> next();
  /// Goes on behind the entry of that offset; 0: from the start.
  void seek(U64 offset) {
    offset_ = offset;
    seen_.reset();
  }
  asio::awaitable<Expected<void>> fsync();

 private:
  U64 offset_ = 0;
  // Whether it goes round: one of the offsets so far, and how many calls more it is kept for.
  std::optional<U64> seen_;
  U32 kept_ = 0, keep_ = 1;
};

/// A connection to a server, and the tree that it gives.
class Client {
 public:
  /// `address`: transports/address.h. A connection to fd: and stdio: is not made again.
  static asio::awaitable<Expected<Client>> connect(transport::Address address, Options options);
  static asio::awaitable<Expected<Client>> connect(std::string address, Options options);
  /// On a connection that is there, of the caller's executor. It is not made again.
  static asio::awaitable<Expected<Client>> on(Stream stream, Options options);

  Client() = default;  // none; to be assigned to
  Node& root() { return root_; }
  /// As agreed on the last connection.
  Dialects dialect() const { return root_.attachment()->dialect(); }
  const std::shared_ptr<Attachment>& attachment() const { return root_.attachment(); }

 private:
  explicit Client(Node root) : root_(std::move(root)) {}
  static asio::awaitable<Expected<Client>> make(Attachment::Connect connect, bool again,
                                                Options options);
  static asio::awaitable<Expected<Client>> making(Attachment::Connect connect, bool again,
                                                  Options options);
  Node root_;
};

}  // namespace ninep::client
