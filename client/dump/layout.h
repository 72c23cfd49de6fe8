// What follows from the description of the messages in proto/messages.h for people and fuzzers.
#pragma once

#include <string>

namespace ninep {

/// Two Markdown tables, of messages and of composite types, in the notation of intro(5).
std::string layouts();

/// A dictionary for libFuzzer: the start of each message's smallest frame, and telling values.
std::string dictionary();

}  // namespace ninep
