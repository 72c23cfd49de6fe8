// What only the tree in memory promises: its limits, its clock, its threads, its end.
#include <random>
#include <thread>

#include <sys/stat.h>

#include "server/fs/memory.h"
#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

class Memory : public testing::Test {
 protected:
  /// All tasks of this back end are done when they come.
  template <class T>
  static int error(io::Task<Result<T>> task) {
    const Result<T> result = task.await_resume();
    return result ? 0 : static_cast<int>(result.error());
  }
  template <class T>
  static T value(io::Task<Result<T>> task) {
    Result<T> result = task.await_resume();
    if (!result) throw std::runtime_error(std::string(errno_name(result.error())));
    return std::move(*result);
  }
  int write(fs::File& file, U64 offset, std::size_t size) {
    std::string data(size, 'x');
    const iovec piece{data.data(), size};
    const auto done = file.write(ctx_, std::span(&piece, 1), offset).await_resume();
    return done ? static_cast<int>(*done) : -static_cast<int>(done.error());
  }
  fs::Created create(fs::Node& dir, Str name) {
    return value(dir.create(ctx_, name, lopen::kReadWrite, 0644, 0));
  }

  const std::unique_ptr<io::Loop> loop_ = io::make_portable_loop();
  fs::Context ctx_{*loop_, nullptr};
};

