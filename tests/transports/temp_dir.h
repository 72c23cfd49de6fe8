// A directory of a test's own, removed with all that is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "proto/check.h"

namespace ninep::test {

class TempDir {
 public:
  explicit TempDir(const std::filesystem::path& below = std::filesystem::temp_directory_path())
      : path_(below / "ninep-XXXXXX") {
    NINEP_CHECK(::mkdtemp(path_.data()));
    fd_ = ::open(path_.c_str(), O_DIRECTORY | O_CLOEXEC);
    NINEP_CHECK(fd_ >= 0);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    ::close(fd_);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  int fd() const { return fd_; }
  /// statfs(2)'s f_type of the file system that it is on.
  long type() const {
    struct statfs status{};
    ::fstatfs(fd_, &status);
    return status.f_type;
  }

 private:
  std::string path_;
  int fd_ = -1;
};

/// A directory on a local disk, below one of the places for files that don't stay; null: none is.
inline std::unique_ptr<TempDir> dir_on_ext4() {
  for (const auto& place : {std::filesystem::current_path(), std::filesystem::temp_directory_path(),
                            std::filesystem::path("/var/tmp")}) {
    std::error_code error;
    if (!std::filesystem::exists(place, error)) continue;
    auto dir = std::make_unique<TempDir>(place);
    if (dir->type() == EXT4_SUPER_MAGIC) return dir;
  }
  return nullptr;
}
inline constexpr const char* kNoExt4 =
    "no ext4 here: neither the current nor the temporary directory";

}  // namespace ninep::test
