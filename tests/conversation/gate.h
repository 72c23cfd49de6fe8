// A back end whose calls wait until they are told to go on, so that requests are in flight for
// certain: another tree, behind gates.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>

#include "server/fs/fs.h"

namespace ninep::test {

/// Which calls wait, and those that do. Used by the loop's thread and by the test's. Calls are
/// named as in fs::Node and fs::File; "mkdir done" is mkdir() with its work done and committed,
/// "read done" is read() with the data where they belong.
class Gate {
 public:
  /// From now on calls of this name wait. Those that are `interruptible` end with EINTR when their
  /// request is cancelled; the others are like a system call on a pool thread.
  void hold(const std::string& call, bool interruptible = true);
  /// From now on none does; those that wait go on waiting.
  void open();
  /// Until `count` calls wait.
  void wait_for(std::size_t count);
  /// Lets the one go that has waited longest.
  void release();
  void release_all();

  /// On the loop: waits if it has to. False: interrupted.
  io::Task<bool> enter(fs::Context& ctx, const char* call);

 private:
  struct Pipe {
    Pipe();
    ~Pipe();
    int in;  // closed by the loop
    int out;
    bool interruptible = false;
  };
  std::shared_ptr<Pipe> join(const char* call);
  void leave(const std::shared_ptr<Pipe>& pipe);

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::set<std::string> held_;
  std::set<std::string> interruptible_;
  std::deque<std::shared_ptr<Pipe>> waiting_;  // and not released
};

/// `inner`, with each call going through `gate` first.
std::shared_ptr<fs::Tree> make_gated_tree(std::shared_ptr<fs::Tree> inner, Gate& gate);

}  // namespace ninep::test
