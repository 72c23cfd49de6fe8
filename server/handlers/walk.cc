// Tauth, Tattach, Twalk, Tclunk, Tremove: how fids come and go.
#include <limits.h>

#include "server/session.h"

namespace ninep::server {

// No authentication is wanted; the client goes on with afid NOFID. attach(5).
// "Not wanted": any error says so, but diod's clients go on after ENOENT alone.
Reply<Rauth> Session::handle(Call&, const Tauth&) { return fail(ENOENT); }

Reply<Rattach> Session::handle(Call& call, const Tattach& m) {
  if (m.afid != kNoFid) co_return fail(EBADF);
  auto may = may_be_new(m.fid);
  NINEP_CO_RETURN_IF_ERROR(may);
  auto finding = shared_.users.find(loop_, m.uname, m.n_uname);
  auto user = co_await finding;
  NINEP_CO_RETURN_IF_ERROR(user);
  call.context.set_user(*user);
  auto attaching = exported_.tree->attach(call.context, m.aname);
  auto node = co_await attaching;
  NINEP_CO_RETURN_IF_ERROR(node);
  auto state = make_ref<FidState>();
  state->user = *user;
  state->node = std::move(*node);
  const Qid qid = state->node->qid();
  auto added = add_fid(m.fid, std::move(state));
  NINEP_CO_RETURN_IF_ERROR(added);
  co_return Rattach{qid};
}

namespace {

Status check_step(Str name) {
  if (name.empty() || name == "." || name.contains('/') || name.contains('\0')) return fail(ENOENT);
  if (name.size() > NAME_MAX) return fail(ENAMETOOLONG);
  return {};
}

}  // namespace

// newfid comes into being only if all names were walked; walk(5).
Reply<Rwalk> Session::handle(Call& call, const Twalk& m) {
  auto from = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(from);
  FidState& state = **from;
  const bool same = m.newfid == m.fid;
  // Linux walks from open fids to others (since 5.11): the manual's rule holds for the fid itself.
  if (same && (state.file || state.opening)) co_return fail(EBUSY);
  if (!same) {
    auto may = may_be_new(m.newfid);
    NINEP_CO_RETURN_IF_ERROR(may);
  }
  Rwalk reply{};
  Ref<fs::Node> at = state.node;
  if (m.wname.size() == 0) {
    if (same) co_return reply;
    auto cloning = at->clone(call.context);
    auto clone = co_await cloning;
    NINEP_CO_RETURN_IF_ERROR(clone);
    at = std::move(*clone);
  }
  for (const Str name : m.wname) {
    auto checked = check_step(name);
    Result<Ref<fs::Node>> next;
    if (checked) {
      auto walking = at->walk(call.context, name);
      next = co_await walking;
    } else {
      next = fail(checked.error());
    }
    if (!next) {
      if (reply.wqid.size() == 0) co_return fail(next.error());
      co_return reply;  // a part of the way is no error, but gives no newfid
    }
    at = std::move(*next);
    reply.wqid.push_back(at->qid());
  }
  if (same) {
    if (state.file || state.opening || state.kind != FidState::Kind::kFile) co_return fail(EBUSY);
    state.node = std::move(at);
    co_return reply;
  }
  auto fresh = make_ref<FidState>();
  fresh->user = state.user;
  fresh->node = std::move(at);
  auto added = add_fid(m.newfid, std::move(fresh));
  NINEP_CO_RETURN_IF_ERROR(added);
  co_return reply;
}

// The fid is gone whatever comes of it. An attribute that was written is set now.
Reply<Rclunk> Session::handle(Call& call, const Tclunk& m) {
  auto taken = take_fid(m.fid);
  NINEP_CO_RETURN_IF_ERROR(taken);
  FidState& state = **taken;
  if (state.kind == FidState::Kind::kXattrWrite) {
    call.act_as(state);
    const FidState::Xattr& xattr = *state.xattr;
    if (xattr.written != xattr.value.size()) co_return fail(EINVAL);
    // Size 0 is both "remove" and "set to nothing"; removexattr of Linux sends it with REPLACE.
    const bool removes = xattr.value.empty() && xattr.flags == kXattrReplace;
    auto setting = removes
                       ? state.node->removexattr(call.context, xattr.name)
                       : state.node->setxattr(call.context, xattr.name, xattr.value, xattr.flags);
    auto set = co_await setting;
    NINEP_CO_RETURN_IF_ERROR(set);
  }
  co_return Rclunk{};
}

Reply<Rremove> Session::handle(Call& call, const Tremove& m) {
  auto taken = take_fid(m.fid);
  NINEP_CO_RETURN_IF_ERROR(taken);
  FidState& state = **taken;
  if (state.kind != FidState::Kind::kFile) co_return fail(EBADF);
  call.act_as(state);
  const Ref<fs::Node> node = state.node;  // a walk of the fid may be under way still
  auto removing = node->remove_self(call.context);
  auto removed = co_await removing;
  NINEP_CO_RETURN_IF_ERROR(removed);
  co_return Rremove{};
}

}  // namespace ninep::server
