#include "server/fs/local.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/fs/local_node.h"

namespace ninep::fs {
namespace {

class LocalTree final : public Tree {
 public:
  /// `own`: the file system that the directory is on.
  LocalTree(int fd, std::vector<std::string> names, std::shared_ptr<FileSystems> file_systems,
            const FileSystem& own)
      : fd_(fd), names_(std::move(names)), file_systems_(std::move(file_systems)), own_(own) {}
  ~LocalTree() override { ::close(fd_); }

  Task<Result<Ref<Node>>> attach(Context& ctx, Str aname) override {
    for (const std::string& name : names_) {
      if (aname != name && !(aname.starts_with(name) && aname[name.size()] == '/')) continue;
      aname.remove_prefix(name.size());
      break;
    }
    auto root = make_ref<LocalRoot>();
    root->file_systems = file_systems_;
    root->export_fd = fd_;
    const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) co_return fail(errno);
    auto making = make_local_node(ctx, root, Descriptor(ctx.loop(), own_.sleep, fd), own_);
    auto made = co_await making;
    NINEP_CO_RETURN_IF_ERROR(made);
    Ref<Node> at = std::move(*made);
    while (!aname.empty()) {
      const Str name = aname.substr(0, aname.find('/'));
      aname.remove_prefix(std::min(aname.size(), name.size() + 1));
      if (name.empty()) continue;
      if (name == "." || name == ".." || name.size() > NAME_MAX || name.contains('\0'))
        co_return fail(ENOENT);
      auto stepping = at->walk(ctx, name);
      auto next = co_await stepping;
      NINEP_CO_RETURN_IF_ERROR(next);
      at = std::move(*next);
    }
    if (at->qid().type != kQtDir) co_return fail(ENOTDIR);
    const auto& node = static_cast<const LocalNode&>(*at);
    root->device = node.device();
    root->inode = node.inode();
    co_return at;
  }

 private:
  const int fd_;
  const std::vector<std::string> names_;  // of the directory itself, as an aname begins
  const std::shared_ptr<FileSystems> file_systems_;
  const FileSystem& own_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Tree>> make_local_tree(const std::string& path,
                                                      std::optional<io::Sleep> sleep) {
  const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  char resolved[PATH_MAX];
  struct statx status;
  struct statfs about;
  if (fd < 0 || !::realpath(path.c_str(), resolved) ||
      ::statx(fd, "", AT_EMPTY_PATH, kStatxMask, &status) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return absl::NotFoundError(absl::StrCat("cannot export '", path, "': ", std::strerror(error)));
  }
  // As it is, as it was given, and as that is from the root.
  std::error_code ignored;
  std::vector<std::string> names{resolved, path, std::filesystem::absolute(path, ignored)};
  for (std::string& name : names)
    while (name.ends_with('/')) name.pop_back();
  // The longest first: "/" is the beginning of all.
  std::ranges::sort(names, std::greater{}, &std::string::size);
  if (::fstatfs(fd, &about) != 0) about = {};
  auto file_systems = std::make_shared<FileSystems>(sleep);
  const FileSystem& own = file_systems->find(status, about);  // the first one
  return std::make_shared<LocalTree>(fd, std::move(names), std::move(file_systems), own);
}

}  // namespace ninep::fs
