#include "transports/make_link.h"

#include "transports/stream/connection.h"
#include "transports/vfio_user/connection.h"
#include "transports/vhost_user/connection.h"

namespace ninep::transport {

std::unique_ptr<Link> make_link(io::Loop& loop, Ends ends, const Protocol& protocol, Peer peer,
                                const MakeHandler& make_handler, Report report) {
  switch (protocol.kind) {
    case Protocol::Kind::kVhostUser:
      return std::make_unique<vhost_user::Connection>(loop, ends.in, protocol.tag, std::move(peer),
                                                      make_handler, std::move(report));
    case Protocol::Kind::kVfioUser:
      return std::make_unique<vfio_user::Connection>(loop, ends.in, protocol, std::move(peer),
                                                     make_handler, std::move(report));
    case Protocol::Kind::kFrames:
      break;
  }
  return std::make_unique<Connection>(loop, ends, std::move(peer), make_handler);
}

}  // namespace ninep::transport
