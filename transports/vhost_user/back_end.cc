#include "transports/vhost_user/back_end.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/socket.h>

namespace ninep::vhost_user {
namespace {

/// What a message has to look like.
struct Shape {
  Request request;
  U32 size_min;
  U32 size_max;
  unsigned descriptors_min;
  unsigned descriptors_max;
  U64 feature;           // of the protocol, which it needs
  bool replies = false;  // by a message of its own, whether or not one is asked for
};
constexpr U32 kStateSize = sizeof(VringState);
constexpr U32 kTableMax = kTableHeadSize + kTableRegionsMax * sizeof(MemoryRegion);
constexpr U32 kSingleSize = kSingleHeadSize + sizeof(MemoryRegion);
constexpr U32 kConfigMax = sizeof(ConfigHead) + virtio::kConfigSize;
constexpr Shape kShapes[] = {
    {Request::kGetFeatures, 0, 0, 0, 0, 0, true},
    {Request::kSetFeatures, 8, 8, 0, 0, 0},
    {Request::kSetOwner, 0, 0, 0, 0, 0},
    {Request::kResetOwner, 0, 0, 0, 0, 0},
    {Request::kSetMemTable, kTableHeadSize, kTableMax, 0, kTableRegionsMax, 0},
    {Request::kSetVringNum, kStateSize, kStateSize, 0, 0, 0},
    {Request::kSetVringAddr, sizeof(VringAddress), sizeof(VringAddress), 0, 0, 0},
    {Request::kSetVringBase, kStateSize, kStateSize, 0, 0, 0},
    {Request::kGetVringBase, kStateSize, kStateSize, 0, 0, 0, true},
    {Request::kSetVringKick, 8, 8, 0, 1, 0},
    {Request::kSetVringCall, 8, 8, 0, 1, 0},
    {Request::kSetVringErr, 8, 8, 0, 1, 0},
    {Request::kGetProtocolFeatures, 0, 0, 0, 0, 0, true},
    {Request::kSetProtocolFeatures, 8, 8, 0, 0, 0},
    {Request::kGetQueueNum, 0, 0, 0, 0, feature::kMq, true},
    {Request::kSetVringEnable, kStateSize, kStateSize, 0, 0, 0},
    {Request::kSetBackendReqFd, 0, 0, 1, 1, feature::kBackendReq},
    {Request::kGetConfig, sizeof(ConfigHead), kConfigMax, 0, 0, feature::kConfig, true},
    {Request::kSetConfig, sizeof(ConfigHead), kConfigMax, 0, 0, feature::kConfig},
    {Request::kResetDevice, 0, 0, 0, 0, feature::kResetDevice},
    {Request::kVringKick, kStateSize, kStateSize, 0, 0, feature::kInbandNotifications},
    {Request::kGetMaxMemSlots, 0, 0, 0, 0, feature::kConfigureMemSlots, true},
    {Request::kAddMemReg, kSingleSize, kSingleSize, 1, 1, feature::kConfigureMemSlots},
    {Request::kRemMemReg, kSingleSize, kSingleSize, 0, 1, feature::kConfigureMemSlots},
};

const Shape* shape_of(U32 request) {
  const auto at = std::ranges::find(kShapes, request,
                                    [](const Shape& s) { return static_cast<U32>(s.request); });
  return at == std::end(kShapes) ? nullptr : at;
}

template <class T>
T payload_of(const Message& message) {
  T value{};
  read(message.payload, 0, value);
  return value;
}

}  // namespace

BackEnd::BackEnd(io::Loop& loop, std::string_view tag, const transport::Peer& peer,
                 const transport::MakeHandler& make_handler)
    : loop_(loop),
      party_(transport::known(peer.party)),
      device_(loop, *this, tag, peer, make_handler) {}

BackEnd::~BackEnd() { NINEP_CHECK(!kick_under_way_); }

io::Task<Answer> BackEnd::handle(Message& message) {
  Answer answer;
  const Header& header = message.header;
  const auto number = std::to_string(header.request);
  const Shape* const shape = shape_of(header.request);
  if ((header.flags & kVersionMask) != kVersion || (header.flags & kReply)) {
    answer.broken = true;
    answer.problem = "message " + number + " with flags " + std::to_string(header.flags);
    co_return answer;
  }
  if (!shape) {
    answer.problem = "message " + number + " is not known";
  } else if (header.size < shape->size_min || header.size > shape->size_max ||
             message.descriptors.size() < shape->descriptors_min ||
             message.descriptors.size() > shape->descriptors_max) {
    answer.broken = true;
    answer.problem = "message " + number + " with " + std::to_string(header.size) + " bytes and " +
                     std::to_string(message.descriptors.size()) + " descriptors";
    co_return answer;
  } else if ((shape->feature & ~protocol_features_) != 0) {
    answer.problem = "message " + number + " without its feature";
  } else {
    auto carrying = carry_out(message, answer);
    const auto status = co_await carrying;
    if (!status)
      answer.problem = "message " + number + ": " + std::string(errno_text(status.error()));
  }
  // Who waits for a reply that isn't there would wait for ever.
  if (!answer.reply && !answer.problem.empty() && !(header.flags & kNeedReply))
    answer.broken = !shape || shape->replies;
  if (!answer.reply && (header.flags & kNeedReply)) {
    answer.reply = true;
    answer.payload = bytes_of(U64{!answer.problem.empty()});
  }
  co_return answer;
}

io::Task<Status> BackEnd::carry_out(Message& message, Answer& answer) {
  const auto reply = [&answer](const auto& value) {
    answer.reply = true;
    answer.payload = bytes_of(value);
  };
  const auto state = payload_of<VringState>(message);
  const U64 word = payload_of<U64>(message);
  const auto request = static_cast<Request>(message.header.request);
  switch (request) {
    case Request::kGetFeatures:
      reply(virtio::Device::kFeatures | kProtocolFeatures);
      break;
    case Request::kSetFeatures:
      co_return set_features(word);
    case Request::kSetOwner:
      break;
    case Request::kResetOwner:
    case Request::kResetDevice: {
      auto resetting = reset();
      co_await resetting;
      break;
    }
    case Request::kGetProtocolFeatures:
      reply(feature::kAll);
      break;
    case Request::kSetProtocolFeatures:
      if (word & ~feature::kAll) co_return fail(EINVAL);
      protocol_features_ = word;
      break;
    case Request::kGetQueueNum:
      reply(U64{1});
      break;
    case Request::kGetMaxMemSlots:
      reply(U64{kSlotsMax});
      break;
    case Request::kGetConfig: {
      const auto head = payload_of<ConfigHead>(message);
      const Bytes config = device_.config();
      answer.reply = true;
      if (head.size != message.payload.size() - sizeof head || head.offset > config.size() ||
          head.size > config.size() - head.offset)
        co_return fail(EINVAL);  // a reply with no payload says that
      answer.payload.assign(message.payload.begin(), message.payload.end());
      std::ranges::copy(config.subspan(head.offset, head.size),
                        answer.payload.begin() + sizeof head);
      break;
    }
    case Request::kSetConfig:
      co_return fail(EPERM);
    case Request::kSetMemTable:
      co_return set_memory_table(message);
    case Request::kAddMemReg:
    case Request::kRemMemReg: {
      MemoryRegion region;
      read(message.payload, kSingleHeadSize, region);
      virtio::Memory memory = device_.memory();
      Status changed;
      if (request == Request::kRemMemReg) {
        changed = memory.remove(region.guest, region.size);
      } else if (memory.size() >= kSlotsMax) {
        changed = fail(ENOSPC);
      } else {
        changed = add_region(memory, region, std::move(message.descriptors[0]));
      }
      NINEP_CO_RETURN_IF_ERROR(changed);
      co_return set_memory(std::move(memory));
    }
    case Request::kSetVringNum:
    case Request::kSetVringBase:
      if (state.index != 0 || state.number > 0xFFFF) co_return fail(EINVAL);
      if (device_.running()) co_return fail(EBUSY);
      if (request == Request::kSetVringNum) {
        ring_.size = state.number;
      } else {
        ring_.next = static_cast<U16>(state.number);
      }
      break;
    case Request::kSetVringAddr: {
      const auto address = payload_of<VringAddress>(message);
      if (address.index != 0) co_return fail(EINVAL);
      if (device_.running()) co_return fail(EBUSY);
      ring_.address = address;
      ring_.has_address = true;
      break;
    }
    case Request::kGetVringBase: {
      if (state.index != 0) co_return fail(EINVAL);
      auto stopping = stop_ring();
      co_await stopping;
      ring_.has_kick = false;
      auto forgetting = set_kick(io::OwnedFd());
      co_await forgetting;
      reply(VringState{0, ring_.next});
      break;
    }
    case Request::kSetVringKick:
    case Request::kSetVringCall:
    case Request::kSetVringErr: {
      const bool none = (word & kNoDescriptor) != 0;
      if ((word & kVringIndexMask) != 0 || none != message.descriptors.empty())
        co_return fail(EINVAL);
      io::OwnedFd no_descriptor;
      io::OwnedFd& fd = none ? no_descriptor : message.descriptors[0];
      if (request != Request::kSetVringKick) {
        auto signal = virtio::Signal::make(std::move(fd));
        NINEP_CO_RETURN_IF_ERROR(signal);
        (request == Request::kSetVringCall ? call_ : error_) = std::move(*signal);
        if (request == Request::kSetVringCall) raise_interrupt();  // for what came between the two
      } else {
        // Without a descriptor: in messages. Polling instead is not offered.
        if (none && !(protocol_features_ & feature::kInbandNotifications))
          co_return fail(EOPNOTSUPP);
        if (fd && !virtio::is_eventfd(fd.get())) co_return fail(EINVAL);
        auto setting = set_kick(std::move(fd));
        co_await setting;
        ring_.has_kick = true;
        if (device_.running()) device_.kicked();  // for what came between the two
        co_return start_if_ready();
      }
      break;
    }
    case Request::kSetVringEnable:
      if (state.index != 0 || state.number > 1) co_return fail(EINVAL);
      ring_.enabled = state.number == 1;
      if (ring_.enabled) co_return start_if_ready();
      {
        auto stopping = stop_ring();
        co_await stopping;
      }
      break;
    case Request::kSetBackendReqFd:
      std::swap(backend_channel_, message.descriptors[0]);
      ::fcntl(backend_channel_.get(), F_SETFL,
              ::fcntl(backend_channel_.get(), F_GETFL) | O_NONBLOCK);
      break;
    case Request::kVringKick: {
      if (state.index != 0) co_return fail(EINVAL);
      ring_.has_kick = true;  // User-Mode Linux sends no kSetVringKick then
      const auto started = start_if_ready();
      NINEP_CO_RETURN_IF_ERROR(started);
      device_.kicked();
      break;
    }
  }
  co_return Status();
}

Status BackEnd::set_features(U64 features) {
  if (features & ~(virtio::Device::kFeatures | kProtocolFeatures)) return fail(EINVAL);
  if (device_.running() && features != features_) return fail(EBUSY);
  features_ = features;
  return {};
}

Status BackEnd::start_if_ready() {
  const bool enabled = ring_.enabled || !(features_ & kProtocolFeatures);
  if (device_.running() || !enabled || !ring_.has_kick || !ring_.has_address) return {};
  virtio::RingPlace place;
  if (!place_ring(device_.memory(), place)) return fail(EFAULT);
  return device_.start(place, features_, ring_.next);
}

bool BackEnd::place_ring(const virtio::Memory& memory, virtio::RingPlace& place) const {
  place.size = ring_.size;
  return memory.guest_address(ring_.address.descriptors, place.descriptors) &&
         memory.guest_address(ring_.address.available, place.available) &&
         memory.guest_address(ring_.address.used, place.used);
}

io::Task<void> BackEnd::stop_ring() {
  const bool ran = device_.running();
  auto stopping = device_.stop();
  co_await stopping;
  if (ran) ring_.next = device_.next();
}

Status BackEnd::set_memory_table(Message& message) {
  U32 count = 0;
  read(message.payload, 0, count);
  // User-Mode Linux always sends the room for two.
  if (count == 0 || count != message.descriptors.size() ||
      message.payload.size() < kTableHeadSize + count * sizeof(MemoryRegion))
    return fail(EINVAL);
  virtio::Memory memory;
  for (U32 i = 0; i < count; ++i) {
    MemoryRegion region;
    read(message.payload, kTableHeadSize + i * sizeof region, region);
    const auto added = add_region(memory, region, std::move(message.descriptors[i]));
    NINEP_RETURN_IF_ERROR(added);
  }
  return set_memory(std::move(memory));
}

Status BackEnd::set_memory(virtio::Memory memory) {
  virtio::RingPlace place;  // nowhere: the ring breaks
  const bool placed = !device_.running() || place_ring(memory, place);
  device_.set_memory(std::move(memory), place);
  return placed ? Status() : fail(EFAULT);
}

Status BackEnd::add_region(virtio::Memory& memory, const MemoryRegion& region,
                           io::OwnedFd&& fd) const {
  auto mapping = virtio::Mapping::make(std::move(fd), region.offset, region.size, true,
                                       transport::memory_of(party_));
  NINEP_RETURN_IF_ERROR(mapping);
  return memory.add({.guest = region.guest,
                     .size = region.size,
                     .user = region.user,
                     .mapping = std::move(*mapping)});
}

io::Task<void> BackEnd::set_kick(io::OwnedFd fd) {
  kick_changes_ = true;  // what was read just now may be on its way to the watch
  if (kick_under_way_) loop_.cancel(kick_reading_);
  auto ending = watching_.all_done();
  co_await ending;
  if (const int former = kick_.leak(); former >= 0)
    co_await loop_.run(io::ops::close(io::Sleep::kNever, former));
  kick_changes_ = false;
  kick_ = std::move(fd);
  if (kick_) watching_.spawn(watch_kick());
}

io::Task<void> BackEnd::watch_kick() {
  while (!kick_changes_) {
    kick_reading_ =
        io::ops::recv(kick_.get(), true, std::as_writable_bytes(std::span(&kick_count_, 1)));
    kick_under_way_ = true;
    int size = co_await loop_.run(kick_reading_);
    if (size == -EAGAIN && !kick_changes_) {  // O_NONBLOCK, on older systems
      kick_reading_ = io::ops::readable(kick_.get());
      size = co_await loop_.run(kick_reading_);
      if (size >= 0) size = -EAGAIN;
    }
    kick_under_way_ = false;
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size <= 0) co_return;  // cancelled; or no eventfd, and at its end
    device_.kicked();
  }
}

io::Task<void> BackEnd::reset() {
  auto resetting = device_.reset();
  co_await resetting;
  auto forgetting = set_kick(io::OwnedFd());
  co_await forgetting;
  ring_ = {};
  call_ = {};
  error_ = {};
  features_ = 0;
}

io::Task<void> BackEnd::close() {
  auto resetting = reset();
  co_await resetting;
  party_->closing.close(std::move(backend_channel_));
  auto closing = device_.close();
  co_await closing;
}

void BackEnd::raise_interrupt() {
  if (call_) {
    call_.send();
  } else if (backend_channel_ && (protocol_features_ & feature::kInbandNotifications)) {
    struct {
      Header header{static_cast<U32>(BackendRequest::kVringCall), kVersion, sizeof(VringState)};
      VringState state{0, 0};
    } message;
    [[maybe_unused]] const auto sent =
        ::send(backend_channel_.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void BackEnd::queue_broken() { error_.send(); }

}  // namespace ninep::vhost_user
