#include "tests/fs_conformance.h"

#include <algorithm>

#include <sys/stat.h>
#include <unistd.h>

namespace ninep::test {

void FsTest::SetUp() {
  // Other tests have acted as others, on this thread.
  if (::geteuid() == 0) NINEP_CHECK(io::assume(*io::Identity::make(0, 0, {})));
  ::umask(0);  // modes are the client's to decide, as in the server
  std::string why_not;
  auto loop = io::make_loop(GetParam().loop, why_not);
  if (!loop) GTEST_SKIP() << "no such loop here: " << errno_text(loop.error());
  loop_ = std::move(*loop);
  export_ = GetParam().make(why_not);
  if (!export_) GTEST_SKIP() << why_not;
  ctx_ = std::make_unique<fs::Context>(*loop_, export_->user);
  root_ = value(export_->tree->attach(*ctx_, ""));
}

// What was closed meanwhile may be under way still.
void FsTest::TearDown() {
  root_ = nullptr;
  ctx_.reset();
  export_.reset();
  if (!loop_) return;
  loop_->stop();
  loop_->run_until_stopped();
}

Ref<fs::Node> FsTest::dir(fs::Node& parent, Str name, U32 mode) {
  value(parent.mkdir(ctx(), name, mode, kOwnGid));
  return walk(parent, name);
}

Ref<fs::Node> FsTest::file(fs::Node& parent, Str name, Str content, U32 mode) {
  const U32 flags = lopen::kReadWrite | lopen::kExclusive;
  const fs::Created made = value(parent.create(ctx(), name, flags, mode, kOwnGid));
  EXPECT_EQ(write(*made.file, 0, content), static_cast<int>(content.size()));
  return walk(parent, name);
}

Ref<fs::Node> FsTest::symlink(fs::Node& parent, Str name, Str target) {
  value(parent.symlink(ctx(), name, target, kOwnGid));
  return walk(parent, name);
}

Attr FsTest::attr(fs::Node& node, fs::File* open) {
  return value(node.getattr(ctx(), getattr::kBasic, open)).attr;
}

int FsTest::write(fs::File& to, U64 offset, Str data) {
  const iovec piece{const_cast<char*>(data.data()), data.size()};
  const auto done = go(to.write(ctx(), std::span(&piece, 1), offset));
  return done ? static_cast<int>(*done) : -static_cast<int>(done.error());
}

std::string FsTest::read(fs::File& from, U64 offset, std::size_t size) {
  std::string data(size, '?');
  const iovec piece{data.data(), size};
  const auto got = go(from.read(ctx(), std::span(&piece, 1), offset));
  if (!got) return std::string(errno_name(got.error()));
  data.resize(*got);
  return data;
}

std::string FsTest::content(fs::Node& node) {
  const auto file = open(node, lopen::kReadOnly);
  const std::size_t size = attr(node).size;
  return read(*file, 0, size + 1);
}

Result<std::vector<Listed>> FsTest::list_some(fs::File& dir, U64 offset, std::size_t room) {
  std::vector<std::byte> space(room);
  const auto used = go(dir.readdir(ctx(), space, offset));
  NINEP_RETURN_IF_ERROR(used);
  EXPECT_LE(*used, room);
  Bytes bytes = Bytes(space).first(*used);
  std::vector<Listed> listed;
  while (!bytes.empty()) {
    Dirent entry{};
    if (!decode_front(bytes, kDotL, entry)) {
      ADD_FAILURE() << "a broken entry in a room of " << room;
      break;
    }
    listed.push_back({entry.qid, entry.offset, entry.type, std::string(entry.name)});
  }
  return listed;
}

std::vector<Listed> FsTest::list(fs::File& dir, U64 offset, std::size_t room) {
  std::vector<Listed> all;
  while (true) {
    auto some = list_some(dir, offset, room);
    EXPECT_TRUE(some) << errno_name(some.error());
    if (!some || some->empty()) return all;
    offset = some->back().offset;
    all.insert(all.end(), some->begin(), some->end());
  }
}

std::vector<std::string> FsTest::names(fs::Node& dir) {
  const auto file = open(dir, lopen::kReadOnly);
  std::vector<std::string> names;
  for (const Listed& entry : list(*file))
    if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ninep::test
