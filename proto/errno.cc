#include <string.h>

#include "proto/result.h"

namespace ninep {

std::string_view errno_name(Errno e) {
  const char* name = ::strerrorname_np(static_cast<int>(e));
  return name ? name : "E?";
}

std::string_view errno_text(Errno e) {
  const char* text = ::strerrordesc_np(static_cast<int>(e));
  return text ? text : "Unknown error";
}

}  // namespace ninep
