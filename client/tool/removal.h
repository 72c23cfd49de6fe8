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
  /// `kept`: these stay, wherever they are.
  Removal(bool dry, Directories& kept, Budget& budget, Progress& progress)
      : dry_(dry), kept_(kept), budget_(budget), progress_(progress) {}

  /// All that is in `in`, but for these. What goes wrong is told to `progress`.
  Awaitable<void> others(Place& in, const std::set<std::string>& names);
  /// A file, or a directory with all that is in it. What is there no more is removed.
  Awaitable<Expected<void>> tree(Place& in, Found what);
  /// Files and directories that it has removed so far.
  std::size_t count() const { return count_; }

 private:
  const bool dry_;
  Directories& kept_;
  Budget& budget_;
  Progress& progress_;
  std::size_t count_ = 0;
};

}  // namespace ninep::tool
