// A thread that takes no signals: those are for the main thread.
#pragma once

#include <csignal>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace ninep::io {

/// None: the system has no more threads for us just now.
template <class Work>
std::optional<std::thread> start_thread(Work work) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::optional<std::thread> thread;
  try {
    thread.emplace(std::move(work));
  } catch (const std::system_error&) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace ninep::io
