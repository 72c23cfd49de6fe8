#include "transports/vfio_user/connection.h"

#include <algorithm>

#include "transports/party.h"

namespace ninep::vfio_user {

using Got = transport::MessageSocket::Got;

Connection::Connection(io::Loop& loop, int fd, const transport::Protocol& protocol,
                       transport::Peer peer, const transport::MakeHandler& make_handler,
                       transport::Report report)
    : peer_{std::move(peer.name), transport::known(std::move(peer.party))},
      report_(std::move(report)),
      socket_(loop, fd, transport::MessageSocket::Streams::kNone, peer_.party, report_),
      device_(loop, *this, protocol.tag, protocol.msix, peer_, make_handler) {}

io::Task<void> Connection::serve() {
  Message message;
  auto conversing = converse(message);
  co_await conversing;
  socket_.put_away(message.descriptors);
  gone_ = true;
  for (const auto& [id, asked] : asked_) {
    asked->status = fail(EIO);
    asked->answered.set();
  }
  asked_.clear();
  auto closing = device_.close();
  co_await closing;
  auto sending = scope_.all_done();
  co_await sending;
  auto closing_socket = socket_.close();
  co_await closing_socket;
}

io::Task<void> Connection::converse(Message& message) {
  while (!socket_.stopping() && !gone_) {
    auto receiving = socket_.receive(std::as_writable_bytes(std::span(&message.header, 1)),
                                     &message.descriptors);
    if (co_await receiving == Got::kEnd) co_return;
    const Header header = message.header;
    if (header.size < sizeof header || header.size - sizeof header > kPayloadMax) {
      report_("message of " + std::to_string(header.size) + " bytes");
      co_return;
    }
    std::vector<std::byte> payload(header.size - sizeof header);
    auto receiving_rest = socket_.receive(payload, &message.descriptors);
    if (co_await receiving_rest == Got::kEnd) co_return;
    if ((header.flags & kTypeMask) == kReply) {
      if (answer(header, payload)) {
        socket_.put_away(message.descriptors);
        continue;
      }
      report_("a reply to nothing");
      co_return;
    }
    message.payload = payload;
    const Answer answer = device_.handle(message);
    socket_.put_away(message.descriptors);
    if (!answer.problem.empty()) report_(answer.problem);
    if (!(header.flags & kNoReply)) {
      post({header.id, header.command, 0, kReply | (answer.error ? kError : 0), answer.error},
           answer.payload);
      while (sending_) co_await sent_;
    }
    if (answer.broken) co_return;
  }
}

// ------------------------------------------------------------------ the client's memory

io::Task<Status> Connection::read(U64 address, Room room) {
  Asked asked{.command = Command::kDmaRead};
  const DmaAccess access{address, room.size()};
  auto asking = ask(asked, access, {});
  const auto status = co_await asking;
  NINEP_CO_RETURN_IF_ERROR(status);
  if (asked.payload.size() != sizeof access + room.size()) co_return fail(EIO);
  std::copy(asked.payload.begin() + sizeof access, asked.payload.end(), room.begin());
  co_return Status();
}

io::Task<Status> Connection::write(U64 address, Bytes bytes) {
  Asked asked{.command = Command::kDmaWrite};
  auto asking = ask(asked, {address, bytes.size()}, bytes);
  co_return co_await asking;
}

io::Task<Status> Connection::ask(Asked& asked, DmaAccess access, Bytes data) {
  if (gone_) co_return fail(EIO);
  while (asked_.contains(++last_id_)) continue;
  asked_[last_id_] = &asked;
  post({last_id_, static_cast<U16>(asked.command), 0, 0, 0}, std::as_bytes(std::span(&access, 1)),
       data);
  co_await asked.answered;
  co_return asked.status;
}

bool Connection::answer(const Header& header, Bytes payload) {
  const auto at = asked_.find(header.id);
  if (at == asked_.end() || static_cast<U16>(at->second->command) != header.command) return false;
  Asked& asked = *at->second;
  asked_.erase(at);
  if (header.flags & kError) {
    asked.status = fail(header.error != 0 ? static_cast<int>(header.error) : EIO);
  } else {
    asked.payload.assign(payload.begin(), payload.end());
  }
  asked.answered.set();
  return true;
}

// ------------------------------------------------------------------ sending

// `header.size` is filled in.
void Connection::post(Header header, Bytes payload, Bytes more) {
  header.size = static_cast<U32>(sizeof header + payload.size() + more.size());
  std::vector<std::byte> message(header.size);
  std::memcpy(message.data(), &header, sizeof header);
  const auto rest = std::ranges::copy(payload, message.begin() + sizeof header).out;
  std::ranges::copy(more, rest);
  outgoing_.push_back(std::move(message));
  if (!std::exchange(sending_, true)) scope_.spawn(send_all());
}

io::Task<void> Connection::send_all() {
  while (!outgoing_.empty()) {
    const auto message = std::move(outgoing_.front());
    outgoing_.pop_front();
    auto sending = socket_.send(message);
    if (co_await sending == Got::kAll) continue;
    gone_ = true;
    outgoing_.clear();
  }
  sending_ = false;
  sent_.set();
}

}  // namespace ninep::vfio_user
