// Tlopen, Tlcreate, Tread, Twrite, Treaddir, Tfsync: files and their contents.
#include "server/handlers/answer.h"
#include "server/reply.h"
#include "server/session.h"
#include "transports/io/chunk.h"

namespace ninep::server {
namespace {

/// Whether a fid opened with `flags` may be read or written.
bool may_read(U32 flags) { return (flags & lopen::kAccessMode) != lopen::kWriteOnly; }
bool may_write(U32 flags) { return (flags & lopen::kAccessMode) != lopen::kReadOnly; }

/// Marks a fid as being opened: a second Tlopen or Tlcreate meanwhile is an error.
class Opening {
 public:
  explicit Opening(FidState& state) : state_(state) { state_.opening = true; }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() { state_.opening = false; }

 private:
  FidState& state_;
};

/// Puts the header before data that are in place.
Filled fill(Call& call, Pieces pieces, U8 code, U32 count) {
  std::byte head[kReadHeaderSize];
  if (code == Describe<Rread>::code) {
    encode_payload_head<Rread>(call.tag, count, head);
  } else {
    encode_payload_head<Rreaddir>(call.tag, count, head);
  }
  scatter(head, pieces);
  return {count};
}

}  // namespace

Reply<Rlopen> Session::handle(Call& call, const Tlopen& m) {
  auto found = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  FidState& state = **found;
  if (state.file || state.opening) co_return fail(EBUSY);
  // Creation is Tlcreate's; Linux sends these flags along.
  const U32 flags = m.flags & ~(lopen::kCreate | lopen::kExclusive | lopen::kNoCtty);
  if (exported_.read_only && (may_write(flags) || (flags & lopen::kTruncate)))
    co_return fail(EROFS);
  const auto may = may_open();
  NINEP_CO_RETURN_IF_ERROR(may);
  const Opening opening(state);
  auto asking = state.node->open(call.context, flags);
  auto file = co_await asking;
  NINEP_CO_RETURN_IF_ERROR(file);
  state.set_file(std::move(*file), open_files_);
  state.open_flags = flags;
  co_return Rlopen{state.node->qid(), 0};
}

Reply<Rlcreate> Session::handle(Call& call, const Tlcreate& m) {
  auto found = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  FidState& state = **found;
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  if (state.file || state.opening) co_return fail(EBUSY);
  if (state.node->qid().type != kQtDir) co_return fail(ENOTDIR);
  const auto may = may_open();
  NINEP_CO_RETURN_IF_ERROR(may);
  const Opening opening(state);
  auto creating = state.node->create(call.context, m.name, m.flags, m.mode, m.gid);
  auto created = co_await creating;
  NINEP_CO_RETURN_IF_ERROR(created);
  state.node = std::move(created->node);
  state.set_file(std::move(created->file), open_files_);
  state.open_flags = m.flags;
  co_return Rlcreate{state.node->qid(), 0};
}

Reply<Filled> Session::handle(Call& call, const Tread& m) {
  const auto at = fids_.find(static_cast<U32>(m.fid));
  if (at == fids_.end()) co_return fail(EBADF);
  const Ref<FidState> state = at->second;
  const std::size_t count = std::min<std::size_t>(m.count, msize_ - kReadHeaderSize);
  if (state->kind == FidState::Kind::kXattrRead) {
    const std::vector<std::byte>& value = state->xattr->value;
    const Bytes rest = m.offset < value.size() ? Bytes(value).subspan(m.offset) : Bytes();
    const Pieces room = call.request.room(kReadHeaderSize + std::min(count, rest.size()));
    const PayloadRoom data(room, kReadHeaderSize, std::min(count, rest.size()));
    const std::size_t size = total(data.pieces());
    scatter(rest.first(size), data.pieces());
    co_return fill(call, room, Describe<Rread>::code, static_cast<U32>(size));
  }
  if (state->kind != FidState::Kind::kFile || !state->file) co_return fail(EBADF);
  if (state->node->qid().type == kQtDir) co_return fail(EISDIR);
  if (!may_read(state->open_flags)) co_return fail(EBADF);
  call.act_as(*state);
  const Pieces room = call.request.room(kReadHeaderSize + count);
  const PayloadRoom data(room, kReadHeaderSize, count);
  auto reading = state->file->read(call.context, data.pieces(), m.offset);
  auto got = co_await reading;
  NINEP_CO_RETURN_IF_ERROR(got);
  co_return fill(call, room, Describe<Rread>::code, *got);
}

Reply<Rwrite> Session::handle(Call& call, const Twrite& m) {
  const auto at = fids_.find(static_cast<U32>(m.fid));
  if (at == fids_.end()) co_return fail(EBADF);
  const Ref<FidState> state = at->second;
  const iovec whole{const_cast<std::byte*>(m.data.bytes.data()), m.data.size()};
  const Pieces data = call.request.payload().empty() ? Pieces(&whole, 1) : call.request.payload();
  const std::size_t size = total(data);
  if (state->kind == FidState::Kind::kXattrWrite) {
    FidState::Xattr& xattr = *state->xattr;
    // In order and within what was announced; attr_size was bounded when it was.
    if (m.offset != xattr.written || size > xattr.value.size() - xattr.written)
      co_return fail(EINVAL);
    gather(data, Room(xattr.value).subspan(m.offset));
    xattr.written += size;
    co_return Rwrite{static_cast<U32>(size)};
  }
  if (state->kind != FidState::Kind::kFile || !state->file) co_return fail(EBADF);
  if (!may_write(state->open_flags)) co_return fail(EBADF);
  call.act_as(*state);
  auto writing = state->file->write(call.context, data, m.offset);
  auto written = co_await writing;
  NINEP_CO_RETURN_IF_ERROR(written);
  co_return Rwrite{*written};
}

Reply<Filled> Session::handle(Call& call, const Treaddir& m) {
  auto found = open_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  const Ref<FidState> state = std::move(*found);
  if (state->node->qid().type != kQtDir) co_return fail(ENOTDIR);
  const std::size_t count = std::min<std::size_t>(m.count, msize_ - kReadHeaderSize);
  const Pieces room = call.request.room(kReadHeaderSize + count);
  const Room front = contiguous(room, kReadHeaderSize + count);
  // Entries are made in one piece of memory; a transport that has none gets a copy.
  Ref<io::Chunk> copy;
  if (front.empty()) copy = io::Chunk::take(count);
  const Room entries = copy ? copy->room(0, std::min(count, total(room) - kReadHeaderSize))
                            : front.subspan(kReadHeaderSize);
  auto listing = state->file->readdir(call.context, entries, m.offset);
  auto size = co_await listing;
  NINEP_CO_RETURN_IF_ERROR(size);
  if (copy) {
    const PayloadRoom data(room, kReadHeaderSize, *size);
    scatter(entries.first(*size), data.pieces());
  }
  co_return fill(call, room, Describe<Rreaddir>::code, *size);
}

Reply<Rfsync> Session::handle(Call& call, const Tfsync& m) {
  const auto found = open_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(found);
  const Ref<fs::File>& file = (*found)->file;
  return answer<Rfsync>(file->sync(call.context, m.datasync.value != 0), file);
}

}  // namespace ninep::server
