// usage ADDRESS PATH: files and bytes below a directory, with many requests at once on one connection.
#include <cstdio>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "client/client.h"
#include "client/together.h"

using namespace ninep;
using client::Expected;

struct Sum {
  U64 files = 0;
  U64 bytes = 0;
};

asio::awaitable<void> add(client::Node& parent, std::string name, Sum& sum);

asio::awaitable<void> add_all(client::Node& directory, Sum& sum) {
  auto listing = co_await directory.open_directory();
  if (!listing) {
    std::fprintf(stderr, "%s\n", listing.error().text().c_str());
    co_return;
  }
  for (;;) {
    const auto entries = co_await listing->next();
    if (!entries || entries->empty()) co_return;
    std::vector<asio::awaitable<void>> all;
    for (const client::Entry& entry : *entries) all.push_back(add(directory, entry.name, sum));
    co_await client::together(std::move(all));
  }
}

asio::awaitable<void> add(client::Node& parent, std::string name, Sum& sum) {
  auto node = co_await parent.walk(name);
  if (!node) co_return;  // gone meanwhile
  if (node->is_directory()) co_return co_await add_all(*node, sum);
  const auto is = co_await node->stat();
  if (!is) co_return;
  ++sum.files;
  sum.bytes += is->attr.size;
}

asio::awaitable<Expected<Sum>> usage(std::string address, std::string path) {
  client::Options options;
  auto server = co_await client::Client::connect(address, options);
  NINEP_CO_RETURN_IF_WRONG(server);
  auto directory = co_await server->root().walk(path);
  NINEP_CO_RETURN_IF_WRONG(directory);
  Sum sum;
  co_await add_all(*directory, sum);
  co_return sum;
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage ADDRESS PATH\n"), 2;
  asio::io_context context;
  int status = 0;
  asio::co_spawn(context, usage(argv[1], argv[2]), [&](std::exception_ptr, Expected<Sum> sum) {
    if (sum) {
      std::printf("%llu files, %llu bytes\n", static_cast<unsigned long long>(sum->files),
                  static_cast<unsigned long long>(sum->bytes));
    } else {
      std::fprintf(stderr, "%s\n", sum.error().text().c_str());
      status = 1;
    }
  });
  context.run();
  return status;
}
