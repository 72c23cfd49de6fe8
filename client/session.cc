#include "client/session.h"

#include <array>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "client/cancelled.h"

namespace ninep::client {
namespace {

constexpr unsigned kRequestsMax = 16384;
constexpr U16 kFlushTag = 0x8000;  // and the tag that it flushes
constexpr U32 kMsizeMin = 256;     // from the server: less is of no use
constexpr std::size_t kPiecesAtOnce = 64;
constexpr U32 kErrnoMax = 4095;

// Of Rlerror or Rerror, when no dialect says yet what it looks like.
std::string text_of_error(Bytes frame) {
  std::string text;
  const auto take = [&]<class M>(const M& message) {
    if constexpr (std::same_as<M, Rlerror>) text = errno_text(Errno{message.ecode});
    if constexpr (std::same_as<M, Rerror>) text = message.ename;
  };
  for (const Dialects dialect : {k9P2000, kDotU, kDotL})
    if (visit_reply(read_header(frame).type, frame_body(frame), dialect, take) == Outcome::kDone)
      break;
  return text;
}

}  // namespace

Session::Session(Stream stream, const Options& options)
    : stream_(std::move(stream)),
      options_(options),
      msize_(options.msize),
      tags_(stream_.executor(), std::min(options.requests_max, kRequestsMax)),
      calls_(std::min(options.requests_max, kRequestsMax)),
      flushes_(calls_.size()) {
  for (std::size_t tag = calls_.size(); tag > 0; --tag) free_.push_back(static_cast<U16>(tag - 1));
}

asio::awaitable<Expected<std::shared_ptr<Session>>> Session::open(
    Stream stream, Options options, std::chrono::milliseconds patience) {
  if (options.requests_max == 0 || options.msize < kMsizeMin)
    co_return error(EINVAL, "start a session");
  const std::shared_ptr<Session> session(new Session(std::move(stream), options));
  session->self_ = session;
  asio::co_spawn(session->stream_.executor(), receive(session), asio::detached);
  // The receiver has it too, and ends when the last owner closes it.
  std::shared_ptr<Session> owned(session.get(), [session](Session* s) { s->close(); });
  auto agreeing = session->agree(patience);
  const auto agreed = co_await std::move(agreeing);
  NINEP_CO_RETURN_IF_WRONG(agreed);
  co_return owned;
}

/// A call that replies find here, for as long as its coroutine is there: that may be destroyed
/// where it waits.
class Session::Shown {
 public:
  Shown(Call*& at, Call& call) : at_(at) { at_ = &call; }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;
  ~Shown() { at_ = nullptr; }

