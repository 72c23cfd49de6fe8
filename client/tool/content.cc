#include "client/tool/content.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "client/together.h"

namespace ninep::tool {
namespace {

using client::error;
using client::Group;
using client::Turn;

constexpr std::size_t kHole = 32 << 10;  // zeros of that many bytes are not written

/// Tells one state of a file's content from others. In the older dialects times are whole seconds,
/// within which the qid's version tells; on this host there is none.
std::string stamp_of(const std::string& name, const Attributes& is) {
  std::string text = name;
  for (const U64 part : {is.attr.size, is.attr.mtime_sec, is.attr.mtime_nsec, is.attr.ctime_sec,
                         is.attr.ctime_nsec, is.attr.qid.path, U64{is.attr.qid.version}})
    text += "/" + std::to_string(part);
  return text;
}

bool is_zero(Bytes bytes) {
  return bytes.empty() || (bytes[0] == std::byte{} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

/// A file's content on its way.
struct Content::Transfer {
  const std::string& path;
  Source& source;
  Sink& sink;
  U64 next;  // the first byte that nobody has taken on
  U64 size;
  bool has_data = false;  // of this attempt, or of one before
  std::set<U64> begun;    // blocks that aren't there yet, by where they begin
  std::optional<client::Error> wrong;
  std::vector<std::vector<std::byte>> rooms;  // that nobody uses now

  std::vector<std::byte> take_room(std::size_t bytes) {
    std::vector<std::byte> room;
    if (!rooms.empty()) {
      room = std::move(rooms.back());
      rooms.pop_back();
    }
    room.resize(bytes);
    return room;
  }
};

Content::Content(asio::any_io_executor executor, const Options& options, Progress& progress)
    : executor_(executor),
      options_(options),
      progress_(progress),
      memory_(std::move(executor), options.memory) {}

// Where nobody knows what came of a request that was lost with its connection, the file is copied
// again: from where it was, as where a copy broke off.
Awaitable<Expected<void>> Content::copy(What what, Ready ready) {
  for (unsigned tries = 1;; ++tries) {
    auto copied = co_await once(what, ready, tries > 1);
    if (!is_unknown(copied) || tries == kTriesMax) co_return copied;
  }
}

Awaitable<Expected<void>> Content::once(const What& what, const Ready& ready, bool is_counted) {
  const U64 size = what.is.attr.size;
  auto source = co_await what.from.read(what.name);
  NINEP_CO_RETURN_IF_WRONG(source);
  std::optional<Xattrs> xattrs;
  if (options_.xattrs) {
    auto got = co_await what.from.xattrs(what.name, options_.all_xattrs);
    NINEP_CO_RETURN_IF_WRONG(got);
    xattrs = *std::move(got);
  }
  auto sink = co_await what.to.write(what.to_name, stamp_of(what.to_name, what.is));
  NINEP_CO_RETURN_IF_WRONG(sink);
  Transfer transfer{what.path, **source, **sink, std::min((*sink)->begins_at(), size), size};
  transfer.has_data = transfer.next > 0;
  if (!is_counted) progress_.did(transfer.next, false);
  Expected<void> done;
  if (size == 0)
    done = co_await sizeless(transfer);
  else
    co_await blocks(what, transfer);
  if (transfer.wrong) done = std::unexpected(*transfer.wrong);
  const bool is_whole = done.has_value();
  std::optional<client::Error> lacks;
  if (is_whole) {
    auto finished = co_await (*sink)->finish(transfer.size, what.change, std::move(xattrs));
    if (finished)
      lacks = std::move(*finished);
    else
      done = std::unexpected(finished.error());
  }
  if (done) done = co_await ready();
  if (done) done = co_await (*sink)->take_name();
  // It stays, under whatever name, where it is all that there is.
  if (!done && !what.is_needed && is_of_no_use(transfer, is_whole, done.error()))
    co_await (*sink)->discard();
  if (done && lacks) progress_.wrong(*lacks);
  co_return done;
}

// What a part that is left has: nothing, or what there is no room for, or what may not have its
// name.
bool Content::is_of_no_use(const Transfer& transfer, bool is_whole, const client::Error& why) {
  if (why.fate != client::Fate::kKnown || client::is(why, ECANCELED) || client::is(why, ETIMEDOUT))
    return false;
  return is_whole || !transfer.has_data || client::is(why, ENOSPC) || client::is(why, EDQUOT) ||
         client::is(why, EFBIG);
}

Awaitable<Expected<void>> Content::sizeless(Transfer& transfer) {
  constexpr std::size_t kSome = 64 << 10;
  if (!co_await memory_.enter(kSome)) co_return error(ECANCELED, "copy");
  const Turn turn(memory_, kSome);
  std::vector<std::byte> room(kSome);
  for (;;) {
    const auto got = co_await transfer.source.read(transfer.size, room);
    NINEP_CO_RETURN_IF_WRONG(got);
    if (*got == 0) co_return Expected<void>();
    const auto written = co_await transfer.sink.write(transfer.size, Bytes(room).first(*got));
    NINEP_CO_RETURN_IF_WRONG(written);
    transfer.size += *got;
    transfer.has_data = true;
    progress_.did(*got, true);
  }
}

// So many blocks at once as the connections are worth; the last of a file, which most files have
// alone, here. Wherever it breaks off, what a part lacks is within the last kPartRewind bytes.
Awaitable<void> Content::blocks(const What& what, Transfer& transfer) {
  const std::size_t most = std::min({options_.block, what.from.block(), what.to.block()});
  Group group(executor_);
  while (transfer.next < transfer.size && !transfer.wrong) {
    const U64 at = std::min(transfer.source.data_from(transfer.next), transfer.size);
    progress_.did(at - transfer.next, false);
    transfer.next = at;
    if (at == transfer.size) break;
    const auto size = static_cast<std::size_t>(std::min<U64>(most, transfer.size - at));
    transfer.next += size;
    while (!transfer.wrong && !transfer.begun.empty() &&
           transfer.next - *transfer.begun.begin() > kPartRewind)
      co_await group.fewer_than(group.count());
    if (transfer.wrong) break;
    transfer.begun.insert(at);
    if (!co_await memory_.enter(size)) {
      transfer.wrong = error(ECANCELED, "copy " + what.path).error();
      break;
    }
    if (transfer.next == transfer.size && group.count() == 0) {
      co_await one_block(transfer, at, size);
      break;
    }
    group.spawn(one_block(transfer, at, size));
    const std::size_t depth = std::max(what.from.depth(), what.to.depth()) + most;
    co_await group.fewer_than(depth / most + 1);
  }
  co_await group.all_done();
}

Awaitable<void> Content::one_block(Transfer& transfer, U64 at, std::size_t size) {
  const Turn turn(memory_, size);
  if (!transfer.wrong) {
    std::vector<std::byte> room = transfer.take_room(size);
    const auto moved = co_await move_block(transfer, at, room);
    if (moved)
      transfer.begun.erase(at);
    else if (!transfer.wrong)
      transfer.wrong = moved.error();
    transfer.rooms.push_back(std::move(room));
  }
}

Awaitable<Expected<void>> Content::move_block(Transfer& transfer, U64 at, Room room) {
  const auto got = co_await transfer.source.read(at, room);
  NINEP_CO_RETURN_IF_WRONG(got);
  if (*got < room.size()) {
    if (!transfer.source.says_too_much())
      co_return error(EIO, "copy " + transfer.path, "the file became shorter meanwhile");
    transfer.size = std::min(transfer.size, at + *got);
    room = room.first(*got);
  }
  // What is written at once: from a piece that isn't zero to one that is.
  for (std::size_t begin = 0; begin < room.size();) {
    const auto piece = [&](std::size_t from) {
      return Bytes(room).subspan(from, std::min<std::size_t>(kHole, room.size() - from));
    };
    if (is_zero(piece(begin))) {
      progress_.did(piece(begin).size(), true);
      begin += piece(begin).size();
      continue;
    }
    std::size_t end = begin + piece(begin).size();
    while (end < room.size() && !is_zero(piece(end))) end += piece(end).size();
    const Bytes part = Bytes(room).subspan(begin, end - begin);
    transfer.has_data = true;
    const auto written = co_await transfer.sink.write(at + begin, part);
    NINEP_CO_RETURN_IF_WRONG(written);
    progress_.did(part.size(), true);
    begin = end;
  }
  co_return Expected<void>();
}

}  // namespace ninep::tool
