// Files whose locks are taken again, at one server after the other: each says what a test wants.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/client/on_loop.h"
#include "tests/client/scripted.h"

namespace ninep::test {

/// One file, at one server after the other.
class LocksFoundAgain : public OnLoop {
 protected:
  /// Scripted::Answer, over a connection: the first is 1.
  using Answer = std::function<std::optional<Frame>(int connection, Bytes request)>;

  ~LocksFoundAgain() override { leave(); }
  /// Until the servers are gone too.
  void leave() {
    root.reset();
    attachment.reset();
    if (!is_left) settle();
    servers.clear();
  }
  void connect(Answer answer, client::Options options = {}) {
    const auto to =
        [this,
         answer](std::chrono::milliseconds) -> asio::awaitable<client::Expected<client::Stream>> {
      if (is_gone) co_return client::error(ECONNREFUSED, "connect");
      const int number = ++connections;
      servers.emplace_back([this, answer, number](Bytes f) {
        const std::lock_guard guard(mutex);
        types.push_back(read_header(f).type);
        if (is<Tlock>(f)) locks.push_back(lock_of(f));
        return answer(number, f);
      });
      co_return stream_to(servers.back().client);
    };
    attachment = get(client::Attachment::make(to, true, options));
    root.emplace(attachment, get(attachment->root()));
  }
  client::File opened(const std::string& name = "f") {
    return get(get(root->walk(name)).open(lopen::kReadWrite));
  }
  /// What it answers to what is asked of the file "g", kOther.
  std::optional<Frame> of_another(Bytes f) {
    Twalk walk{};
    Tlopen open{};
    if (is_walk_to_it(f, "g") && decode(frame_body(f), kDotL, walk)) {
      fids.push_back(walk.newfid);
      Rwalk r{};
      r.wqid.push_back(kOther);
      return reply(f, r);
    }
    // A fid that is walked nowhere from is the same file's.
    if (is<Twalk>(f) && decode(frame_body(f), kDotL, walk)) {
      if (walk.wname.size() == 0 && std::ranges::count(fids, walk.fid) != 0)
        fids.push_back(walk.newfid);
      else if (walk.wname.size() != 0)
        std::erase(fids, walk.newfid);
    }
    if (is<Tlopen>(f) && decode(frame_body(f), kDotL, open) &&
        std::ranges::count(fids, open.fid) != 0)
      return reply(f, Rlopen{kOther, 0});
    return std::nullopt;
  }
  /// What it answers else.
  static std::optional<Frame> says(Bytes f) {
    switch (read_header(f).type) {
      case Describe<Tattach>::code:
        return reply(f, Rattach{{kQtDir, 0, 1}});
      case Describe<Twalk>::code: {
        Rwalk r{};
        if (is_walk_to_it(f)) r.wqid.push_back(kFile);
        return reply(f, r);
      }
      case Describe<Tlopen>::code:
        return reply(f, Rlopen{kFile, 0});
      case Describe<Tlcreate>::code:
        return reply(f, Rlcreate{kFile, 0});
      case Describe<Tgetattr>::code:
        return was_born(f, 1);
      case Describe<Tlock>::code:
        return reply(f, Rlock{lock::kSuccess});
      case Describe<Tgetlock>::code:
        return reply(f, Rgetlock{lock::kUnlock, 0, 0, 0, ""});
      case Describe<Tread>::code:
        return reply(f, Rread{as_bytes(Str("x"))});
      case Describe<Tflush>::code:
        return reply(f, Rflush{});
      case Describe<Tclunk>::code:
        return reply(f, Rclunk{});
      default:
        return attaches(f);
    }
  }
  /// The connection that there is.
  void cut() { ::shutdown(servers.back().client, SHUT_RDWR); }
  bool has_unlocked(const client::Lock& lock) {
    const std::lock_guard guard(mutex);
    return std::ranges::any_of(locks, [&](const Tlock& one) {
      return one.type == lock::kUnlock && one.start == lock.start && one.length == lock.length;
    });
  }
  int count(U8 type) {
    const std::lock_guard guard(mutex);
    return static_cast<int>(std::ranges::count(types, type));
  }
  template <class Until>
  void run_until(const Until& is_there) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    context.restart();
    while (!is_there()) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("it doesn't come");
      context.run_one_for(std::chrono::milliseconds(10));
    }
  }
  void run_for(std::chrono::milliseconds time) {
    context.restart();
    context.run_for(time);
  }
  asio::awaitable<void> noted(asio::awaitable<client::Expected<void>> work, std::string& said) {
    const auto done = co_await std::move(work);
    said = done ? "done" : done.error().text();
  }
  void start(asio::awaitable<client::Expected<void>> work, std::string& said) {
    asio::co_spawn(context, noted(std::move(work), said), asio::detached);
  }
  static asio::awaitable<client::Expected<void>> locked(client::File& file, client::Lock lock) {
    const auto has = co_await file.lock(lock, false);
    NINEP_CO_RETURN_IF_WRONG(has);
    if (!*has) co_return client::error(EAGAIN, "lock");
    co_return client::Expected<void>();
  }
  static asio::awaitable<client::Expected<void>> read(client::File& file) {
    std::byte byte{};
    const auto got = co_await file.read(0, {&byte, 1});
    NINEP_CO_RETURN_IF_WRONG(got);
    co_return client::Expected<void>();
  }
  static Tlock lock_of(Bytes f) {
    Tlock request{};
    EXPECT_TRUE(decode(frame_body(f), kDotL, request));
    request.client_id = "";
    return request;
  }
  /// Of a file's name.
  static bool is_walk_to_it(Bytes f, Str name = "") {
    Twalk request{};
    return read_header(f).type == Describe<Twalk>::code && decode(frame_body(f), kDotL, request) &&
           request.wname.size() != 0 && (name.empty() || *request.wname.begin() == name);
  }
  template <Message T>
  static bool is(Bytes f) {
    return read_header(f).type == Describe<T>::code;
  }
  /// A file that was born then.
  static Frame was_born(Bytes f, U64 second) {
    Rgetattr r{};
    r.valid = getattr::kBasic | getattr::kBtime;
    r.attr.qid = kFile;
    r.attr.mode = S_IFREG | 0600;
    r.attr.btime_sec = second;
    return reply(f, r);
  }

  static constexpr Qid kFile{kQtFile, 0, 5}, kOther{kQtFile, 0, 6};
  const client::Lock mine{lock::kWrite, 0, 10, 1, "me"};
  const client::Lock theirs{lock::kWrite, 20, 1, 2, "other"};

  std::atomic<int> connections = 0;
  bool is_gone = false;
  // What servers and tests tell each other.
  std::atomic<bool> is_asked = false, may_answer = false;
  std::vector<Fid> fids;               // of the other file
  std::vector<Tlock> locks;            // that were asked for; without their owners' names
  std::vector<U8> types;               // of requests
  std::optional<Frame> held, flushed;  // replies that come later
  bool is_left = false;                // as it is, for the executor to destroy
  std::mutex mutex;                    // held while a server answers
  std::list<Scripted> servers;
  std::shared_ptr<client::Attachment> attachment;
  std::optional<client::Node> root;
};

}  // namespace ninep::test
