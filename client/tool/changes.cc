// chmod, touch, xattr.
#include <charconv>
#include <cstdio>

#include <sys/stat.h>

#include "client/tool/text.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;
using client::is;

// ------------------------------------------------------------------ chmod

struct Chmod {
  std::string mode;
  std::vector<std::string> files;
};

bool is_octal(const std::string& mode) {
  return !mode.empty() && mode.size() <= 5 &&
         mode.find_first_not_of("01234567") == std::string::npos;
}

/// "u+x,go-w", as chmod(1); none: it can't be understood.
std::optional<U32> changed_mode(U32 mode, const std::string& how) {
  if (how.empty()) return std::nullopt;
  if (is_octal(how)) {
    const auto octal = static_cast<U32>(std::stoul(how, nullptr, 8));
    return octal > 07777 ? std::nullopt : std::optional(octal);
  }
  const U32 left_by_umask = 07777 & ~mode_mask();
  const U32 any_x = mode & 0111;
  const bool is_directory = S_ISDIR(mode);
  mode &= 07777;
  for (std::size_t at = 0; at < how.size();) {
    U32 who = 0;
    for (; at < how.size() && Str("ugoa").find(how[at]) != Str::npos; ++at)
      who |= how[at] == 'u' ? 04700 : how[at] == 'g' ? 02070 : how[at] == 'o' ? 01007 : 07777;
    const U32 may = who == 0 ? left_by_umask : who;
    if (who == 0) who = 07777;
    if (at == how.size() || Str("+-=").find(how[at]) == Str::npos) return std::nullopt;
    const char sign = how[at++];
    U32 what = 0;
    for (; at < how.size() && how[at] != ','; ++at) {
      switch (how[at]) {
        case 'r':
          what |= 0444;
          break;
        case 'w':
          what |= 0222;
          break;
        case 'x':
          what |= 0111;
          break;
        case 'X':
          what |= is_directory || any_x ? 0111u : 0u;
          break;
        case 's':
          what |= 06000;
          break;
        case 't':
          what |= 01000;
          break;
        default:
          return std::nullopt;
      }
    }
    if (at < how.size() && ++at == how.size()) return std::nullopt;  // "u+x,"
    what &= may;
    mode = sign == '+' ? mode | what : sign == '-' ? mode & ~what : (mode & ~who) | what;
  }
  return mode;
}

Awaitable<void> chmod(Tool& tool, const Chmod& what) {
  const std::vector<Target> targets = remotes_of(what.files);
  for (const Target& target : targets) {
    auto node = co_await tool.node(target);
    if (!node) {
      tool.wrong(node.error());
      continue;
    }
    U32 mode = 0;
    if (!is_octal(what.mode)) {
      const auto status = co_await node->stat();
      if (!status) {
        tool.wrong(status.error());
        continue;
      }
      mode = status->attr.mode;
    }
    Change change;
    change.mode = changed_mode(mode, what.mode);
    const auto changed = co_await node->change(change);
    if (!changed) tool.wrong(changed.error());
  }
}

// ------------------------------------------------------------------ touch

struct Touch {
  std::vector<std::string> files;
  std::string time;
  bool no_create = false;
};

/// "1767225600.25": seconds since 1970, to the nanosecond; none: it is no time.
std::optional<timespec> time_of(Str text) {
  constexpr std::size_t kDigits = 9;
  timespec time{};
  const bool is_before = text.starts_with('-');
  const Str whole = text.substr(is_before ? 1 : 0, text.find('.') - (is_before ? 1 : 0));
  const auto [end, wrong] = std::from_chars(whole.data(), whole.data() + whole.size(), time.tv_sec);
  if (wrong != std::errc() || end != whole.data() + whole.size() || time.tv_sec < 0)
    return std::nullopt;
  if (const std::size_t point = text.find('.'); point != Str::npos) {
    std::string part(text.substr(point + 1));
    if (part.empty() || part.find_first_not_of("0123456789") != std::string::npos)
      return std::nullopt;
    part.resize(kDigits, '0');
    time.tv_nsec = std::stol(part);
  }
  if (!is_before) return time;
  time.tv_sec = -time.tv_sec;
  if (time.tv_nsec != 0) {
    --time.tv_sec;
    time.tv_nsec = 1'000'000'000 - time.tv_nsec;
  }
  return time;
}

