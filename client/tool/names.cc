// mkdir, rm, mv, ln.
#include <set>

#include <asio/this_coro.hpp>
#include <dirent.h>

#include "client/together.h"
#include "client/tool/budget.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;
using client::is;
using client::Node;

// ------------------------------------------------------------------ mkdir

struct Mkdir {
  std::vector<std::string> directories;
  bool parents = false;
  std::string mode;
};

/// One that is there already will do.
Awaitable<Expected<void>> have_directory(Tool& tool, const Target& target, U32 mode) {
  if (!client::is_name(target.name())) co_return Expected<void>();  // "a/.", "a/..": a is there
  auto named = co_await tool.named(target);
  NINEP_CO_RETURN_IF_WRONG(named);
  const auto made = co_await named->directory.mkdir(named->name, mode);
  if (made) co_return Expected<void>();
  const auto there = co_await tool.node(target);
  if (there && there->is_directory()) co_return Expected<void>();
  co_return std::unexpected(made.error());
}

Awaitable<Expected<void>> mkdir_one(Tool& tool, const Target& target, const Mkdir& what) {
  const U32 usual = 0777 & ~mode_mask();
  const U32 mode = what.mode.empty() ? usual : static_cast<U32>(std::stoul(what.mode, nullptr, 8));
  if (what.parents) {
    Target above = target;
    for (std::size_t slash = 0; (slash = target.path.find('/', slash + 1)) != std::string::npos;) {
      above.path = target.path.substr(0, slash);
      const bool is_last = target.path.find_first_not_of('/', slash) == std::string::npos;
      const auto has = co_await have_directory(tool, above, is_last ? mode : usual);
      NINEP_CO_RETURN_IF_WRONG(has);
    }
    if (target.path.ends_with('/')) co_return Expected<void>();
    co_return co_await have_directory(tool, target, mode);
  }
  auto named = co_await tool.named(target);
  NINEP_CO_RETURN_IF_WRONG(named);
  const auto made = co_await named->directory.mkdir(named->name, mode);
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return Expected<void>();
}

Awaitable<void> mkdir(Tool& tool, const Mkdir& what) {
  const std::vector<Target> targets = remotes_of(what.directories);
  for (const Target& target : targets) {
    const auto made = co_await mkdir_one(tool, target, what);
    if (!made) tool.wrong(made.error());
  }
}

// ------------------------------------------------------------------ rm

struct Rm {
  std::vector<std::string> files;
  bool recursive = false;
  bool force = false;
};

/// What has that name, and goes.
struct Doomed {
  std::string name;
  U8 type = 0;                     // DT_*
  std::optional<U64> number = {};  // its qid.path
};

/// Removes files, as many at once as there are places: whoever meets one that is free has it done
/// there, otherwise here and now, so that nobody waits for a place and keeps one.
class Remover {
 public:
  Remover(Tool& tool, const asio::any_io_executor& executor)
      : tool_(tool), executor_(executor), places_(executor, tool.jobs) {}

  enum class Gone { kNo, kYes, kBefore };
  /// kNo: that was told.
  Awaitable<Gone> remove(Node& in, Doomed what);

 private:
  /// What becomes of a directory's content.
  struct Content {
    explicit Content(Budget& budget) : share(budget) {}
    std::set<std::string> left;  // they would not be removed, or were listed and aren't there
    Budget::Share share;         // for their names
    std::size_t removed = 0;     // in this pass; or by somebody else
  };
  Awaitable<void> remove_all(Node& directory);
  Awaitable<void> remove_some(Node& directory, std::vector<Doomed> some, Content& of);
  Awaitable<void> remove_one(Node& directory, Doomed what, Content& of);
  Awaitable<void> remove_elsewhere(Node& directory, Doomed what, Content& of) {
    co_await remove_one(directory, std::move(what), of);
    places_.leave();
  }
  /// A tree that has no end isn't removed to its end.
  void give_up(const client::Error& error) {
    given_up_ = true;
    tool_.wrong(error);
  }
  static client::Error too_much(Node& directory) {
    return {Errno{EOVERFLOW}, "remove what is in " + directory.path(),
            "more than there is memory for"};
  }

  Tool& tool_;
  const asio::any_io_executor executor_;
  client::Gate places_;
  Budget budget_;
  bool given_up_ = false;
};

// What is read while it is emptied may be read in part: it is read until nothing more goes.
Awaitable<void> Remover::remove_all(Node& directory) {
  constexpr std::size_t kNamesMax = 1 << 24;
  Content content(budget_);
  std::string last;
  std::size_t count = 0;
  do {
    content.removed = 0;
    auto opened = co_await directory.open_directory();
    if (!opened) co_return tool_.wrong(opened.error());
    while (!given_up_) {
      auto entries = co_await opened->next();
      if (!entries) co_return tool_.wrong(entries.error());
      if (entries->empty()) break;
      count += entries->size();
      const std::string& back = entries->back().name;
      if ((back == last && !content.left.contains(back)) || count > kNamesMax)
        co_return tool_.wrong(client::Error{Errno{EIO}, "remove what is in " + directory.path(),
                                            "the server lists what it has removed"});
      last = back;
      Budget::Share share(budget_);
      std::size_t size = Budget::kLevel;
      std::vector<Doomed> some;
      for (client::Entry& entry : *entries) {
        if (content.left.contains(entry.name)) continue;
        size += sizeof(Doomed) + entry.name.size();
        some.push_back({std::move(entry.name), entry.type, entry.qid.path});
      }
      entries->clear();
      entries->shrink_to_fit();
      if (!share.take(size)) co_return give_up(too_much(directory));
      co_await remove_some(directory, std::move(some), content);
    }
  } while (content.removed != 0 && !given_up_);
}

