// client/client.h for programs that wait: the same names, without coroutines.
//
// Any thread, several at once, on one object too where client/client.h lets several calls be under
// way. An object may go while others wait in calls of it: they go on. Errors: those of
// client/client.h; EBADF: there is no such file, the object is empty or was moved from. What runs
// out of memory throws std::bad_alloc.
//
// A connection's work is done by a thread of its own, which takes no signals. It ends with the last
// object of that connection, and the connection with it: what was not closed is not waited for. On
// that thread itself (Attachment::executor()) calls don't wait: EDEADLK; objects may go there.
#pragma once

#include <condition_variable>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "client/client.h"

namespace ninep::client::blocking {

class Node;
class File;
class Directory;
class Client;

/// The thread that a connection's work is done by.
class Worker {
 public:
  /// Throws std::system_error: the system has no thread or no descriptors for it.
  Worker() : context_(std::make_shared<asio::io_context>(1)), work_(context_->get_executor()) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread begins with that
    std::optional<std::system_error> failed;
    try {
      thread_ = std::thread([context = context_] { context->run(); });
    } catch (const std::system_error& e) {
      failed = e;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed) throw *failed;
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    // A server that hangs would otherwise be waited for.
    ask([this] {
      if (const auto attachment = attachment_.lock()) attachment->end();
    });
    work_.reset();
    if (is_here())
      thread_.detach();
    else
      thread_.join();
  }

  asio::any_io_executor executor() const { return context_->get_executor(); }

  /// Whose connection it is; on the thread.
  void serve(const std::shared_ptr<Attachment>& attachment) { attachment_ = attachment; }

  /// Runs the awaitable that `start()` gives to its end: what `finish(its result)` gives, an
  /// Expected. All of that on the thread, and what they throw comes out here.
  template <class Start, class Finish = std::identity>
  auto wait(Start start, Finish finish = {}) {
    using Result = typename std::invoke_result_t<Start&>::value_type;
    using Given = std::remove_cvref_t<std::invoke_result_t<Finish&, Result>>;
    if (is_here())
      return Given(error(EDEADLK, "wait for a server", "on the thread that talks to it"));
    Outcome<Given> outcome;
    asio::post(*context_, [&] {
      try {
        asio::co_spawn(*context_, start(), [&](std::exception_ptr thrown, Result result) {
          if (thrown)
            outcome.fail(thrown);
          else
            outcome.make([&] { return finish(std::move(result)); });
        });
      } catch (...) {
        outcome.fail(std::current_exception());
      }
    });
    return outcome.get();
  }
  /// What `call()` gives, on the thread.
  template <class Call>
  auto ask(Call call) -> std::invoke_result_t<Call&> {
    using Given = std::invoke_result_t<Call&>;
    if (is_here()) return call();
    if constexpr (std::is_void_v<Given>) {
      ask([&] { return call(), true; });
    } else {
      Outcome<Given> outcome;
      asio::post(*context_, [&] { outcome.make(call); });
      return outcome.get();
    }
  }

 private:
  /// What a thread waits for that another makes; on the stack of the one that waits.
  template <class T>
  class Outcome {
   public:
    template <class Make>
    void make(Make&& make) {
      try {
        T made = make();
        set([&] { made_.emplace(std::move(made)); });
      } catch (...) {
        fail(std::current_exception());
      }
    }
    void fail(std::exception_ptr thrown) {
      set([&] { thrown_ = std::move(thrown); });
    }
    T get() {
      std::unique_lock lock(mutex_);
      is_over_.wait(lock, [this] { return made_ || thrown_; });
      if (thrown_) std::rethrow_exception(thrown_);
      return *std::move(made_);
    }

   private:
    // Told under the lock: without it the waiting thread might have gone on, and this with it.
    template <class Set>
    void set(Set set) {
      const std::lock_guard lock(mutex_);
      set();
      is_over_.notify_one();
    }

    std::mutex mutex_;
    std::condition_variable is_over_;
    std::optional<T> made_;
    std::exception_ptr thrown_;
  };

  bool is_here() const { return std::this_thread::get_id() == thread_.get_id(); }

  const std::shared_ptr<asio::io_context> context_;  // the thread's too
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::weak_ptr<Attachment> attachment_;  // on the thread
  std::thread thread_;
};

/// What the classes below have in common: one of client/client.h's, and the thread where it is.
template <class T>
class Of {
 public:
  Of() = default;  // none; to be assigned to
  /// On the worker's thread.
  Of(std::shared_ptr<Worker> worker, T what)
      : held_(new Held{std::move(worker), std::move(what)}, &Of::drop) {}
  Of(Of&&) noexcept = default;
  Of& operator=(Of&&) noexcept = default;

  /// The coroutines' object; for what runs on its thread.
  T& operator*() const { return held_->what; }

 protected:
  struct Held {
    std::shared_ptr<Worker> worker;
    T what;
  };
  template <class Other>
  friend class Of;
  /// Keeps it, whatever becomes of the object.
  template <class Other>
  static auto held_of(const Of<Other>* other) {
    return other ? other->held_ : nullptr;
  }

