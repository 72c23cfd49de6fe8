// ls, tree, stat, df.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <memory>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/together.h"
#include "client/tool/budget.h"
#include "client/tool/text.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::Directory;
using client::Entry;
using client::Group;
using client::Node;
using nlohmann::json;

/// What a listing says of a file.
struct Line {
  std::string name;
  std::unique_ptr<Attributes> is;  // of many lines, many have none
  std::string target;              // of a link

  /// Memory that it has.
  std::size_t size() const {
    std::size_t bytes = sizeof *this + name.size() + target.size();
    if (is)
      bytes += sizeof *is + is->user.size() + is->group.size() + is->last_user.size() +
               is->target.size();
    return bytes;
  }
};

std::unique_ptr<Attributes> kept(std::optional<Attributes> is) {
  return is ? std::make_unique<Attributes>(std::move(*is)) : nullptr;
}

/// A directory's entries, and the memory that they have.
struct Lines {
  explicit Lines(Budget& budget) : share(budget) {}
  std::vector<Line> all;
  Budget::Share share;
};

std::string mode_text(U32 mode) {
  std::string text = "?rwxrwxrwx";
  text[0] = S_ISDIR(mode)    ? 'd'
            : S_ISLNK(mode)  ? 'l'
            : S_ISCHR(mode)  ? 'c'
            : S_ISBLK(mode)  ? 'b'
            : S_ISFIFO(mode) ? 'p'
            : S_ISSOCK(mode) ? 's'
                             : '-';
  for (std::size_t i = 0; i < 9; ++i)
    if (!(mode & (0400u >> i))) text[i + 1] = '-';
  if (mode & S_ISUID) text[3] = mode & S_IXUSR ? 's' : 'S';
  if (mode & S_ISGID) text[6] = mode & S_IXGRP ? 's' : 'S';
  if (mode & S_ISVTX) text[9] = mode & S_IXOTH ? 't' : 'T';
  return text;
}

std::string time_of(U64 sec) {
  const auto seconds = static_cast<time_t>(sec);
  std::tm local{};
  std::array<char, 40> text{};
  ::localtime_r(&seconds, &local);
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &local);
  return text.data();
}

json object(const Line& line) {
  json o{{"name", line.name}};
  if (!line.is) return o;
  const Attr& a = line.is->attr;
  const auto time = [](U64 sec, U64 nsec) {
    return static_cast<double>(static_cast<std::int64_t>(sec)) + static_cast<double>(nsec) / 1e9;
  };
  o["mode"] = a.mode;
  o["type"] = S_ISDIR(a.mode)   ? "directory"
              : S_ISLNK(a.mode) ? "link"
              : S_ISREG(a.mode) ? "file"
                                : "other";
  o["size"] = a.size;
  o["nlink"] = a.nlink;
  if (line.is->has(getattr::kUid)) o["uid"] = a.uid;
  if (line.is->has(getattr::kGid)) o["gid"] = a.gid;
  if (!line.is->user.empty()) o["user"] = line.is->user;
  o["mtime"] = time(a.mtime_sec, a.mtime_nsec);
  o["qid"] = {{"type", a.qid.type}, {"version", a.qid.version}, {"path", a.qid.path}};
  if (!line.target.empty()) o["target"] = line.target;
  return o;
}

std::string owner(const Attributes& is) {
  constexpr std::size_t kMost = 32;
  if (!is.has(getattr::kUid)) return shown(is.user, kMost) + " " + shown(is.group, kMost);
  return std::to_string(is.attr.uid) + " " + std::to_string(is.attr.gid);
}

std::string long_text(const Line& line) {
  if (!line.is) return "??????????  " + shown(line.name);
  std::array<char, 256> head;
  std::snprintf(head.data(), head.size(), "%s %3llu %s %12llu %s ",
                mode_text(line.is->attr.mode).c_str(),
                static_cast<unsigned long long>(line.is->attr.nlink), owner(*line.is).c_str(),
                static_cast<unsigned long long>(line.is->attr.size),
                time_of(line.is->attr.mtime_sec).c_str());
  std::string text = head.data() + shown(line.name);
  if (!line.target.empty()) text += " -> " + shown(line.target);
  return text;
}

