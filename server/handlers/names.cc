// Tsymlink, Tmknod, Tmkdir, Tlink, Trename, Trenameat, Tunlinkat: what changes directories.
#include "server/session.h"

namespace ninep::server {

Reply<Rsymlink> Session::handle(Call& call, const Tsymlink& m) {
  auto found = file_fid(call, m.dfid);
  NINEP_CO_RETURN_IF_ERROR(found);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  if (m.symtgt.empty()) co_return fail(ENOENT);
  if (m.symtgt.contains('\0')) co_return fail(EINVAL);
  const Ref<fs::Node> node = (*found)->node;
  auto making = node->symlink(call.context, m.name, m.symtgt, m.gid);
  auto qid = co_await making;
  NINEP_CO_RETURN_IF_ERROR(qid);
  co_return Rsymlink{*qid};
}

Reply<Rmknod> Session::handle(Call& call, const Tmknod& m) {
  auto found = file_fid(call, m.dfid);
  NINEP_CO_RETURN_IF_ERROR(found);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  const Ref<fs::Node> node = (*found)->node;
  auto making = node->mknod(call.context, m.name, m.mode, m.major, m.minor, m.gid);
  auto qid = co_await making;
  NINEP_CO_RETURN_IF_ERROR(qid);
  co_return Rmknod{*qid};
}

Reply<Rmkdir> Session::handle(Call& call, const Tmkdir& m) {
  auto found = file_fid(call, m.dfid);
  NINEP_CO_RETURN_IF_ERROR(found);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  const Ref<fs::Node> node = (*found)->node;
  auto making = node->mkdir(call.context, m.name, m.mode, m.gid);
  auto qid = co_await making;
  NINEP_CO_RETURN_IF_ERROR(qid);
  co_return Rmkdir{*qid};
}

// As the directory's user.
Reply<Rlink> Session::handle(Call& call, const Tlink& m) {
  auto file = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(file);
  auto directory = file_fid(call, m.dfid);
  NINEP_CO_RETURN_IF_ERROR(directory);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  const Ref<fs::Node> node = (*directory)->node;
  const Ref<fs::Node> target = (*file)->node;
  if (node->qid().type != kQtDir) co_return fail(ENOTDIR);
  auto linking = node->link(call.context, *target, m.name);
  auto linked = co_await linking;
  NINEP_CO_RETURN_IF_ERROR(linked);
  co_return Rlink{};
}

Reply<Rrename> Session::handle(Call& call, const Trename& m) {
  auto directory = file_fid(call, m.newdirfid);
  NINEP_CO_RETURN_IF_ERROR(directory);
  auto file = file_fid(call, m.fid);
  NINEP_CO_RETURN_IF_ERROR(file);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  const Ref<fs::Node> node = (*file)->node;
  const Ref<fs::Node> to = (*directory)->node;
  if (to->qid().type != kQtDir) co_return fail(ENOTDIR);
  auto renaming = node->rename_self(call.context, *to, m.name);
  auto renamed = co_await renaming;
  NINEP_CO_RETURN_IF_ERROR(renamed);
  co_return Rrename{};
}

Reply<Rrenameat> Session::handle(Call& call, const Trenameat& m) {
  auto to = file_fid(call, m.newdirfid);
  NINEP_CO_RETURN_IF_ERROR(to);
  auto from = file_fid(call, m.olddirfid);
  NINEP_CO_RETURN_IF_ERROR(from);
  for (const Str name : {m.oldname, m.newname}) {
    auto checked = check_name(name);
    NINEP_CO_RETURN_IF_ERROR(checked);
  }
  const Ref<fs::Node> from_node = (*from)->node;
  const Ref<fs::Node> to_node = (*to)->node;
  if (from_node->qid().type != kQtDir || to_node->qid().type != kQtDir) co_return fail(ENOTDIR);
  auto renaming = from_node->rename(call.context, m.oldname, *to_node, m.newname);
  auto renamed = co_await renaming;
  NINEP_CO_RETURN_IF_ERROR(renamed);
  co_return Rrenameat{};
}

Reply<Runlinkat> Session::handle(Call& call, const Tunlinkat& m) {
  auto found = file_fid(call, m.dirfid);
  NINEP_CO_RETURN_IF_ERROR(found);
  auto checked = check_name(m.name);
  NINEP_CO_RETURN_IF_ERROR(checked);
  if ((m.flags & ~kUnlinkRemoveDir) != 0) co_return fail(EINVAL);
  const Ref<fs::Node> node = (*found)->node;
  auto removing = node->unlink(call.context, m.name, m.flags != 0);
  auto removed = co_await removing;
  NINEP_CO_RETURN_IF_ERROR(removed);
  co_return Runlinkat{};
}

}  // namespace ninep::server
