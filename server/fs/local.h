// A directory of this machine as a Tree.
//
// A node is an O_PATH descriptor, never a path: each step of a walk is one openat2() from the
// directory's descriptor, which can neither follow a symbolic link nor leave the directory. What
// happens to the names on the host meanwhile changes nothing about which file a fid refers to.
#pragma once

#include <optional>

#include <absl/status/statusor.h>

#include "server/fs/fs.h"

namespace ninep::fs {

/// Exports the directory at `path`. An attach name of "", "/" or `path` itself stands for it;
/// others are walked from it, as a client's walk is, with or without `path` in front. The error
/// says what was tried. `sleep` is taken for granted of every file system below, instead of what
/// the mount table tells.
absl::StatusOr<std::shared_ptr<Tree>> make_local_tree(const std::string& path,
                                                      std::optional<io::Sleep> sleep = {});

}  // namespace ninep::fs