Awaitable<void> Remover::remove_some(Node& directory, std::vector<Doomed> some, Content& of) {
  client::Group group(executor_);
  for (Doomed& one : some) {
    if (given_up_) break;
    if (places_.try_enter())
      group.spawn(remove_elsewhere(directory, std::move(one), of));
    else
      co_await remove_one(directory, std::move(one), of);
  }
  co_await group.all_done();
}

Awaitable<void> Remover::remove_one(Node& directory, Doomed what, Content& of) {
  constexpr std::size_t kOfSet = 80;  // bytes of a name in it, the name apart
  const Gone gone = co_await remove(directory, what);
  if (gone != Gone::kNo) ++of.removed;
  if (gone != Gone::kYes && !given_up_) {
    if (!of.share.take(kOfSet + what.name.size())) give_up(too_much(directory));
    of.left.insert(std::move(what.name));
  }
}

Awaitable<Remover::Gone> Remover::remove(Node& in, Doomed what) {
  const auto told = [this](const client::Error& error) {
    tool_.wrong(error);
    return Gone::kNo;
  };
  if (what.type == DT_DIR || what.type == DT_UNKNOWN) {
    auto node = co_await in.walk(what.name);
    if (!node && is(node.error(), ENAMETOOLONG)) {
      give_up(node.error());
      co_return Gone::kNo;
    }
    if (!node) co_return told(node.error());
    what.type = node->is_directory() ? DT_DIR : DT_REG;
    if (what.type == DT_DIR) co_await remove_all(*node);
    if (given_up_) co_return Gone::kNo;
  }
  const auto removed = co_await in.remove(what.name, what.type == DT_DIR, what.number);
  if (removed) co_return Gone::kYes;
  if (is(removed.error(), ENOENT)) co_return Gone::kBefore;
  // Lost with its connection, and gone: that is what was asked for.
  if (is(removed.error(), EIO)) {
    const auto node = co_await in.walk(what.name);
    if (!node && is(node.error(), ENOENT)) co_return Gone::kYes;
  }
  co_return told(removed.error());
}

Awaitable<void> rm(Tool& tool, const Rm& what) {
  Remover remover(tool, co_await asio::this_coro::executor);
  const std::vector<Target> targets = remotes_of(what.files);
  for (const Target& target : targets) {
    const std::string text = target.text();
    const auto is_no_error = [&](const client::Error& wrong) {
      return what.force && (is(wrong, ENOENT) || is(wrong, ENOTDIR));
    };
    if (!client::is_name(target.name())) {
      tool.wrong(client::Error{Errno{EINVAL}, "remove " + text, "it has no name to be removed by"});
      continue;
    }
    auto named = co_await tool.named(target);
    if (!named) {
      if (!is_no_error(named.error())) tool.wrong(named.error());
      continue;
    }
    auto node = co_await named->directory.walk(named->name);
    if (!node) {
      if (!is_no_error(node.error())) tool.wrong(node.error());
      continue;
    }
    if (target.says_directory() && !node->is_directory()) {
      tool.wrong(client::Error{Errno{ENOTDIR}, "remove " + text, ""});
      continue;
    }
    if (node->is_directory() && !what.recursive) {
      tool.wrong(client::Error{Errno{EISDIR}, "remove " + text, "say -r to remove all of it"});
      continue;
    }
    Doomed doomed{named->name, node->is_directory() ? U8{DT_DIR} : U8{DT_REG}};
    co_await remover.remove(named->directory, std::move(doomed));
  }
}

// ------------------------------------------------------------------ mv, ln

struct Two {
  std::string from;
  std::string to;
  bool symbolic = false;
};

/// Where `to` is: a directory that is there takes the file under its own name.
Awaitable<Expected<Tool::Named>> place_for(Tool& tool, const Target& to, const std::string& name,
                                           bool is_directory) {
  auto node = co_await tool.node(to);
  if (node && node->is_directory()) {
    Tool::Named in{std::move(*node), name};
    co_return Expected<Tool::Named>(std::move(in));
  }
  // What an old server says of a name that isn't there is known of some.
  const bool is_there = node || !(is(node.error(), ENOENT) || is(node.error(), EREMOTEIO));
  if (!node && is_there) co_return std::unexpected(node.error());
  if (to.says_directory() && !is_directory) co_return error(ENOTDIR, "find " + to.text());
  co_return co_await tool.named(to);
}