 private:
  Call*& at_;
};

// ------------------------------------------------------------------ version(5)

asio::awaitable<Expected<void>> Session::agree(std::chrono::milliseconds patience) {
  replies_.set_msize(options_.msize);
  std::string said;
  for (const Dialects dialect : {kDotL, kDotU, k9P2000}) {
    if (!has(options_.dialects, dialect)) continue;
    auto agreeing = agree_on(dialect, patience);
    const auto agreed = co_await std::move(agreeing);
    NINEP_CO_RETURN_IF_WRONG(agreed);
    if (dialect_ != kNone) {
      replies_.set_msize(msize_);
      co_return Expected<void>();
    }
    said = "to " + std::string(dialect_name(dialect)) + " the server said: " + *agreed;
  }
  co_return error(EPROTONOSUPPORT, "agree on a dialect", std::move(said));
}

// "If the server does not understand the client's version string, it should respond with" the
// version "unknown"; it may respond with an older one. Some send an error. What the server said is
// given back, where nothing was agreed on.
asio::awaitable<Expected<std::string>> Session::agree_on(Dialects dialect,
                                                         std::chrono::milliseconds patience) {
  Call call(stream_.executor());
  call.doing = "Tversion";
  call.awaited.type = Describe<Rversion>::code;
  call.awaited.most = kHeaderSize + sizeof(U32) + 2 + kStringMax;
  const Tversion wanted{options_.msize, dialect_name(dialect)};
  std::vector<std::byte> head(frame_size(wanted, dialect));
  [[maybe_unused]] const std::size_t size = encode_frame(kNoTag, wanted, dialect, head);
  std::optional<Shown> shown(std::in_place, version_, call);
  auto exchanging = exchange(std::move(head), {}, call, patience);
  const auto exchanged = co_await std::move(exchanging);
  shown.reset();
  if (!exchanged && (lost() || !call.is_answered)) co_return std::unexpected(exchanged.error());
  const U8 type = read_header(call.awaited.bytes()).type;
  if (type == Describe<Rlerror>::code || type == Describe<Rerror>::code)
    co_return text_of_error(call.awaited.bytes());
  Rversion agreed{};
  if (!decode(frame_body(call.awaited.bytes()), dialect, agreed)) {
    lose(EPROTO, "the server answered with a malformed Rversion");
    co_return error(EPROTO, "Tversion", lost_->why);
  }
  for (const Dialects one : {kDotL, kDotU, k9P2000}) {
    if (one > dialect || !has(options_.dialects, one) || agreed.version != dialect_name(one))
      continue;
    if (agreed.msize > options_.msize)
      co_return error(EPROTO, "Tversion",
                      "the server wants messages of " + std::to_string(agreed.msize) +
                          " bytes, where " + std::to_string(options_.msize) + " were offered");
    if (agreed.msize < kMsizeMin)
      co_return error(EPROTO, "Tversion",
                      "the server takes messages of " + std::to_string(agreed.msize) +
                          " bytes at most, which is too little");
    dialect_ = one;
    msize_ = agreed.msize;
    break;
  }
  co_return std::string(agreed.version);
}

// ------------------------------------------------------------------ a request and its reply

/// A tag, for as long as it is there.
class Session::Place {
 public:
  Place(Session& session, Call& call) : session_(session), tag_(session.free_.back()) {
    session_.free_.pop_back();
    session_.calls_[tag_] = &call;
    call.tag = Tag{tag_};
  }
  ~Place() {
    session_.calls_[tag_] = nullptr;
    session_.free_.push_back(tag_);
    session_.tags_.leave();
  }

 private:
  Session& session_;
  const U16 tag_;
};

asio::awaitable<Expected<void>> Session::exchange(std::vector<std::byte> head, Bytes data,
                                                  Call& call, std::chrono::milliseconds patience) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);  // the caller is told by a result
  if (patience.count() == 0) patience = options_.patience;
  auto end = std::chrono::steady_clock::now() + patience;
  auto cancellation = co_await asio::this_coro::cancellation_state;
  const auto is_cancelled = [&] {
    return call.ends_by_cancel && cancellation.cancelled() != asio::cancellation_type::none;
  };
  const bool is_version = &call == version_;
  bool has_tag = is_version;
  // What can't be cancelled has to be said, whenever that may be.
  const auto waits_until = call.ends_by_cancel ? end : std::chrono::steady_clock::time_point::max();
  while (!has_tag && !is_cancelled() && std::chrono::steady_clock::now() < waits_until) {
    auto entering = tags_.enter_until(waits_until);
    has_tag = co_await std::move(entering);
  }
  if (!call.ends_by_cancel) end = std::max(end, std::chrono::steady_clock::now() + patience);
  if (has_tag) {
    std::optional<Place> place;
    if (!is_version) place.emplace(*this, call);
    set_tag(head, call.tag);
    bool is_under_way = !lost_ && !is_cancelled();
    if (is_under_way) send({std::move(head), data, &call});
    while (is_under_way) {
      auto waiting = call.done.wait_until(end);
      is_under_way = !co_await std::move(waiting);
      if (!is_under_way || (!is_cancelled() && std::chrono::steady_clock::now() < end)) continue;
      auto giving_up = give_up(call);
      co_await std::move(giving_up);
      is_under_way = false;
    }
  }
  const bool ends_by_cancel = !call.is_answered && is_cancelled();
  if (ends_by_cancel) cancellation.clear();
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (call.is_answered) {
    if (read_header(call.awaited.bytes()).type == call.awaited.type) co_return Expected<void>();
    co_return std::unexpected(error_in(call.awaited.bytes(), std::move(call.doing)));
  }
  Error wrong = error(ends_by_cancel ? ECANCELED : ETIMEDOUT, std::move(call.doing)).error();
  if (!has_tag) wrong.fate = Fate::kNotSent;
  if (lost_) {
    if (!ends_by_cancel) wrong.code = lost_->code;
    wrong.why = lost_->why;
    wrong.fate = call.is_unsent ? Fate::kUnsent : Fate::kUnknown;
  }
  co_return std::unexpected(std::move(wrong));
}

