#include <sys/stat.h>

#include "client/gate.h"
#include "client/tool/place.h"

namespace ninep::tool {
namespace {

using client::error;
using client::File;
using client::is;
using client::Node;

class RemoteSource final : public Source {
 public:
  explicit RemoteSource(File file) : file_(std::move(file)) {}
  Awaitable<Expected<std::size_t>> read(U64 offset, Room into) override {
    return file_.read(offset, into);
  }
  U64 data_from(U64 offset) override { return offset; }

 private:
  File file_;
};

/// A server without extended attributes; what such ones say of that is not agreed upon.
bool has_none(const client::Error& wrong) {
  return is(wrong, EOPNOTSUPP) || is(wrong, ENODATA) || is(wrong, ENOSYS);
}

Change take_owner(Change& from) {
  Change owner;
  owner.uid = std::exchange(from.uid, {});
  owner.gid = std::exchange(from.gid, {});
  return owner;
}

/// The owner first: that takes set-id bits off, and servers do what one request says in an order of
/// their own.
Awaitable<Expected<void>> change_in_turn(Node& file, Change change) {
  if (change.uid && change.mode && (*change.mode & (S_ISUID | S_ISGID))) {
    const auto owned = co_await file.change(take_owner(change));
    NINEP_CO_RETURN_IF_WRONG(owned);
  }
  co_return co_await file.change(change);
}

/// All that can be set; the error is of the first that can't.
Awaitable<Expected<void>> set_them(Node& file, Xattrs xattrs, std::string name) {
  Expected<void> result;
  for (const auto& [attribute, value] : xattrs) {
    auto set = co_await file.set_xattr(attribute, value);
    if (is_unknown(set)) co_return set;
    if (set || !result) continue;
    set.error().doing = "set " + attribute + " of " + name;
    result = set;
  }
  co_return result;
}

class RemoteSink final : public Sink {
 public:
  /// `inherits`: the directory hands an access control list on.
  RemoteSink(Node& directory, File file, std::string part, std::string name, U64 begins_at,
             bool inherits)
      : directory_(directory),
        file_(std::move(file)),
        part_(std::move(part)),
        name_(std::move(name)),
        begins_at_(begins_at),
        inherits_(inherits) {}

  U64 begins_at() const override { return begins_at_; }
  Awaitable<Expected<void>> write(U64 offset, Bytes data) override {
    return file_.write(offset, data);
  }
  Awaitable<Expected<std::optional<client::Error>>> finish(U64 size, Change change,
                                                           std::optional<Xattrs> xattrs) override {
    change.size = size;
    // Another size or owner costs a file its capabilities, which are attributes.
    if (xattrs && !xattrs->empty()) {
      Change first = take_owner(change);
      first.size = std::exchange(change.size, {});
      const auto owned = co_await file_.change(first);
      NINEP_CO_RETURN_IF_WRONG(owned);
    }
    if (xattrs && inherits_ && !has(*xattrs, kAccessList)) {
      const auto removed = co_await file_.remove_xattr(kAccessList);
      if (!removed && !has_none(removed.error())) co_return std::unexpected(removed.error());
    }
    std::optional<client::Error> lacks;
    if (xattrs) {
      const auto set = co_await set_them(file_, std::move(*xattrs), name_);
      if (is_unknown(set)) co_return std::unexpected(set.error());
      if (!set) lacks = set.error();
    }
    const auto changed = co_await change_in_turn(file_, change);
    NINEP_CO_RETURN_IF_WRONG(changed);
    // What could not be written may be known no sooner.
    const auto closed = co_await file_.close();
    NINEP_CO_RETURN_IF_WRONG(closed);
    co_return lacks;
  }
  Awaitable<Expected<void>> take_name() override {
    return directory_.rename(part_, directory_, name_, &file_);
  }
  Awaitable<void> discard() override { (void)co_await directory_.remove(part_); }

 private:
  Node& directory_;
  File file_;
  const std::string part_, name_;
  const U64 begins_at_;
  const bool inherits_;
};

class RemotePlace final : public Place {
 public:
  RemotePlace(Node node, std::shared_ptr<Node> top)
      : node_(std::move(node)), top_(std::move(top)) {}

