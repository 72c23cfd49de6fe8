// A directory of a test's own, removed with all that is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fcntl.h>
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

}  // namespace ninep::test