Awaitable<void> mv(Tool& tool, const Two& what) {
  const Target from = remote_of(what.from);
  const Target to = remote_of(what.to);
  if (from.address_text != to.address_text)
    co_return tool.wrong(client::Error{Errno{EXDEV}, "move " + what.from,
                                       "another server: copy it (9p cp), then remove it"});
  auto source = co_await tool.named(from);
  if (!source) co_return tool.wrong(source.error());
  auto file = co_await source->directory.walk(source->name);
  if (!file) co_return tool.wrong(file.error());
  if (from.says_directory() && !file->is_directory())
    co_return tool.wrong(client::Error{Errno{ENOTDIR}, "move " + what.from, ""});
  auto target = co_await place_for(tool, to, source->name, file->is_directory());
  if (!target) co_return tool.wrong(target.error());
  const auto renamed =
      co_await source->directory.rename(source->name, target->directory, target->name, &*file);
  if (!renamed) tool.wrong(renamed.error());
}

Awaitable<void> ln(Tool& tool, const Two& what) {
  const Target to = remote_of(what.to);
  if (what.symbolic) {
    std::string name = what.from.substr(0, what.from.find_last_not_of('/') + 1);
    name.erase(0, name.rfind('/') + 1);
    auto target = co_await place_for(tool, to, name, false);
    if (!target) co_return tool.wrong(target.error());
    const auto made = co_await target->directory.symlink(target->name, what.from);
    if (!made) tool.wrong(made.error());
    co_return;
  }
  const Target from = remote_of(what.from);
  if (from.address_text != to.address_text)
    co_return tool.wrong(client::Error{Errno{EXDEV}, "link " + what.from, "another server"});
  auto file = co_await tool.node(from, false);
  if (!file) co_return tool.wrong(file.error());
  auto target = co_await place_for(tool, to, from.name(), false);
  if (!target) co_return tool.wrong(target.error());
  const auto linked = co_await target->directory.link(target->name, *file);
  if (!linked) tool.wrong(linked.error());
}

}  // namespace

void add_names(CLI::App& app, Command& chosen) {
  {
    auto what = std::make_shared<Mkdir>();
    CLI::App* const c = app.add_subcommand("mkdir", "Make directories");
    c->add_option("DIRECTORY", what->directories)->required()->type_name(kRemote);
    c->footer(R"(EXAMPLES
  9p mkdir -p tcp:fileserver:/home/me/photos/2026
)");
    c->add_flag("-p,--parents", what->parents, "And those above; what is there will do");
    c->add_option("-m,--mode", what->mode, "Permissions, octal; by default what umask(2) leaves")
        ->type_name("MODE")
        ->check([](const std::string& s) {
          return s.empty() || s.find_first_not_of("01234567") != std::string::npos ||
                         s.size() > 5 || std::stoul(s, nullptr, 8) > 01777
                     ? "an octal number up to 1777, as 0755; set-id bits are chmod's"
                     : "";
        });
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return mkdir(tool, *what); }; });
  }
  {
    auto what = std::make_shared<Rm>();
    CLI::App* const c = app.add_subcommand("rm", "Remove files");
    c->add_option("FILE", what->files)->required()->type_name(kRemote);
    c->footer(R"(EXAMPLES
  9p rm tcp:fileserver:/tmp/a tcp:fileserver:/tmp/b
  9p rm -r tcp:fileserver:/tmp/build
)");
    c->add_flag("-r,--recursive", what->recursive, "Directories with all that is in them");
    c->add_flag("-f,--force", what->force, "What isn't there is no error");
    c->callback([&chosen, what] { chosen = [what](Tool& tool) { return rm(tool, *what); }; });
  }
  using Run = Awaitable<void> (*)(Tool&, const Two&);
  const auto add = [&](const char* name, const char* help, const char* examples, Run run) {
    auto what = std::make_shared<Two>();
    CLI::App* const c = app.add_subcommand(name, help);
    c->add_option("FROM", what->from, run == ln ? "the file; with -s any text" : "")
        ->required()
        ->type_name(kRemote);
    c->add_option("TO", what->to, "the new name, or a directory")->required()->type_name(kRemote);
    c->footer(examples);
    if (run == ln) c->add_flag("-s,--symbolic", what->symbolic, "A symbolic link to FROM as it is");
    c->callback(
        [&chosen, what, run] { chosen = [what, run](Tool& tool) { return run(tool, *what); }; });
  };
  add("mv", "Move or rename a file on its server", R"(EXAMPLES
  9p mv tcp:fileserver:/home/me/draft tcp:fileserver:/home/me/report
  9p mv tcp:fileserver:/home/me/report tcp:fileserver:/archive
)",
      mv);
  add("ln", "Give a file another name, or make a symbolic link", R"(EXAMPLES
  9p ln tcp:fileserver:/home/me/report tcp:fileserver:/home/me/same
  9p ln -s ../reports/2026 tcp:fileserver:/home/me/link
)",
      ln);
}

}  // namespace ninep::tool