  template <class Result>
  static Result none() {
    return error(EBADF, "use a file", "there is none");
  }
  /// What the awaitable that `call(T&)` gives comes to, as `finish(worker, result)` has it.
  template <class Call, class Finish>
  auto wait(Call call, Finish finish) const {
    const auto held = held_;  // stays, whatever becomes of this object
    using Result = typename std::invoke_result_t<Call&, T&>::value_type;
    using Given = std::invoke_result_t<Finish&, std::shared_ptr<Worker>, Result>;
    if (!held) return none<Given>();
    return held->worker->wait(
        [&] { return call(held->what); },
        [&](Result result) { return finish(held->worker, std::move(result)); });
  }
  template <class Call>
  auto wait(Call call) const {
    return wait(std::move(call), [](const auto&, auto result) { return result; });
  }
  /// The same of two, of one connection: `call(T&, Other&)`.
  template <class Other, class Call>
  auto wait_with(const Of<Other>& other, Call call) const {
    const auto its = held_of(&other);
    const auto ours = held_;
    using Result = typename std::invoke_result_t<Call&, T&, Other&>::value_type;
    if (!ours || !its) return none<Result>();
    if (ours->worker != its->worker)
      return Result(error(EXDEV, "use two files", "they are of two connections"));
    return ours->worker->wait([&] { return call(ours->what, its->what); });
  }
  /// What comes is one of client/client.h's, and becomes one of those below.
  template <class To, class Call>
  Expected<To> become(Call call) const {
    return wait(std::move(call), [](std::shared_ptr<Worker> worker, auto got) -> Expected<To> {
      if (!got) return std::unexpected(std::move(got.error()));
      return To(std::move(worker), *std::move(got));
    });
  }
  /// What `call(T&)` gives, on the thread; of none what there is without one.
  template <class Call>
  auto ask(Call call) const {
    const auto held = held_;
    using Given = std::invoke_result_t<Call&, T&>;
    if (!held) return Given();
    return held->worker->ask([&] { return call(held->what); });
  }
  /// It is none from now on.
  void let_go() { held_ = nullptr; }

 private:
  static void drop(Held* held) {
    const auto worker = held->worker;  // it goes last
    worker->ask([&] { delete held; });
  }

  std::shared_ptr<Held> held_;
};

template <class T>
class NodeOf : public Of<T> {
  friend class Client;

 public:
  using Of<T>::Of;

  Qid qid() const {
    return this->ask([](T& n) { return n.qid(); });
  }
  std::string path() const {
    return this->ask([](T& n) { return n.path(); });
  }
  bool is_directory() const {
    return this->ask([](T& n) { return n.is_directory(); });
  }
  bool is_symlink() const {
    return this->ask([](T& n) { return n.is_symlink(); });
  }

  Expected<Node> walk(std::string path);
  Expected<Attributes> stat() {
    return this->wait([](T& n) { return n.stat(); });
  }
  Expected<void> change(Change change) {
    return this->wait([&](T& n) { return n.change(change); });
  }
  Expected<std::string> readlink() {
    return this->wait([](T& n) { return n.readlink(); });
  }
  Expected<Rstatfs> statfs() {
    return this->wait([](T& n) { return n.statfs(); });
  }
  Expected<File> open(U32 flags);
  Expected<Directory> open_directory();
  /// While nobody else uses the node.
  Expected<File> open_itself(U32 flags);

  Expected<File> create(std::string name, U32 flags, U32 mode);
  Expected<Qid> mkdir(std::string name, U32 mode) {
    return this->wait([&](T& n) { return n.mkdir(name, mode); });
  }
  Expected<Qid> symlink(std::string name, std::string target) {
    return this->wait([&](T& n) { return n.symlink(name, target); });
  }
  Expected<Qid> mknod(std::string name, U32 mode, U64 rdev) {
    return this->wait([&](T& n) { return n.mknod(name, mode, rdev); });
  }
  template <class F>
  Expected<void> link(std::string name, NodeOf<F>& file) {
    return this->wait_with(file, [&](T& n, F& f) { return n.link(name, f); });
  }
  Expected<void> remove(std::string name, bool is_directory = false,
                        std::optional<U64> number = {}) {
    return this->wait([&](T& n) { return n.remove(name, is_directory, number); });
  }
  template <class To, class What = client::Node>
  Expected<void> rename(std::string name, NodeOf<To>& to, std::string to_name,
                        const NodeOf<What>* what = nullptr) {
    const auto file = this->held_of(what);
    return this->wait_with(
        to, [&](T& n, To& t) { return n.rename(name, t, to_name, file ? &file->what : nullptr); });
  }

