// One long conversation, word for word the same on every loop.
#include <regex>

#include "tests/conversation/conversation.h"

namespace ninep::test {
namespace {

using Transcript = std::vector<std::string>;

/// Asks a bit of everything, right and wrong, and notes the replies.
Transcript converse(Client c) {
  Transcript said;
  const auto ask = [&](const auto& m) { said.push_back(c.call(m).text()); };
  said.push_back(std::to_string(c.version(8192)));
  ask(Tauth{Fid{9}, "u", "", 0});
  ask(Tattach{Fid{0}, kNoFid, "", "", 0});
  ask(Tmkdir{Fid{0}, "d", 0755, 0});
  ask(Tmkdir{Fid{0}, "d", 0755, 0});
  ask(Twalk{Fid{0}, Fid{1}, {"d"}});
  ask(Twalk{Fid{0}, Fid{2}, {"d", "no"}});
  ask(Twalk{Fid{1}, Fid{2}, {}});
  ask(Tlcreate{Fid{2}, "f", lopen::kReadWrite, 0640, 0});
  ask(Twrite{Fid{2}, 0, as_bytes("0123456789")});
  ask(Tread{Fid{2}, 3, 4});
  ask(Tread{Fid{2}, 10, 4});
  ask(Tread{Fid{1}, 0, 4});
  ask(Tfsync{Fid{2}, 0});
  ask(Tgetattr{Fid{2}, getattr::kBasic});
  ask(Tsetattr{.fid = Fid{2}, .valid = setattr::kMode | setattr::kSize, .mode = 0600, .size = 5});
  ask(Tgetattr{Fid{2}, getattr::kBasic});
  ask(Tlock{Fid{2}, lock::kWrite, 0, 0, 10, 1, "h"});
  ask(Tlock{Fid{2}, lock::kRead, 0, 5, 10, 2, "h"});
  ask(Tgetlock{Fid{2}, lock::kRead, 5, 10, 2, "h"});
  ask(Twalk{Fid{1}, Fid{3}, {"f"}});
  ask(Txattrcreate{Fid{3}, "user.a", 3, 0});
  ask(Twrite{Fid{3}, 0, as_bytes("abc")});
  ask(Tclunk{Fid{3}});
  ask(Twalk{Fid{1}, Fid{3}, {"f"}});
  ask(Txattrwalk{Fid{3}, Fid{4}, "user.a"});
  ask(Tread{Fid{4}, 0, 100});
  ask(Txattrwalk{Fid{3}, Fid{5}, "user.b"});
  ask(Tsymlink{Fid{0}, "l", "d/f", 0});
  ask(Twalk{Fid{0}, Fid{6}, {"l"}});
  ask(Treadlink{Fid{6}});
  ask(Tlopen{Fid{6}, 0});
  ask(Tmknod{Fid{0}, "p", 0010600, 0, 0, 0});
  ask(Tlink{Fid{0}, Fid{3}, "g"});
  ask(Trenameat{Fid{0}, "g", Fid{1}, "h"});
  ask(Trename{Fid{3}, Fid{0}, "i"});
  ask(Tlopen{Fid{1}, 0});
  ask(Treaddir{Fid{1}, 0, 8000});
  ask(Treaddir{Fid{1}, 0, 10});
  ask(Tunlinkat{Fid{0}, "d", 0});
  ask(Tunlinkat{Fid{0}, "d", kUnlinkRemoveDir});
  ask(Tunlinkat{Fid{1}, "h", 0});
  ask(Tremove{Fid{3}});
  ask(Tclunk{Fid{3}});
  ask(Tflush{Tag{7}});
  ask(Tgetattr{Fid{2}, getattr::kBasic});
  said.push_back(std::to_string(c.version(4096)));
  ask(Tclunk{Fid{0}});
  return said;
}

/// Without what differs between two directories of one machine: file numbers and times.
Transcript without_accidents(Transcript said) {
  static const std::regex qid(R"(\(([0-9a-f]+) [0-9a-f]+ [0-9a-f]+\))");
  static const std::regex time(R"(([acmb]time_n?sec) [0-9]+)");
  for (std::string& line : said)
    line = std::regex_replace(std::regex_replace(line, qid, "(qid $1)"), time, "$1");
  return said;
}

/// The loops of this machine, with the fake one several times. Its reads aren't cut short: how much
/// of a file one Rread brings is the only thing that may differ.
std::vector<std::unique_ptr<io::Loop>> all_loops() {
  std::vector<std::unique_ptr<io::Loop>> loops;
  std::string why;
  for (const Which& which : {Which{"io_uring"}, Which{"portable"}, Which{"fake"}, Which{"fake", 1},
                             Which{"fake", 2}, Which{"fake", 3}})
    if (auto loop = make_loop(which, {.shortened = 0}, why)) loops.push_back(std::move(loop));
  return loops;
}

TEST(SameReplies, OverMemory) {
  Transcript first;
  auto loops = all_loops();
  ASSERT_GE(loops.size(), 2u);
  for (auto& loop : loops) {
    const std::string name(loop->name());
    const auto tree =
        std::make_shared<fs::MemoryTree>(fs::MemoryTree::Options{.counted_time = true});
    Host host(std::move(loop), {tree});
    const Transcript said = converse(host.connect());
    if (first.empty()) first = said;
    EXPECT_EQ(said, first) << name;
  }
  EXPECT_GT(first.size(), 40u);
}

TEST(SameReplies, OverLocalFiles) {
  Transcript first;
  auto loops = all_loops();
  ASSERT_GE(loops.size(), 2u);
  for (auto& loop : loops) {
    const std::string name(loop->name());
    const TempDir directory;
    Host host(std::move(loop), {*fs::make_local_tree(directory.path())});
    const Transcript said = without_accidents(converse(host.connect()));
    if (first.empty()) first = said;
    EXPECT_EQ(said, first) << name;
  }
  EXPECT_GT(first.size(), 40u);
}

}  // namespace
}  // namespace ninep::test
