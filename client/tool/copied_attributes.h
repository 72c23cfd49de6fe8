// CopiedAttributes: what a copy has of its source's permissions, owner, times and extended
// attributes.
#pragma once

#include "client/tool/place.h"
#include "client/tool/progress.h"

namespace ninep::tool {

class CopiedAttributes {
 public:
  struct Options {
    bool owner;  // the owner and group as well, and the system's own extended attributes
    bool xattrs;
    bool dry;  // says which files would change
  };
  struct What {
    Place& from;
    const std::string& name;
    Place& to;
    const std::string& to_name;
    const std::string& path;  // for people
    const Attributes& is;     // in `from`
  };

  CopiedAttributes(const Options& options, Progress& progress)
      : options_(options), progress_(progress) {}

  /// What a copy gets, extended attributes apart. Without the source's owner a file has no set-id
  /// bits: they would give its new owner's rights to whoever runs it.
  Change change_of(const Attributes& is) const;

  /// Of a file that is left as it is; no directory. `there`: what the target is like.
  Awaitable<Expected<void>> refresh(What what, const Attributes& there);
  /// Of a link, device or pipe that was made.
  Awaitable<Expected<void>> finish_other(What what);
  /// Of a directory, when all is in it. `may_be_anothers`: then it is no error if it isn't ours to
  /// change.
  Awaitable<Expected<void>> finish_directory(What what, bool may_be_anothers);

 private:
  struct Difference;

  Awaitable<Expected<Difference>> difference(const What& what) const;
  /// All that can be done of it; the error is one of what can't.
  static Awaitable<Expected<void>> make_alike(const What& what, Difference difference);
  /// Before it gets another owner, or loses an access list, of which its group's permissions would
  /// be what the list let in at most: it has none then that it won't have in the end.
  static Awaitable<Expected<void>> narrow(const What& what, const Attributes& there,
                                          const Change& wanted);

  const Options options_;
  Progress& progress_;
};

}  // namespace ninep::tool
