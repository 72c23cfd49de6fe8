#include "client/tool/describe.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sstream>

#include <dirent.h>

namespace ninep::tool {
namespace {

constexpr std::size_t kWidth = 88;
constexpr std::size_t kIndent = 26;  // of what is said of an option

// ------------------------------------------------------------------ from CLI11

/// "{a,b}" of CLI::IsMember, "INT in [1 - 9]" of CLI::Range.
void take_check(const std::string& check, Described& into) {
  if (check.starts_with('{') && check.ends_with('}')) {
    std::istringstream list(check.substr(1, check.size() - 2));
    for (std::string one; std::getline(list, one, ',');) into.choices.push_back(one);
  } else if (const std::size_t at = check.find(" in ["); at != std::string::npos) {
    into.range = check.substr(at + 5, check.size() - at - 6);
    if (const std::size_t dash = into.range.find(" - "); dash != std::string::npos)
      into.range.replace(dash, 3, " to ");
  }
}

Described describe(const CLI::Option& option) {
  Described d;
  for (const std::string& name : option.get_snames()) d.flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) d.flags.push_back("--" + name);
  if (d.flags.empty()) d.name = option.get_name(true);
  d.text = option.get_description();
  d.is_required = option.get_required();
  d.repeats = option.get_items_expected_max() > std::max(1, option.get_type_size());
  if (option.get_type_size() == 0) return d;
  d.fallback = option.get_default_str();
  if (d.fallback.starts_with('[')) {  // "[a,b]": of several
    d.fallback = d.fallback.substr(1, d.fallback.size() - 2);
    for (std::size_t at = 0; (at = d.fallback.find(',', at)) != std::string::npos; at += 2)
      d.fallback.replace(at, 1, ", ");
  }
  // The type, and ":" and what checks it: as CLI11 joins them.
  d.value = option.get_type_name();
  for (int i = 0;; ++i) {
    const CLI::Validator* check = nullptr;
    try {
      check = const_cast<CLI::Option&>(option).get_validator(i);
    } catch (const CLI::OptionNotFound&) {
      break;
    }
    const std::string text = check->get_description();
    if (const std::size_t at = d.value.find(":" + text); !text.empty() && at != std::string::npos)
      d.value.erase(at);
    take_check(text, d);
  }
  for (const char* number : {"INT", "UINT", "FLOAT"})
    if (d.value == number) d.value = "N";
  return d;
}

// ------------------------------------------------------------------ for people

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

/// What is said of it, with what it may be.
std::string said(const Described& d) {
  std::vector<std::string> more;
  if (!d.choices.empty()) more.push_back(joined(d.choices, ", "));
  if (!d.range.empty()) more.push_back(d.range);
  if (!d.fallback.empty()) more.push_back("by default " + d.fallback);
  if (!d.flags.empty() && d.is_required) more.push_back("has to be there");
  std::string text = d.text;
  if (!d.name.empty() && !d.value.empty() && d.value != "TEXT" && d.value != "N")
    text = d.value + (text.empty() ? "" : ": " + text);
  return text + (more.empty() ? "" : " (" + joined(more, "; ") + ")");
}

std::string usage(const Described& argument) {
  const std::string name = argument.name + (argument.repeats ? "..." : "");
  return argument.is_required ? name : "[" + name + "]";
}

std::string usage(const DescribedCommand& command) {
  std::string text = "9p";
  if (!command.name.empty()) text += " " + command.name;
  text += " [OPTION...]";
  for (const Described& argument : command.arguments) text += " " + usage(argument);
  if (!command.commands.empty()) text += " COMMAND ...";
  return text;
}

/// "left" in its column, and `text` in lines beside it.
std::string row(const std::string& left, const std::string& text) {
  std::string out = "  " + left;
  if (out.size() + 2 > kIndent) out += "\n";
  std::size_t column = out.ends_with('\n') ? 0 : out.size();
  const auto indent = [&] {
    out.append(kIndent - column, ' ');
    column = kIndent;
  };
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (column <= kIndent && column != kIndent) {
      indent();
    } else if (column + 1 + word.size() > kWidth) {
      out += "\n";
      column = 0;
      indent();
    } else if (column > kIndent) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string left_of(const Described& option) {
  // Long names below each other, whether there is a short one or not.
  std::string text = option.flags.front().starts_with("--") ? "    " : "";
  text += joined(option.flags, ", ");
  return option.value.empty() ? text : text + " " + option.value;
}

// ------------------------------------------------------------------ roff

/// For running text.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    // As they are typed, and not as they are typeset.
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

std::string roff_option(const Described& d) {
  std::vector<std::string> flags;
  for (const std::string& flag : d.flags) flags.push_back(bold(flag));
  std::string head = d.flags.empty() ? italic(d.name) : joined(flags, ", ");
  if (!d.flags.empty() && !d.value.empty()) head += " " + italic(d.value);
  return ".TP\n" + head + "\n" + roff(said(d)) + "\n";
}

/// Sections of a footer: each under a heading that `macro` makes, its lines as they are.
std::string roff_sections(const std::string& footer, const std::string& macro) {
  std::string out;
  bool is_open = false;
  const auto close = [&] {
    if (is_open) out += ".fi\n.RE\n";
    is_open = false;
  };
  std::istringstream lines(footer);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != ' ') {
      close();
      out += macro + roff(line) + "\n";
      continue;
    }
    if (!is_open && line.empty()) continue;
    if (!is_open) out += ".RS 2\n.nf\n";
    is_open = true;
    // The first two columns are what .RS gives.
    out += line.size() > 2 ? roff(line.substr(2)) + "\n" : "\\&\n";
  }
  close();
  return out;
}

