// upload ADDRESS PATH: standard input to a new file, without coroutines.
#include <cerrno>
#include <cstdio>
#include <vector>

#include "client/blocking.h"

using namespace ninep;

int wrong(const client::Error& error) {
  std::fprintf(stderr, "%s\n", error.text().c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "upload ADDRESS PATH\n"), 2;
  auto server = client::blocking::Client::connect(argv[1], {});
  if (!server) return wrong(server.error());
  const std::string path = argv[2];
  const std::size_t slash = path.rfind('/') + 1;  // 0: there is none
  auto directory = server->root().walk(path.substr(0, slash));
  if (!directory) return wrong(directory.error());
  auto file = directory->create(path.substr(slash), lopen::kWriteOnly | lopen::kExclusive, 0644);
  if (!file) return wrong(file.error());
  std::vector<char> room(1 << 20);
  U64 offset = 0;
  while (const std::size_t size = std::fread(room.data(), 1, room.size(), stdin)) {
    const auto written = file->write(offset, as_bytes({room.data(), size}));
    if (!written) return wrong(written.error());
    offset += size;
  }
  if (std::ferror(stdin)) return wrong({Errno{EIO}, "read standard input", ""});
  const auto closed = file->close();
  return closed ? 0 : wrong(closed.error());
}
