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

std::string time_text(U64 sec, const char* format) {
  const auto seconds = static_cast<time_t>(sec);
  std::tm local{};
  std::array<char, 40> text{};
  ::localtime_r(&seconds, &local);
  std::strftime(text.data(), text.size(), format, &local);
  return text.data();
}

/// One of a file's times.
struct Moment {
  const char* name;
  const char* text;  // for people
  U64 sec, nsec;
};

/// Those that the server has told.
std::vector<Moment> moments(const Attributes& is) {
  const Attr& a = is.attr;
  std::vector<Moment> all;
  if (is.has(getattr::kAtime)) all.push_back({"atime", "read", a.atime_sec, a.atime_nsec});
  if (is.has(getattr::kMtime)) all.push_back({"mtime", "written", a.mtime_sec, a.mtime_nsec});
  if (is.has(getattr::kCtime)) all.push_back({"ctime", "changed", a.ctime_sec, a.ctime_nsec});
  if (is.has(getattr::kBtime)) all.push_back({"btime", "born", a.btime_sec, a.btime_nsec});
  return all;
}

json object(const Line& line) {
  json o{{"name", line.name}};
  if (!line.is) return o;
  const Attr& a = line.is->attr;
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
  if (!line.is->group.empty()) o["group"] = line.is->group;
  if (!line.is->last_user.empty()) o["last_user"] = line.is->last_user;
  for (const Moment& at : moments(*line.is))
    o[at.name] =
        static_cast<double>(static_cast<std::int64_t>(at.sec)) + static_cast<double>(at.nsec) / 1e9;
  if (line.is->has(getattr::kRdev)) o["rdev"] = a.rdev;
  if (line.is->has(getattr::kBlocks)) {
    o["blocks"] = a.blocks;
    o["blksize"] = a.blksize;  // no bit says whether it is there
  }
  if (line.is->has(getattr::kGen)) o["gen"] = a.gen;
  if (line.is->has(getattr::kDataVersion)) o["data_version"] = a.data_version;
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
                time_text(line.is->attr.mtime_sec, "%Y-%m-%d %H:%M").c_str());
  std::string text = head.data() + shown(line.name);
  if (!line.target.empty()) text += " -> " + shown(line.target);
  return text;
}

/// All that the server says of a file.
Awaitable<Expected<void>> fill(Line& line, Node& node) {
  auto is = co_await node.stat();
  NINEP_CO_RETURN_IF_WRONG(is);
  line.is = kept(std::move(*is));
  if (!line.is->is_symlink()) co_return Expected<void>();
  auto target = co_await node.readlink();
  if (target) line.target = std::move(*target);
  co_return Expected<void>();
}

// One file's attributes, told if they can't be had. An error: they can be had of none here.
Awaitable<Expected<void>> look(Tool& tool, Node& directory, Line& line) {
  auto node = co_await directory.walk(line.name);
  if (!node && client::is(node.error(), ENAMETOOLONG)) co_return std::unexpected(node.error());
  if (!node) {
    tool.wrong(node.error());
    co_return Expected<void>();
  }
  const auto filled = co_await fill(line, *node);
  if (!filled) tool.wrong(filled.error());
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
      const auto filled = co_await fill(line, *node);
      if (!filled) {
        tool.wrong(filled.error());
        continue;
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

/// All of it, in lines.
std::string all_text(const Line& line) {
  const Attributes& is = *line.is;
  const Attr& a = is.attr;
  std::string text = shown(line.name);
  if (!line.target.empty()) text += " -> " + shown(line.target);
  std::array<char, 256> more;
  const auto add = [&](const char* format, auto... values) {
    std::snprintf(more.data(), more.size(), format, values...);
    text += more.data();
  };
  const auto number = [](U64 n) { return static_cast<unsigned long long>(n); };
  add("\n  %s  %04o  %llu bytes  %llu links  owner %s", mode_text(a.mode).c_str(), a.mode & 07777,
      number(a.size), number(a.nlink), owner(is).c_str());
  add("\n  qid %02x.%u.%llu", a.qid.type, a.qid.version, number(a.qid.path));
  if (is.has(getattr::kGen)) add("  generation %llu", number(a.gen));
  if (is.has(getattr::kDataVersion)) add("  data version %llu", number(a.data_version));
  if (is.has(getattr::kBlocks))
    add("\n  %llu blocks of 512 bytes  best read by %llu", number(a.blocks), number(a.blksize));
  const bool is_device = S_ISCHR(a.mode) || S_ISBLK(a.mode);
  if (is_device && is.has(getattr::kRdev)) add("\n  device %u:%u", major(a.rdev), minor(a.rdev));
  if (!is.last_user.empty()) text += "\n  last written by " + shown(is.last_user);
  for (const Moment& at : moments(is))
    add("\n  %-8s %s.%09llu %s", at.text, time_text(at.sec, "%Y-%m-%d %H:%M:%S").c_str(),
        number(at.nsec), time_text(at.sec, "%z").c_str());
  return text;
}

Awaitable<void> stat(Tool& tool, const std::vector<std::string>& files) {
  const std::vector<Target> targets = remotes_of(files);
  for (const Target& target : targets) {
    auto node = co_await tool.node(target, false);
    if (!node) {
      tool.wrong(node.error());
      continue;
    }
    Line line{target.text(), {}, ""};
    const auto filled = co_await fill(line, *node);
    if (!filled) {
      tool.wrong(filled.error());
      continue;
    }
    if (tool.json) {
      tool.print(object(line));
      continue;
    }
    std::puts(all_text(line).c_str());
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