Awaitable<Expected<void>> touch_one(Tool& tool, const Target& target, const Touch& what) {
  Change change;
  change.atime = change.mtime =
      what.time.empty() ? timespec{0, UTIME_NOW} : time_of(what.time).value_or(timespec{});
  auto node = co_await tool.node(target);
  if (node) co_return co_await node->change(change);
  if (!is(node.error(), ENOENT)) co_return std::unexpected(node.error());
  if (what.no_create) co_return Expected<void>();
  if (target.says_directory()) co_return error(ENOTDIR, "touch " + target.text());
  auto named = co_await tool.named(target);
  NINEP_CO_RETURN_IF_WRONG(named);
  auto file = co_await named->directory.create(named->name, lopen::kWriteOnly, 0666 & ~mode_mask());
  NINEP_CO_RETURN_IF_WRONG(file);
  if (!what.time.empty()) co_return co_await file->change(change);
  co_return Expected<void>();
}

Awaitable<void> touch(Tool& tool, const Touch& what) {
  const std::vector<Target> targets = remotes_of(what.files);
  for (const Target& target : targets) {
    const auto done = co_await touch_one(tool, target, what);
    if (!done) tool.wrong(done.error());
  }
}

// ------------------------------------------------------------------ xattr

struct Xattr {
  std::string file;
  std::string name;
  std::optional<std::string> value;
  bool remove = false;
};

Awaitable<Expected<void>> xattr(Tool& tool, const Xattr& what) {
  auto node = co_await tool.node(remote_of(what.file), false);
  NINEP_CO_RETURN_IF_WRONG(node);
  if (what.remove) co_return co_await node->remove_xattr(what.name);
  if (what.value) co_return co_await node->set_xattr(what.name, *what.value);
  std::vector<std::string> names(1, what.name);
  if (what.name.empty()) {
    auto all = co_await node->xattrs();
    NINEP_CO_RETURN_IF_WRONG(all);
    names = std::move(*all);
  }
  for (const std::string& name : names) {
    const auto value = co_await node->xattr(name);
    NINEP_CO_RETURN_IF_WRONG(value);
    if (tool.json) {
      tool.print({{"name", name}, {"value", *value}});
    } else if (what.name.empty()) {
      std::printf("%s=%s\n", shown(name).c_str(), shown(*value).c_str());
    } else {
      std::fwrite(value->data(), 1, value->size(), stdout);
      std::putchar('\n');
    }
  }
  co_return Expected<void>();
}

Awaitable<void> xattr_told(Tool& tool, const Xattr& what) {
  const auto done = co_await xattr(tool, what);
  if (!done) tool.wrong(done.error());
}

}  // namespace

void add_changes(CLI::App& app, Command& chosen) {
  {
    auto what = std::make_shared<Chmod>();
    CLI::App* const c = app.add_subcommand("chmod", "Change permissions");
    c->add_option("MODE", what->mode, "as 0644, or u+x,go-w; +w: as the umask lets it")
        ->required()
        ->check([](const std::string& mode) {
          return changed_mode(0, mode) ? "" : "\"" + mode + "\" is no mode; as 0644 or u+x,go-w";
        });
    c->add_option("FILE", what->files)->required()->type_name(kRemote);
    c->footer(R"(EXAMPLES
  9p chmod go-rwx tcp:fileserver:/home/me/diary
)");
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return chmod(tool, *what); }; });
  }
  {
    auto what = std::make_shared<Touch>();
    CLI::App* const c = app.add_subcommand("touch", "Set files' times to now, or make them");
    c->add_option("FILE", what->files)->required()->type_name(kRemote);
    c->add_option("-t,--time", what->time, "This time instead: seconds since 1970")
        ->type_name("SECONDS")
        ->check([](const std::string& text) {
          return time_of(text) ? "" : "seconds since 1970, as 1767225600 or 1767225600.25";
        });
    c->add_flag("-c,--no-create", what->no_create, "What isn't there is not made");
    c->footer(R"(EXAMPLES
  9p touch tcp:fileserver:/home/me/flag
  9p touch -t $(date -d 2026-01-01 +%s) tcp:fileserver:/home/me/flag
)");
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return touch(tool, *what); }; });
  }
  {
    auto what = std::make_shared<Xattr>();
    CLI::App* const c =
        app.add_subcommand("xattr", "List, read, set or remove extended attributes");
    c->add_option("FILE", what->file)->required()->type_name(kRemote);
    c->add_option("NAME", what->name, "Read this one; by default all");
    c->add_option("VALUE", what->value, "Set it to this");
    c->footer(R"(EXAMPLES
  9p xattr tcp:fileserver:/home/me/report
  9p xattr tcp:fileserver:/home/me/report user.author Ada
  9p xattr -d tcp:fileserver:/home/me/report user.author
)");
    c->add_flag("-d,--delete", what->remove, "Remove it");
    c->callback([&chosen, what] {
      if (what->remove && (what->name.empty() || what->value))
        throw CLI::ValidationError("--delete", "needs a name, and no value");
      chosen = [what](Tool& tool) { return xattr_told(tool, *what); };
    });
  }
}

}  // namespace ninep::tool
