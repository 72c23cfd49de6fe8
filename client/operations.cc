#include "client/operations.h"

#include <algorithm>
#include <array>

#include <pwd.h>

#include "client/operations_dotl.h"
#include "client/operations_old.h"

namespace ninep::client {

Expected<Fid> FidNumbers::take() {
  if (free_.size() > kResting || (next_ >= max_ && !free_.empty())) {
    const Fid fid{free_.front()};
    free_.pop_front();
    return fid;
  }
  if (next_ >= max_) return error(EMFILE, "take a fid", "too many files are in use");
  return Fid{next_++};
}

bool is_name(Str name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == Str::npos &&
         name.find('\0') == Str::npos;
}

std::shared_ptr<Operations> Operations::make(std::shared_ptr<Session> session,
                                             std::shared_ptr<FidNumbers> fids) {
  if (session->dialect() == kDotL)
    return std::make_shared<OperationsDotL>(std::move(session), std::move(fids));
  return std::make_shared<OperationsOld>(std::move(session), std::move(fids));
}

namespace {
std::string name_of(U32 uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> room;
  ::getpwuid_r(uid, &entry, room.data(), room.size(), &found);
  return found ? found->pw_name : "";
}
}  // namespace

// 9P2000 has no numbers of users.
asio::awaitable<Expected<Qid>> Operations::attach(Fid fid, const User& user,
                                                  std::chrono::milliseconds patience) {
  std::string uname = user.uname;
  if (uname.empty() && dialect() == k9P2000) uname = name_of(user.uid);
  const auto attached = co_await call(Tattach{fid, kNoFid, uname, user.aname, user.uid}, patience);
  NINEP_CO_RETURN_IF_WRONG(attached);
  co_return (*attached)->qid;
}

// ------------------------------------------------------------------ walk(5)

/// How many of them fit into one message; at least one, if there is one.
std::size_t Operations::names_in_one(std::span<const std::string> names) const {
  std::size_t size = kHeaderSize + 2 * sizeof(Fid) + sizeof(U16);
  std::size_t count = 0;
  while (count < names.size() && count < kWalkNamesMax) {
    size += sizeof(U16) + names[count].size();
    if (count > 0 && size > session_->msize()) break;
    ++count;
  }
  return count;
}

asio::awaitable<Expected<Rwalk>> Operations::walk_some(Fid from, Fid to,
                                                       std::span<const std::string> names) {
  Twalk request{from, to, Names()};
  for (const std::string& name : names) request.wname.push_back(name);
  const auto walked = co_await call(request);
  NINEP_CO_RETURN_IF_WRONG(walked);
  const Rwalk& reply = **walked;
  if (reply.wqid.size() > names.size())
    co_return error(EPROTO, "Twalk", "the server went farther than it was asked to");
  co_return reply;
}

asio::awaitable<Expected<Qid>> Operations::walk(Fid from, Fid to, std::vector<std::string> names) {
  const std::span<const std::string> all(names);
  Qid qid{};
  std::size_t done = 0;
  bool is_there = false;  // `to` is the server's by now
  Error wrong;
  do {
    const auto part = all.subspan(done, names_in_one(all.subspan(done)));
    const auto walked = co_await walk_some(is_there ? to : from, to, part);
    if (!walked) {
      wrong = walked.error();
      is_there = is_there || is_given_up(wrong);
      break;
    }
    const std::size_t reached = walked->wqid.size();
    if (reached < part.size()) {
      wrong = co_await why_not(is_there ? to : from, part.first(reached), part[reached]);
      break;
    }
    is_there = true;
    done += reached;
    if (reached > 0) qid = walked->wqid[reached - 1];
    if (done == all.size()) co_return qid;
  } while (true);
  if (is_there) (void)co_await clunk(to);
  co_return std::unexpected(std::move(wrong));
}

// "If the first element cannot be walked for any reason, Rerror is returned. Otherwise, the walk
// will return an Rwalk message containing nwqid qids": why it went no farther is not said.
asio::awaitable<Error> Operations::why_not(Fid from, std::span<const std::string> reached,
                                           const std::string& next) {
  Error wrong{Errno{ENOENT}, "Twalk", ""};
  const auto spare = fids_->take();
  if (!spare) co_return spare.error();
  const auto again = co_await walk_some(from, *spare, reached);
  if (!again) wrong = again.error();
  if (!again && is_given_up(again.error())) (void)co_await clunk(*spare);
  if (again && again->wqid.size() == reached.size()) {
    const auto one = co_await walk_some(*spare, *spare, std::span(&next, 1));
    if (!one) wrong = one.error();
    (void)co_await clunk(*spare);
  }
  fids_->give_back(*spare);
  co_return wrong;
}

asio::awaitable<Expected<std::optional<Qid>>> Operations::find(Fid directory, std::string name) {
  using Found = Expected<std::optional<Qid>>;
  const auto spare = fids_->take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked =
      co_await walk(directory, *spare, std::vector<std::string>(1, std::move(name)));
  if (walked) (void)co_await clunk(*spare);
  fids_->give_back(*spare);
  if (walked) co_return Found(*walked);
  if (is(walked.error(), ENOENT)) co_return Found(std::optional<Qid>());
  co_return std::unexpected(walked.error());
}

// ------------------------------------------------------------------ read(5), clunk(5)

asio::awaitable<Expected<U32>> Operations::read(Fid fid, U64 offset, Room into) {
  return session_->read(fid, offset, into);
}

asio::awaitable<Expected<U32>> Operations::write(Fid fid, U64 offset, Bytes data) {
  // A file that was found again may be on a connection with smaller messages.
  data = data.first(std::min<std::size_t>(data.size(), session_->payload_max()));
  const auto written = co_await call(Twrite{fid, offset, data});
  NINEP_CO_RETURN_IF_WRONG(written);
  const U32 count = (*written)->count;
  if (count > data.size()) co_return error(EPROTO, "Twrite", "more was written than was sent");
  co_return count;
}

asio::awaitable<Expected<void>> Operations::clunk(Fid fid) {
  auto clunked = co_await call(Tclunk{fid});
  // Given up, it may be there still.
  if (!clunked && is(clunked.error(), ETIMEDOUT) && !session_->lost())
    clunked = co_await call(Tclunk{fid});
  if (!clunked && is(clunked.error(), EBADF))
    co_return error(EIO, "Tclunk", "it was done, and it is not known what came of it");
  NINEP_CO_RETURN_IF_WRONG(clunked);
  co_return Expected<void>();
}

// ------------------------------------------------------------------ remove(5)

// "It is correct to consider remove to be a clunk with the side effect of removing the file". It
// takes files and directories alike.
asio::awaitable<Expected<void>> Operations::remove_by_fid(Fid directory, std::string name,
                                                          bool is_directory) {
  const auto spare = fids_->take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(directory, *spare, std::vector<std::string>(1, name));
  if (!walked) {
    fids_->give_back(*spare);
    co_return std::unexpected(walked.error());
  }
  Expected<void> result;
  bool is_gone = false;
  if (((walked->type & kQtDir) != 0) != is_directory) {
    result = error(is_directory ? ENOTDIR : EISDIR, "Tremove");
  } else {
    const auto removed = co_await call(Tremove{*spare});
    if (!removed) result = std::unexpected(removed.error());
    // It clunks, whatever comes of it, once the server has it.
    const bool may_be_there =
        !removed && (removed.error().fate == Fate::kNotSent || is_given_up(removed.error()));
    is_gone = !may_be_there;
  }
  if (!is_gone) (void)co_await clunk(*spare);
  fids_->give_back(*spare);
  co_return result;
}

// ------------------------------------------------------------------ what .L alone has

namespace {
std::unexpected<Error> only_in_dot_l(const char* what) {
  return error(EOPNOTSUPP, what, "the server speaks no 9P2000.L");
}
}  // namespace

asio::awaitable<Expected<Rstatfs>> Operations::statfs(Fid) { co_return only_in_dot_l("Tstatfs"); }
asio::awaitable<Expected<std::string>> Operations::read_xattr(Fid, std::string) {
  co_return only_in_dot_l("Txattrwalk");
}
asio::awaitable<Expected<void>> Operations::write_xattr(Fid, std::string, std::string, U32) {
  co_return only_in_dot_l("Txattrcreate");
}
asio::awaitable<Expected<void>> Operations::remove_xattr(Fid, std::string) {
  co_return only_in_dot_l("Txattrcreate");
}
asio::awaitable<Expected<U8>> Operations::lock(Fid, Lock, U32) { co_return only_in_dot_l("Tlock"); }
asio::awaitable<Expected<Lock>> Operations::getlock(Fid, Lock) {
  co_return only_in_dot_l("Tgetlock");
}

}  // namespace ninep::client
