// cat, get, put, cp, sync.
#include <cstdio>
#include <filesystem>
#include <list>
#include <set>
#include <utility>

#include <asio/this_coro.hpp>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/together.h"
#include "client/tool/copier.h"
#include "client/tool/tool.h"

namespace ninep::tool {
namespace {

using client::error;

// ------------------------------------------------------------------ cat

/// Some of a file that is read before its turn to be written comes.
struct Ahead {
  explicit Ahead(const asio::any_io_executor& executor) : done(executor) {}
  std::vector<std::byte> room;
  Expected<std::size_t> got;
  client::Signal done;
};

Awaitable<void> read_ahead(client::File& file, U64 offset, Ahead& ahead) {
  ahead.got = co_await file.read(offset, ahead.room);
  ahead.done.set();
}

// As much is read ahead as the connection is worth.
Awaitable<Expected<void>> cat_one(Tool& tool, const Target& target) {
  auto node = co_await tool.node(target);
  NINEP_CO_RETURN_IF_WRONG(node);
  auto file = co_await node->open(lopen::kReadOnly);
  NINEP_CO_RETURN_IF_WRONG(file);
  const auto executor = co_await asio::this_coro::executor;
  constexpr std::size_t kAheadMax = 256;
  const std::size_t block = std::min<std::size_t>(file->iounit(), 1 << 20);
  std::list<Ahead> all;
  client::Group reading(executor);
  Expected<void> done;
  U64 offset = 0;
  for (bool is_over = false; !is_over;) {
    while (all.empty() ||
           (all.size() < kAheadMax && all.size() * block <= file->attachment()->reads().size())) {
      Ahead& ahead = all.emplace_back(executor);
      ahead.room.resize(block);
      reading.spawn(read_ahead(*file, offset, ahead));
      offset += block;
    }
    Ahead& next = all.front();
    (void)co_await next.done.wait();
    if (!next.got) {
      done = std::unexpected(next.got.error());
    } else if (std::fwrite(next.room.data(), 1, *next.got, stdout) != *next.got) {
      done = error(errno, "write to standard output");
    }
    is_over = !done || *next.got < block;
    all.pop_front();
  }
  if (!done) reading.cancel();
  co_await reading.all_done();
  co_return done;
}

Awaitable<void> cat(Tool& tool, const std::vector<std::string>& files) {
  const std::vector<Target> targets = remotes_of(files);
  for (const Target& target : targets) {
    const auto done = co_await cat_one(tool, target);
    if (!done) tool.wrong(done.error());
  }
}

// ------------------------------------------------------------------ get, put, cp, sync

struct Copy {
  std::vector<std::string> from;
  std::string to;
  Copier::Options options;
  bool verbose = false;
  bool is_sync = false;
};

/// A directory as a place, and a name in it; for a directory's content: no name.
struct At {
  std::unique_ptr<Place> place;
  std::string name;
};

Awaitable<Expected<std::unique_ptr<Place>>> open_place(Tool& tool, const Target& directory) {
  if (!directory.is_remote) {
    const int fd = ::open(directory.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) co_return error(errno, "open " + directory.path);
    co_return local_place(fd, directory.path == "." ? "" : directory.path);
  }
  auto node = co_await tool.node(directory);
  NINEP_CO_RETURN_IF_WRONG(node);
  if (!node->is_directory()) co_return error(ENOTDIR, "open " + directory.text());
  co_return co_await remote_place(std::move(*node));
}

/// The directory that the target is in.
Target parent_of(const Target& target) {
  Target parent = target;
  std::string& path = parent.path;
  path.erase(path.find_last_not_of('/') + 1);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    path = target.is_remote ? "" : ".";
  else
    path.erase(slash == 0 ? 1 : slash);
  return parent;
}

/// Of what is there: DT_DIR, DT_REG for all else; DT_UNKNOWN: nothing is.
Awaitable<Expected<U8>> type_of(Tool& tool, const Target& target) {
  if (!target.is_remote) {
    struct stat status{};
    if (::stat(target.path.c_str(), &status) == 0)
      co_return S_ISDIR(status.st_mode) ? U8{DT_DIR} : U8{DT_REG};
    if (errno == ENOENT) co_return U8{DT_UNKNOWN};
    co_return error(errno, "stat " + target.path);
  }
  const auto node = co_await tool.node(target);
  if (!node && client::is(node.error(), ENOENT)) co_return U8{DT_UNKNOWN};
  NINEP_CO_RETURN_IF_WRONG(node);
  co_return node->is_directory() ? U8{DT_DIR} : U8{DT_REG};
}

/// A directory that isn't there yet.
Awaitable<Expected<void>> make_directory(Tool& tool, const Target& target) {
  if (!target.is_remote) {
    if (::mkdir(target.path.c_str(), 0700) != 0) co_return error(errno, "mkdir " + target.path);
    co_return Expected<void>();
  }
  auto named = co_await tool.named(target);
  NINEP_CO_RETURN_IF_WRONG(named);
  const auto made = co_await named->directory.mkdir(named->name, 0700);
  NINEP_CO_RETURN_IF_WRONG(made);
  co_return Expected<void>();
}

/// What is in one directory to the other, which is made if it has to be.
Awaitable<Expected<void>> copy_contents(Tool& tool, Copier& copier, const Copy& what,
                                        const Target& from, const Target& to) {
  auto source = co_await open_place(tool, from);
  NINEP_CO_RETURN_IF_WRONG(source);
  const auto type = co_await type_of(tool, to);
  NINEP_CO_RETURN_IF_WRONG(type);
  if (*type == DT_REG) co_return error(ENOTDIR, "copy to " + to.text());
  const bool is_there = *type == DT_DIR;
  if (!is_there) {
    const auto above = co_await open_place(tool, parent_of(to));
    NINEP_CO_RETURN_IF_WRONG(above);
  }
  if (!is_there && !what.options.dry) {
    const auto made = co_await make_directory(tool, to);
    NINEP_CO_RETURN_IF_WRONG(made);
  }
  Expected<std::unique_ptr<Place>> target;
  if (is_there || !what.options.dry) target = co_await open_place(tool, to);
  NINEP_CO_RETURN_IF_WRONG(target);
  const Copier::Top top = !is_there      ? Copier::Top::kIsNew
                          : what.is_sync ? Copier::Top::kBecomes
                                         : Copier::Top::kStays;
  co_await copier.contents(**source, target->get(), top);
  co_return Expected<void>();
}

/// A source that says that it is a directory: what its links lead to.
Awaitable<Expected<Target>> followed(Tool& tool, Target source) {
  if (source.is_remote) {
    const auto node = co_await tool.node(source);
    NINEP_CO_RETURN_IF_WRONG(node);
    source.path = node->path();
    co_return source;
  }
  const auto type = co_await type_of(tool, source);
  NINEP_CO_RETURN_IF_WRONG(type);
  if (*type == DT_UNKNOWN) co_return error(ENOENT, "stat " + source.path);
  const std::string itself = source.path.substr(0, source.path.find_last_not_of('/') + 1);
  std::error_code wrong;
  if (std::filesystem::is_symlink(itself, wrong))
    source.path = std::filesystem::canonical(itself, wrong);
  if (wrong) co_return error(wrong.value(), "stat " + source.path);
  co_return source;
}

Awaitable<Expected<void>> copy_one(Tool& tool, Copier& copier, const Copy& what, const Target& from,
                                   const Target& to, bool into) {
  // The root, "." and ".." have no name to be copied by: what is in them is.
  const std::string name = from.name();
  if (name.empty() || name == "." || name == "..") {
    if (!what.options.recursive)
      co_return error(EISDIR, "copy " + from.text(), "say -r to copy it all");
    co_return co_await copy_contents(tool, copier, what, from, to);
  }
  Expected<Target> real = from;
  if (from.says_directory()) real = co_await followed(tool, from);
  NINEP_CO_RETURN_IF_WRONG(real);
  const std::string real_name = real->name();
  if (!client::is_name(real_name))
    co_return error(EINVAL, "copy " + from.text(), "it leads to a root, which has no name");
  auto source = co_await open_place(tool, parent_of(*real));
  NINEP_CO_RETURN_IF_WRONG(source);
  const Target directory = into ? to : parent_of(to);
  auto target = co_await open_place(tool, directory);
  NINEP_CO_RETURN_IF_WRONG(target);
  const std::string to_name = into ? name : to.name();
  if (!client::is_name(to_name))
    co_return error(EINVAL, "copy to " + to.text(), "that is no file's name");
  if (!into && to.says_directory()) {
    const auto status = co_await (*source)->stat(real_name);
    NINEP_CO_RETURN_IF_WRONG(status);
    if (!status->is_directory()) co_return error(ENOTDIR, "copy to " + to.text());
  }
  if ((*source)->identity() == (*target)->identity() && real_name == to_name)
    co_return error(EINVAL, "copy " + from.text(), "to itself");
  // A server's link isn't what the target is called: the next copy would follow it.
  const bool takes_links = into || !from.is_remote;
  co_await copier.copy(**source, real_name, **target, to_name, takes_links);
  co_return Expected<void>();
}

void report(Tool& tool, const Progress& progress, bool dry) {
  if (tool.json) {
    tool.print({{"files", progress.files()},
                {"unchanged", progress.files_skipped()},
                {"bytes", progress.bytes()},
                {"sent", progress.bytes_sent()},
                {"errors", progress.errors()},
                {"seconds", progress.seconds()}});
  } else if (!tool.quiet && !dry) {
    std::fprintf(
        stderr, "%llu files, %s in %s, %s/s%s\n", static_cast<unsigned long long>(progress.files()),
        size_text(static_cast<double>(progress.bytes())).c_str(),
        time_text(progress.seconds()).c_str(),
        size_text(static_cast<double>(progress.bytes_sent()) / std::max(progress.seconds(), 0.001))
            .c_str(),
        progress.files_skipped() == 0
            ? ""
            : (", " + std::to_string(progress.files_skipped()) + " unchanged").c_str());
  }
}

Progress::Show show(const Tool& tool, const Copy& what) {
  if (tool.quiet || tool.json) return Progress::Show::kNothing;
  if (what.verbose || what.options.dry) return Progress::Show::kFiles;
  return ::isatty(STDERR_FILENO) ? Progress::Show::kBar : Progress::Show::kPlain;
}

Awaitable<void> copy(Tool& tool, const Copy& what) {
  Progress progress(show(tool, what));
  Copier::Options options = what.options;
  options.jobs = tool.jobs;
  Copier copier(co_await asio::this_coro::executor, options, progress);
  const Target to = target_of(what.to);
  std::vector<Target> sources;
  for (const std::string& text : what.from) sources.push_back(target_of(text));
  const auto type = co_await type_of(tool, to);
  if (!type) co_return tool.wrong(type.error());
  const bool into = !what.is_sync && *type == DT_DIR;
  if (what.from.size() > 1 && !into)
    co_return tool.wrong(client::Error{Errno{ENOTDIR}, "copy to " + to.text(), ""});
  std::set<std::string> names;
  for (const Target& from : sources) {
    Expected<void> done;
    const std::string name = from.name();
    if (into && client::is_name(name) && !names.insert(name).second)
      done = error(EEXIST, "copy " + from.text(), "another of that name was just copied");
    else if (what.is_sync)
      done = co_await copy_contents(tool, copier, what, from, to);
    else
      done = co_await copy_one(tool, copier, what, from, to, into);
    if (!done) progress.wrong(done.error());
  }
  progress.end();
  report(tool, progress, options.dry);
  if (progress.errors() != 0) tool.fail();
}

const char* const kCopies = R"(
WHAT IS COPIED
  Data (holes stay holes), permissions, times, links of both kinds, extended attributes but those of
  symbolic links. A file has its name when it is whole: a copy that was interrupted goes on where it
  was when it is said again. No device, pipe or socket goes for a file, but with sync --delete.
  What such a one has left, .NAME.STAMP.9p-part, is not copied. A link is copied as a link; FROM
  with "/" behind it is the directory that it leads to, under FROM's name.
)";

}  // namespace