// One file's attributes, told if they can't be had. An error: they can be had of none here.
Awaitable<Expected<void>> look(Tool& tool, Node& directory, Line& line) {
  auto node = co_await directory.walk(line.name);
  if (!node && client::is(node.error(), ENAMETOOLONG)) co_return std::unexpected(node.error());
  if (!node) {
    tool.wrong(node.error());
    co_return Expected<void>();
  }
  auto is = co_await node->stat();
  if (!is) {
    tool.wrong(is.error());
    co_return Expected<void>();
  }
  line.is = kept(std::move(*is));
  if (!line.is->is_symlink()) co_return Expected<void>();
  auto target = co_await node->readlink();
  if (target) line.target = std::move(*target);
  co_return Expected<void>();
}

client::Error too_much(const Node& directory) {
  return {Errno{EOVERFLOW}, "list " + directory.path(), "more than there is memory for"};
}

/// A directory's entries, sorted; with attributes, as many at once as may be.
Awaitable<Expected<void>> list(Tool& tool, Node& directory, bool with_attributes, Lines& into) {
  auto opened = co_await directory.open_directory();
  NINEP_CO_RETURN_IF_WRONG(opened);
  std::vector<Line>& lines = into.all;
  for (;;) {
    auto entries = co_await opened->next();
    NINEP_CO_RETURN_IF_WRONG(entries);
    if (entries->empty()) break;
    for (Entry& entry : *entries) {
      std::string target = entry.attributes ? std::move(entry.attributes->target) : "";
      lines.push_back(
          {std::move(entry.name), kept(std::move(entry.attributes)), std::move(target)});
      if (!into.share.take(lines.back().size())) co_return std::unexpected(too_much(directory));
    }
  }
  std::ranges::sort(lines, {}, &Line::name);
  if (!with_attributes) co_return Expected<void>();
  std::size_t next = 0;
  std::optional<client::Error> wrong;
  const auto work = [](Tool& t, Node& d, Lines& all, std::size_t& at,
                       std::optional<client::Error>& end) -> Awaitable<void> {
    while (at < all.all.size() && !end) {
      Line& line = all.all[at++];
      if (line.is) continue;
      const std::size_t before = line.size();
      const auto looked = co_await look(t, d, line);
      if (!looked)
        end = looked.error();
      else if (!all.share.take(line.size() - before))
        end = too_much(d);
    }
  };
  std::vector<Awaitable<void>> workers;
  for (unsigned i = 0; i < tool.jobs && i < lines.size(); ++i)
    workers.push_back(work(tool, directory, into, next, wrong));
  co_await client::together(std::move(workers));
  if (wrong) co_return std::unexpected(*wrong);
  co_return Expected<void>();
}

// ------------------------------------------------------------------ ls

struct Ls {
  std::vector<std::string> files;
  bool is_long = false;
  bool itself = false;
};

Awaitable<void> print(Tool& tool, const Line& line, bool is_long) {
  if (tool.json) {
    tool.print(object(line));
  } else {
    std::puts(is_long ? long_text(line).c_str() : shown(line.name).c_str());
  }
  co_return;
}

