// cat ADDRESS PATH: a file to standard output, by coroutines.
#include <cerrno>
#include <cstdio>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "client/client.h"

using namespace ninep;
using client::Expected;

asio::awaitable<Expected<void>> cat(std::string address, std::string path) {
  client::Options options;
  auto server = co_await client::Client::connect(address, options);
  NINEP_CO_RETURN_IF_WRONG(server);
  auto node = co_await server->root().walk(path);
  NINEP_CO_RETURN_IF_WRONG(node);
  auto file = co_await node->open(lopen::kReadOnly);
  NINEP_CO_RETURN_IF_WRONG(file);
  std::vector<std::byte> room(1 << 20);
  for (U64 offset = 0;;) {
    const auto size = co_await file->read(offset, room);
    NINEP_CO_RETURN_IF_WRONG(size);
    if (*size == 0) break;
    if (std::fwrite(room.data(), 1, *size, stdout) != *size)
      co_return client::error(errno, "write to standard output");
    offset += *size;
  }
  if (std::fflush(stdout) != 0) co_return client::error(errno, "write to standard output");
  co_return Expected<void>();
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "cat ADDRESS PATH\n"), 2;
  asio::io_context context;
  int status = 0;
  asio::co_spawn(context, cat(argv[1], argv[2]),
                 [&](std::exception_ptr thrown, Expected<void> done) {
                   if (thrown) std::rethrow_exception(thrown);
                   if (done) return;
                   std::fprintf(stderr, "%s\n", done.error().text().c_str());
                   status = 1;
                 });
  context.run();
  return status;
}
