#include <algorithm>

#include "client/client.h"
#include "client/together.h"

namespace ninep::client {
namespace {

/// A transfer of one file in pieces: several take the next piece each until there is none.
struct Pieces {
  std::size_t size;   // of all
  std::size_t piece;  // of one
  std::size_t next = 0;
  std::size_t end = size;  // shorter, where the file ends
  std::optional<Error> wrong;

  std::size_t count() const { return (size + piece - 1) / piece; }
  bool is_over() const { return wrong || next >= end; }
};
constexpr std::size_t kWorkersMax = 128;

/// Room in a window that was got.
class InWindow {
 public:
  InWindow(std::shared_ptr<Attachment> of, Window& window, std::size_t size)
      : of_(std::move(of)), window_(window), size_(size) {}
  InWindow(const InWindow&) = delete;
  InWindow& operator=(const InWindow&) = delete;
  ~InWindow() { window_.leave(size_, took_); }
  void is_done() { took_ = Window::Clock::now() - began_; }

 private:
  const std::shared_ptr<Attachment> of_;  // which has the window
  Window& window_;
  const std::size_t size_;
  const Window::Clock::time_point began_ = Window::Clock::now();
  Window::Clock::duration took_{};
};

/// `one(at, size)`: transfers some of a piece: an awaitable of the bytes that it did.
template <class One>
asio::awaitable<void> work(std::shared_ptr<Attachment> of, Window& window, Pieces& pieces,
                           One& one) {
  while (!pieces.is_over()) {
    const std::size_t at = pieces.next;
    const std::size_t size = std::min(pieces.piece, pieces.size - at);
    pieces.next += size;
    for (std::size_t done = 0; done < size && !pieces.wrong;) {
      const std::size_t part = size - done;
      if (!co_await window.enter(part)) {
        pieces.wrong = Error{Errno{ECANCELED}, "", ""};
        co_return;
      }
      InWindow room(of, window, part);
      const auto did = co_await one(at + done, part);
      if (did) room.is_done();
      if (!did) {
        if (!pieces.wrong) pieces.wrong = did.error();
      } else if (*did == 0) {
        pieces.end = std::min(pieces.end, at + done);
        break;
      } else {
        done += *did;
      }
    }
  }
}

template <class One>
asio::awaitable<Expected<std::size_t>> transfer(std::shared_ptr<Attachment> of, Window& window,
                                                std::size_t size, std::size_t piece, One& one) {
  Pieces pieces{.size = size, .piece = piece};
  if (pieces.count() == 1) {
    co_await work(of, window, pieces, one);
  } else {
    std::vector<asio::awaitable<void>> workers;
    for (std::size_t i = 0; i < std::min(pieces.count(), kWorkersMax); ++i)
      workers.push_back(work(of, window, pieces, one));
    co_await together(std::move(workers));
  }
  if (pieces.wrong) co_return std::unexpected(*pieces.wrong);
  co_return pieces.end;
}

template <class T>
asio::awaitable<void> into(T& result, asio::awaitable<T> calling) {
  result = co_await std::move(calling);
}

}  // namespace

// ------------------------------------------------------------------ one request

asio::awaitable<Expected<U32>> File::read_one(U64 offset, Room into) {
  return attachment_->repeat(*handle_, [offset, into, this](Operations& o, Fid fid) {
    return attachment_->under_locks(*handle_, o, o.read(fid, offset, into), false);
  });
}

// The same bytes at the same place of the same file may be written twice. On another connection
// that is known of a file that was told from others before.
asio::awaitable<Expected<U32>> File::write_one(U64 offset, Bytes data) {
  const auto write = [offset, data, this](Operations& o, Fid fid) {
    return attachment_->under_locks(*handle_, o, o.write(fid, offset, data), true);
  };
  const auto look = [this](Operations&, Fid) {
    return attachment_->is_the_same<std::optional<U32>>(*handle_);
  };
  return attachment_->once(*handle_, write, look);
}

// An append that was lost with its connection is done if the file has grown by as much, and ends
// with the same.
asio::awaitable<Expected<std::optional<U32>>> File::is_appended(U64 before, Bytes data) {
  using Answer = Expected<std::optional<U32>>;
  const auto is = co_await stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  if (is->attr.size == before) co_return Answer(std::nullopt);
  if (is->attr.size > before && is->attr.size - before <= data.size()) {
    std::vector<std::byte> end(static_cast<std::size_t>(is->attr.size - before));
    auto reader = co_await open(lopen::kReadOnly);
    NINEP_CO_RETURN_IF_WRONG(reader);
    const auto got = co_await reader->read(before, end);
    if (got && *got == end.size() && std::ranges::equal(end, data.first(end.size())))
      co_return Answer(static_cast<U32>(*got));
  }
  co_return error(EIO, "find what was appended", "the file has become another one");
}

// ------------------------------------------------------------------ File

asio::awaitable<Expected<std::size_t>> File::reading(U64 offset, Room into) {
  const auto one = [&](std::size_t at, std::size_t size) {
    return read_one(offset + at, into.subspan(at, size));
  };
  co_return told(co_await transfer(attachment_, attachment_->reads(), into.size(), iounit(), one),
                 "read");
}

asio::awaitable<Expected<void>> File::writing(U64 offset, Bytes data) {
  // Wherever it is written to, it is appended.
  if (is_append_only() || handle_->appends()) co_return co_await appending(data);
  const auto one = [&](std::size_t at, std::size_t size) {
    return write_one(offset + at, data.subspan(at, size));
  };
  Expected<std::size_t> written;
  if (attachment_->wants_identity(*handle_)) {
    std::vector<asio::awaitable<void>> both;
    both.push_back(
        into(written, transfer(attachment_, attachment_->writes(), data.size(), iounit(), one)));
    both.push_back(attachment_->identify(*handle_));
    co_await together(std::move(both));
  } else {
    written = co_await transfer(attachment_, attachment_->writes(), data.size(), iounit(), one);
  }
  if (written && *written < data.size()) written = error(EIO, "", "nothing was written");
  if (!written) co_return told(Expected<void>(std::unexpected(written.error())), "write");
  co_return Expected<void>();
}

// DMAPPEND: "the offset is ignored in writes". stat(5)
bool File::is_append_only() const {
  return attachment_->dialect() != kDotL && (qid().type & kQtAppend) != 0;
}

asio::awaitable<Expected<void>> File::appending(Bytes data) {
  if (attachment_->dialect() != kDotL && !is_append_only())
    co_return told(
        Expected<void>(
            error(EOPNOTSUPP, "", "before 9P2000.L only files that always are can be appended to")),
        "append to");
  // Others append too, and truncate: each time anew. nfs-ganesha goes by the offset.
  const auto is = co_await stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  U64 size = is->attr.size;
  while (!data.empty()) {
    const Bytes part = data.first(std::min<std::size_t>(data.size(), iounit()));
    const auto write = [size, part, this](Operations& o, Fid fid) {
      return attachment_->under_locks(*handle_, o, o.write(fid, size, part), true);
    };
    const auto look = [size, part, this](Operations&, Fid) { return is_appended(size, part); };
    auto written = co_await attachment_->once(*handle_, write, look);
    if (written && *written == 0) written = error(EIO, "", "nothing was written");
    if (!written) co_return told(Expected<void>(std::unexpected(written.error())), "append to");
    size += *written;
    data = data.subspan(*written);
  }
  co_return Expected<void>();
}

asio::awaitable<Expected<void>> File::fsync(bool data_only) {
  co_return told(
      co_await attachment_->repeat(
          *handle_, [data_only](Operations& o, Fid fid) { return o.fsync(fid, data_only); }),
      "fsync");
}

// ------------------------------------------------------------------ locks

asio::awaitable<Expected<bool>> File::locking(Lock lock, bool wait) {
  Pauses pauses(std::chrono::milliseconds(10), std::chrono::milliseconds(500));
  for (;;) {
    const auto status = co_await attachment_->lock(*handle_, lock, wait);
    if (!status) co_return told(Expected<bool>(std::unexpected(status.error())), "lock");
    if (*status == lock::kSuccess) co_return true;
    if (*status != lock::kBlocked && *status != lock::kGrace)
      co_return told(Expected<bool>(error(ENOLCK, "")), "lock");
    if (!wait && *status == lock::kGrace)
      co_return told(Expected<bool>(error(EAGAIN, "",
                                          "the server has begun anew, and waits for those who had "
                                          "locks before")),
                     "lock");
    if (!wait) co_return false;
    // A server that doesn't wait.
    auto pausing = pauses.next();
    if (!co_await std::move(pausing)) co_return told(Expected<bool>(error(ECANCELED, "")), "lock");
  }
}

asio::awaitable<Expected<void>> File::unlock(Lock lock) {
  lock.type = lock::kUnlock;
  const auto status = co_await attachment_->lock(*handle_, std::move(lock), false);
  Expected<void> result;
  if (!status)
    result = std::unexpected(status.error());
  else if (*status != lock::kSuccess)
    result = error(ENOLCK, "");
  co_return told(std::move(result), "unlock");
}

asio::awaitable<Expected<Lock>> File::test_lock(Lock lock) {
  co_return told(co_await attachment_->repeat(
                     *handle_, [&](Operations& o, Fid fid) { return o.getlock(fid, lock); }),
                 "test a lock of");
}

}  // namespace ninep::client
