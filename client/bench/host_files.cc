// Files on this host, past the server.
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "client/bench/check_block.h"
#include "client/bench/files.h"

namespace ninep::bench {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPiece = 1 << 20;

struct File {
  File(const std::string& path, int flags) : fd(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd < 0) give_up_errno(path);
  }
  ~File() { close(fd); }
  File(const File&) = delete;
  int fd;
};

void make_file(const std::string& path, U64 pattern, U64 size) {
  File file(path, O_WRONLY | O_CREAT);
  std::vector<std::byte> piece(std::min<U64>(size, kPiece));
  for (U64 offset = 0; offset < size; offset += piece.size()) {
    fill_pattern(pattern, offset, piece);
    if (pwrite(file.fd, piece.data(), piece.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(piece.size()))
      give_up_errno(path);
  }
  if (ftruncate(file.fd, static_cast<off_t>(size)) != 0) give_up_errno(path);
}

/// For files that are only read.
void make_file_once(const std::string& path, U64 pattern, U64 size) {
  std::error_code missing;
  if (fs::file_size(path, missing) != size || missing) make_file(path, pattern, size);
}

void make_entries(const std::string& dir) {
  fs::create_directory(dir);
  for (U32 i = 0; i < kEntries; ++i) File(dir + "/" + std::to_string(i), O_WRONLY | O_CREAT);
}

class HostFiles : public Files {
 public:
  explicit HostFiles(std::string dir) : dir_(std::move(dir)) {
    if (!fs::is_directory(dir_)) give_up(dir_, ": no such directory on this host");
  }

  std::vector<std::string> names() const override { return {}; }

  asio::awaitable<void> prepare(Need need, const Options& options) override {
    switch (need) {
      case Need::kNothing:
        break;
      case Need::kSmall:
        for (U32 i = 0; i < kSmallFiles; ++i)
          make_file_once(path(small_name(i)), kSmallPattern + i, kSmallSize);
        break;
      case Need::kBig:
        make_file_once(path("big"), kBigPattern, options.file_size);
        break;
      case Need::kWrite:
        for (U32 i = 0; i < options.connections; ++i)
          make_file(path(write_name(i)), kUnwrittenPattern, write_size(options));
        break;
      case Need::kEntries:
        make_entries(path("entries"));
        break;
      case Need::kNew:
        // The directory stays: a server may know it already, and would have a stale one.
        fs::create_directory(path("new"));
        for (const auto& entry : fs::directory_iterator(path("new"))) fs::remove_all(entry.path());
        break;
    }
    co_return;
  }

  asio::awaitable<void> check_written(U32 connection, const Written& written) override {
    const std::string name = path(write_name(connection));
    const File file(name, O_RDONLY);
    std::vector<std::byte> block(written.block_size);
    for (std::size_t i = 0; i < written.blocks.size(); ++i) {
      if (pread(file.fd, block.data(), block.size(), static_cast<off_t>(i * block.size())) !=
          static_cast<ssize_t>(block.size()))
        give_up(name, ": is too short at the end");
      check_block(name, written, i, block);
    }
    co_return;
  }

  asio::awaitable<void> check_nothing_new() override {
    for (const auto& entry : fs::directory_iterator(path("new")))
      give_up(entry.path().string(), " was removed but is still there");
    co_return;
  }

  asio::awaitable<void> remove() override { co_return; }

 private:
  std::string path(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_;
};

}  // namespace

std::unique_ptr<Files> host_files(std::string dir) {
  return std::make_unique<HostFiles>(std::move(dir));
}

}  // namespace ninep::bench
