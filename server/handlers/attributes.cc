// Tgetattr, Tsetattr, Tstatfs, Treadlink, Txattrwalk, Txattrcreate.
#include <limits.h>

#include "server/handlers/answer.h"
#include "server/session.h"

namespace ninep::server {

// The fid may move on to another node meanwhile.
Reply<Rgetattr> Session::handle(Call& call, const Tgetattr& m) {
  const auto found = file_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(found);
  const FidState& state = **found;
  return answer<Rgetattr>(state.node->getattr(call.context, m.request_mask, state.file.get()),
                          state.node, state.file);
}

Reply<Rsetattr> Session::handle(Call& call, const Tsetattr& m) {
  const auto found = file_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(found);
  const FidState& state = **found;
  return answer<Rsetattr>(state.node->setattr(call.context, m, state.file.get()), state.node,
                          state.file);
}

Reply<Rstatfs> Session::handle(Call& call, const Tstatfs& m) {
  const auto found = file_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(found);
  const Ref<fs::Node>& node = (*found)->node;
  return answer<Rstatfs>(node->statfs(call.context), node);
}

Reply<Rreadlink> Session::handle(Call& call, const Treadlink& m) {
  auto found = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  const Ref<fs::Node> node = (*found)->node;
  auto reading = node->readlink(call.context);
  auto target = co_await reading;
  NINEP_CO_RETURN_IF_ERROR(target);
  call.text = std::move(*target);
  co_return Rreadlink{call.text};
}

// ------------------------------------------------------------------ extended attributes

namespace {

Status check_xattr_name(Str name) {
  if (name.size() > XATTR_NAME_MAX) return fail(ERANGE);
  if (name.empty() || name.contains('\0')) return fail(EINVAL);
  return {};
}

}  // namespace

// Makes `state` hold a value, within the session's limit.
Status Session::hold_xattr(FidState& state, std::string name, std::vector<std::byte> value) {
  if (xattr_bytes_ + value.size() > kXattrBytesMax) return fail(ENOSPC);
  xattr_bytes_ += value.size();
  state.xattr = std::make_unique<FidState::Xattr>();
  state.xattr->name = std::move(name);
  state.xattr->value = std::move(value);
  state.xattr->held = &xattr_bytes_;
  return {};
}

// newfid reads the value, or with an empty name the list of names.
Reply<Rxattrwalk> Session::handle(Call& call, const Txattrwalk& m) {
  auto found = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  const Ref<FidState> state = std::move(*found);
  auto may = may_be_new(m.newfid);
  NINEP_CO_RETURN_IF_ERROR(may);
  if (!m.name.empty()) {
    auto checked = check_xattr_name(m.name);
    NINEP_CO_RETURN_IF_ERROR(checked);
  }
  const Ref<fs::Node> node = state->node;
  auto reading =
      m.name.empty() ? node->listxattr(call.context) : node->getxattr(call.context, m.name);
  auto value = co_await reading;
  NINEP_CO_RETURN_IF_ERROR(value);
  const U64 size = value->size();
  auto fresh = make_ref<FidState>();
  fresh->kind = FidState::Kind::kXattrRead;
  fresh->user = state->user;
  fresh->node = node;
  auto held = hold_xattr(*fresh, std::string(m.name), std::move(*value));
  NINEP_CO_RETURN_IF_ERROR(held);
  auto added = add_fid(m.newfid, std::move(fresh));
  NINEP_CO_RETURN_IF_ERROR(added);
  co_return Rxattrwalk{size};
}

// fid itself takes the value from now on; Tclunk sets it.
Reply<Rxattrcreate> Session::handle(Call& call, const Txattrcreate& m) {
  auto found = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(found);
  FidState& state = **found;
  if (state.file || state.opening) co_return fail(EBUSY);
  auto checked = check_xattr_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  if (m.attr_size > kXattrSizeMax) co_return fail(E2BIG);
  if ((m.flags & ~(kXattrCreate | kXattrReplace)) != 0) co_return fail(EINVAL);
  auto held = hold_xattr(state, std::string(m.name), std::vector<std::byte>(m.attr_size));
  NINEP_CO_RETURN_IF_ERROR(held);
  state.kind = FidState::Kind::kXattrWrite;
  state.xattr->flags = m.flags;
  co_return Rxattrcreate{};
}

}  // namespace ninep::server
