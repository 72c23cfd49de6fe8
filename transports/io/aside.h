// Aside: a thread for ends that may take long and that nobody waits for, the program's end neither.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "transports/io/owned_fd.h"

namespace ninep::io {

/// It takes one thing after the other, on a thread that is there from the first one on. Any thread
/// may hand something over. What is left when an Aside goes is done all the same.
class Aside {
 public:
  Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  ~Aside();

  void run(std::function<void()> what);
  void close(OwnedFd fd);
  /// How much is not done yet.
  std::size_t waiting() const;
  /// Of all that there are.
  static std::size_t waiting_everywhere();

 private:
  struct Queue;
  const std::shared_ptr<Queue> queue_;
};

/// For giving memory back, which takes as long as there is much of it. Where too much waits it is
/// done in place.
void give_back_aside(std::function<void()> what);

}  // namespace ninep::io
