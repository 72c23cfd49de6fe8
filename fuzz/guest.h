// What fuzz targets of devices have in common: a session that echoes, and a guest's memory.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transports/io/owned_fd.h"
#include "transports/pieces.h"
#include "transports/transport.h"

namespace ninep::fuzz {

/// Gives each frame back.
class Echo final : public transport::Handler {
 public:
  void request(transport::Request& request) override {
    const Bytes frame = request.frame();
    scatter(frame, request.room(frame.size()));
    request.finish(std::min(frame.size(), total(request.room(frame.size()))));
  }
  U32 msize() const override { return 8192; }
  io::Task<void> close() override { return {}; }

  static transport::MakeHandler maker() {
    return [](io::Loop&, const transport::Peer&) { return std::make_unique<Echo>(); };
  }
};

inline constexpr off_t kMemorySize = 64 << 10;

/// A file of memory that begins with `image`; for each input anew.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes image) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_.get() < 0 || ::ftruncate(fd_.get(), kMemorySize) != 0) std::abort();
    if (::pwrite(fd_.get(), image.data(), image.size(), 0) < 0) std::abort();
  }
  io::OwnedFd another() const { return io::OwnedFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)); }

 private:
  io::OwnedFd fd_;
};

}  // namespace ninep::fuzz
