#include "client/mount/tree.h"

namespace ninep::mount {
namespace {

constexpr std::size_t kPage = 4096;

// Whole pages, as many as one message of the server's carries: a page more would be a second one.
std::size_t transfer_max_of(std::size_t payload_max) {
  if (payload_max < kTransferMax / 4) return kTransferMax;
  return std::min<std::size_t>(kTransferMax, payload_max / kPage * kPage);
}

}  // namespace

asio::awaitable<void> Tree::run(RequestRef request, Work work) {
  if (request->was_cancelled()) {
    request->answer(client::Error{Errno{ECANCELED}, "", ""});
    co_return;
  }
  client::Expected<void> done;
  try {
    done = co_await std::move(work);
  } catch (const std::bad_alloc&) {
    done = client::error(ENOMEM, "answer the kernel");
  } catch (const std::exception& e) {
    done = client::error(EIO, "answer the kernel", e.what());
  }
  request->is_over();
  if (!done) request->answer(done.error());
}

Tree::Tree(client::Node root, Options with)
    : attachment(root.attachment()),
      executor(attachment->executor()),
      options(std::move(with)),
      transfer_max(transfer_max_of(attachment->payload_max())),
      inodes(std::move(root)),
      under_way(executor),
      waiting(executor) {}

void Tree::start(RequestRef request, Work work) {
  client::Group& group = request->interrupt() == Interrupt::kAlways ? waiting : under_way;
  request->can_be_interrupted(executor, group.spawn(run(request, std::move(work))));
}

}  // namespace ninep::mount
