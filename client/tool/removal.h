// Removal: what a target has, and what is copied to it hasn't.
#pragma once

#include <set>

#include "client/tool/budget.h"
#include "client/tool/place.h"
#include "client/tool/progress.h"

namespace ninep::tool {

class Removal {
 public:
  /// `dry`: says what it would remove.
  Removal(bool dry, Budget& budget, Progress& progress)
      : dry_(dry), budget_(budget), progress_(progress) {}

  /// A directory that is being copied: it stays, wherever it is.
  void keep(const Identity& directory) { kept_.insert(directory); }
  /// All that is in `in`, but for these. What goes wrong is told to `progress`.
  Awaitable<void> others(Place& in, const std::set<std::string>& names);
  /// A file, or a directory with all that is in it; `type`: DT_*. What is there no more is removed.
  Awaitable<Expected<void>> tree(Place& in, std::string name, U8 type);

 private:
  const bool dry_;
  Budget& budget_;
  Progress& progress_;
  std::set<Identity> kept_;
};

}  // namespace ninep::tool
