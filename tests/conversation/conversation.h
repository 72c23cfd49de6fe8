// The fixture of conversations: every test runs on each loop over each back end, and expects the
// same replies of all of them.
#pragma once

#include "server/fs/local.h"
#include "server/fs/memory.h"
#include "tests/conversation/host.h"
#include "tests/transports/temp_dir.h"

namespace ninep::test {

/// A loop and a back end.
struct World {
  Which loop;
  const char* tree;  // "memory", "local"
};
inline void PrintTo(const World& world, std::ostream* out) {
  *out << world.loop.name << world.loop.seed << " over " << world.tree;
}
inline std::string world_name(const testing::TestParamInfo<World>& info) {
  return std::string(info.param.loop.name) +
         (info.param.loop.seed ? std::to_string(info.param.loop.seed) : "") + "_" + info.param.tree;
}

class Conversation : public testing::TestWithParam<World> {
 protected:
  void SetUp() override {
    if (!start({})) GTEST_SKIP() << why_;
  }

  /// Serves from now on, instead of what was served before.
  bool start(server::Export exported, U32 msize_max = 1 << 20) {
    host_.reset();
    auto loop = make_loop(GetParam().loop, {}, why_);
    if (!loop) return false;
    if (!exported.tree) exported.tree = tree();
    host_ = std::make_unique<Host>(std::move(loop), std::move(exported), msize_max);
    return true;
  }
  /// What is served by default: an empty directory.
  std::shared_ptr<fs::Tree> tree() {
    if (!tree_ && is_local()) {
      directory_ = std::make_unique<TempDir>();
      tree_ = *fs::make_local_tree(directory_->path());
    } else if (!tree_) {
      tree_ = std::make_shared<fs::MemoryTree>();
    }
    return tree_;
  }

  const std::string& why() const { return why_; }
  bool is_local() const { return Str(GetParam().tree) == "local"; }
  /// Where the served directory is on this machine; is_local() only.
  const TempDir& directory() const { return *directory_; }
  Host& host() { return *host_; }
  /// A client that has said nothing yet.
  Client connect() { return host_->connect(); }
  /// One with a session, and the root as fid 0.
  Client session(U32 msize = kMsize) {
    Client client = connect();
    client.version(msize);
    client.attach(0);
    return client;
  }

 private:
  std::unique_ptr<TempDir> directory_;
  std::shared_ptr<fs::Tree> tree_;
  std::unique_ptr<Host> host_;
  std::string why_;
};

inline const auto kWorlds = testing::Values(
    World{{"io_uring"}, "memory"}, World{{"io_uring"}, "local"}, World{{"portable"}, "memory"},
    World{{"portable"}, "local"}, World{{"fake"}, "memory"}, World{{"fake"}, "local"},
    World{{"fake", 1}, "local"}, World{{"fake", 2}, "local"});

inline const auto kLocalWorlds =
    testing::Values(World{{"io_uring"}, "local"}, World{{"portable"}, "local"},
                    World{{"fake"}, "local"}, World{{"fake", 1}, "local"});

#define NINEP_CONVERSATION(suite) INSTANTIATE_TEST_SUITE_P(Each, suite, kWorlds, world_name)
/// For what only files on this machine have.
#define NINEP_LOCAL_CONVERSATION(suite) \
  INSTANTIATE_TEST_SUITE_P(Each, suite, kLocalWorlds, world_name)

}  // namespace ninep::test
