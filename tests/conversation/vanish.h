// Clients that leave in the middle.
#pragma once

#include "tests/conversation/client.h"

namespace ninep::test {

/// A conversation with a bit of everything, as the bytes of its requests. Several numbers share the
/// files that they make.
std::vector<std::byte> bit_of_everything(U32 number);

enum class End { kClose, kReset, kHalf };

/// Says `bytes` and leaves, without having read a reply or with some read.
void leave(Client client, Bytes bytes, End end, bool reads);
/// Leaves at a byte and in a way that depend on `number`.
void vanish(Client client, U32 number);

/// What NINEP_COUNT says, or else `usual`: how many vanish in a test that counts them.
unsigned count_of_vanishing(unsigned usual);

}  // namespace ninep::test