// The bytes have a limit: a short write, then ENOSPC; and what is removed can be had again. A
// fuzzer would take all the memory there is.
TEST_F(Memory, SizeLimit) {
  fs::MemoryTree tree({.size_max = 64 * 1024});
  const auto root = value(tree.attach(ctx_, ""));
  const U64 free = value(root->statfs(ctx_)).bfree;
  EXPECT_EQ(value(root->statfs(ctx_)).blocks, 16u);
  for (int round = 0; round < 3; ++round) {
    auto f = create(*root, "f");
    EXPECT_EQ(write(*f.file, 1000, 100'000), 15 * 4096 - 1000);
    EXPECT_EQ(write(*f.file, U64{1} << 40, 1), -ENOSPC);
    EXPECT_EQ(write(*f.file, 0, 10), 10);
    EXPECT_EQ(value(root->statfs(ctx_)).bfree, 0u);
    EXPECT_EQ(error(root->unlink(ctx_, "f", false)), 0);
    EXPECT_LE(value(root->statfs(ctx_)).bfree, 1u) << "it is open still";
    f = {};
    EXPECT_EQ(value(root->statfs(ctx_)).bfree, free);
  }
  auto f = create(*root, "f");
  EXPECT_GT(write(*f.file, 0, 100'000), 0);
  EXPECT_EQ(error(f.node->setattr(ctx_, {.valid = setattr::kSize, .size = 1}, nullptr)), 0);
  EXPECT_EQ(write(*f.file, 5000, 1), 1);
}

// So have names, links, targets and attributes, which are made without any data.
TEST_F(Memory, EverythingCounts) {
  fs::MemoryTree tree({.size_max = 64 * 1024});
  const auto root = value(tree.attach(ctx_, ""));
  const auto until_full = [](auto&& make) {
    for (int i = 0; i < 1000; ++i)
      if (const int failed = make("n" + std::to_string(i))) return failed;
    return 0;
  };
  const auto clear = [&] {
    for (int i = 0; i < 1000; ++i) error(root->unlink(ctx_, "n" + std::to_string(i), false));
  };
  const auto f = create(*root, "f");
  const U64 free = value(root->statfs(ctx_)).bfree;
  EXPECT_EQ(until_full([&](Str name) { return error(root->link(ctx_, *f.node, name)); }), ENOSPC);
  clear();
  const std::string target(4000, 't');
  EXPECT_EQ(until_full([&](Str name) { return error(root->symlink(ctx_, name, target, 0)); }),
            ENOSPC);
  clear();
  const std::vector<std::byte> attribute(60'000);
  EXPECT_EQ(error(f.node->setxattr(ctx_, "user.a", attribute, 0)), 0);
  EXPECT_EQ(error(f.node->setxattr(ctx_, "user.b", attribute, 0)), ENOSPC);
  EXPECT_EQ(error(f.node->removexattr(ctx_, "user.a")), 0);
  EXPECT_EQ(value(root->statfs(ctx_)).bfree, free);
}

TEST_F(Memory, InodeLimit) {
  fs::MemoryTree tree({.inodes_max = 10});
  const auto root = value(tree.attach(ctx_, ""));
  for (int i = 0; i < 9; ++i)
    EXPECT_EQ(error(root->mkdir(ctx_, "d" + std::to_string(i), 0755, 0)), 0);
  EXPECT_EQ(error(root->mkdir(ctx_, "x", 0755, 0)), ENOSPC);
  EXPECT_EQ(value(root->statfs(ctx_)).ffree, 0u);
  EXPECT_EQ(error(root->unlink(ctx_, "d3", true)), 0);
  EXPECT_EQ(error(root->mkdir(ctx_, "x", 0755, 0)), 0);
}

// A chain of directories as deep as the limits allow comes to its end without recursion.
TEST_F(Memory, DeepChains) {
  auto tree = std::make_unique<fs::MemoryTree>(fs::MemoryTree::Options{.inodes_max = 100'001});
  auto at = value(tree->attach(ctx_, ""));
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(error(at->mkdir(ctx_, "d", 0755, 0)), 0);
    at = value(at->walk(ctx_, "d"));
  }
  at = nullptr;
  tree.reset();
}

// With a counted clock two runs give the same attributes: a crash that a fuzzer found comes again.
TEST_F(Memory, CountedTime) {
  const auto a_run = [&] {
    fs::MemoryTree tree({.counted_time = true});
    const auto root = value(tree.attach(ctx_, ""));
    const auto f = create(*root, "f");
    write(*f.file, 0, 100);
    return value(f.node->getattr(ctx_, getattr::kBasic, nullptr)).attr;
  };
  EXPECT_EQ(a_run(), a_run());
}

// Sessions on several loops share the tree: each with nodes of its own, in the same directories.
TEST_F(Memory, Threads) {
  fs::MemoryTree tree({.size_max = 1 << 20});
  const auto root = value(tree.attach(ctx_, ""));
  const auto session = [&](unsigned seed) {
    const auto loop = io::make_portable_loop();
    fs::Context ctx(*loop, nullptr);
    std::minstd_rand random(seed);
    const auto any = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
    std::vector<Ref<fs::Node>> dirs = {value(tree.attach(ctx, ""))};
    std::string data(5000, 'x');
    const iovec piece{data.data(), data.size()};
    for (int i = 0; i < 5000; ++i) {
      const auto dir = dirs[any(static_cast<unsigned>(dirs.size()))];
      const std::string name(1, static_cast<char>('a' + any(4)));
      switch (any(8)) {
        case 0:
          error(dir->mkdir(ctx, name, 0755, 0));
          break;
        case 1:
          error(dir->unlink(ctx, name, any(2) == 0));
          break;
        case 2:
          error(dir->rename(ctx, name, *dirs[any(static_cast<unsigned>(dirs.size()))], "b"));
          break;
        case 3:
          error(dir->remove_self(ctx));
          break;
        case 4: {
          const auto made = dir->create(ctx, name, lopen::kReadWrite, 0644, 0).await_resume();
          if (made) error(made->file->write(ctx, std::span(&piece, 1), any(10'000)));
          break;
        }
        case 5: {
          const auto opened = dir->open(ctx, lopen::kReadOnly).await_resume();
          std::byte room[200];
          if (opened) error((*opened)->readdir(ctx, room, any(5)));
          break;
        }
        case 6: {
          const auto node = dir->walk(ctx, any(3) ? Str(name) : "..").await_resume();
          if (node) error((*node)->getattr(ctx, getattr::kBasic, nullptr));
          if (node && (*node)->qid().type == kQtDir) dirs.push_back(*node);
          break;
        }
        case 7:
          if (dirs.size() > 10) dirs.resize(1);
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) threads.emplace_back(session, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(error(root->walk(ctx_, "..")), 0);
}

}  // namespace
}  // namespace ninep::test
