// usage ADDRESS PATH: files and bytes below a directory, with many requests at once on one
// connection.
#include <cstdio>
#include <optional>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "client/client.h"
#include "client/together.h"

using namespace ninep;
using client::Expected;

struct Sum {
  U64 files = 0;
  U64 bytes = 0;
  std::optional<client::Error> wrong;  // the first, where something isn't counted
};

asio::awaitable<void> add(client::Node& parent, std::string name, Sum& sum);

asio::awaitable<Expected<void>> add_all(client::Node& directory, Sum& sum) {
  auto listing = co_await directory.open_directory();
  NINEP_CO_RETURN_IF_WRONG(listing);
  for (;;) {
    const auto entries = co_await listing->next();
    NINEP_CO_RETURN_IF_WRONG(entries);
    if (entries->empty()) co_return Expected<void>();
    std::vector<asio::awaitable<void>> all;
    for (const client::Entry& entry : *entries) all.push_back(add(directory, entry.name, sum));
    co_await client::together(std::move(all));
  }
}

asio::awaitable<Expected<void>> add_one(client::Node& parent, std::string name, Sum& sum) {
  auto node = co_await parent.walk(name);
  NINEP_CO_RETURN_IF_WRONG(node);
  if (node->is_directory()) co_return co_await add_all(*node, sum);
  const auto is = co_await node->stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  ++sum.files;
  sum.bytes += is->attr.size;
  co_return Expected<void>();
}

asio::awaitable<void> add(client::Node& parent, std::string name, Sum& sum) {
  const auto added = co_await add_one(parent, name, sum);
  if (!added && !sum.wrong) sum.wrong = added.error();
}

asio::awaitable<Expected<Sum>> usage(std::string address, std::string path) {
  client::Options options;
  auto server = co_await client::Client::connect(address, options);
  NINEP_CO_RETURN_IF_WRONG(server);
  auto directory = co_await server->root().walk(path);
  NINEP_CO_RETURN_IF_WRONG(directory);
  Sum sum;
  const auto added = co_await add_all(*directory, sum);
  NINEP_CO_RETURN_IF_WRONG(added);
  co_return sum;
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage ADDRESS PATH\n"), 2;
  asio::io_context context;
  int status = 0;
  asio::co_spawn(
      context, usage(argv[1], argv[2]), [&](std::exception_ptr thrown, Expected<Sum> sum) {
        if (thrown) std::rethrow_exception(thrown);
        if (sum)
          std::printf("%llu files, %llu bytes\n", static_cast<unsigned long long>(sum->files),
                      static_cast<unsigned long long>(sum->bytes));
        const client::Error* const wrong = !sum         ? &sum.error()
                                           : sum->wrong ? &*sum->wrong
                                                        : nullptr;
        if (!wrong) return;
        std::fprintf(stderr, "%s\n", wrong->text().c_str());
        status = 1;
      });
  context.run();
  return status;
}