Awaitable<void> ls(Tool& tool, const Ls& what) {
  Budget budget;
  const std::vector<Target> targets = remotes_of(what.files);
  for (const Target& target : targets) {
    auto node = co_await tool.node(target, !what.itself && !what.is_long);
    if (!node) {
      tool.wrong(node.error());
      continue;
    }
    if (!node->is_directory() || what.itself) {
      Line line{target.name().empty() ? "/" : target.name(), {}, ""};
      auto is = co_await node->stat();
      if (!is) {
        tool.wrong(is.error());
        continue;
      }
      line.is = kept(std::move(*is));
      if (line.is->is_symlink()) {
        auto to = co_await node->readlink();
        if (to) line.target = std::move(*to);
      }
      co_await print(tool, line, what.is_long);
      continue;
    }
    if (what.files.size() > 1 && !tool.json) std::printf("%s:\n", target.text().c_str());
    Lines lines(budget);
    const auto listed = co_await list(tool, *node, what.is_long || tool.json, lines);
    if (!listed) {
      tool.wrong(listed.error());
      continue;
    }
    for (const Line& line : lines.all) co_await print(tool, line, what.is_long);
  }
}

// ------------------------------------------------------------------ tree

struct Tree {
  std::string file;
  unsigned depth = 0;
  U64 directories = 0, files = 0;
  Budget budget;
  bool given_up = false;  // a tree that has no end isn't shown to its end
};

Awaitable<void> branches(Tool& tool, Tree& tree, Node& directory, std::string before,
                         unsigned depth) {
  Lines lines(tree.budget);
  auto listed = co_await list(tool, directory, true, lines);
  if (listed && !lines.share.take(Budget::kLevel + before.size()))
    listed = std::unexpected(too_much(directory));
  if (!listed) {
    tree.given_up = tree.given_up || client::is(listed.error(), EOVERFLOW) ||
                    client::is(listed.error(), ENAMETOOLONG);
    co_return tool.wrong(listed.error());
  }
  for (std::size_t i = 0; i < lines.all.size() && !tree.given_up; ++i) {
    const Line& line = lines.all[i];
    const bool is_last = i + 1 == lines.all.size();
    const bool is_directory = line.is && line.is->is_directory();
    ++(is_directory ? tree.directories : tree.files);
    if (tool.json) {
      json o = object(line);
      const std::string in = directory.path();
      o["path"] = in == "/" ? line.name : in + "/" + line.name;
      tool.print(o);
    } else {
      std::printf("%s%s%s%s\n", before.c_str(), is_last ? "└── " : "├── ", shown(line.name).c_str(),
                  line.target.empty() ? "" : (" -> " + shown(line.target)).c_str());
    }
    if (!is_directory || (tree.depth != 0 && depth >= tree.depth)) continue;
    auto inner = co_await directory.walk(line.name);
    if (!inner) {
      tree.given_up = client::is(inner.error(), ENAMETOOLONG);
      tool.wrong(inner.error());
      continue;
    }
    const std::string below = before + (is_last ? "    " : "│   ");
    co_await branches(tool, tree, *inner, below, depth + 1);
  }
}

Awaitable<void> draw(Tool& tool, Tree& tree) {
  auto node = co_await tool.node(remote_of(tree.file));
  if (!node) co_return tool.wrong(node.error());
  if (!tool.json) std::puts(tree.file.c_str());
  co_await branches(tool, tree, *node, "", 1);
  if (!tool.json)
    std::printf("\n%llu directories, %llu files\n",
                static_cast<unsigned long long>(tree.directories),
                static_cast<unsigned long long>(tree.files));
}

// ------------------------------------------------------------------ stat, df

Awaitable<void> stat(Tool& tool, const std::vector<std::string>& files) {
  const std::vector<Target> targets = remotes_of(files);
  for (const Target& target : targets) {
    auto node = co_await tool.node(target, false);
    if (!node) {
      tool.wrong(node.error());
      continue;
    }
    Line line{target.text(), {}, ""};
    auto is = co_await node->stat();
    if (!is) {
      tool.wrong(is.error());
      continue;
    }
    line.is = kept(std::move(*is));
    if (tool.json) {
      tool.print(object(line));
      continue;
    }
    const Attr& a = line.is->attr;
    std::printf("%s\n  %s  %04o  %llu bytes  %llu links  owner %s\n  qid %02x.%u.%llu\n",
                shown(line.name).c_str(), mode_text(a.mode).c_str(), a.mode & 07777,
                static_cast<unsigned long long>(a.size), static_cast<unsigned long long>(a.nlink),
                owner(*line.is).c_str(), a.qid.type, a.qid.version,
                static_cast<unsigned long long>(a.qid.path));
    const std::pair<const char*, std::pair<U64, U64>> times[] = {
        {"read", {a.atime_sec, getattr::kAtime}},
        {"written", {a.mtime_sec, getattr::kMtime}},
        {"changed", {a.ctime_sec, getattr::kCtime}},
        {"born", {a.btime_sec, getattr::kBtime}}};
    for (const auto& [name, time] : times)
      if (line.is->has(time.second)) std::printf("  %-8s %s\n", name, time_of(time.first).c_str());
  }
}

