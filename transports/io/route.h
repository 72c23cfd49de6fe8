// Where each kind of operation is made: in place, on the ring, or on a pool thread. The one table.
#pragma once

#include "transports/io/op.h"

namespace ninep::io {

enum class Route : U8 {
  kInPlace,  // a plain call on the loop's thread: it doesn't sleep
  kTry,      // in place without waiting; on EAGAIN as kRing
  kRing,     // handed to the ring; a loop without one: readiness for sockets, the pool for files
  kPool,     // a blocking call on a pool thread
};

/// "read", "accept", ...; for counters and logs.
Str kind_name(Kind kind);
Route route(Kind kind, Sleep sleep);

}  // namespace ninep::io
