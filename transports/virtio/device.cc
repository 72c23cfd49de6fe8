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
    memory_ = device_.memory_;
    in_.assign(chain.in.begin(), chain.in.end());
    out_.assign(chain.out.begin(), chain.out.end());
    came_back_ = false;
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
    memory_again_ = nullptr;
    chunk_ = nullptr;
    Request::payload_ = {};
  }

  // After a cut: in_ and out_ are copies of the guest's pages.
  const Memory& memory() const { return *memory_; }
  /// What is to be written to a file isn't what the guest writes there from now on.
  void keep_payload() const { Mapping::keep(payload_); }
  /// The chain is in the ring again, and its reply belongs into `chain`.
  void come_back(const Chain& chain) {
    in_again_.assign(chain.in.begin(), chain.in.end());
    memory_again_ = device_.memory_;
    came_back_ = true;
  }
  /// Brings the reply where the guest reads it. Bytes that are there.
  std::size_t bring_back(std::size_t size) {
    if (!came_back_) return size;
    std::vector<std::byte> reply(std::min(size, total(in_again_)));
    gather(in_, reply);
    scatter(reply, in_again_);
    memory_again_ = nullptr;
    return reply.size();
  }

  enum class Where { kInRing, kCutOff, kForgotten };
  Where where = Where::kInRing;
  std::size_t index = 0;            // kInRing: in under_way_
  std::optional<std::size_t> size;  // kCutOff: of a reply that is there

 private:
  Device& device_;
  U16 head_ = 0;
  bool valid_ = false;
  bool came_back_ = false;
  std::shared_ptr<const Memory> memory_;
  std::shared_ptr<const Memory> memory_again_;
  std::vector<iovec> in_;
  std::vector<iovec> in_again_;
  std::vector<iovec> out_;
  std::vector<iovec> room_;
  std::vector<iovec> payload_;
  Ref<io::Chunk> chunk_;
};

std::string DeviceCounters::text() const {
  return std::to_string(requests) + " requests, " + std::to_string(kicks) + " kicks, " +
         std::to_string(interrupts) + " interrupts, " + std::to_string(interrupts_spared) +
         " interrupts spared";
}

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

Device::~Device() { NINEP_CHECK(!running() && cut_off_.empty() && forgotten_ == 0); }

void Device::set_memory(Memory memory, const RingPlace& place) {
  memory_ = std::make_shared<const Memory>(std::move(memory));
  breaks_seen_ = Mapping::breaks() - 1;
  if (running() && !queue_.move(memory_, place)) break_queue();
}

// ------------------------------------------------------------------ requests

void Device::kicked() {
  ++counters_.kicks;
  take_requests();
}

bool Device::overloaded() const {
  return queue_.out() >= kRequestsMax ||
         copied_bytes_ > 2 * std::size_t{handler_->msize()} + (64 << 10);
}

// Whether a file of the guest's memory is shorter than it was: what is there now is ours.
bool Device::memory_lost() {
  const unsigned breaks = Mapping::breaks();
  if (breaks == breaks_seen_) return false;
  if (!memory_->broken()) {
    breaks_seen_ = breaks;
    return false;
  }
  if (taking_) break_queue();
  return true;
}

void Device::take_requests() {
  if (!taking_ || memory_lost()) return;
  queue_.spare_kicks();
  for (unsigned taken = 0; !overloaded();) {
    switch (queue_.take(chain_)) {
      case Virtqueue::Take::kChain:
        begin(chain_);
        if (!taking_ || memory_lost()) return;
        if (++taken < kChainsAtOnce) continue;
        more_ = true;
        loop_.at_turn_end(*this);
        return;
      case Virtqueue::Take::kEmpty:
        if (!queue_.ask_for_kicks()) continue;
        memory_lost();
        return;
      case Virtqueue::Take::kBroken:
        return break_queue();
    }
  }
  more_ = true;
}

void Device::begin(Chain& chain) {
  if (spare_.empty()) spare_.push_back(std::make_unique<QueueRequest>(*this));
  QueueRequest& request = *spare_.back().release();
  spare_.pop_back();
  request.index = under_way_.size();
  under_way_.push_back(&request);
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
  switch (request.where) {
    case QueueRequest::Where::kInRing:
      return give_back(request, size);
    case QueueRequest::Where::kCutOff:
      request.size = size;
      return;
    case QueueRequest::Where::kForgotten:
      --forgotten_;
      recycle(request);
      if (waiting_) changed_.set();
  }
}

void Device::give_back(QueueRequest& request, std::size_t size) {
  copied_bytes_ -= request.copied();
  size = request.bring_back(size);
  under_way_.back()->index = request.index;
  under_way_[request.index] = under_way_.back();
  under_way_.pop_back();
  queue_.give_back(request.head(), static_cast<U32>(size));
  recycle(request);
  loop_.at_turn_end(*this);
  if (waiting_ && settled()) changed_.set();
}

