#include "transports/virtio/device.h"

#include "transports/pieces.h"

namespace ninep::virtio {

namespace {
constexpr unsigned kChainsAtOnce = 256;  // then others on the loop have a turn
}  // namespace

/// A chain under way. Kept for the next one when it is back.
class Device::QueueRequest final : public transport::Request {
 public:
  explicit QueueRequest(Device& device) : device_(device) {}

  /// False: it isn't a frame that could be answered.
  bool take(const Chain& chain, U32 msize) {
    head_ = chain.head;
    memory_ = device_.queue_.memory();
    in_.assign(chain.in.begin(), chain.in.end());
    out_.assign(chain.out.begin(), chain.out.end());
    room_.clear();
    payload_.clear();
    frame_ = {};
    const std::size_t size = total(out_);
    if (size < kHeaderSize || total(in_) < kHeaderSize + sizeof(U32)) return false;
    std::byte start[kWriteFrontSize];
    const Bytes front(start, gather(out_, start));
    const Header header = read_header(front);
    valid_ = header.size >= kHeaderSize && header.size <= size && header.size <= msize;
    std::size_t copied = valid_ ? header.size : kHeaderSize;
    // Data to be written stay where they are.
    if (valid_ && header.type == Describe<Twrite>::code && header.size > kWriteFrontSize) {
      copied = kWriteFrontSize;
      slice(out_, copied, header.size - copied, payload_);
    }
    chunk_ = io::Chunk::take(copied);
    const Room copy = chunk_->room(0, copied);
    gather(out_, copy);
    // What was looked at is what counts, whatever the guest has written there since.
    std::memcpy(copy.data(), start, std::min(copied, front.size()));
    frame_ = copy;
    Request::payload_ = payload_;
    return true;
  }
  bool valid() const { return valid_; }
  U16 head() const { return head_; }
  std::size_t copied() const { return frame_.size(); }

  std::span<const iovec> room(std::size_t size) override {
    room_.clear();
    slice(in_, 0, size, room_);
    return room_;
  }
  void finish(std::size_t size) override { device_.finished(*this, size); }
  /// Nothing of the guest's is used any more.
  void let_go() {
    memory_ = nullptr;
    chunk_ = nullptr;
    Request::payload_ = {};
  }

 private:
  Device& device_;
  U16 head_ = 0;
  bool valid_ = false;
  std::shared_ptr<const Memory> memory_;
  std::vector<iovec> in_;
  std::vector<iovec> out_;
  std::vector<iovec> room_;
  std::vector<iovec> payload_;
  Ref<io::Chunk> chunk_;
};

Device::Device(io::Loop& loop, Bus& bus, std::string_view tag, transport::Peer peer,
               const transport::MakeHandler& make_handler)
    : loop_(loop),
      bus_(bus),
      config_(kConfigSize),
      peer_(std::move(peer)),
      make_handler_(make_handler),
      handler_(make_handler(loop, peer_)) {
  NINEP_CHECK(!tag.empty() && tag.size() <= kTagMax);
  config_[0] = static_cast<std::byte>(tag.size());
  std::memcpy(&config_[2], tag.data(), tag.size());
}

Device::~Device() { NINEP_CHECK(!running()); }

Status Device::start(std::shared_ptr<const Memory> memory, const RingPlace& place, U64 features,
                     U16 next) {
  NINEP_CHECK(!running());
  const auto started = queue_.start(std::move(memory), place, features, next);
  NINEP_RETURN_IF_ERROR(started);
  taking_ = true;
  take_requests();  // what came before there was anybody to kick
  return {};
}

void Device::change_memory(std::shared_ptr<const Memory> memory) {
  if (!running() || queue_.move(std::move(memory))) return;
  taking_ = false;
  bus_.queue_broken();
}

void Device::kicked() {
  ++counters_.kicks;
  take_requests();
}

bool Device::overloaded() const {
  return queue_.out() >= kRequestsMax ||
         copied_bytes_ > 2 * std::size_t{handler_->msize()} + (64 << 10);
}

void Device::take_requests() {
  if (!taking_) return;
  if (queue_.memory()->broken()) {  // somebody has cut it short; what is there now is ours
    taking_ = false;
    return bus_.queue_broken();
  }
  queue_.spare_kicks();
  for (unsigned taken = 0; !overloaded();) {
    switch (queue_.take(chain_)) {
      case Virtqueue::Take::kChain:
        begin(chain_);
        if (!taking_) return;
        if (++taken < kChainsAtOnce) continue;
        more_ = true;
        loop_.at_turn_end(*this);
        return;
      case Virtqueue::Take::kEmpty:
        if (queue_.ask_for_kicks()) return;
        continue;
      case Virtqueue::Take::kBroken:
        taking_ = false;
        return bus_.queue_broken();
    }
  }
  more_ = true;
}

void Device::begin(Chain& chain) {
  if (spare_.empty()) spare_.push_back(std::make_unique<QueueRequest>(*this));
  QueueRequest& request = *spare_.back().release();
  spare_.pop_back();
  ++counters_.requests;
  const bool answerable = request.take(chain, handler_->msize());
  copied_bytes_ += request.copied();
  if (!answerable) return finished(request, 0);
  if (request.valid()) return handler_->request(request);
  // No frame, or one that is larger than was agreed. There is room for this reply.
  std::byte reply[kHeaderSize + sizeof(U32)];
  const std::size_t size = encode_frame(request.header().tag, Rlerror{EMSGSIZE}, kDotL, reply);
  scatter(reply, request.room(size));
  finished(request, size);
}

void Device::finished(QueueRequest& request, std::size_t size) {
  copied_bytes_ -= request.copied();
  request.let_go();
  queue_.give_back(request.head(), static_cast<U32>(size));
  spare_.emplace_back(&request);
  loop_.at_turn_end(*this);
  if (stopping_ && queue_.out() == 0) all_back_.set();
}

void Device::turn_end() {
  if (!queue_.started()) return;
  if (queue_.interrupt_due()) {
    ++counters_.interrupts;
    bus_.raise_interrupt();
  }
  if (std::exchange(more_, false)) take_requests();
}

io::Task<void> Device::stop() {
  taking_ = false;
  stopping_ = true;
  while (queue_.out() != 0) co_await all_back_;
  stopping_ = false;
  if (queue_.started()) turn_end();
  queue_.stop();
}

io::Task<void> Device::close() {
  taking_ = false;
  auto closing = handler_->close();
  co_await closing;
  auto stopping = stop();
  co_await stopping;
  handler_ = make_handler_(loop_, peer_);
}

}  // namespace ninep::virtio
