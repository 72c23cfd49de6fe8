#include "server/session.h"

#include <limits.h>
#include <spdlog/spdlog.h>

#include "proto/dispatch.h"
#include "proto/print.h"
#include "server/reply.h"

namespace ninep::server {
namespace {

/// Messages that change something in the tree: refused where that is read-only.
template <class... M>
struct AnyOf {
  template <class T>
  static constexpr bool has = (std::same_as<T, M> || ...);
};
using Changing = AnyOf<Tlcreate, Tsymlink, Tmknod, Trename, Tsetattr, Txattrcreate, Tlink, Tmkdir,
                       Trenameat, Tunlinkat, Twrite, Tremove>;

}  // namespace

Status check_name(Str name) {
  if (name.empty() || name == "." || name == "..") return fail(EINVAL);
  if (name.contains('/') || name.contains('\0')) return fail(EINVAL);
  if (name.size() > NAME_MAX) return fail(ENAMETOOLONG);
  return {};
}

Call::Call(Session& session, transport::Request& r)
    : context(session.loop_, nullptr), request(r), tag(r.header().tag) {}

Session::Session(io::Loop& loop, Shared& shared, Export exported, std::string peer)
    : loop_(loop),
      shared_(shared),
      exported_(std::move(exported)),
      peer_(std::move(peer)),
      msize_(shared.msize_max) {}

Session::~Session() { NINEP_CHECK(calls_.empty() && held_.empty()); }

// ------------------------------------------------------------------ requests

void Session::request(transport::Request& request) {
  if (closing_) return request.finish(0);
  if (resetting_) return held_.push_back(&request);
  dispatch(request);
}

void Session::dispatch(transport::Request& request) {
  const Header header = request.header();
  if (shared_.trace) {
    std::vector<std::byte> frame(request.frame().begin(), request.frame().end());
    frame.resize(frame.size() + total(request.payload()));
    gather(request.payload(), std::span(frame).subspan(request.frame().size()));
    trace(frame);
  }
  const bool starts_anew = header.type == Describe<Tversion>::code;
  // The first request with this tag must not be harmed: the second one is an error.
  if (!starts_anew && !calls_.empty() && calls_.contains(static_cast<U16>(header.tag)))
    return refuse(request, Errno{EINVAL});
  if (!starts_anew && dialect_ == kAny) return refuse(request, Errno{EPROTO});
  const auto begin_call = [&]<class M>(const M& m) {
    if constexpr (has(Describe<M>::dialects, kDotL)) {
      io::Task<void> task = serve(request, m);
      if (!starts_anew && !task.done()) {
        latest_->listed_ = true;
        calls_[static_cast<U16>(header.tag)] = latest_;
      }
      scope_.spawn(std::move(task));
    } else {
      refuse(request, Errno{EOPNOTSUPP});
    }
  };
  if (!request.payload().empty()) {  // of a Twrite, and elsewhere
    const WriteFront front = read_write_front(request.frame());
    if (front.count != total(request.payload())) return refuse(request, Errno{EINVAL});
    return begin_call(Twrite{front.fid, front.offset, {}});
  }
  const Dialects dialect = dialect_ == kAny ? kDotL : dialect_;
  switch (visit_request(header.type, frame_body(request.frame()), dialect, begin_call)) {
    case Outcome::kDone:
      break;
    case Outcome::kMalformed:
      refuse(request, Errno{EINVAL});
      break;
    case Outcome::kUnknown:
    case Outcome::kWrongDialect:
      refuse(request, Errno{EOPNOTSUPP});
  }
}

template <class M>
io::Task<void> Session::serve(transport::Request& request, M m) {
  Call call(*this, request);
  latest_ = &call;
  if constexpr (Changing::has<M>) {
    if (exported_.read_only) {
      if constexpr (std::same_as<M, Tremove>) (void)take_fid(m.fid);
      finish(call, Result<Rlerror>(fail(EROFS)));
      co_return;
    }
  }
  auto handling = handle(call, m);
  const auto result = co_await handling;
  finish(call, result);
  if constexpr (std::same_as<M, Tversion>) {
    resetting_ = false;
    while (!held_.empty() && !resetting_) {
      transport::Request* next = held_.front();
      held_.pop_front();
      dispatch(*next);
    }
  }
}

template <class R>
void Session::finish(Call& call, const Result<R>& result) {
  transport::Request& request = call.request;
  std::size_t size = 0;
  const bool interrupted = !result && result.error() == Errno{EINTR};
  if (!call.dropped && !(call.flushed && interrupted)) {
    Errno error{};
    if (!result) {
      error = result.error();
    } else if constexpr (std::same_as<R, Filled>) {
      size = kReadHeaderSize + result->count;
    } else if (frame_size(*result, dialect_) > msize_) {
      error = Errno{EMSGSIZE};
    } else {
      size = write_reply(request, call.tag, *result, dialect_);
      if (size == 0) error = Errno{EMSGSIZE};
    }
    if (size == 0) size = write_reply(request, call.tag, Rlerror{static_cast<U32>(error)}, kDotL);
    if (shared_.trace) {
      std::vector<std::byte> frame;
      for (const iovec& piece : request.room(size)) {
        const auto* at = static_cast<const std::byte*>(piece.iov_base);
        frame.insert(frame.end(), at, at + std::min(piece.iov_len, size - frame.size()));
      }
      trace(frame);
    }
  }
  request.finish(size);
  if (call.listed_) calls_.erase(static_cast<U16>(call.tag));
  if (call.flushes_) {
    const auto latest = flushes_.find(*call.flushes_);
    if (latest->second == &call) flushes_.erase(latest);
  }
  for (const auto waiter : call.waiters_) io::ReadyQueue::current().push(waiter);
}

void Session::refuse(transport::Request& request, Errno error) {
  const Rlerror reply{static_cast<U32>(error)};
  const std::size_t size = write_reply(request, request.header().tag, reply, kDotL);
  if (shared_.trace) trace(Bytes(contiguous(request.room(size), size)));
  request.finish(size);
}

void Session::trace(Bytes frame) const {
  spdlog::info("{} {}", peer_, print_frame(frame, dialect_ == kAny ? kDotL : dialect_));
}

// ------------------------------------------------------------------ the session's end and Tversion

// Ends everything under way, without replies.
io::Task<void> Session::abandon_calls() {
  for (const auto& [tag, call] : calls_) {
    call->dropped = true;
    call->context.cancel();
  }
  while (!calls_.empty()) co_await calls_.begin()->second->ended();
}

void Session::clunk_all() {
  for (auto& [number, state] : fids_) release_locks(*state);
  fids_.clear();
}

io::Task<void> Session::close() {
  closing_ = true;
  for (transport::Request* request : held_) request->finish(0);
  held_.clear();
  auto abandoning = abandon_calls();
  co_await abandoning;
  auto ending = scope_.all_done();
  co_await ending;
  clunk_all();
}

// A version starts a session anew: what is under way is dropped, every fid is clunked. Until that
// is done, all else is held back; so no request finds a Tversion under way, and it is not in
// calls_.
Reply<Rversion> Session::handle(Call&, const Tversion& m) {
  resetting_ = true;
  auto abandoning = abandon_calls();
  co_await abandoning;
  clunk_all();
  dialect_ = kAny;
  msize_ = shared_.msize_max;
  const U32 msize = std::min(m.msize, shared_.msize_max);
  // "9P2000.L.something" is .L and more; what is more, we don't have.
  const bool known = m.version == "9P2000.L" || m.version.starts_with("9P2000.L.");
  if (!known || msize < kMsizeMin) co_return Rversion{msize, "unknown"};
  dialect_ = kDotL;
  msize_ = msize;
  co_return Rversion{msize, "9P2000.L"};
}

// Answered when the old request has been, and after earlier flushes of it ("they must be answered
// in order"); never by an error. flush(5).
Reply<Rflush> Session::handle(Call& call, const Tflush& m) {
  const U16 tag = static_cast<U16>(m.oldtag);
  Call* waited_for = nullptr;
  if (const auto old = calls_.find(tag); old != calls_.end()) {
    waited_for = old->second;
    waited_for->flushed = true;
    waited_for->context.cancel();
  }
  // The old request may have ended already, and the answer to this one be on its way.
  if (const auto flush = flushes_.find(tag); flush != flushes_.end()) waited_for = flush->second;
  if (waited_for) {
    call.flushes_ = tag;
    flushes_[tag] = &call;
    co_await waited_for->ended();
  }
  co_return Rflush{};
}

// ------------------------------------------------------------------ fids

Result<Ref<FidState>> Session::file_fid(Call& call, Fid number) {
  const auto at = fids_.find(static_cast<U32>(number));
  if (at == fids_.end()) return fail(EBADF);
  if (at->second->kind != FidState::Kind::kFile) return fail(EBADF);
  call.act_as(*at->second);
  return at->second;
}

Result<Ref<FidState>> Session::open_fid(Call& call, Fid number) {
  auto state = file_fid(call, number);
  if (state && !(*state)->file) return fail(EBADF);
  return state;
}

Result<Ref<fs::Node>> Session::directory(Call& call, Fid number, Str name) {
  const auto state = file_fid(call, number);
  NINEP_RETURN_IF_ERROR(state);
  const auto checked = check_name(name);
  NINEP_RETURN_IF_ERROR(checked);
  if ((*state)->node->qid().type != kQtDir) return fail(ENOTDIR);
  return (*state)->node;
}

Status Session::may_be_new(Fid number) const {
  if (number == kNoFid || fids_.contains(static_cast<U32>(number))) return fail(EINVAL);
  if (fids_.size() >= kFidsMax) return fail(EMFILE);
  return may_open();
}

// A fid has a descriptor, and another one when it is open.
Status Session::may_open() const {
  if (fids_.size() + open_files_ >= shared_.descriptors_max) return fail(EMFILE);
  return {};
}

// Asked again: another request may have taken the number while this one waited.
Status Session::add_fid(Fid number, Ref<FidState> state) {
  if (auto may = may_be_new(number); !may) return may;
  fids_[static_cast<U32>(number)] = std::move(state);
  return {};
}

Result<Ref<FidState>> Session::take_fid(Fid number) {
  const auto at = fids_.find(static_cast<U32>(number));
  if (at == fids_.end()) return fail(EBADF);
  Ref<FidState> state = std::move(at->second);
  fids_.erase(at);
  release_locks(*state);
  return state;
}

LockedFile Session::locked_file(const FidState& state) const { return state.node->key(); }

void Session::release_locks(FidState& state) {
  if (!state.locked) return;
  shared_.locks.release(locked_file(state), &state);
  state.locked = false;
}

}  // namespace ninep::server