void add_data(CLI::App& app, Command& chosen) {
  {
    auto files = std::make_shared<std::vector<std::string>>();
    CLI::App* const c = app.add_subcommand("cat", "Write files to standard output");
    c->add_option("FILE", *files)->required()->type_name(kRemote);
    c->footer(R"(EXAMPLES
  9p cat tcp:fileserver:/var/log/syslog | grep error
)");
    c->callback([&chosen, files] { chosen = [files](Tool& tool) { return cat(tool, *files); }; });
  }
  const auto add_copy = [&](const char* name, const char* help) {
    auto what = std::make_shared<Copy>();
    CLI::App* const c = app.add_subcommand(name, help);
    const bool is_get = Str(name) == "get";
    const bool is_put = Str(name) == "put";
    c->callback([&chosen, what, is_get, is_put] {
      const bool is_here = is_get && target_of(what->from.back()).is_remote;
      what->to = is_here ? "." : what->from.back();
      if (!is_here) what->from.pop_back();
      if (what->from.empty()) throw CLI::ValidationError(what->to, "is copied from nowhere");
      // An address that was forgotten is no local file's name.
      if (is_get) (void)remotes_of(what->from);
      if (is_put) (void)remote_of(what->to);
      chosen = [what](Tool& tool) { return copy(tool, *what); };
    });
    c->add_flag(
        "-o,--owner", what->options.owner,
        "Keep owner and group, as root can; and with them set-id bits of files, devices, and "
        "the system's extended attributes, as capabilities");
    c->add_flag("!--no-xattrs", what->options.xattrs, "Copy no extended attributes");
    c->add_flag("-n,--dry-run", what->options.dry, "Say what would be copied, and copy nothing");
    c->add_flag("-v,--verbose", what->verbose, "Name each file when it is done");
    return std::pair(c, what);
  };
  for (const auto& [name, help] :
       {std::pair("cp", "Copy files: from a server, to one, or between two"),
        std::pair("put", "Copy local files to a server"),
        std::pair("get", "Copy files of a server to this host")}) {
    const bool is_get = Str(name) == "get";
    const bool is_put = Str(name) == "put";
    const auto [c, what] = add_copy(name, help);
    c->add_option("FILE", what->from,
                  is_get ? "FROM... [TO]: what to copy, of a server; a directory, or the new name; "
                           "the directory one is in, if the last is not a local path"
                  : is_put ? "FROM... TO: what to copy; a directory of a server, or the new name"
                           : "FROM... TO: what to copy; a directory, or the new name")
        ->required()
        ->expected(is_get ? 1 : 2, 1 << 20)
        ->type_name(kEither);
    c->footer(std::string(is_get   ? R"(EXAMPLES
  9p get tcp:fileserver:/etc/motd
  9p get -r tcp:fileserver:/home/me/photos tcp:fileserver:/home/me/music /media/disk
)"
                          : is_put ? R"(EXAMPLES
  9p put report.pdf tcp:fileserver:/inbox
  9p put -r --owner /home tcp:fileserver:/backup
)"
                                   : R"(EXAMPLES
  9p cp tcp:fileserver:/etc/motd motd.txt
  9p cp -r tcp:old:/srv/data tcp:new:/srv
)") + kCopies);
    c->add_flag("-r,--recursive", what->options.recursive, "Directories with all that is in them");
    c->add_flag("-u,--update", what->options.update,
                "Leave what has the same size and time already");
  }
  {
    const auto [c, what] = add_copy("sync", "Make one directory like another");
    what->is_sync = what->options.recursive = what->options.update = true;
    c->add_option("DIRECTORY", what->from, "FROM TO: the one to copy, the one that becomes like it")
        ->required()
        ->expected(2)
        ->type_name(kEither);
    c->footer(std::string(R"(
  TO itself gets FROM's permissions and times too, where you may change it.

EXAMPLES
  9p sync --dry-run --delete ~/notes tcp:fileserver:/backup/notes
  9p sync --delete ~/notes tcp:fileserver:/backup/notes
)") + kCopies);
    c->add_flag("--delete", what->options.remove,
                "Remove what FROM hasn't got, and what is of another kind there");
  }
}

}  // namespace ninep::tool
