// Files on the server, made and looked at through it.
#include <random>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include "client/bench/check_block.h"
#include "client/bench/files.h"
#include "client/bench/interrupt.h"
#include "client/together.h"

namespace ninep::bench {
namespace {

using client::Entry;
using client::Expected;
using client::File;
using client::Node;

constexpr std::size_t kPiece = 8 << 20;
constexpr U32 kAtOnce = 64;

template <class T>
void need(const Expected<T>& result) {
  if (!result) give_up(result.error().text());
}

// More than one run may be under way in a directory.
std::string new_name() {
  std::ostringstream name;
  name << "9p-bench-" << getpid() << '-' << std::hex << std::random_device()();
  return name.str();
}

asio::awaitable<void> make_entries(Node& dir, U32& next) {
  while (next < kEntries) {
    give_up_if_interrupted();
    const std::string name = std::to_string(next++);
    auto file = co_await dir.create(name, lopen::kWriteOnly | lopen::kExclusive, 0644);
    need(file);
    const auto done = co_await file->close();
    need(done);
  }
}

asio::awaitable<void> remove_entries(Node& dir, const std::vector<Entry>& entries,
                                     std::size_t& next) {
  while (next < entries.size()) {
    const Entry& entry = entries[next++];
    const auto done = co_await dir.remove(entry.name, (entry.qid.type & kQtDir) != 0);
    need(done);
  }
}

/// Runs `work(next)` on as many coroutines as there may be requests at once.
template <class Work>
asio::awaitable<void> at_once(Work work) {
  std::vector<asio::awaitable<void>> workers;
  for (U32 i = 0; i < kAtOnce; ++i) workers.push_back(work());
  co_await client::together(std::move(workers));
}

/// A directory of files, and it.
asio::awaitable<void> remove_directory(Node& in, std::string name) {
  auto dir = co_await in.walk(name);
  need(dir);
  for (;;) {
    // What is read while it is emptied would be read in part: each round begins anew.
    auto opened = co_await dir->open_directory();
    need(opened);
    const auto entries = co_await opened->next();
    need(entries);
    if (entries->empty()) break;
    std::size_t next = 0;
    co_await at_once([&] { return remove_entries(*dir, *entries, next); });
  }
  const auto done = co_await in.remove(name, true);
  need(done);
}

class ServerFiles : public Files {
 public:
  ServerFiles(Node in, Node dir, std::string name)
      : in_(std::move(in)), dir_(std::move(dir)), name_(std::move(name)) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    std::istringstream path(dir_.path());
    for (std::string one; std::getline(path, one, '/');)
      if (!one.empty()) names.push_back(one);
    return names;
  }

  asio::awaitable<void> prepare(Need need_of, const Options& options) override {
    switch (need_of) {
      case Need::kNothing:
        break;
      case Need::kSmall:
        for (U32 i = 0; i < kSmallFiles; ++i)
          co_await make_once(small_name(i), kSmallPattern + i, kSmallSize);
        break;
      case Need::kBig:
        co_await make_once("big", kBigPattern, options.file_size);
        break;
      case Need::kWrite:
        for (U32 i = 0; i < options.connections; ++i)
          co_await make(write_name(i), kUnwrittenPattern, write_size(options));
        break;
      case Need::kEntries: {
        if (directories_.contains("entries")) break;
        auto entries = co_await make_directory("entries");
        U32 next = 0;
        co_await at_once([&] { return make_entries(entries, next); });
        break;
      }
      case Need::kNew:
        if (directories_.contains("new")) co_await remove_directory(dir_, "new");
        co_await make_directory("new");
        break;
    }
  }

  asio::awaitable<void> check_written(U32 connection, const Written& written) override {
    const std::string name = write_name(connection);
    auto file = co_await open(name, lopen::kReadOnly);
    const std::size_t blocks = std::max<std::size_t>(1, kPiece / written.block_size);
    std::vector<std::byte> piece(blocks * written.block_size);
    for (std::size_t first = 0; first < written.blocks.size(); first += blocks) {
      give_up_if_interrupted();
      const std::size_t count = std::min(blocks, written.blocks.size() - first);
      const Room room = Room(piece).first(count * written.block_size);
      const auto size = co_await file.read(first * written.block_size, room);
      need(size);
      if (*size != room.size()) give_up(file.path(), ": is too short at the end");
      for (std::size_t i = 0; i < count; ++i)
        check_block(file.path(), written, first + i,
                    room.subspan(i * written.block_size, written.block_size));
    }
  }

  asio::awaitable<void> check_nothing_new() override {
    auto made = co_await dir_.walk("new");
    need(made);
    auto opened = co_await made->open_directory();
    need(opened);
    const auto entries = co_await opened->next();
    need(entries);
    if (!entries->empty())
      give_up(made->path(), "/", entries->front().name, " was removed but is still there");
  }

  asio::awaitable<void> remove() override {
    for (const std::string& name : directories_) co_await remove_directory(dir_, name);
    for (const std::string& name : files_) {
      const auto removed = co_await dir_.remove(name);
      need(removed);
    }
    const auto done = co_await in_.remove(name_, true);
    need(done);
  }

 private:
  asio::awaitable<Node> make_directory(std::string name) {
    const auto done = co_await dir_.mkdir(name, 0755);
    need(done);
    directories_.insert(name);
    auto made = co_await dir_.walk(name);
    need(made);
    co_return std::move(*made);
  }

  asio::awaitable<File> open(std::string name, U32 flags) {
    auto node = co_await dir_.walk(name);
    need(node);
    auto file = co_await node->open(flags);
    need(file);
    co_return std::move(*file);
  }

  asio::awaitable<File> create(std::string name) {
    auto file = co_await dir_.create(name, lopen::kWriteOnly | lopen::kExclusive, 0644);
    need(file);
    files_.insert(name);
    co_return std::move(*file);
  }

  asio::awaitable<void> make_once(std::string name, U64 pattern, U64 size) {
    if (!files_.contains(name)) co_await make(name, pattern, size);
  }

  asio::awaitable<void> make(std::string name, U64 pattern, U64 size) {
    File file;
    if (files_.contains(name))
      file = co_await open(name, lopen::kWriteOnly);
    else
      file = co_await create(name);
    std::vector<std::byte> piece(std::min<U64>(size, kPiece));
    for (U64 offset = 0; offset < size; offset += piece.size()) {
      give_up_if_interrupted();
      fill_pattern(pattern, offset, piece);
      const Bytes data = Bytes(piece).first(std::min<U64>(piece.size(), size - offset));
      const auto done = co_await file.write(offset, data);
      need(done);
    }
    const auto done = co_await file.close();
    need(done);
  }

  Node in_;
  Node dir_;
  std::string name_;
  std::set<std::string> files_;
  std::set<std::string> directories_;
};

}  // namespace

asio::awaitable<std::unique_ptr<Files>> server_files(Node in) {
  const std::string name = new_name();
  const auto done = co_await in.mkdir(name, 0755);
  need(done);
  auto dir = co_await in.walk(name);
  need(dir);
  co_return std::make_unique<ServerFiles>(std::move(in), std::move(*dir), name);
}

}  // namespace ninep::bench
