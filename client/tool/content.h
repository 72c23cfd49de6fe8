// Content: what is in a regular file from one place to another, many blocks of many files at once.
#pragma once

#include <functional>

#include "client/gate.h"
#include "client/tool/place.h"
#include "client/tool/progress.h"

namespace ninep::tool {

class Content {
 public:
  struct Options {
    std::size_t block;   // most that is read and written as one
    std::size_t memory;  // bytes of blocks at once
    bool xattrs;
    bool all_xattrs;  // the system's own as well
  };
  struct What {
    Place& from;
    const std::string& name;
    Place& to;
    const std::string& to_name;
    const std::string& path;  // for people
    const Attributes& is;     // in `from`
    const Change& change;     // what it gets of that
    const bool& is_needed;    // by now: what it replaces has gone, or some of it
  };
  using Ready = std::function<Awaitable<Expected<void>>()>;

  Content(asio::any_io_executor executor, const Options& options, Progress& progress);

  /// `ready`: called once the content is there, before it gets the file's name; may say no.
  Awaitable<Expected<void>> copy(What what, Ready ready);

 private:
  struct Transfer;

  /// `is_counted`: what is there already was told to `progress_` before.
  Awaitable<Expected<void>> once(const What& what, const Ready& ready, bool is_counted);
  Awaitable<void> blocks(const What& what, Transfer& transfer);
  Awaitable<void> one_block(Transfer& transfer, U64 at, std::size_t size);
  Awaitable<Expected<void>> move_block(Transfer& transfer, U64 at, Room room);
  /// A file that has content and no size, as those of /proc.
  Awaitable<Expected<void>> sizeless(Transfer& transfer);
  /// Whether a part that a failed copy leaves has nothing to go on with.
  static bool is_of_no_use(const Transfer& transfer, bool is_whole, const client::Error& why);

  const asio::any_io_executor executor_;
  const Options options_;
  Progress& progress_;
  client::Gate memory_;  // of bytes
};

}  // namespace ninep::tool
