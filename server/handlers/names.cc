// Tsymlink, Tmknod, Tmkdir, Tlink, Trename, Trenameat, Tunlinkat: what changes directories.
#include "server/handlers/answer.h"
#include "server/session.h"

namespace ninep::server {

Reply<Rsymlink> Session::handle(Call& call, const Tsymlink& m) {
  const auto dir = directory(call, m.dfid, m.name);
  NINEP_RETURN_IF_ERROR(dir);
  if (m.symtgt.empty()) return fail(ENOENT);
  if (m.symtgt.contains('\0')) return fail(EINVAL);
  return answer<Rsymlink>((*dir)->symlink(call.context, m.name, m.symtgt, m.gid), *dir);
}

Reply<Rmknod> Session::handle(Call& call, const Tmknod& m) {
  const auto dir = directory(call, m.dfid, m.name);
  NINEP_RETURN_IF_ERROR(dir);
  return answer<Rmknod>((*dir)->mknod(call.context, m.name, m.mode, m.major, m.minor, m.gid), *dir);
}

Reply<Rmkdir> Session::handle(Call& call, const Tmkdir& m) {
  const auto dir = directory(call, m.dfid, m.name);
  NINEP_RETURN_IF_ERROR(dir);
  return answer<Rmkdir>((*dir)->mkdir(call.context, m.name, m.mode, m.gid), *dir);
}

// As the directory's user.
Reply<Rlink> Session::handle(Call& call, const Tlink& m) {
  const auto file = file_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(file);
  const auto dir = directory(call, m.dfid, m.name);
  NINEP_RETURN_IF_ERROR(dir);
  const Ref<fs::Node> target = (*file)->node;
  return answer<Rlink>((*dir)->link(call.context, *target, m.name), *dir, target);
}

// As the file's user.
Reply<Rrename> Session::handle(Call& call, const Trename& m) {
  const auto to = directory(call, m.newdirfid, m.name);
  NINEP_RETURN_IF_ERROR(to);
  const auto file = file_fid(call, m.fid);
  NINEP_RETURN_IF_ERROR(file);
  const Ref<fs::Node> node = (*file)->node;
  return answer<Rrename>(node->rename_self(call.context, **to, m.name), node, *to);
}

// As the old directory's user.
Reply<Rrenameat> Session::handle(Call& call, const Trenameat& m) {
  const auto to = directory(call, m.newdirfid, m.newname);
  NINEP_RETURN_IF_ERROR(to);
  const auto from = directory(call, m.olddirfid, m.oldname);
  NINEP_RETURN_IF_ERROR(from);
  return answer<Rrenameat>((*from)->rename(call.context, m.oldname, **to, m.newname), *from, *to);
}

Reply<Runlinkat> Session::handle(Call& call, const Tunlinkat& m) {
  const auto dir = directory(call, m.dirfid, m.name);
  NINEP_RETURN_IF_ERROR(dir);
  if ((m.flags & ~kUnlinkRemoveDir) != 0) return fail(EINVAL);
  return answer<Runlinkat>((*dir)->unlink(call.context, m.name, m.flags != 0), *dir);
}

}  // namespace ninep::server
