// mkdir, rm, mv, ln.
#include <dirent.h>

#include "client/together.h"
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
  std::string mode = "0777";
};

Awaitable<Expected<void>> mkdir_one(Tool& tool, const Target& target, const Mkdir& what) {
  const auto mode = static_cast<U32>(std::stoul(what.mode, nullptr, 8));
  if (what.parents) {
    Target above = target;
    for (std::size_t slash = 0; (slash = target.path.find('/', slash + 1)) != std::string::npos;) {
      above.path = target.path.substr(0, slash);
      auto named = co_await tool.named(above);
      NINEP_CO_RETURN_IF_WRONG(named);
      const auto made = co_await named->directory.mkdir(named->name, 0777);
      if (!made && !is(made.error(), EEXIST)) co_return std::unexpected(made.error());
    }
  }
  auto named = co_await tool.named(target);
  NINEP_CO_RETURN_IF_WRONG(named);
  const auto made = co_await named->directory.mkdir(named->name, mode);
  if (made || (what.parents && is(made.error(), EEXIST))) co_return Expected<void>();
  co_return std::unexpected(made.error());
}

Awaitable<void> mkdir(Tool& tool, const Mkdir& what) {
  for (const std::string& text : what.directories) {
    const auto made = co_await mkdir_one(tool, remote_of(text), what);
    if (!made) tool.wrong(made.error());
  }
}

// ------------------------------------------------------------------ rm

struct Rm {
  std::vector<std::string> files;
  bool recursive = false;
  bool force = false;
};

Awaitable<void> remove(Tool& tool, Node& in, std::string name, U8 type, unsigned depth);

Awaitable<void> remove_all(Tool& tool, Node& directory, unsigned depth) {
  for (;;) {
    // What is read while it is emptied would be read in part: each round begins anew.
    auto opened = co_await directory.open_directory();
    if (!opened) co_return tool.wrong(opened.error());
    auto entries = co_await opened->next();
    if (!entries) co_return tool.wrong(entries.error());
    if (entries->empty()) co_return;
    const int wrong_before = tool.wrongs();
    std::size_t next = 0;
    const auto work = [](Tool& t, Node& d, std::vector<client::Entry>& all, std::size_t& at,
                         unsigned deep) -> Awaitable<void> {
      while (at < all.size()) {
        client::Entry& entry = all[at++];
        co_await remove(t, d, entry.name, entry.type, deep);
      }
    };
    std::vector<Awaitable<void>> workers;
    // Directories in directories: not so many in each.
    const std::size_t count = depth == 0 ? tool.jobs : 4;
    for (std::size_t i = 0; i < count && i < entries->size(); ++i)
      workers.push_back(work(tool, directory, *entries, next, depth + 1));
    co_await client::together(std::move(workers));
    if (tool.wrongs() != wrong_before) co_return;  // they would come again
  }
}

Awaitable<void> remove(Tool& tool, Node& in, std::string name, U8 type, unsigned depth) {
  if (type == DT_DIR || type == DT_UNKNOWN) {
    auto node = co_await in.walk(name);
    if (!node) co_return tool.wrong(node.error());
    type = node->is_directory() ? DT_DIR : DT_REG;
    if (type == DT_DIR) co_await remove_all(tool, *node, depth);
  }
  const auto removed = co_await in.remove(name, type == DT_DIR);
  if (removed || is(removed.error(), ENOENT)) co_return;
  // Lost with its connection, and gone: that is what was asked for.
  if (is(removed.error(), EIO)) {
    const auto node = co_await in.walk(name);
    if (!node && is(node.error(), ENOENT)) co_return;
  }
  tool.wrong(removed.error());
}

Awaitable<void> rm(Tool& tool, const Rm& what) {
  for (const std::string& text : what.files) {
    auto named = co_await tool.named(remote_of(text));
    if (!named) {
      tool.wrong(named.error());
      continue;
    }
    auto node = co_await named->directory.walk(named->name);
    if (!node) {
      if (!what.force || !is(node.error(), ENOENT)) tool.wrong(node.error());
      continue;
    }
    if (node->is_directory() && !what.recursive) {
      tool.wrong(client::Error{Errno{EISDIR}, "remove " + text, "say -r to remove all of it"});
      continue;
    }
    co_await remove(tool, named->directory, named->name,
                    node->is_directory() ? U8{DT_DIR} : U8{DT_REG}, 0);
  }
}

// ------------------------------------------------------------------ mv, ln

struct Two {
  std::string from;
  std::string to;
  bool symbolic = false;
};

/// Where `to` is: a directory that is there takes the file under its own name.
Awaitable<Expected<Tool::Named>> place_for(Tool& tool, const Target& to, const std::string& name) {
  auto node = co_await tool.node(to);
  if (node && node->is_directory()) {
    Tool::Named in{std::move(*node), name};
    co_return Expected<Tool::Named>(std::move(in));
  }
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
  auto target = co_await place_for(tool, to, source->name);
  if (!target) co_return tool.wrong(target.error());
  const auto renamed = co_await source->directory.rename(source->name, target->directory,
                                                         target->name, &*file);
  if (!renamed) tool.wrong(renamed.error());
}

Awaitable<void> ln(Tool& tool, const Two& what) {
  const Target to = remote_of(what.to);
  if (what.symbolic) {
    const std::string name = what.from.substr(what.from.rfind('/') + 1);
    auto target = co_await place_for(tool, to, name);
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
  auto target = co_await place_for(tool, to, from.name());
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
    c->add_option("-m,--mode", what->mode, "Permissions, octal")->type_name("MODE")
        ->capture_default_str()
        ->check([](const std::string& s) {
          return s.empty() || s.find_first_not_of("01234567") != std::string::npos || s.size() > 5
                     ? "an octal number, as 0755"
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
        ->required()->type_name(kRemote);
    c->add_option("TO", what->to, "the new name, or a directory")->required()->type_name(kRemote);
    c->footer(examples);
    if (run == ln) c->add_flag("-s,--symbolic", what->symbolic, "A symbolic link to FROM as it is");
    c->callback([&chosen, what, run] {
      chosen = [what, run](Tool& tool) { return run(tool, *what); };
    });
  };
  add("mv", "Move or rename a file on its server", R"(EXAMPLES
  9p mv tcp:fileserver:/home/me/draft tcp:fileserver:/home/me/report
  9p mv tcp:fileserver:/home/me/report tcp:fileserver:/archive
)", mv);
  add("ln", "Give a file another name, or make a symbolic link", R"(EXAMPLES
  9p ln tcp:fileserver:/home/me/report tcp:fileserver:/home/me/same
  9p ln -s ../shared/report tcp:fileserver:/home/me/link
)", ln);
}

}  // namespace ninep::tool
