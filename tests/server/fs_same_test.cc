// The tree in memory against the kernel: the same calls on both, any calls, and the same answers,
// errno for errno.
#include <algorithm>
#include <random>

#include <sys/stat.h>
#include <unistd.h>

#include "tests/fs_conformance.h"

namespace ninep::test {
namespace {

constexpr std::size_t kNodes = 8;
constexpr std::size_t kFiles = 4;

/// What a call answered, in a form that two trees can be compared by.
using Answer = std::string;

/// One of the two trees, with the fids of a client.
class Side {
 public:
  explicit Side(const Backend& backend) {
    std::string why_not;
    NINEP_CHECK(io::assume(*io::Identity::make(0, 0, {})));
    ::umask(0);
    loop_ = io::make_portable_loop();
    exported_ = backend.make(why_not);
    if (!exported_) return;
    ctx_ = std::make_unique<fs::Context>(*loop_, exported_->user);
    nodes_[0] = *run(*loop_, exported_->tree->attach(*ctx_, ""));
    std::fill(nodes_.begin() + 1, nodes_.end(), nodes_[0]);
    go(nodes_[0]->setattr(*ctx_, {.valid = setattr::kMode, .mode = 0755}, nullptr));
  }
  bool usable() const { return exported_ != nullptr; }

  /// Does the call that `random` makes up. The same numbers make the same call on both sides.
  Answer call(std::minstd_rand random);

