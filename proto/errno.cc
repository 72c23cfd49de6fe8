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

namespace {

/// intro(5) fixes no texts; these are what Plan 9's kernel, its libraries and plan9port say.
struct Phrase {
  std::string_view text;
  int code;
};
constexpr Phrase kPhrases[] = {
    {"file does not exist", ENOENT},
    {"file not found", ENOENT},
    {"does not exist", ENOENT},
    {"directory entry not found", ENOENT},
    {"file has been removed", ENOENT},
    {"permission denied", EACCES},
    {"access permission denied", EACCES},
    {"file already exists", EEXIST},
    {"file exists", EEXIST},
    {"file or directory already exists", EEXIST},
    {"create/wstat -- file exists", EEXIST},
    {"not a directory", ENOTDIR},
    {"walk in non-directory", ENOTDIR},
    {"create in non-directory", ENOTDIR},
    {"file is a directory", EISDIR},
    {"is a directory", EISDIR},
    {"directory not empty", ENOTEMPTY},
    {"directory is not empty", ENOTEMPTY},
    {"unknown fid", EBADF},
    {"fid unknown or out of range", EBADF},
    {"bad use of fid", EBADF},
    {"file not open", EBADF},
    {"file in use", EBUSY},
    {"exclusive use file already open", EBUSY},
    {"read only file system", EROFS},
    {"file system read only", EROFS},
    {"file system is full", ENOSPC},
    {"create prohibited", EPERM},
    {"remove prohibited", EPERM},
    {"wstat prohibited", EPERM},
    {"write prohibited", EPERM},
    {"not owner", EPERM},
    {"illegal name", EINVAL},
    {"bad offset in directory read", EINVAL},
    {"bad offset", EINVAL},
    {"interrupted", EINTR},
    {"i/o error", EIO},
    {"illegal mode", EINVAL},
    {"not supported", EOPNOTSUPP},
    {"function not implemented", ENOSYS},
};

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

int number_of_text(std::string_view text) {
  constexpr int kLast = 133;  // EHWPOISON
  for (int code = 1; code <= kLast; ++code)
    if (const char* of_code = ::strerrordesc_np(code); of_code && same(text, of_code)) return code;
  for (const Phrase& phrase : kPhrases)
    if (same(text, phrase.text)) return phrase.code;
  return 0;
}

}  // namespace

// Programs in Go say what they were doing first: "open /a/b: no such file or directory".
Errno errno_of_text(std::string_view text) {
  int code = number_of_text(text);
  if (const auto reason = text.rfind(": "); code == 0 && reason != text.npos)
    code = number_of_text(text.substr(reason + 2));
  return Errno{static_cast<U32>(code != 0 ? code : EREMOTEIO)};
}

}  // namespace ninep
