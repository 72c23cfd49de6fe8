#include "client/client.h"

#include <algorithm>

#include <unistd.h>

namespace ninep::client {
namespace {

std::vector<std::string> split(Str path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const Str name = path.substr(0, end);
    if (!name.empty() && name != ".") names.emplace_back(name);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return names;
}

/// Where a look says that something was done, or was not.
using Done = Expected<bool>;

asio::awaitable<Done> is_gone(Operations& operations, Fid directory, std::string name,
                              std::optional<U64> path) {
  const auto found = co_await operations.find(directory, name);
  NINEP_CO_RETURN_IF_WRONG(found);
  if (!*found) co_return error(ENOENT, "look for " + name, "it isn't there now");
  if (!path || (*found)->path != *path)
    co_return error(EEXIST, "look for " + name, "another one may have that name now");
  co_return false;
}

asio::awaitable<Done> is_linked(Operations& operations, Fid directory, std::string name, U64 path) {
  const auto found = co_await operations.find(directory, name);
  NINEP_CO_RETURN_IF_WRONG(found);
  if (!*found) co_return false;
  if ((*found)->path == path) co_return true;
  co_return error(EEXIST, "look for " + name, "another file has that name");
}

asio::awaitable<Done> is_renamed(Operations& operations, Fid from, std::string name, Fid to,
                                 std::string to_name, std::optional<U64> path) {
  const auto before = co_await operations.find(from, name);
  NINEP_CO_RETURN_IF_WRONG(before);
  if (*before && path && (*before)->path == *path) co_return false;
  const auto after = co_await operations.find(to, to_name);
  NINEP_CO_RETURN_IF_WRONG(after);
  // Others may have moved it there, and what has its name now is what was meant.
  if (!*before && path && *after && (*after)->path == *path) co_return true;
  co_return error(*after ? EEXIST : ENOENT, "look for " + to_name,
                  *after ? "it is there now" : "it isn't there");
}

asio::awaitable<Done> has_value(Operations& operations, Fid fid, std::string name,
                                std::string value, U32 flags) {
  const auto is = co_await operations.read_xattr(fid, name);
  if (!is && client::is(is.error(), ENODATA)) co_return false;
  NINEP_CO_RETURN_IF_WRONG(is);
  if (*is != value) co_return false;
  if (flags & kXattrCreate) co_return error(EEXIST, "read " + name, "it has that value now");
  co_return true;
}

asio::awaitable<Done> has_no_value(Operations& operations, Fid fid, std::string name) {
  const auto is = co_await operations.read_xattr(fid, name);
  NINEP_CO_RETURN_IF_WRONG(is);
  co_return false;
}

asio::awaitable<Expected<Stream>> given(std::shared_ptr<Stream> stream) {
  co_return std::move(*stream);
}

}  // namespace

// ------------------------------------------------------------------ Node

std::string Node::path_of(Str name) const {
  if (name.empty()) return path();
  const std::string in = path();
  return in == "/" ? std::string(name) : in + "/" + std::string(name);
}

asio::awaitable<Expected<Node>> Node::walk(std::string path) {
  auto walked = co_await attachment_->walk(*handle_, split(path));
  if (!walked) co_return told(Expected<Node>(std::unexpected(walked.error())), "find", path);
  co_return Node(attachment_, std::move(*walked));
}

asio::awaitable<Expected<Attributes>> Node::stat() {
  co_return told(co_await attachment_->stat(*handle_), "stat");
}

asio::awaitable<Expected<void>> Node::altering(Change change) {
  // A file's size is its content, which may be another's by now.
  const auto set = [&](Operations& o, Fid fid) {
    auto changing = o.change(fid, change);
    return change.size ? attachment_->under_locks(*handle_, o, std::move(changing), true)
                       : std::move(changing);
  };
  // A size is content: of what was found again that has to be the same file.
  if (change.size && attachment_->wants_identity(*handle_))
    co_await attachment_->identify(*handle_);
  const auto look = [&](Operations& o, Fid fid) {
    return change.size ? attachment_->is_the_same<bool>(*handle_) : may_be_repeated<bool>(o, fid);
  };
  co_return told(co_await attachment_->once(*handle_, set, look), "change");
}

asio::awaitable<Expected<std::string>> Node::readlink() {
  co_return told(co_await attachment_->repeat(
                     *handle_, [](Operations& o, Fid fid) { return o.readlink(fid); }),
                 "readlink");
}

asio::awaitable<Expected<Rstatfs>> Node::statfs() {
  co_return told(
      co_await attachment_->repeat(*handle_, [](Operations& o, Fid fid) { return o.statfs(fid); }),
      "statfs");
}

template <class Open>
asio::awaitable<Expected<Open>> Node::opening(U32 flags) {
  auto handle = co_await attachment_->another(*handle_);
  Expected<void> opened;
  if (handle)
    opened = co_await attachment_->open(**handle, flags);
  else
    opened = std::unexpected(handle.error());
  if (!opened) co_return told(Expected<Open>(std::unexpected(opened.error())), "open");
  co_return Open(attachment_, std::move(*handle));
}

asio::awaitable<Expected<File>> Node::opening_itself(U32 flags) {
  const auto opened = co_await attachment_->open(*handle_, flags);
  if (!opened) co_return told(Expected<File>(std::unexpected(opened.error())), "open");
  co_return File(std::move(attachment_), std::move(handle_));
}

asio::awaitable<Expected<File>> Node::open_itself(U32 flags) {
  return told_by_result(opening_itself(flags));
}

asio::awaitable<Expected<File>> Node::open(U32 flags) {
  return told_by_result(opening<File>(flags));
}

asio::awaitable<Expected<Directory>> Node::open_directory() {
  return told_by_result(opening<Directory>(lopen::kReadOnly | lopen::kDirectory));
}

asio::awaitable<Expected<File>> Node::create(std::string name, U32 flags, U32 mode,
                                             std::optional<U32> gid) {
  return told_by_result(creating(std::move(name), flags, mode, gid));
}

asio::awaitable<Expected<File>> Node::creating(std::string name, U32 flags, U32 mode,
                                               std::optional<U32> gid) {
  auto handle = co_await attachment_->another(*handle_);
  Expected<void> created;
  if (handle)
    created = co_await attachment_->create(**handle, name, flags, mode, gid.value_or(::getegid()));
  else
    created = std::unexpected(handle.error());
  if (!created) co_return told(Expected<File>(std::unexpected(created.error())), "create", name);
  co_return File(attachment_, std::move(*handle));
}

asio::awaitable<Expected<Qid>> Node::mkdir(std::string name, U32 mode, std::optional<U32> gid) {
  const auto make = [&](Operations& o, Fid fid) {
    return o.mkdir(fid, name, mode, gid.value_or(::getegid()));
  };
  const auto look = [&](Operations& o, Fid fid) { return is_absent<Qid>(o, fid, name); };
  const auto made = co_await attachment_->once(*handle_, make, look);
  if (made) is_new(name, made->path);
  co_return told(made, "mkdir", name);
}

asio::awaitable<Expected<Qid>> Node::symlink(std::string name, std::string target,
                                             std::optional<U32> gid) {
  const auto make = [&](Operations& o, Fid fid) {
    return o.symlink(fid, name, target, gid.value_or(::getegid()));
  };
  const auto look = [&](Operations& o, Fid fid) { return is_absent<Qid>(o, fid, name); };
  const auto made = co_await attachment_->once(*handle_, make, look);
  if (made) is_new(name, made->path);
  co_return told(made, "symlink", name);
}

asio::awaitable<Expected<Qid>> Node::mknod(std::string name, U32 mode, U64 rdev,
                                           std::optional<U32> gid) {
  const auto make = [&](Operations& o, Fid fid) {
    return o.mknod(fid, name, mode, rdev, gid.value_or(::getegid()));
  };
  const auto look = [&](Operations& o, Fid fid) { return is_absent<Qid>(o, fid, name); };
  const auto made = co_await attachment_->once(*handle_, make, look);
  if (made) is_new(name, made->path);
  co_return told(made, "mknod", name);
}

asio::awaitable<Expected<void>> Node::link(std::string name, Node& file) {
  const auto link = [&](Operations& o, Fid fid) { return o.link(fid, name, file.handle_->fid()); };
  const auto look = [&](Operations& o, Fid fid) {
    return is_linked(o, fid, name, file.qid().path);
  };
  const auto linked = co_await attachment_->once(*handle_, link, look, file.handle_.get());
  if (linked) is_new(name, file.qid().path);
  co_return told(linked, "link", name);
}

asio::awaitable<Expected<void>> Node::remove(std::string name, bool is_directory,
                                             std::optional<U64> number) {
  return told_by_result(removing(std::move(name), is_directory, number));
}

asio::awaitable<Expected<void>> Node::removing(std::string name, bool is_directory,
                                               std::optional<U64> number) {
  const auto path = co_await number_of(name, number);
  if (!path) co_return told(Expected<void>(std::unexpected(path.error())), "remove", name);
  const auto remove = [&](Operations& o, Fid fid) { return o.remove(fid, name, is_directory); };
  const auto look = [&](Operations& o, Fid fid) { return is_gone(o, fid, name, *path); };
  const auto removed = co_await attachment_->once(*handle_, remove, look);
  if (removed) Names::removed(handle_->place(), name);
  co_return told(removed, "remove", name);
}

void Node::is_new(const std::string& name, U64 number) const {
  const auto known = Names::number(handle_->place(), name);
  if (known && *known != number) Names::removed(handle_->place(), name);
}

// What the caller doesn't know is asked for, while it can be.
asio::awaitable<Expected<std::optional<U64>>> Node::number_of(const std::string& name,
                                                              std::optional<U64> number) {
  if (!number) number = Names::number(handle_->place(), name);
  if (number || !attachment_->goes_on() || !is_name(name)) co_return number;
  const auto find = [&](Operations& o, Fid fid) { return o.find(fid, name); };
  const auto found = co_await attachment_->repeat(*handle_, find);
  if (!found && (found.error().fate != Fate::kKnown || is_given_up(found.error())))
    co_return std::unexpected(found.error());
  if (found && *found) number = (*found)->path;
  co_return number;
}

asio::awaitable<Expected<void>> Node::rename(std::string name, Node& to, std::string to_name,
                                             const Node* what) {
  return told_by_result(renaming(std::move(name), to, std::move(to_name), what));
}

asio::awaitable<Expected<void>> Node::renaming(std::string name, Node& to, std::string to_name,
                                               const Node* what) {
  const auto rename = [&](Operations& o, Fid fid) {
    return o.rename(fid, name, to.handle_->fid(), to_name);
  };
  const auto given = what ? std::optional(what->qid().path) : std::nullopt;
  const auto path = co_await number_of(name, given);
  if (!path) co_return told(Expected<void>(std::unexpected(path.error())), "rename", name);
  const auto look = [&](Operations& o, Fid fid) {
    return is_renamed(o, fid, name, to.handle_->fid(), to_name, *path);
  };
  const auto renamed = co_await attachment_->once(*handle_, rename, look, to.handle_.get());
  if (renamed) Names::renamed(handle_->place(), name, to.handle_->place(), to_name);
  co_return told(renamed, "rename", name);
}

asio::awaitable<Expected<std::string>> Node::xattr(std::string name) {
  co_return told(co_await attachment_->repeat(
                     *handle_, [&](Operations& o, Fid fid) { return o.read_xattr(fid, name); }),
                 "read an attribute of");
}

asio::awaitable<Expected<std::vector<std::string>>> Node::xattrs() {
  const auto list = co_await xattr("");
  NINEP_CO_RETURN_IF_WRONG(list);
  std::vector<std::string> names;
  for (Str rest = *list; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    if (end > 0) names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  co_return names;
}

asio::awaitable<Expected<void>> Node::set_xattr(std::string name, std::string value, U32 flags) {
  return told_by_result(setting_xattr(std::move(name), std::move(value), flags));
}

asio::awaitable<Expected<void>> Node::setting_xattr(std::string name, std::string value,
                                                    U32 flags) {
  // To replace it by nothing is the message that removes it.
  if (value.empty() && (flags & kXattrReplace) != 0) {
    const auto is = co_await xattr(name);
    NINEP_CO_RETURN_IF_WRONG(is);
    flags &= ~kXattrReplace;
  }
  const auto set = [&](Operations& o, Fid fid) { return o.write_xattr(fid, name, value, flags); };
  const auto look = [&](Operations& o, Fid fid) { return has_value(o, fid, name, value, flags); };
  co_return told(co_await attachment_->once(*handle_, set, look), "set an attribute of");
}

asio::awaitable<Expected<void>> Node::remove_xattr(std::string name) {
  const auto remove = [&](Operations& o, Fid fid) { return o.remove_xattr(fid, name); };
  const auto look = [&](Operations& o, Fid fid) { return has_no_value(o, fid, name); };
  co_return told(co_await attachment_->once(*handle_, remove, look), "remove an attribute of");
}

asio::awaitable<Expected<void>> Node::close() {
  co_return told(co_await attachment_->close(*handle_), "close");
}

// ------------------------------------------------------------------ Directory

asio::awaitable<Expected<std::vector<Entry>>> Directory::next() {
  auto entries = co_await attachment_->repeat(
      *handle_, [this](Operations& o, Fid fid) { return o.readdir(fid, offset_); });
  if (entries && !entries->empty()) {
    const U64 end = entries->back().offset;
    if (end == offset_ || seen_ == end) entries = error(EPROTO, "", "it doesn't go on");
    offset_ = end;
    if (!seen_ || ++kept_ == keep_) {
      seen_ = end;
      kept_ = 0;
      keep_ *= 2;
    }
  }
  co_return told(std::move(entries), "read directory");
}

asio::awaitable<Expected<void>> Directory::fsync() {
  co_return told(co_await attachment_->repeat(
                     *handle_, [](Operations& o, Fid fid) { return o.fsync(fid, false); }),
                 "fsync");
}

// ------------------------------------------------------------------ Client

asio::awaitable<Expected<Client>> Client::make(Attachment::Connect connect, bool again,
                                               Options options) {
  return told_by_result(making(std::move(connect), again, std::move(options)));
}

asio::awaitable<Expected<Client>> Client::making(Attachment::Connect connect, bool again,
                                                 Options options) {
  auto made = co_await Attachment::make(std::move(connect), again, std::move(options));
  NINEP_CO_RETURN_IF_WRONG(made);
  auto root = co_await (*made)->root();
  NINEP_CO_RETURN_IF_WRONG(root);
  co_return Client(Node(*made, std::move(*root)));
}

asio::awaitable<Expected<Client>> Client::connect(transport::Address address, Options options) {
  using Kind = transport::Address::Kind;
  const bool again = address.kind != Kind::kFd && address.kind != Kind::kStdio;
  return make([address](auto patience) { return Stream::connect(address, patience); }, again,
              std::move(options));
}

asio::awaitable<Expected<Client>> Client::connect(std::string address, Options options) {
  auto parsed = transport::Address::parse(address);
  if (!parsed.ok())
    co_return error(EINVAL, "connect to " + address, std::string(parsed.status().message()));
  co_return co_await connect(*std::move(parsed), std::move(options));
}

asio::awaitable<Expected<Client>> Client::on(Stream stream, Options options) {
  // A Connect is copied, a stream can't be.
  const auto kept = std::make_shared<Stream>(std::move(stream));
  return make([kept](auto) { return given(kept); }, false, std::move(options));
}

}  // namespace ninep::client
