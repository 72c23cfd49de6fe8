#include "transports/vfio_user/connection.h"

#include <algorithm>

namespace ninep::vfio_user {

using Got = transport::MessageSocket::Got;

Connection::Connection(io::Loop& loop, int fd, const transport::Protocol& protocol,
                       transport::Peer peer, const transport::MakeHandler& make_handler,
                       transport::Report report)
    : peer_(std::move(peer)),
      report_(std::move(report)),
      socket_(loop, fd, report_),
      device_(loop, protocol.tag, protocol.msix, peer_, make_handler) {}

io::Task<void> Connection::serve() {
  while (!socket_.stopping()) {
    Message message;
    auto receiving = socket_.receive(std::as_writable_bytes(std::span(&message.header, 1)),
                                     &message.descriptors);
    if (co_await receiving == Got::kEnd) break;
    const Header header = message.header;
    if (header.size < sizeof header || header.size - sizeof header > kPayloadMax) {
      report_("message of " + std::to_string(header.size) + " bytes");
      break;
    }
    std::vector<std::byte> payload(header.size - sizeof header);
    auto receiving_rest = socket_.receive(payload, &message.descriptors);
    if (co_await receiving_rest == Got::kEnd) break;
    message.payload = payload;
    const Answer answer = device_.handle(std::move(message));
    if (!answer.problem.empty()) report_(answer.problem);
    if (!(header.flags & kNoReply)) {
      const U32 size = static_cast<U32>(sizeof header + answer.payload.size());
      const Header back{header.id, header.command, size, kReply | (answer.error ? kError : 0),
                        answer.error};
      std::vector<std::byte> reply(size);
      std::memcpy(reply.data(), &back, sizeof back);
      std::ranges::copy(answer.payload, reply.begin() + sizeof back);
      auto sending = socket_.send(reply);
      if (co_await sending == Got::kEnd) break;
    }
    if (answer.broken) break;
  }
  auto closing = device_.close();
  co_await closing;
  auto closing_socket = socket_.close();
  co_await closing_socket;
}

}  // namespace ninep::vfio_user
