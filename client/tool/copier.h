// Copier: files and trees from one place to another, many at once.
#pragma once

#include <functional>
#include <map>
#include <set>

#include <dirent.h>

#include "client/tool/budget.h"
#include "client/tool/content.h"
#include "client/tool/copied_attributes.h"
#include "client/tool/place.h"
#include "client/tool/progress.h"
#include "client/tool/removal.h"

namespace ninep::tool {

/// What goes wrong with one file is told to `progress`, and the others are copied all the same.
class Copier {
 public:
  struct Options {
    bool recursive = false;
    bool update = false;  // what has the size and the time already is left as it is
    bool remove = false;  // what the source hasn't got goes from the target
    bool owner = false;   // keeps owner and group, and what only an owner gives
    bool xattrs = true;
    bool dry = false;               // says what it would do
    unsigned jobs = 64;             // files at once
    std::size_t block = 1 << 20;    // most that is read and written as one
    std::size_t memory = 64 << 20;  // bytes of blocks at once
  };
  Copier(asio::any_io_executor executor, const Options& options, Progress& progress);
  ~Copier();

  /// `name` from one place to `to_name` in the other, the one that open_place() gave.
  /// `takes_links`: false: it is an error if `name` is a symbolic link.
  Awaitable<void> copy(Place& from, std::string name, Place& to, std::string to_name,
                       bool takes_links);
  /// What becomes of the directory itself that the other's contents are copied to.
  enum class Top {
    kStays,    // as it was
    kBecomes,  // like the other one, where we may
    kIsNew,    // like the other one
  };
  /// All that is in the directory. `to`: null, in a dry run, where it isn't there.
  Awaitable<void> contents(Place& from, Place* to, Top top);

 private:
  /// A file on its way.
  struct Item {
    Place* from;
    std::string name;
    Place* to;  // null, in a dry run: it isn't there
    std::string to_name;
    std::string path;
    U8 type = 0;  // DT_*
    bool is_top = false;
    bool takes_links = true;     // as what they are
    bool has_made_way = false;   // something has gone for it
    U8 in_the_way = DT_UNKNOWN;  // what is there, if it is of another kind and may be removed
  };
  /// Of a directory, what is being copied: a server may name it twice.
  using UnderWay = std::set<std::string>;
  struct Original;
  using Make = std::function<Awaitable<Expected<void>>(std::string name)>;

  Awaitable<void> contents(Place& from, Place* to, std::string path);
  Awaitable<void> file(Item item, UnderWay& under_way);
  Awaitable<void> tree(Item item, bool has_place, UnderWay& under_way);
  /// `turn`: of the caller's, who needs none for a directory; may be null.
  Awaitable<Expected<void>> any(Item& item, std::optional<client::Turn>* turn);
  Awaitable<Expected<void>> directory(Item& item);
  /// What is there already, if it is to be looked at, and is of the same kind.
  Awaitable<std::optional<Attributes>> there(Item& item, const Attributes& is);
  /// Of a dry run: what would go, or would be in the way.
  Awaitable<Expected<void>> way_for(Item& item, const Attributes& is);
  /// What is of another kind goes: as late as may be, for what comes may not be to be had.
  Awaitable<Expected<void>> make_way(Item& item);
  Expected<void> may_be_copied(const Item& item, const Attributes& is) const;
  /// What a device or a pipe is for may be all but to be replaced.
  Awaitable<Expected<void>> may_be_replaced(const Item& item, const Attributes& by) const;
  /// What is no regular file gets its name.
  Awaitable<Expected<void>> put(Item& item, const Make& make, bool is_directory);
  static Awaitable<Expected<void>> make_directory(Place& in, std::string name);
  /// Whether the directory that is there, if one is, may become like the item: no source may.
  Awaitable<Expected<void>> may_become(const Item& item, Place* there);
  Awaitable<bool> leads_to_the_same(const Item& link);
  /// Of a file with several names, whether the one that is there is one of the target's as well.
  bool has_its_links(const Item& item, const Attributes& is, const Attributes& there);
  Awaitable<Expected<void>> regular(Item& item, const Attributes& is);
  Awaitable<Expected<void>> content(Item& item, const Attributes& is);
  Awaitable<Expected<void>> other(Item& item, const Attributes& is);
  /// With its copy.
  static CopiedAttributes::What pair(const Item& item, const Attributes& is);

  asio::any_io_executor executor_;
  const Options options_;
  Progress& progress_;
  client::Gate files_;
  client::Gate directories_;
  Budget budget_, kept_budget_;
  Budget::Share kept_{kept_budget_};  // for originals_
  Directories sources_, targets_;     // the tops
  Content content_;
  CopiedAttributes attributes_;
  Removal removal_;
  std::map<Identity, std::shared_ptr<Original>> originals_;  // what has several names
  bool has_links_ = true;                                    // the target, as far as is known
};

}  // namespace ninep::tool