std::string roff_usage(const DescribedCommand& command) {
  std::string text = "\\fB9p " + roff(command.name) + "\\fR [" + italic("OPTION") + "...]";
  for (const Described& argument : command.arguments) {
    const std::string name = italic(argument.name) + (argument.repeats ? "..." : "");
    text += argument.is_required ? " " + name : " [" + name + "]";
  }
  return text;
}

}  // namespace

DescribedCommand describe(const CLI::App& app) {
  DescribedCommand d;
  if (app.get_parent()) d.name = app.get_name();
  d.text = app.get_description();
  d.footer = app.get_footer();
  d.footer.erase(0, std::min(d.footer.find_first_not_of('\n'), d.footer.size()));
  for (const CLI::Option* option : app.get_options()) {
    Described one = describe(*option);
    (one.flags.empty() ? d.arguments : d.options).push_back(std::move(one));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) d.commands.push_back(describe(*command));
  return d;
}

std::string help_of(const DescribedCommand& command) {
  std::string out = "usage: " + usage(command) + "\n" + command.text + ".\n";
  if (!command.arguments.empty()) out += "\n";
  for (const Described& argument : command.arguments) out += row(usage(argument), said(argument));
  if (!command.commands.empty()) out += "\nCOMMANDS (9p COMMAND --help says more)\n";
  for (const DescribedCommand& one : command.commands) out += row(one.name, one.text);
  out += command.name.empty() ? "\nOPTIONS (before or behind the command)\n" : "\nOPTIONS\n";
  for (const Described& option : command.options) out += row(left_of(option), said(option));
  if (!command.footer.empty()) out += "\n" + command.footer;
  if (!out.ends_with('\n')) out += "\n";
  if (!command.name.empty())
    out +=
        "\n9p --help has what an ADDRESS is, the options of all commands, and the exit status.\n";
  return out;
}