 private:
  template <class T>
  Result<T> go(io::Task<Result<T>> task) {
    return run(*loop_, std::move(task));
  }
  template <class T>
  static Answer answer(const Result<T>& result) {
    return std::string(result ? "done" : errno_name(result.error()));
  }
  Answer attributes(fs::Node& node);
  Answer entries(fs::File& file);
  Answer transfer(fs::File& file, bool write, U64 offset, std::size_t size);
  Answer xattr(fs::Node& node, unsigned what, Str name, std::size_t size);

  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<Export> exported_;
  std::unique_ptr<fs::Context> ctx_;
  std::array<Ref<fs::Node>, kNodes> nodes_;
  std::array<Ref<fs::File>, kFiles> files_;
};

Answer Side::attributes(fs::Node& node) {
  const auto got = go(node.getattr(*ctx_, getattr::kBasic, nullptr));
  if (!got) return answer(got);
  const Attr& a = got->attr;
  Answer text = "mode " + std::to_string(a.mode) + " links " + std::to_string(a.nlink) + " uid " +
                std::to_string(a.uid) + " gid " + std::to_string(a.gid) + " rdev " +
                std::to_string(a.rdev);
  if (!S_ISDIR(a.mode)) text += " size " + std::to_string(a.size);
  return text;
}

Answer Side::entries(fs::File& file) {
  std::vector<std::byte> room(8192);
  const auto used = go(file.readdir(*ctx_, room, 0));
  if (!used) return answer(used);
  std::vector<std::string> names;
  Bytes bytes = Bytes(room).first(*used);
  for (Dirent entry{}; !bytes.empty() && decode_front(bytes, kDotL, entry);)
    names.push_back(std::string(entry.name) + ":" + std::to_string(entry.type));
  std::sort(names.begin(), names.end());
  Answer text;
  for (const std::string& name : names) text += name + " ";
  return text;
}

Answer Side::transfer(fs::File& file, bool write, U64 offset, std::size_t size) {
  std::string data(size, static_cast<char>('a' + offset % 26));
  const iovec piece{data.data(), size};
  if (write) {
    const auto done = go(file.write(*ctx_, std::span(&piece, 1), offset));
    return done ? std::to_string(*done) : answer(done);
  }
  const auto got = go(file.read(*ctx_, std::span(&piece, 1), offset));
  return got ? data.substr(0, *got) : answer(got);
}

Answer Side::xattr(fs::Node& node, unsigned what, Str name, std::size_t size) {
  const std::string full = "user." + std::string(name);
  const std::vector<std::byte> value(size % 100, std::byte{'v'});
  if (what == 0) return answer(go(node.removexattr(*ctx_, full)));
  if (what < 4) return answer(go(node.setxattr(*ctx_, full, value, what - 1)));
  const auto got = go(node.getxattr(*ctx_, full));
  return got ? std::to_string(got->size()) : answer(got);
}

Answer Side::call(std::minstd_rand random) {
  const auto any = [&](std::size_t count) { return static_cast<U32>(random() / 7 % count); };
  const U32 which = any(20);
  Ref<fs::Node>& slot = nodes_[1 + any(kNodes - 1)];  // the first stays the root
  const Ref<fs::Node> node = nodes_[any(kNodes)];
  const Ref<fs::Node> other = nodes_[any(kNodes)];
  Ref<fs::File>& file = files_[any(kFiles)];
  const std::string name(1, static_cast<char>('a' + any(4)));
  const std::string to(1, static_cast<char>('a' + any(4)));
  const U32 mode = any(010000);
  const U32 number = any(9000);
  const U32 flags = any(3) | (any(4) ? 0 : lopen::kTruncate) | (any(4) ? 0 : lopen::kAppend) |
                    (any(4) ? 0 : lopen::kExclusive) | (any(6) ? 0 : lopen::kDirectory);
  fs::Context& ctx = *ctx_;
  switch (which) {
    case 0: {
      auto made = go(node->create(ctx, name, flags & ~lopen::kDirectory, mode, kOwnGid));
      if (made) slot = made->node, file = made->file;
      return "create " + name + " " + answer(made);
    }
    case 1:
      return "mkdir " + name + " " + answer(go(node->mkdir(ctx, name, mode, kOwnGid)));
    case 2: {
      constexpr U32 kTypes[] = {0, S_IFREG, S_IFIFO, S_IFSOCK, S_IFDIR, 0150000};
      const U32 full = kTypes[number % std::size(kTypes)] | mode;
      return "mknod " + name + " " + answer(go(node->mknod(ctx, name, full, 0, 0, kOwnGid)));
    }
    case 3:
      return "symlink " + name + " " + answer(go(node->symlink(ctx, name, to, kOwnGid)));
    case 4:
      return "link " + name + " " + answer(go(node->link(ctx, *other, name)));
    case 5:
    case 6:
      return "unlink " + name + " " + answer(go(node->unlink(ctx, name, which == 5)));
    case 7:
    case 8:
      return "rename " + name + " " + to + " " + answer(go(node->rename(ctx, name, *other, to)));
    case 9:
      return "remove_self " + answer(go(node->remove_self(ctx)));
    case 10:
      return "rename_self " + to + " " + answer(go(node->rename_self(ctx, *other, to)));
    case 11: {
      auto opened = go(node->open(ctx, flags & ~lopen::kExclusive));
      if (opened) file = *opened;
      return "open " + answer(opened);
    }
    case 12:
    case 13:
      if (!file) return "";
      return "transfer " + transfer(*file, which == 12, number, mode + 1);
    case 14:
      return file ? "readdir " + entries(*file) : "";
    case 15: {
      constexpr U32 kUsed = setattr::kMode | setattr::kUid | setattr::kGid | setattr::kSize |
                            setattr::kAtime | setattr::kMtime;
      const Tsetattr set{.valid = number & kUsed, .mode = mode, .size = number};
      return "setattr " + answer(go(node->setattr(ctx, set, nullptr)));
    }
    case 16: {
      const auto target = go(node->readlink(ctx));
      return "readlink " + (target ? *target : answer(target));
    }
    case 17:
      return "xattr " + xattr(*node, number % 5, name, mode);
    default: {
      // Up from a removed directory Linux leads to where it was; the tree in memory doesn't know.
      const bool up = number % 4 == 0 && !attributes(*node).contains("links 0");
      auto walked = go(node->walk(ctx, up ? ".." : Str(name)));
      if (walked) slot = *walked;
      return "walk " + (up ? ".." : name) + " " + answer(walked) + " " + attributes(*slot);
    }
  }
}

// The tree in memory stands in for a file system in the tests and the fuzzing of sessions. Where it
// answers otherwise than Linux does, they test a server that nobody has.
TEST(FsSame, MemoryAndTmpfs) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whom the kernel lets do as he likes";
  const auto rows = backends();
  const auto row = [&](Str name) {
    return *std::find_if(rows.begin(), rows.end(), [&](auto& r) { return r.name == name; });
  };
  for (unsigned seed = 1; seed <= 400; ++seed) {
    Side memory(row("Memory"));
    Side tmpfs(row("TmpfsPortable"));
    if (!tmpfs.usable()) GTEST_SKIP() << "no tmpfs here";
    std::minstd_rand random(seed);
    std::string log;
    for (int step = 0; step < 300; ++step) {
      random.discard(1000);
      const Answer wanted = tmpfs.call(random);
      ASSERT_EQ(memory.call(random), wanted) << "seed " << seed << " after" << log;
      if (!wanted.empty()) log += "\n" + wanted;
    }
  }
}

}  // namespace
}  // namespace ninep::test
