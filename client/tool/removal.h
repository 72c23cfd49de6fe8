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
  Awaitable<void> others(Place& in, const std::set<std::string>& names) {
    bool ignored = false;
    co_await others(in, names, ignored);
  }
  /// A file, or a directory with all that is in it. What is there no more is removed. `has_gone`:
  /// becomes true if something has.
  Awaitable<Expected<void>> tree(Place& in, Found what, bool& has_gone);

 private:
  Awaitable<void> others(Place& in, const std::set<std::string>& names, bool& has_gone);

  const bool dry_;
  Directories& kept_;
  Budget& budget_;
  Progress& progress_;
};

}  // namespace ninep::tool
