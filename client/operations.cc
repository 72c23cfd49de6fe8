#include "client/operations.h"

#include <algorithm>

#include "client/operations_dotl.h"
#include "client/operations_old.h"

namespace ninep::client {

Expected<Fid> FidNumbers::take() {
  if (!free_.empty()) {
    const Fid fid{free_.back()};
    free_.pop_back();
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

asio::awaitable<Expected<Qid>> Operations::attach(Fid fid, const User& user) {
  const auto attached = co_await call(Tattach{fid, kNoFid, user.uname, user.aname, user.uid});
  NINEP_CO_RETURN_IF_WRONG(attached);
  co_return (*attached)->qid;
}

// ------------------------------------------------------------------ walk(5)

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
    const auto part = all.subspan(done, std::min<std::size_t>(kWalkNamesMax, all.size() - done));
    const auto walked = co_await walk_some(is_there ? to : from, to, part);
    if (!walked) {
      wrong = walked.error();
      // Given up, it may be there all the same.
      is_there = is_there || is(wrong, ECANCELED) || is(wrong, ETIMEDOUT);
      break;
    }
    const std::size_t reached = walked->wqid.size();
    if (reached < part.size()) {
      wrong = co_await why_not(is_there ? to : from, to, part.first(reached), part[reached]);
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
asio::awaitable<Error> Operations::why_not(Fid from, Fid to, std::span<const std::string> reached,
                                           const std::string& next) {
  Error wrong{Errno{ENOENT}, "Twalk", ""};
  const auto spare = fids_->take();
  if (!spare) co_return wrong;
  const auto again = co_await walk_some(from, *spare, reached);
  if (again && again->wqid.size() == reached.size()) {
    const auto one = co_await walk_some(*spare, to, std::span(&next, 1));
    if (!one) wrong = one.error();
    if (one && one->wqid.size() == 1) (void)co_await clunk(to);  // it has come meanwhile
    (void)co_await clunk(*spare);
  }
  fids_->give_back(*spare);
  co_return wrong;
}

asio::awaitable<Expected<std::optional<Qid>>> Operations::find(Fid directory, std::string name) {
  using Found = Expected<std::optional<Qid>>;
  const auto spare = fids_->take();
  NINEP_CO_RETURN_IF_WRONG(spare);
  const auto walked = co_await walk(directory, *spare, std::vector<std::string>(1, std::move(name)));
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
  const auto written = co_await call(Twrite{fid, offset, data});
  NINEP_CO_RETURN_IF_WRONG(written);
  const U32 count = (*written)->count;
  if (count > data.size()) co_return error(EPROTO, "Twrite", "more was written than was sent");
  co_return count;
}

asio::awaitable<Expected<void>> Operations::clunk(Fid fid) {
  const auto clunked = co_await call(Tclunk{fid});
  NINEP_CO_RETURN_IF_WRONG(clunked);
  co_return Expected<void>();
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