std::string man_page(const DescribedCommand& program, const std::string& version) {
  std::string out = ".\\\" Made by 9p man.\n.TH 9P 1 \"\" \"" + roff(version) +
                    "\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\n9p \\- " +
                    "a 9P server's files from the command line\n.SH SYNOPSIS\n";
  out += "\\fB9p\\fR [" + italic("OPTION") + "...] " + italic("COMMAND") + " [" +
         italic("ARGUMENT") + "...]\n.SH DESCRIPTION\n" + roff(program.text) + ".\n";
  out += ".SH OPTIONS\nThey may be before or behind the command.\n";
  for (const Described& option : program.options) out += roff_option(option);
  out += ".SH COMMANDS\n";
  for (const DescribedCommand& command : program.commands) {
    out += ".SS " + roff(command.name) + "\n" + roff_usage(command) + "\n.PP\n" +
           roff(command.text) + ".\n";
    for (const Described& argument : command.arguments) out += roff_option(argument);
    for (const Described& option : command.options)
      if (option.flags.back() != "--help") out += roff_option(option);
    out += roff_sections(command.footer, ".PP\n");
  }
  out += roff_sections(program.footer, ".SH ");
  return out + ".SH SEE ALSO\n.BR mount (8),\n.BR fusermount3 (1)\n";
}

namespace {

Awaitable<void> write_out(std::string text) {
  std::fputs(text.c_str(), stdout);
  co_return;
}

struct Complete {
  std::string word;
};

constexpr std::size_t kWordsMost = 10'000;
constexpr std::chrono::seconds kListedLongest{3};  // a directory that may be without end

/// Prints what `word`, the beginning of ADDRESS:/PATH, may go on as.
Awaitable<void> complete(Tool& tool, const Complete& what) {
  const std::size_t slash = what.word.rfind('/');
  const auto target = Target::parse(what.word);
  if (!target || !target->is_remote || slash == std::string::npos) co_return;
  // Of "unix:/run/so" it isn't known yet where the address ends.
  const std::string above = what.word.substr(0, slash + 1);
  const std::string begin = what.word.substr(slash + 1);
  const auto directory = Target::parse(above);
  if (!directory || directory->address_text == above) co_return;
  tool.options.session.patience = std::chrono::seconds(2);
  tool.options.connect_patience = std::chrono::seconds(2);
  tool.options.reconnect_patience = {};
  auto node = co_await tool.node(*directory);
  if (!node) co_return;
  auto opened = co_await node->open_directory();
  if (!opened) co_return;
  const auto end = std::chrono::steady_clock::now() + kListedLongest;
  std::size_t words = 0;
  while (std::chrono::steady_clock::now() < end) {
    const auto entries = co_await opened->next();
    if (!entries || entries->empty()) co_return;
    for (const client::Entry& entry : *entries) {
      // A name of more than one line is none that can be handed over.
      if (!entry.name.starts_with(begin) || entry.name.find('\n') != std::string::npos) continue;
      if (++words > kWordsMost) co_return;
      std::printf("%s%s%s\n", above.c_str(), entry.name.c_str(), entry.type == DT_DIR ? "/" : "");
    }
  }
}

}  // namespace

void add_describing(CLI::App& app, Command& chosen) {
  const auto print = [&app, &chosen](const char* name, const char* text, auto make) {
    CLI::App* const c = app.add_subcommand(name, text)->group("");
    c->callback(
        [&app, &chosen, make] { chosen = [&app, make](Tool&) { return write_out(make(app)); }; });
    return c;
  };
  print("man", "Print the manual page, in roff",
        [](const CLI::App& a) { return man_page(describe(a), a.version()); });
  auto shell = std::make_shared<std::string>();
  print("completion", "Print a completion script for a shell",
        [shell](const CLI::App& a) {
          const DescribedCommand program = describe(a);
          return *shell == "bash"  ? bash_completion(program)
                 : *shell == "zsh" ? zsh_completion(program)
                                   : fish_completion(program);
        })
      ->add_option("SHELL", *shell)
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  auto what = std::make_shared<Complete>();
  CLI::App* const c =
      app.add_subcommand("complete", "What an ADDRESS:/PATH may go on as")->group("");
  c->add_option("WORD", what->word)->required();
  c->callback([&chosen, what] { chosen = [what](Tool& tool) { return complete(tool, *what); }; });
}

}  // namespace ninep::tool
