// Copier: files and trees from one place to another, many at once.
#pragma once

#include <map>
#include <set>

#include "client/tool/place.h"
#include "client/tool/progress.h"

namespace ninep::tool {

/// What goes wrong with one file is told to `progress`, and the others are copied all the same.
class Copier {
 public:
  struct Options {
    bool recursive = false;
    bool update = false;   // what has the size and the time already is left as it is
    bool remove = false;   // what the source hasn't got goes from the target
    bool owner = false;    // keeps owner and group
    bool xattrs = true;
    bool dry = false;      // says what it would do
    unsigned jobs = 64;    // files at once
    U64 block = 4 << 20;   // bytes that are read and written as one
    unsigned blocks = 16;  // of them in memory
  };
  Copier(asio::any_io_executor executor, const Options& options, Progress& progress);
  ~Copier();

  /// `name` from one place to `to_name` in the other. `path`: where that is, from the place that
  /// open_place() gave.
  Awaitable<void> copy(Place& from, std::string name, Place& to, std::string to_name,
                       std::string path);
  /// All that is in the directory.
  Awaitable<void> contents(Place& from, Place& to, std::string path);

 private:
  /// A file on its way.
  struct Item {
    Place* from;
    std::string name;
    Place* to;
    std::string to_name;
    std::string path;
    U8 type = 0;  // DT_*
  };
  struct Original;

  Awaitable<void> file(Item item);
  Awaitable<void> tree(Item item, bool has_place);
  Awaitable<Expected<void>> any(const Item& item);
  Awaitable<Expected<void>> directory(const Item& item);
  Awaitable<Expected<void>> regular(const Item& item, const Attributes& is);
  Awaitable<Expected<void>> content(const Item& item, const Attributes& is);
  Awaitable<void> some_blocks(Source& source, Sink& sink, U64& next, U64 size,
                              std::optional<client::Error>& wrong);
  Awaitable<Expected<void>> one_block(Source& source, Sink& sink, U64 at, Room room);
  Awaitable<Expected<void>> other(const Item& item, const Attributes& is);
  Awaitable<void> remove_others(Place& to, const std::set<std::string>& names);
  Awaitable<void> remove_tree(Place& in, std::string name, U8 type);
  Change change_of(const Attributes& is) const;

  asio::any_io_executor executor_;
  const Options options_;
  Progress& progress_;
  client::Gate files_;
  client::Gate directories_;
  client::Gate blocks_;
  std::map<U64, std::shared_ptr<Original>> originals_;  // by qid.path: what has several names
};

}  // namespace ninep::tool