  Expected<std::vector<std::string>> xattrs() {
    return this->wait([](T& n) { return n.xattrs(); });
  }
  Expected<std::string> xattr(std::string name) {
    return this->wait([&](T& n) { return n.xattr(name); });
  }
  Expected<void> set_xattr(std::string name, std::string value, U32 flags = 0) {
    return this->wait([&](T& n) { return n.set_xattr(name, value, flags); });
  }
  Expected<void> remove_xattr(std::string name) {
    return this->wait([&](T& n) { return n.remove_xattr(name); });
  }

  Expected<void> close() {
    return this->wait([](T& n) { return n.close(); });
  }
  template <class Same>
  void learn_from(const NodeOf<Same>& same) {
    const auto its = this->held_of(&same);
    const auto ours = this->held_of(this);
    if (its && ours && its->worker == ours->worker)
      this->ask([&](T& n) { n.learn_from(its->what); });
  }
  void rest() {
    this->ask([](T& n) { n.rest(); });
  }
};

class Node : public NodeOf<client::Node> {
 public:
  using NodeOf::NodeOf;
};

class File : public NodeOf<client::File> {
 public:
  using NodeOf::NodeOf;

  U32 iounit() const {
    return ask([](client::File& f) { return f.iounit(); });
  }
  Expected<std::size_t> read(U64 offset, Room into) {
    return wait([&](client::File& f) { return f.read(offset, into); });
  }
  Expected<void> write(U64 offset, Bytes data) {
    return wait([&](client::File& f) { return f.write(offset, data); });
  }
  Expected<void> append(Bytes data) {
    return wait([&](client::File& f) { return f.append(data); });
  }
  Expected<void> fsync(bool data_only = false) {
    return wait([&](client::File& f) { return f.fsync(data_only); });
  }

  Expected<bool> lock(Lock lock, bool waits) {
    return wait([&](client::File& f) { return f.lock(lock, waits); });
  }
  Expected<void> unlock(Lock lock) {
    return wait([&](client::File& f) { return f.unlock(lock); });
  }
  bool has_locks() const {
    return ask([](client::File& f) { return f.has_locks(); });
  }
  Expected<void> has_its_locks() const {
    return ask([](client::File& f) { return f.has_its_locks(); });
  }
  Expected<Lock> test_lock(Lock lock) {
    return wait([&](client::File& f) { return f.test_lock(lock); });
  }
};

class Directory : public NodeOf<client::Directory> {
 public:
  using NodeOf::NodeOf;

  Expected<std::vector<Entry>> next() {
    return wait([](client::Directory& d) { return d.next(); });
  }
  Expected<void> fsync() {
    return wait([](client::Directory& d) { return d.fsync(); });
  }
  void seek(U64 offset) {
    ask([&](client::Directory& d) { d.seek(offset); });
  }
};

template <class T>
Expected<Node> NodeOf<T>::walk(std::string path) {
  return this->template become<Node>([&](T& n) { return n.walk(path); });
}
template <class T>
Expected<File> NodeOf<T>::open(U32 flags) {
  return this->template become<File>([&](T& n) { return n.open(flags); });
}
template <class T>
Expected<File> NodeOf<T>::open_itself(U32 flags) {
  auto opened = this->template become<File>([=](T& n) { return n.open_itself(flags); });
  if (opened) this->let_go();
  return opened;
}

template <class T>
Expected<Directory> NodeOf<T>::open_directory() {
  return this->template become<Directory>([](T& n) { return n.open_directory(); });
}
template <class T>
Expected<File> NodeOf<T>::create(std::string name, U32 flags, U32 mode) {
  return this->template become<File>([&](T& n) { return n.create(name, flags, mode); });
}

class Client {
 public:
  /// EAGAIN, EMFILE, ...: there is no thread or no descriptor for the connection's work.
  static Expected<Client> connect(transport::Address address, Options options) {
    return make([&](Worker&) { return client::Client::connect(address, options); });
  }
  static Expected<Client> connect(std::string address, Options options) {
    return make([&](Worker&) { return client::Client::connect(address, options); });
  }
  /// On a connection that is there: descriptors that it takes over; may be one. EBADF: they aren't
  /// open.
  static Expected<Client> on(int in, int out, Options options) {
    return make([&](Worker& worker) {
      return client::Client::on(Stream(worker.executor(), in, out), options);
    });
  }

  Client() = default;  // none; to be assigned to
  Node& root() { return root_; }
  Dialects dialect() const {
    return root_.ask([](client::Node& n) { return n.attachment()->dialect(); });
  }

 private:
  explicit Client(Node root) : root_(std::move(root)) {}

  template <class Start>
  static Expected<Client> make(Start start) {
    try {
      const auto worker = std::make_shared<Worker>();
      return worker->wait([&] { return start(*worker); },
                          [&](Expected<client::Client> got) -> Expected<Client> {
                            if (!got) return std::unexpected(std::move(got.error()));
                            worker->serve(got->attachment());
                            return Client(Node(worker, std::move(got->root())));
                          });
    } catch (const std::system_error& e) {
      return error(e.code().value(), "start a connection", e.what());
    }
  }

  Node root_;
};

}  // namespace ninep::client::blocking