asio::awaitable<Expected<U32>> Session::read(Fid fid, U64 offset, Room into,
                                             std::chrono::milliseconds patience) {
  Call call(stream_.executor());
  call.doing = Describe<Tread>::name;
  const Tread request{fid, offset,
                      static_cast<U32>(std::min<std::size_t>(into.size(), payload_max()))};
  call.awaited.type = Describe<Rread>::code;
  call.awaited.most = reply_max(request);
  call.awaited.into = into.first(request.count);
  std::vector<std::byte> head(frame_size(request, dialect_));
  [[maybe_unused]] const std::size_t size = encode_frame(kNoTag, request, dialect_, head);
  auto exchanging = exchange(std::move(head), {}, call, patience);
  const auto exchanged = co_await std::move(exchanging);
  NINEP_CO_RETURN_IF_WRONG(exchanged);
  co_return static_cast<U32>(call.awaited.read);
}

// flush(5): "the client must wait until it gets the Rflush ..., even if the response arrives in the
// interim". Without Rflush nothing is known of the connection any more.
asio::awaitable<void> Session::give_up(Call& call) {
  if (unsend(call)) co_return;
  if (&call == version_) co_return lose(ETIMEDOUT, "no answer to Tversion");
  const auto oldtag = static_cast<U16>(call.tag);
  Call flush(stream_.executor());
  flush.awaited.type = Describe<Rflush>::code;
  flush.awaited.most = kHeaderSize;
  const Tflush request{call.tag};
  std::vector<std::byte> head(frame_size(request, dialect_));
  [[maybe_unused]] const std::size_t size =
      encode_frame(Tag{static_cast<U16>(kFlushTag | oldtag)}, request, dialect_, head);
  const Shown shown(flushes_[oldtag], flush);
  send({std::move(head), {}, &flush});
  // A slow link has much to carry before it, and before its answer: as long as something moves, it
  // is waited for once more.
  constexpr int kRoundsMax = 12;
  for (int round = 0; !flush.done.is_set() && round < kRoundsMax; ++round) {
    const auto began = std::chrono::steady_clock::now();
    U64 moved = 0;
    const std::array ends{began + options_.flush_patience / 2, began + options_.flush_patience};
    for (const auto end : ends) {
      moved = bytes_moved();
      while (!flush.done.is_set() && std::chrono::steady_clock::now() < end) {
        auto waiting = flush.done.wait_until(end);
        (void)co_await std::move(waiting);  // nor is this cancelled
      }
    }
    if (bytes_moved() == moved) break;
  }
  if (!flush.done.is_set()) lose(ETIMEDOUT, "no answer to Tflush");
}

Error Session::error_in(Bytes frame, std::string doing) const {
  Errno code{EPROTO};
  std::string why;
  const auto take = [&]<class M>(const M& message) {
    if constexpr (std::same_as<M, Rlerror>) {
      if (message.ecode != 0 && message.ecode <= kErrnoMax) code = Errno{message.ecode};
    } else if constexpr (std::same_as<M, Rerror>) {
      const U32 number = message.ecode;  // 0 in 9P2000
      why = message.ename;
      code = number != 0 && number <= kErrnoMax ? Errno{number} : errno_of_text(message.ename);
    }
  };
  const Dialects dialect = dialect_ == kNone ? kDotL : dialect_;
  if (visit_reply(read_header(frame).type, frame_body(frame), dialect, take) != Outcome::kDone ||
      (code == Errno{EPROTO} && why.empty()))
    why = "a reply that is none";
  return {code, std::move(doing), std::move(why)};
}

// ------------------------------------------------------------------ receiving

asio::awaitable<void> Session::receive(std::shared_ptr<Session> self) {
  try {
    auto receiving = receive_all(*self);
    co_await std::move(receiving);
  } catch (const std::bad_alloc&) {
    self->lose(ENOMEM, "a reply found no memory");
  }
}