Awaitable<void> df(Tool& tool, const std::vector<std::string>& files) {
  const std::vector<Target> targets = remotes_of(files);
  if (!tool.json) std::printf("%12s %12s %12s  %s\n", "size", "used", "free", "of");
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string& text = files[i];
    auto node = co_await tool.node(targets[i]);
    if (!node) {
      tool.wrong(node.error());
      continue;
    }
    const auto status = co_await node->statfs();
    if (!status) {
      tool.wrong(status.error());
      continue;
    }
    const U64 size = status->blocks * status->bsize;
    const U64 used = (status->blocks - std::min(status->bfree, status->blocks)) * status->bsize;
    const U64 free = status->bavail * status->bsize;
    if (tool.json)
      tool.print({{"of", text},
                  {"size", size},
                  {"used", used},
                  {"free", free},
                  {"files", status->files},
                  {"files_free", status->ffree}});
    else
      std::printf("%12llu %12llu %12llu  %s\n", static_cast<unsigned long long>(size),
                  static_cast<unsigned long long>(used), static_cast<unsigned long long>(free),
                  text.c_str());
  }
}

}  // namespace

void add_listing(CLI::App& app, Command& chosen) {
  {
    auto what = std::make_shared<Ls>();
    CLI::App* const c = app.add_subcommand("ls", "List directories");
    c->add_option("FILE", what->files, "a directory, or a file")->required()->type_name(kRemote);
    c->add_flag("-l,--long", what->is_long, "Mode, links, owner, size, time");
    c->footer(R"(EXAMPLES
  9p ls tcp:fileserver
  9p ls -l tcp:fileserver:/home/me unix:/run/9pserve.sock:/etc
  9p --json ls tcp:fileserver:/home/me | jq -r 'select(.size > 1000000).name'
)");
    c->add_flag("-d,--directory", what->itself, "A directory itself, not what is in it");
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return ls(tool, *what); }; });
  }
  {
    auto what = std::make_shared<Tree>();
    CLI::App* const c = app.add_subcommand("tree", "Show all below a directory");
    c->add_option("DIRECTORY", what->file)->required()->type_name(kRemote);
    c->add_option("-L,--depth", what->depth, "No deeper than that; 0: all");
    c->footer(R"(EXAMPLES
  9p tree -L 2 tcp:fileserver:/home
)");
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return draw(tool, *what); }; });
  }
  using Run = Awaitable<void> (*)(Tool&, const std::vector<std::string>&);
  const auto add = [&](const char* name, const char* help, const char* examples, Run run) {
    auto files = std::make_shared<std::vector<std::string>>();
    CLI::App* const c = app.add_subcommand(name, help);
    c->add_option("FILE", *files)->required()->type_name(kRemote);
    c->footer(examples);
    c->callback(
        [&chosen, files, run] { chosen = [files, run](Tool& tool) { return run(tool, *files); }; });
  };
  add("stat", "Tell all that the server says of files", R"(EXAMPLES
  9p stat tcp:fileserver:/etc/motd
  9p --json stat tcp:fileserver:/etc/motd | jq .mtime
)",
      stat);
  add("df", "Tell how much room there is where files are", R"(EXAMPLES
  9p df tcp:fileserver
)",
      df);
}

}  // namespace ninep::tool