void Device::recycle(QueueRequest& request) {
  request.let_go();
  request.where = QueueRequest::Where::kInRing;
  request.size.reset();
  spare_.emplace_back(&request);
}

void Device::turn_end() {
  if (!queue_.started()) return;
  const Virtqueue::Tell told = queue_.tell();
  if (told != Virtqueue::Tell::kNothing) bus_.given_back();
  if (told == Virtqueue::Tell::kInterrupt) {
    ++counters_.interrupts;
    bus_.raise_interrupt();
  } else if (told == Virtqueue::Tell::kSpared) {
    ++counters_.interrupts_spared;
  }
  if (!memory_lost() && std::exchange(more_, false)) take_requests();
}

void Device::break_queue() {
  taking_ = false;
  bus_.queue_broken();
}

// ------------------------------------------------------------------ start and stop

Status Device::start(const RingPlace& place, U64 features, U16 next) {
  NINEP_CHECK(!running());
  const bool where_it_was = used_ && place == queue_.place() && next == queue_.next();
  if (!where_it_was && ending_ + used_ > kEndingMax) return fail(EBUSY);
  const auto started = queue_.start(memory_, place, features, next);
  NINEP_RETURN_IF_ERROR(started);
  taking_ = true;
  if (where_it_was) {
    come_back();
  } else {  // another boot of the guest
    forget_cut_off();
    if (used_) end_session();
    used_ = true;
  }
  take_requests();  // what came before there was anybody to kick
  return {};
}

io::Task<void> Device::stop() {
  taking_ = false;
  auto settling = settle(Patience::kSome);
  co_await settling;
}

io::Task<void> Device::reset(Patience patience) {
  taking_ = false;
  if (used_) end_session();
  resetting_ = true;
  auto settling = settle(patience);
  co_await settling;
  resetting_ = false;
  forget_cut_off();
}

io::Task<void> Device::close() {
  auto resetting = reset();
  co_await resetting;
  waiting_ = true;
  while (forgotten_ != 0 || ending_ != 0) co_await changed_;
  waiting_ = false;
}

// Until everything is back, or patience is at its end.
io::Task<void> Device::settle(Patience patience) {
  waiting_ = true;
  io::Scope timer;
  patient_ = patience == Patience::kSome;
  if (patient_ && !settled()) timer.spawn(lose_patience());
  while (!settled() && patient_) co_await changed_;
  if (!timer.empty()) loop_.cancel(patience_);
  auto timer_ending = timer.all_done();
  co_await timer_ending;
  if (!cut_off())
    while (queue_.out() != 0) co_await changed_;
  waiting_ = false;
  if (queue_.started()) turn_end();
  queue_.stop();
}

io::Task<void> Device::lose_patience() {
  patience_ = io::ops::timeout(kPatienceNs);
  co_await loop_.run(patience_);
  patient_ = false;
  changed_.set();
}

// False: the system has no room for the copies.
bool Device::cut_off() {
  if (under_way_.empty()) return true;
  Memory fresh = memory_->again();
  const Memory* last = nullptr;
  for (const QueueRequest* request : under_way_) {
    if (last == &request->memory()) continue;
    last = &request->memory();
    if (last->cut_off()) continue;
    memory_ = std::make_shared<const Memory>();  // some of it isn't the guest's any more
    return false;
  }
  memory_ = std::make_shared<const Memory>(std::move(fresh));
  for (QueueRequest* request : under_way_) {
    request->where = QueueRequest::Where::kCutOff;
    request->keep_payload();
  }
  cut_off_.insert(cut_off_.end(), under_way_.begin(), under_way_.end());
  under_way_.clear();
  copied_bytes_ = 0;
  return true;
}

void Device::come_back() {
  for (QueueRequest* request : std::exchange(cut_off_, {})) {
    if (!taking_ || queue_.take_chain(request->head(), chain_) != Virtqueue::Take::kChain) {
      if (taking_) break_queue();
      forget(*request);
      continue;
    }
    request->come_back(chain_);
    request->where = QueueRequest::Where::kInRing;
    request->index = under_way_.size();
    under_way_.push_back(request);
    copied_bytes_ += request->copied();
    if (request->size) give_back(*request, *request->size);
  }
}

void Device::forget_cut_off() {
  for (QueueRequest* request : std::exchange(cut_off_, {})) forget(*request);
}

void Device::forget(QueueRequest& request) {
  if (request.size) return recycle(request);
  request.where = QueueRequest::Where::kForgotten;
  ++forgotten_;
}

// The next request belongs to another session.
void Device::end_session() {
  used_ = false;
  ++ending_;
  scope_.spawn(ending(std::exchange(handler_, make_handler_(loop_, peer_))));
}

io::Task<void> Device::ending(std::unique_ptr<transport::Handler> handler) {
  auto closing = handler->close();
  co_await closing;
  --ending_;
  if (waiting_) changed_.set();
}

}  // namespace ninep::virtio
