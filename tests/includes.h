// The dependency rule, checked on #include lines: proto <- transports <- server, and
// proto <- transports <- client. CMakeLists.txt says the same with its links.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ninep::test {

/// What `text`, the file at `path` (from the root of the tree), includes against the rule: one
/// sentence for each line that does.
std::vector<std::string> forbidden_includes(std::string_view path, std::string_view text);

}  // namespace ninep::test