  // A request carries it; in whole pages, if that costs little.
  std::size_t block() const override {
    constexpr std::size_t kPage = 4096;
    const std::size_t payload = node_.attachment()->payload_max();
    return payload < 8 * kPage ? payload : payload / kPage * kPage;
  }
  std::size_t depth() const override {
    return std::max(node_.attachment()->reads().size(), node_.attachment()->writes().size());
  }
  Identity identity() const override { return {{node_.attachment().get(), 0}, node_.qid().path}; }
  std::string path_of(const std::string& name) const override {
    const std::string in = node_.path();
    return in == "/" ? name : in + "/" + name;
  }

  Awaitable<Expected<std::vector<Found>>> next() override {
    if (!listing_) {
      auto opened = co_await node_.open_directory();
      NINEP_CO_RETURN_IF_WRONG(opened);
      listing_.emplace(std::move(*opened));
    }
    auto entries = co_await listing_->next();
    NINEP_CO_RETURN_IF_WRONG(entries);
    std::vector<Found> some;
    for (client::Entry& entry : *entries)
      some.push_back({std::move(entry.name), entry.type, entry.qid.path});
    if (some.empty()) listing_.reset();
    co_return some;
  }
  Awaitable<Expected<Attributes>> stat(std::string name) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    co_return co_await node->stat();
  }
  Awaitable<Expected<std::unique_ptr<Place>>> enter(std::string name) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    if (!node->is_directory()) co_return error(ENOTDIR, "open " + path_of(name));
    co_return std::make_unique<RemotePlace>(std::move(*node), top_);
  }
  Awaitable<Expected<std::unique_ptr<Source>>> read(std::string name) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    auto file = co_await node->open(lopen::kReadOnly);
    NINEP_CO_RETURN_IF_WRONG(file);
    co_return std::make_unique<RemoteSource>(std::move(*file));
  }
  Awaitable<Expected<std::string>> readlink(std::string name) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    co_return co_await node->readlink();
  }
  Awaitable<Expected<std::optional<Xattrs>>> xattrs(std::string name, bool all) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    constexpr std::size_t kMost = 4 << 20;  // bytes, and some for each name
    constexpr std::size_t kEach = 256;
    Xattrs got;
    const auto names = co_await node->xattrs();
    if (!names && has_none(names.error())) co_return std::optional<Xattrs>();
    NINEP_CO_RETURN_IF_WRONG(names);
    std::size_t size = names->size() * kEach;
    for (const std::string& one : *names) {
      if (!all && !is_of_content(one)) continue;
      if (size > kMost)
        co_return error(E2BIG, "read attributes of " + path_of(name), "there are too many");
      auto value = co_await node->xattr(one);
      if (!value && is(value.error(), ENODATA)) continue;  // it has gone meanwhile
      NINEP_CO_RETURN_IF_WRONG(value);
      size += one.size() + value->size();
      got.emplace_back(one, std::move(*value));
    }
    co_return got;
  }

  Awaitable<Expected<std::unique_ptr<Sink>>> write(std::string name, std::string stamp) override {
    constexpr U32 kHow = lopen::kReadWrite | lopen::kExclusive;
    const auto inherits = co_await hands_list_on();
    NINEP_CO_RETURN_IF_WRONG(inherits);
    Expected<File> file;
    for (unsigned number = 0; number < kPartNames; ++number) {
      const std::string part = part_name(name, stamp, number);
      U64 size = 0;
      file = co_await node_.create(part, kHow, 0600);
      const bool is_in_the_way = !file && (is(file.error(), EEXIST) || is(file.error(), EIO));
      if (is_in_the_way) {
        auto node = co_await node_.walk(part);
        if (!node) co_return std::unexpected(file.error());
        const auto status = co_await node->stat();
        NINEP_CO_RETURN_IF_WRONG(status);
        bool is_own = is_part(*status);
        if (is_own) is_own = co_await is_ours(*status, name, stamp);
        if (is_own) {
          file = co_await node->open(lopen::kReadWrite);
          // Whole it was, but for its name: its mode may be one that nobody writes by.
          if (!file && file.error().fate == client::Fate::kKnown && is(file.error(), EACCES))
            is_own = false;
        }
        if (is_own) {
          NINEP_CO_RETURN_IF_WRONG(file);
          // What was opened, in case that it is another one by now.
          const auto opened = co_await file->stat();
          NINEP_CO_RETURN_IF_WRONG(opened);
          if (opened->attr.qid.path != status->attr.qid.path || !is_part(*opened))
            co_return error(EBUSY, "create " + path_of(part), "somebody else changes it");
          size = opened->attr.size;
        } else {
          const auto removed = co_await node_.remove(part);
          if (!removed) continue;
          file = co_await node_.create(part, kHow, 0600);
        }
      }
      NINEP_CO_RETURN_IF_WRONG(file);
      co_return std::make_unique<RemoteSink>(node_, std::move(*file), part, name,
                                             size - std::min(size, kPartRewind), *inherits);
    }
    co_return std::unexpected(file.error());
  }
  Awaitable<Expected<std::optional<Attributes>>> mkdir(std::string name) override {
    const auto made = co_await node_.mkdir(name, 0700);
    if (made) co_return std::optional<Attributes>();
    auto status = co_await stat(name);
    if (!status || !status->is_directory()) co_return std::unexpected(made.error());
    co_return std::move(*status);
  }
  Awaitable<Expected<void>> symlink(std::string name, std::string target) override {
    const auto made = co_await node_.symlink(name, target);
    NINEP_CO_RETURN_IF_WRONG(made);
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> mknod(std::string name, U32 mode, U64 rdev) override {
    const auto made = co_await node_.mknod(name, mode, rdev);
    NINEP_CO_RETURN_IF_WRONG(made);
    co_return Expected<void>();
  }
  Awaitable<Expected<void>> link(std::string name, std::string other) override {
    auto file = co_await top_->walk(other);
    NINEP_CO_RETURN_IF_WRONG(file);
    co_return co_await node_.link(name, *file);
  }
  Awaitable<Expected<void>> rename(std::string name, std::string to_name) override {
    auto file = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(file);
    co_return co_await node_.rename(name, node_, to_name, &*file);
  }
  Awaitable<Expected<void>> remove(std::string name, bool is_directory,
                                   std::optional<U64> number) override {
    return node_.remove(name, is_directory, number);
  }
  Awaitable<Expected<void>> change(std::string name, Change change) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    co_return co_await change_in_turn(*node, change);
  }
  Awaitable<Expected<void>> set_xattrs(std::string name, Xattrs xattrs) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    co_return co_await set_them(*node, std::move(xattrs), name);
  }
  Awaitable<Expected<void>> remove_xattr(std::string name, std::string xattr) override {
    auto node = co_await node_.walk(name);
    NINEP_CO_RETURN_IF_WRONG(node);
    co_return co_await node->remove_xattr(xattr);
  }

 private:
  /// Whether files that are made here are of the same user: a server may take all for one.
  Awaitable<bool> is_ours(const Attributes& is, std::string name, std::string stamp) {
    if (is.has(getattr::kUid) && is.attr.uid == node_.attachment()->options().user.uid)
      co_return true;
    if (!owner_) {
      const std::string probe = part_name(name, stamp, kPartNames);
      constexpr U32 kHow = lopen::kReadWrite | lopen::kExclusive;
      auto file = co_await node_.create(probe, kHow, 0600);
      if (!file) co_return false;
      auto made = co_await file->stat();
      if (made) owner_ = std::move(*made);
      (void)co_await node_.remove(probe);
    }
    const bool is_same = owner_ && is.has(getattr::kUid) == owner_->has(getattr::kUid) &&
                         is.attr.uid == owner_->attr.uid && is.user == owner_->user;
    co_return is_same;
  }

  /// Asked once, however many files are made at once.
  Awaitable<Expected<bool>> hands_list_on() {
    if (inherits_) co_return *inherits_;
    if (!co_await asking_.enter()) co_return error(ECANCELED, "create");
    const client::Turn turn(asking_);
    if (!inherits_) {
      const auto list = co_await node_.xattr(kDefaultList);
      if (!list && !client::says_no(list.error())) co_return std::unexpected(list.error());
      inherits_ = list.has_value();
    }
    co_return *inherits_;
  }

  Node node_;
  client::Gate asking_{node_.attachment()->executor(), 1};
  std::optional<Attributes> owner_;  // of what is made here
  std::optional<bool> inherits_;     // whether that gets an access control list
  const std::shared_ptr<Node> top_;
  std::optional<client::Directory> listing_;
};

}  // namespace

Awaitable<Expected<std::unique_ptr<Place>>> remote_place(client::Node directory) {
  auto top = co_await directory.walk("");
  NINEP_CO_RETURN_IF_WRONG(top);
  co_return std::make_unique<RemotePlace>(std::move(directory),
                                          std::make_shared<Node>(std::move(*top)));
}

}  // namespace ninep::tool
