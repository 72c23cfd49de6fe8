#include "bench/load/files.h"

#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "bench/load/error.h"
#include "bench/load/pattern.h"

namespace ninep::load {
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

}  // namespace

std::string small_name(U32 number) { return "small-" + std::to_string(number); }
std::string write_name(U32 connection) { return "write-" + std::to_string(connection); }

void prepare_files(const std::string& dir, Need need, U32 connections, U64 write_size) {
  if (!fs::is_directory(dir)) give_up("--dir ", dir, ": no such folder on this host");
  switch (need) {
    case Need::kNothing:
      return;
    case Need::kSmall:
      for (U32 i = 0; i < kSmallFiles; ++i)
        make_file_once(dir + "/" + small_name(i), kSmallPattern + i, kSmallSize);
      return;
    case Need::kBig:
      return make_file_once(dir + "/big", kBigPattern, kBigSize);
    case Need::kWrite:
      for (U32 i = 0; i < connections; ++i)
        make_file(dir + "/" + write_name(i), kUnwrittenPattern, write_size);
      return;
    case Need::kEntries:
      return make_entries(dir + "/entries");
    case Need::kNew:
      fs::remove_all(dir + "/new");
      fs::create_directory(dir + "/new");
      return;
  }
}

void check_written(const std::string& dir, U32 connection, const Written& written) {
  const std::string path = dir + "/" + write_name(connection);
  const File file(path, O_RDONLY);
  std::vector<std::byte> block(written.block_size);
  for (std::size_t i = 0; i < written.blocks.size(); ++i) {
    const U64 offset = i * block.size();
    if (pread(file.fd, block.data(), block.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(block.size()))
      give_up(path, ": is too short at the end");
    if (!matches_pattern(written.blocks[i] ? kWrittenPattern : kUnwrittenPattern, offset, block))
      give_up(path, ": the ", block.size(), " bytes at ", offset,
              written.blocks[i] ? " aren't what was written" : " were changed but never written");
  }
}

void check_nothing_new(const std::string& dir) {
  for (const auto& entry : fs::directory_iterator(dir + "/new"))
    give_up(entry.path().string(), " was removed but is still there");
}

}  // namespace ninep::load