asio::awaitable<void> Session::receive_all(Session& self) {
  while (!self.lost_) {
    auto reading = self.stream_.read_some(self.replies_.room());
    const auto size = co_await std::move(reading);
    if (self.lost_) co_return;
    if (!size || *size == 0) {
      self.lose(size ? ECONNRESET : static_cast<int>(size.error()),
                "the server has closed the connection");
      co_return;
    }
    self.bytes_received_ += *size;
    if (const auto received = self.replies_.received(*size); !received)
      self.lose(EPROTO, std::string("the server sent ") + received.error());
  }
}

Session::Call* Session::call_of(Tag tag) const {
  const auto number = static_cast<U16>(tag);
  if (tag == kNoTag) return version_;
  const auto& calls = number & kFlushTag ? flushes_ : calls_;
  const std::size_t at = number & (kFlushTag - 1u);
  return at < calls.size() ? calls[at] : nullptr;
}

// What nothing was sent of can't be answered; and its caller goes as it likes.
Awaited* Session::awaited(Tag tag) {
  Call* const call = call_of(tag);
  return call && !call->is_unsent ? &call->awaited : nullptr;
}

// What a caller still has to be there for isn't over: a reply that comes before all of its request
// has gone.
void Session::answered(Tag tag) {
  Call& call = *call_of(tag);
  call.is_answered = true;
  ++replies_count_;
  if (call.is_sent) call.done.set();
}

// ------------------------------------------------------------------ sending

void Session::send(Outgoing outgoing) {
  out_.push_back(std::move(outgoing));
  // What is asked for in the same turn goes out at once.
  if (std::exchange(send_is_posted_, true)) return;
  asio::post(stream_.executor(), [self = self_.lock()] { self->send_now(); });
}

void Session::send_now() {
  send_is_posted_ = false;
  while (!lost_ && !out_.empty()) {
    std::array<iovec, kPiecesAtOnce> pieces;
    std::size_t count = 0;
    std::size_t skip = sent_;
    for (auto at = out_.begin(); at != out_.end() && count + 2 <= pieces.size(); ++at) {
      for (const Bytes part : {Bytes(at->head), at->data}) {
        const Bytes rest = part.subspan(std::min(skip, part.size()));
        skip -= part.size() - rest.size();
        if (!rest.empty()) pieces[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
      }
    }
    const auto size = stream_.write_now(std::span(pieces).first(count));
    if (!size) return lose(static_cast<int>(size.error()), "the connection is broken");
    if (*size == 0) {
      send_is_posted_ = true;
      return stream_.when_writable([self = self_.lock()](std::error_code) { self->send_now(); });
    }
    bytes_sent_ += *size;
    for (sent_ += *size; !out_.empty() && sent_ >= out_.front().size(); out_.pop_front()) {
      sent_ -= out_.front().size();
      Call& call = *out_.front().call;
      call.is_sent = true;
      call.is_unsent = false;
      if (call.is_answered) call.done.set();
    }
    if (sent_ != 0) out_.front().call->is_unsent = false;
  }
}

// Takes back what hasn't begun to go out.
bool Session::unsend(const Call& call) {
  const auto at = std::ranges::find(out_, &call, &Outgoing::call);
  if (at == out_.end() || (at == out_.begin() && sent_ != 0)) return false;
  out_.erase(at);
  return true;
}

U64 Session::bytes_moved() {
  return bytes_received_ + bytes_sent_ - (lost_ ? 0 : stream_.unsent());
}

void Session::lose(int host_errno, std::string why) {
  if (lost_) return;
  lost_ = Error{Errno{static_cast<U32>(host_errno)}, "", std::move(why)};
  // What is still to be sent to a server that didn't answer in time is not to come later.
  if (host_errno == ETIMEDOUT) stream_.forget_unsent();
  stream_.close();
  out_.clear();
  for (const auto& calls : {calls_, flushes_, std::vector<Call*>{version_}})
    for (Call* const call : calls)
      if (call) call->done.set();
  if (when_lost_) when_lost_();
}

}  // namespace ninep::client
