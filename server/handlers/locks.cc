// Tlock, Tgetlock.
#include "server/session.h"

namespace ninep::server {

// Whoever has to wait is told so (kBlocked), and asks again.
Reply<Rlock> Session::handle(Call& call, const Tlock& m) {
  auto found = open_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  FidState& state = **found;
  if (m.type > lock::kUnlock || (m.flags & ~(lock::kBlock | lock::kReclaim)) != 0)
    co_return fail(EINVAL);
  const auto range = LockTable::range(m.start, m.length);
  NINEP_CO_RETURN_IF_ERROR(range);
  const auto status = shared_.locks.set(
      locked_file(state), {this, std::string(m.client_id), m.proc_id}, &state, m.type, *range);
  NINEP_CO_RETURN_IF_ERROR(status);
  if (m.type != lock::kUnlock && *status == lock::kSuccess) state.locked = true;
  co_return Rlock{*status};
}

Reply<Rgetlock> Session::handle(Call& call, const Tgetlock& m) {
  auto found = open_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  if (m.type > lock::kUnlock) co_return fail(EINVAL);
  const auto range = LockTable::range(m.start, m.length);
  NINEP_CO_RETURN_IF_ERROR(range);
  // Linux asks for type "unlock" whatever its caller wants to know (v9fs_file_getlock()): who would
  // be in a writer's way.
  const U8 type = m.type == lock::kUnlock ? lock::kWrite : m.type;
  Rgetlock reply{lock::kUnlock, m.start, m.length, m.proc_id, m.client_id};
  LockTable::Lock held;
  if (shared_.locks.conflict(locked_file(**found), {this, std::string(m.client_id), m.proc_id},
                             type, *range, held)) {
    call.text = std::move(held.owner.client_id);
    reply = {held.type, held.range.first,
             held.range.last == ~U64{0} ? 0 : held.range.last - held.range.first + 1,
             held.owner.proc_id, call.text};
  }
  co_return reply;
}

}  // namespace ninep::server
