// From a connection and what is spoken on it to a Link: the one place that knows all protocols.
#pragma once

#include <memory>

#include "transports/link.h"
#include "transports/transport.h"

namespace ninep::transport {

/// Takes `ends` over.
std::unique_ptr<Link> make_link(io::Loop& loop, Ends ends, const Protocol& protocol, Peer peer,
                                const MakeHandler& make_handler, Report report);

}  // namespace ninep::transport
