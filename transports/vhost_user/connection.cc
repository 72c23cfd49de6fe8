#include "transports/vhost_user/connection.h"

#include <algorithm>

#include "transports/party.h"

namespace ninep::vhost_user {

using Got = transport::MessageSocket::Got;

Connection::Connection(io::Loop& loop, int fd, std::string_view tag, transport::Peer peer,
                       const transport::MakeHandler& make_handler, transport::Report report)
    : peer_{std::move(peer.name), transport::known(std::move(peer.party))},
      report_(std::move(report)),
      socket_(loop, fd, transport::MessageSocket::Streams::kTaken, peer_.party, report_),
      back_end_(loop, tag, peer_, make_handler) {}

io::Task<void> Connection::serve() {
  Message message;
  while (!socket_.stopping()) {
    auto receiving = socket_.receive(std::as_writable_bytes(std::span(&message.header, 1)),
                                     &message.descriptors);
    if (co_await receiving == Got::kEnd) break;
    if (message.header.size > kPayloadMax) {
      report_("message of " + std::to_string(message.header.size) + " bytes");
      break;
    }
    std::vector<std::byte> payload(message.header.size);
    auto receiving_rest = socket_.receive(payload, nullptr);
    if (co_await receiving_rest == Got::kEnd) break;
    message.payload = payload;
    const U32 request = message.header.request;
    auto handling = back_end_.handle(message);
    const Answer answer = co_await handling;
    socket_.put_away(message.descriptors);
    if (!answer.problem.empty()) report_(answer.problem);
    if (answer.broken) break;
    if (!answer.reply) continue;
    const Header header{request, kVersion | kReply, static_cast<U32>(answer.payload.size())};
    std::vector<std::byte> reply(sizeof header + answer.payload.size());
    std::memcpy(reply.data(), &header, sizeof header);
    std::ranges::copy(answer.payload, reply.begin() + sizeof header);
    auto sending = socket_.send(reply);
    if (co_await sending == Got::kEnd) break;
  }
  socket_.put_away(message.descriptors);
  auto closing = back_end_.close();
  co_await closing;
  auto closing_socket = socket_.close();
  co_await closing_socket;
}

}  // namespace ninep::vhost_user
