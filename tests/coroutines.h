// What g++ 12 compiles wrongly in coroutines, found in the text of sources: temporaries of a
// statement with co_await that it destroys twice or never, and lambdas whose captures are gone when
// they go on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ninep::test {

/// One sentence for each statement of `text`, the file at `path`, that has
/// - co_await, and a `? :` of more than names and numbers: name its value first;
/// - co_await, and a temporary or initializer list in braces, if it isn't empty or a message or
/// number:
///   name it first;
/// - a lambda that captures something and is a coroutine: make it a function with parameters.
/// The bodies of other lambdas are statements of their own.
std::vector<std::string> coroutine_faults(std::string_view path, std::string_view text);

}  // namespace ninep::test
