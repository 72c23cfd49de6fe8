// Session: a connection on which a dialect and the size of messages are agreed. Sends T-messages,
// many at once, and brings each caller its reply.
//
// On one executor that runs no two of its handlers at once; nothing here locks. Callers are
// coroutines (asio::awaitable) on that executor. What a message points at, and what is read into,
// belongs to the caller and stays until the call returns. Source: intro(5), version(5), flush(5).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "client/gate.h"
#include "client/replies.h"
#include "client/stream.h"

namespace ninep::client {

/// What came back: a message, and the frame that its views point into.
template <Message R>
class Reply {
 public:
  Reply() = default;  // Asio makes one where an exception goes
  Reply(std::unique_ptr<std::byte[]> frame, const R& message)
      : frame_(std::move(frame)), message_(message) {}
  const R& operator*() const { return message_; }
  const R* operator->() const { return &message_; }

 private:
  std::unique_ptr<std::byte[]> frame_;
  R message_{};
};

class Session final : public Requests {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    Dialects dialects = kAny;     // that may be agreed on: .L before .u before 9P2000
    U32 msize = 1 << 20;          // bytes of a whole message, at most; at least 256
    unsigned requests_max = 256;  // under way; others wait in line. 1 to 16384
    std::chrono::milliseconds patience{60'000};        // with the server's answers
    std::chrono::milliseconds flush_patience{10'000};  // and then with Rflush, while nothing moves
  };

  /// Agrees on a dialect (version(5)). The session ends with its last owner. `patience` with each
  /// answer to Tversion; 0: that of the options. Errors: EPROTONOSUPPORT: there is none; EINVAL: an
  /// option; those of lost().
  static asio::awaitable<Expected<std::shared_ptr<Session>>> open(
      Stream stream, Options options, std::chrono::milliseconds patience = {});

  Dialects dialect() const { return dialect_; }
  /// Bytes of a whole message, as agreed.
  U32 msize() const { return msize_; }
  /// Bytes: the most that a Tread, Twrite or Treaddir carries.
  U32 payload_max() const { return msize_ - kIoHeaderSize; }
  const Options& options() const { return options_; }

  /// Sends `request` and waits for the reply. Errors: what the server says; EOPNOTSUPP: the dialect
  /// lacks the message; EMSGSIZE: it doesn't fit; ECANCELED: the caller was cancelled, and
  /// ETIMEDOUT: `patience` was over: in both cases the server was told (Tflush), has done with the
  /// request, and sent no reply, or the connection is lost and its fate unknown; or it was never
  /// sent, for want of a tag (Fate::kNotSent). Otherwise the reply that came after all; a
  /// cancellation is the next call's then. Those of lost(). A Tclunk isn't cancelled, nor is a
  /// Tlock that unlocks: the next call is. Of a Twrite the data are sent from where they are.
  /// `patience` 0: that of the options.
  template <Message T>
  asio::awaitable<Expected<Reply<ReplyTo<T>>>> call(T request,
                                                    std::chrono::milliseconds patience = {});
  /// The same of a Tread: the data are received into `into`, which is as long as what is asked for.
  /// Bytes read; 0: the end of the file.
  asio::awaitable<Expected<U32>> read(Fid fid, U64 offset, Room into,
                                      std::chrono::milliseconds patience = {});

  /// The connection is of no use any more: ECONNRESET, or another error of the connection; EPROTO:
  /// the server broke the protocol; ETIMEDOUT: it doesn't answer even Tflush, or Tversion; ENOMEM.
  bool lost() const { return lost_.has_value(); }
  const Error& why_lost() const { return *lost_; }
  /// Is called when it is lost, at once.
  void when_lost(std::function<void()> then) { when_lost_ = std::move(then); }
  /// How many replies have come.
  U64 replies() const { return replies_count_; }
  /// Ends the session: what is under way fails with ECONNABORTED.
  void close() { lose(ECONNABORTED, "closed"); }

  Awaited* awaited(Tag tag) override;
  void answered(Tag tag) override;

 private:
  /// A request from its sending to its reply. Its caller owns it.
  struct Call {
    explicit Call(const asio::any_io_executor& executor) : done(executor) {}
    std::string doing;  // for errors
    Awaited awaited;
    Signal done;           // the reply is there, the request is out; or the session is lost
    bool is_sent = false;  // all of it: what it points at isn't needed any more
    bool is_answered = false;
    bool is_unsent = true;  // nothing of it has gone out
    bool ends_by_cancel = true;
    Tag tag = kNoTag;
  };
  /// A frame that goes out: its head, then data that are elsewhere.
  struct Outgoing {
    std::vector<std::byte> head;
    Bytes data;
    Call* call;
    std::size_t size() const { return head.size() + data.size(); }
  };

  class Place;
  class Shown;

  Session(Stream stream, const Options& options);

  Call* call_of(Tag tag) const;
  static asio::awaitable<void> receive(std::shared_ptr<Session> self);
  static asio::awaitable<void> receive_all(Session& self);
  asio::awaitable<Expected<void>> agree(std::chrono::milliseconds patience);
  asio::awaitable<Expected<std::string>> agree_on(Dialects dialect,
                                                  std::chrono::milliseconds patience);
  asio::awaitable<Expected<void>> exchange(std::vector<std::byte> head, Bytes data, Call& call,
                                           std::chrono::milliseconds patience);
  asio::awaitable<void> give_up(Call& call);
  /// Both ways; changes while anything does.
  U64 bytes_moved();
  void send(Outgoing outgoing);
  void send_now();
  bool unsend(const Call& call);
  void lose(int host_errno, std::string why);
  Error error_in(Bytes frame, std::string doing) const;

  template <Message T>
  std::size_t reply_max(const T& request) const;

  Stream stream_;
  const Options options_;
  std::weak_ptr<Session> self_;
  Dialects dialect_ = kNone;
  U32 msize_;
  Replies replies_{*this};
  Gate tags_;
  std::vector<Call*> calls_;    // by tag; null: the tag is free
  std::vector<Call*> flushes_;  // by the tag that they flush
  std::vector<U16> free_;
  Call* version_ = nullptr;
  std::deque<Outgoing> out_;
  std::size_t sent_ = 0;         // bytes of the first one
  bool send_is_posted_ = false;  // or waits for the stream
  std::optional<Error> lost_;
  std::function<void()> when_lost_;
  U64 replies_count_ = 0;
  U64 bytes_sent_ = 0;
  U64 bytes_received_ = 0;
};

// ------------------------------------------------------------------ what templates need

template <Message T>
std::size_t Session::reply_max(const T& request) const {
  using R = ReplyTo<T>;
  // An error has a text, in the older dialects.
  const std::size_t error = kHeaderSize + 2 + kStringMax + sizeof(U32);
  if constexpr (std::same_as<T, Tread> || std::same_as<T, Treaddir>) {
    return std::max<std::size_t>(error, kReadHeaderSize + std::size_t{request.count});
  } else {
    static_assert(!requires(R r) { r.data; }, "how long may its data be?");
    return error + kQidSize * kWalkNamesMax;
  }
}

template <Message T>
asio::awaitable<Expected<Reply<ReplyTo<T>>>> Session::call(T request,
                                                           std::chrono::milliseconds patience) {
  using R = ReplyTo<T>;
  Call call(stream_.executor());
  call.doing = Describe<T>::name;
  if (!has(Describe<T>::dialects, dialect_))
    co_return error(EOPNOTSUPP, call.doing,
                    std::string(dialect_name(dialect_)) + " has no such message");
  const std::size_t size = frame_size(request, dialect_);
  if (size > msize_)
    co_return error(EMSGSIZE, call.doing,
                    "messages have at most " + std::to_string(msize_) + " bytes here");
  call.awaited.type = Describe<R>::code;
  call.awaited.most = reply_max(request);
  if constexpr (std::same_as<T, Tclunk>) call.ends_by_cancel = false;
  if constexpr (std::same_as<T, Tlock>) call.ends_by_cancel = request.type != lock::kUnlock;
  std::vector<std::byte> head;
  Bytes data;
  if constexpr (std::same_as<T, Twrite>) {
    data = request.data.bytes;
    head.resize(kWriteFrontSize);
    encode_write_front(kNoTag, {request.fid, request.offset, static_cast<U32>(data.size())}, head);
  } else {
    head.resize(size);
    [[maybe_unused]] const std::size_t encoded = encode_frame(kNoTag, request, dialect_, head);
  }
  auto exchanging = exchange(std::move(head), data, call, patience);
  const auto exchanged = co_await std::move(exchanging);
  NINEP_CO_RETURN_IF_WRONG(exchanged);
  R reply{};
  if (!decode(frame_body(call.awaited.bytes()), dialect_, reply)) {
    lose(EPROTO, std::string("a malformed ") + Describe<R>::name);
    co_return std::unexpected(*lost_);
  }
  co_return Reply<R>(std::move(call.awaited.frame), reply);
}

}  // namespace ninep::client
