// client/client.h for programs that wait: the same names, without coroutines.
//
// Any thread, several at once, on one object too; what an object is called for has to be over
// before it goes. A connection's work is done by a thread of its own, which ends with the last
// object of that connection. Errors: those of client/client.h.
#pragma once

#include <future>
#include <thread>

#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "client/client.h"

namespace ninep::client::blocking {

class Node;
class File;
class Directory;

/// The thread that a connection's work is done by.
class Worker {
 public:
  Worker() : work_(context_.get_executor()), thread_([this] { context_.run(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// Not from a coroutine on it.
  ~Worker() {
    work_.reset();
    thread_.join();
  }

  /// Runs what `start()` gives, on the thread, to its end.
  template <class Start>
  auto wait(Start start) {
    using Result = typename std::invoke_result_t<Start&>::value_type;
    std::promise<Result> promise;
    asio::post(context_, [&] {
      asio::co_spawn(context_, start(), [&](std::exception_ptr thrown, Result result) {
        if (thrown)
          promise.set_exception(thrown);
        else
          promise.set_value(std::move(result));
      });
    });
    return promise.get_future().get();
  }
  /// Does away with it on the thread.
  template <class T>
  void drop(std::unique_ptr<T> what) {
    std::promise<void> done;
    asio::post(context_, [&] {
      what.reset();
      done.set_value();
    });
    done.get_future().get();
  }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

/// What the classes below have in common: one of client/client.h's, and where it is.
template <class T>
class Of {
 public:
  Of(std::shared_ptr<Worker> worker, std::unique_ptr<T> what)
      : worker_(std::move(worker)), what_(std::move(what)) {}
  Of(Of&&) noexcept = default;
  Of& operator=(Of&& other) noexcept {
    Of old(std::move(*this));
    worker_ = std::move(other.worker_);
    what_ = std::move(other.what_);
    return *this;
  }
  ~Of() {
    if (what_) worker_->drop(std::move(what_));
  }

  /// The coroutines' object, on its thread.
  T& operator*() const { return *what_; }

 protected:
  template <class Start>
  auto wait(Start start) const {
    return worker_->wait(std::move(start));
  }
  /// What comes is one of client/client.h's, and becomes one of those below.
  template <class To, class Start>
  Expected<To> become(Start start) const {
    auto got = worker_->wait(std::move(start));
    if (!got) return std::unexpected(got.error());
    using From = typename decltype(got)::value_type;
    return To(worker_, std::make_unique<From>(std::move(*got)));
  }

  std::shared_ptr<Worker> worker_;
  std::unique_ptr<T> what_;
};

template <class T>
class NodeOf : public Of<T> {
 public:
  using Of<T>::Of;

  const Qid& qid() const { return this->what_->qid(); }
  bool is_directory() const { return this->what_->is_directory(); }
  bool is_symlink() const { return this->what_->is_symlink(); }

  Expected<Node> walk(std::string path);
  Expected<Attributes> stat() {
    return this->wait([&] { return n().stat(); });
  }
  Expected<void> change(Change change) {
    return this->wait([&] { return n().change(change); });
  }
  Expected<std::string> readlink() {
    return this->wait([&] { return n().readlink(); });
  }
  Expected<Rstatfs> statfs() {
    return this->wait([&] { return n().statfs(); });
  }
  Expected<File> open(U32 flags);
  Expected<Directory> open_directory();
  Expected<File> create(std::string name, U32 flags, U32 mode);
  Expected<Qid> mkdir(std::string name, U32 mode) {
    return this->wait([&] { return n().mkdir(name, mode); });
  }
  Expected<Qid> symlink(std::string name, std::string target) {
    return this->wait([&] { return n().symlink(name, target); });
  }
  Expected<Qid> mknod(std::string name, U32 mode, U64 rdev) {
    return this->wait([&] { return n().mknod(name, mode, rdev); });
  }
  template <class Other>
  Expected<void> link(std::string name, NodeOf<Other>& file) {
    return this->wait([&] { return n().link(name, *file); });
  }
  Expected<void> remove(std::string name, bool is_directory = false) {
    return this->wait([&] { return n().remove(name, is_directory); });
  }
  template <class Other>
  Expected<void> rename(std::string name, NodeOf<Other>& to, std::string to_name) {
    return this->wait([&] { return n().rename(name, *to, to_name); });
  }
  Expected<std::vector<std::string>> xattrs() {
    return this->wait([&] { return n().xattrs(); });
  }
  Expected<std::string> xattr(std::string name) {
    return this->wait([&] { return n().xattr(name); });
  }
  Expected<void> set_xattr(std::string name, std::string value, U32 flags = 0) {
    return this->wait([&] { return n().set_xattr(name, value, flags); });
  }
  Expected<void> remove_xattr(std::string name) {
    return this->wait([&] { return n().remove_xattr(name); });
  }
  Expected<void> close() {
    return this->wait([&] { return n().close(); });
  }

 protected:
  T& n() const { return *this->what_; }
};

class Node : public NodeOf<client::Node> {
 public:
  using NodeOf::NodeOf;
};

class File : public NodeOf<client::File> {
 public:
  using NodeOf::NodeOf;

  U32 iounit() const { return n().iounit(); }
  Expected<std::size_t> read(U64 offset, Room into) {
    return wait([&] { return n().read(offset, into); });
  }
  Expected<void> write(U64 offset, Bytes data) {
    return wait([&] { return n().write(offset, data); });
  }
  Expected<void> append(Bytes data) {
    return wait([&] { return n().append(data); });
  }
  Expected<void> fsync(bool data_only = false) {
    return wait([&] { return n().fsync(data_only); });
  }
  Expected<bool> lock(Lock lock, bool waits) {
    return wait([&] { return n().lock(lock, waits); });
  }
  Expected<void> unlock(Lock lock) {
    return wait([&] { return n().unlock(lock); });
  }
  Expected<Lock> test_lock(Lock lock) {
    return wait([&] { return n().test_lock(lock); });
  }
};

class Directory : public NodeOf<client::Directory> {
 public:
  using NodeOf::NodeOf;

  Expected<std::vector<Entry>> next() {
    return wait([&] { return n().next(); });
  }
  void seek(U64 offset) { n().seek(offset); }
};

template <class T>
Expected<Node> NodeOf<T>::walk(std::string path) {
  return this->template become<Node>([&] { return n().walk(path); });
}
template <class T>
Expected<File> NodeOf<T>::open(U32 flags) {
  return this->template become<File>([&] { return n().open(flags); });
}
template <class T>
Expected<Directory> NodeOf<T>::open_directory() {
  return this->template become<Directory>([&] { return n().open_directory(); });
}
template <class T>
Expected<File> NodeOf<T>::create(std::string name, U32 flags, U32 mode) {
  return this->template become<File>([&] { return n().create(name, flags, mode); });
}

class Client {
 public:
  /// `address`: transports/address.h.
  static Expected<Client> connect(std::string address, Options options) {
    auto worker = std::make_shared<Worker>();
    auto connected =
        worker->wait([&] { return client::Client::connect(address, std::move(options)); });
    if (!connected) return std::unexpected(connected.error());
    const Dialects dialect = connected->dialect();
    auto root = std::make_unique<client::Node>(std::move(connected->root()));
    return Client(dialect, Node(worker, std::move(root)));
  }

  Node& root() { return root_; }
  Dialects dialect() const { return dialect_; }

 private:
  Client(Dialects dialect, Node root) : dialect_(dialect), root_(std::move(root)) {}
  Dialects dialect_;
  Node root_;
};

}  // namespace ninep::client::blocking
