// The acceptance suite for back ends (server/fs/fs.h): what it runs on, and helpers that make one
// call each. The tests are in tests/server/fs_*_test.cc; tests/server/fs_backends.cc has the table
// of back ends, all of which pass all of them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proto/codec.h"
#include "server/fs/fs.h"
#include "tests/run.h"

namespace ninep::test {

/// An empty directory as a Tree; what it takes goes with it.
struct Export {
  virtual ~Export() = default;
  std::shared_ptr<fs::Tree> tree;
  std::filesystem::path host;  // where it is on this machine; empty: nowhere
  fs::User user;               // whom to act for
  bool privileged = true;      // may give files away
};

/// A row of the table. Returns null and a reason where this machine can't have it.
struct Backend {
  std::string name;
  io::Choice loop;
  std::function<std::unique_ptr<Export>(std::string& why_not)> make;
};
std::vector<Backend> backends();
inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }

/// One entry of a directory, as it was listed.
struct Listed {
  Qid qid;
  U64 offset;
  U8 type;
  std::string name;
};

inline constexpr U32 kOwnGid = io::kNoId;

class FsTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // ---- tasks

  template <class T>
  T go(io::Task<T> task) {
    return run(*loop_, std::move(task));
  }
  /// 0, or the errno that the task ended with.
  template <class T>
  int error(io::Task<Result<T>> task) {
    const Result<T> result = go(std::move(task));
    return result ? 0 : static_cast<int>(result.error());
  }
  /// What the task gives. If that is an error, the test fails and ends.
  template <class T>
  T value(io::Task<Result<T>> task) {
    Result<T> result = go(std::move(task));
    if (!result) throw std::runtime_error(std::string(errno_name(result.error())));
    return std::move(*result);
  }

  // ---- calls

  Ref<fs::Node> walk(fs::Node& from, Str name) { return value(from.walk(ctx(), name)); }
  /// Makes a directory and walks to it.
  Ref<fs::Node> dir(fs::Node& parent, Str name, U32 mode = 0755);
  /// Makes a file and walks to it.
  Ref<fs::Node> file(fs::Node& parent, Str name, Str content = "", U32 mode = 0644);
  Ref<fs::Node> symlink(fs::Node& parent, Str name, Str target);
  Ref<fs::File> open(fs::Node& node, U32 flags) { return value(node.open(ctx(), flags)); }
  Attr attr(fs::Node& node, fs::File* open = nullptr);

  /// How many bytes were written, or a negative errno.
  int write(fs::File& to, U64 offset, Str data);
  /// What was read, or the name of an errno.
  std::string read(fs::File& from, U64 offset, std::size_t size);
  /// Opens, reads all, closes.
  std::string content(fs::Node& node);

  /// One readdir.
  Result<std::vector<Listed>> list_some(fs::File& dir, U64 offset, std::size_t room);
  /// All of a directory from `offset` on, by rooms of that size.
  std::vector<Listed> list(fs::File& dir, U64 offset = 0, std::size_t room = 4096);
  /// The names in it, sorted, without "." and "..".
  std::vector<std::string> names(fs::Node& dir);

  fs::Context& ctx() { return *ctx_; }
  fs::Node& root() { return *root_; }
  io::Loop& loop() { return *loop_; }
  Export& exported() { return *export_; }

 private:
  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<Export> export_;
  std::unique_ptr<fs::Context> ctx_;
  Ref<fs::Node> root_;
};

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return info.param.name;
}

/// Has the tests of a suite, a class derived from FsTest, run on every back end.
#define NINEP_FS_SUITE(suite) \
  INSTANTIATE_TEST_SUITE_P(Fs, suite, testing::ValuesIn(backends()), backend_name)

}  // namespace ninep::test
