// A tree that is stored nowhere: /time, and /note, which holds what was last written to it. Try it:
//   synthetic unix:/tmp/made & mount -t 9p -o trans=unix,version=9p2000.L /tmp/made /mnt
#include <ctime>
#include <iostream>

#include "proto/codec.h"
#include "server/server.h"

using namespace ninep;
using fs::Context, fs::File, fs::Node, fs::Task;
constexpr Str kNames[] = {"..", "time", "note"};  // a file's number is its place here, the root's 0
std::string note;  // the server has one thread; at most a message long
Qid qid_of(U64 index) { return {.type = index ? kQtFile : kQtDir, .version = 0, .path = index}; }

struct Open final : File {
  explicit Open(std::string text_now) : text(std::move(text_now)) {}
  Task<Result<U32>> read(Context&, std::span<const iovec> to, U64 offset) override {
    std::size_t done = 0;
    for (const auto& [data, size] : to)
      if (offset < text.size()) done += text.copy(static_cast<char*>(data), size, offset + done);
    return static_cast<U32>(done);
  }
  Task<Result<U32>> write(Context&, std::span<const iovec> from, U64) override {
    note.clear();
    for (const auto& [data, size] : from) note.append(static_cast<char*>(data), size);
    return static_cast<U32>(note.size());
  }
  Task<Result<U32>> readdir(Context&, Room room, U64 offset) override {
    const std::size_t size = room.size();
    for (; offset < std::size(kNames); ++offset)
      if (!encode_front(Dirent{qid_of(offset), offset + 1, 0, kNames[offset]}, kDotL, room)) break;
    return static_cast<U32>(size - room.size());
  }
  const std::string text;
};
struct Entry final : Node {
  explicit Entry(U64 i) : index(i) {}
  Qid qid() const override { return qid_of(index); }
  Task<Result<Ref<Node>>> walk(Context&, Str name) override {
    for (U64 i = 0; i < std::size(kNames) && index == 0; ++i)
      if (name == kNames[i]) return Ref<Node>(make_ref<Entry>(i));
    return fail(index == 0 ? ENOENT : ENOTDIR);
  }
  Task<Result<Rgetattr>> getattr(Context&, U64, File*) override {
    return Rgetattr{getattr::kBasic, {qid(), index ? S_IFREG | 0666u : S_IFDIR | 0755u}};
  }
  Task<Result<Ref<File>>> open(Context&, U32) override {
    return Ref<File>(make_ref<Open>(index == 1 ? std::to_string(std::time(nullptr)) : note));
  }
  const U64 index;
};
struct Tree final : fs::Tree {
  Task<Result<Ref<Node>>> attach(Context&, Str) override { return Ref<Node>(make_ref<Entry>(0u)); }
};
int main(int argc, char** argv) {
  server::Server server({.exported = {std::make_shared<Tree>()}});
  const absl::Status listening = server.listen(argc > 1 ? argv[1] : "tcp:127.0.0.1:5640");
  if (!listening.ok()) return std::cerr << listening.message() << '\n', 1;
  server.run();
}
