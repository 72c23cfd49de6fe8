// Completion scripts: what is known of the command line, in each shell's terms.
#include <algorithm>
#include <sstream>

#include "client/tool/describe.h"

namespace ninep::tool {
namespace {

/// "it's" -> 'it'\''s': for all of these shells but fish, which has \' within the quotes.
std::string in_quotes(const std::string& text, const char* quote = "'\\''") {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += quote;
    else
      out += c;
  }
  return out + "'";
}

std::string words(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& one : all) text += (text.empty() ? "" : " ") + one;
  return text;
}

std::string flags(const std::vector<Described>& options) {
  std::string text;
  for (const Described& option : options) text += (text.empty() ? "" : " ") + words(option.flags);
  return text;
}

// ------------------------------------------------------------------ bash

/// What _9p_offer is called with, for a value.
std::string bash_offer(const Described& d) {
  if (!d.choices.empty()) return "words " + in_quotes(words(d.choices));
  if (d.value == kRemote) return "remote";
  if (d.value == kEither) return "either";
  if (d.value == kLocal) return "directory";
  if (d.value == kCommand) return "command";
  return "nothing";
}

const char* const kBashHead = R"bash(# bash completion of 9p, made by `9p completion bash`.

# _9p_option COMMAND FLAG: sets offer to what its value may be; false: it has none.
)bash";

const char* const kBashTail = R"bash(
# What the words of the line are when ":" and "=" don't divide them: words, and cur, the last.
_9p_words() {
  local line=$COMP_LINE i word
  words=()
  for ((i = 0; i <= COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    if ((i > 0)) && [[ $line != [[:space:]]* ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    line=${line#"${line%%[![:space:]]*}"}
    line=${line#"$word"}
  done
  cur=${words[-1]}
}

# _9p_behind WORD: readline takes what is behind the last ":" or "=" for the word; sets before.
_9p_behind() {
  local mark rest=$1
  for mark in : =; do [[ $COMP_WORDBREAKS != *$mark* ]] || rest=${rest##*"$mark"}; done
  before=${1%"$rest"}
}

# _9p_offer KIND [WORDS]: fills COMPREPLY with what begins with cur.
_9p_offer() {
  local one before found=()
  case $1 in
    words) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$cur") ;;
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    command) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    remote | either)
      if [[ $cur =~ ^(tcp|unix|vsock|fd|stdio): ]]; then
        mapfile -t found < <("${words[0]/#\~/$HOME}" complete -- "${cur//\\/}" 2>/dev/null)
        _9p_behind "${cur//\\/}"
        for one in "${found[@]}"; do COMPREPLY+=("$(printf %q "${one#"$before"}")"); done
        [[ ${#found[@]} != 1 || $one != */ ]] || compopt -o nospace
      else
        mapfile -t COMPREPLY < <(compgen -W 'tcp: unix: vsock: fd:' -- "$cur")
        ((${#COMPREPLY[@]} == 0)) || compopt -o nospace
        if [[ $1 = either ]]; then
          mapfile -t found < <(compgen -f -- "$cur")
          ((${#found[@]} == 0)) || compopt -o filenames
          COMPREPLY+=("${found[@]}")
        fi
      fi
      ;;
  esac
  _9p_behind "$cur"
  COMPREPLY=("${COMPREPLY[@]#"$before"}")
}

_9p() {
  local words cur command= offer=() i word number=0 literal=
  COMPREPLY=()
  _9p_words
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    word=${words[i]}
    if [[ -z $literal && $word = -- ]]; then
      literal=yes
    elif [[ -z $literal && $word = -* ]]; then
      if [[ $word != *=* ]] && _9p_option "$command" "$word"; then
        ((++i < ${#words[@]} - 1)) || { _9p_offer "${offer[@]}"; return; }
      fi
    elif [[ -z $command ]]; then
      command=$word
    else
      ((++number))
    fi
  done
  if [[ -z $literal && $cur = --*=* ]]; then
    word=${cur%%=*}
    cur=${cur#*=}
    ! _9p_option "$command" "$word" || _9p_offer "${offer[@]}"
  elif [[ -z $literal && $cur = -* ]]; then
    _9p_offer words "$(_9p_flags "$command")"
  elif [[ -z $command ]]; then
    _9p_offer words "$_9p_commands"
  else
    ! _9p_argument "$command" "$number" || _9p_offer "${offer[@]}"
  fi
}

complete -F _9p 9p
)bash";

// ------------------------------------------------------------------ zsh

/// Within an _arguments specification, which is in quotes.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const Described& d) {
  if (!d.choices.empty()) return "(" + words(d.choices) + ")";
  if (d.value == kRemote) return "_9p_remote";
  if (d.value == kEither) return "_9p_either";
  if (d.value == kLocal) return "_files -/";
  if (d.value == kCommand) return "_command_names -e";
  return " ";
}

std::string zsh_option(const Described& option) {
  std::string spec;
  if (option.flags.size() > 1) {
    std::string braces;
    for (const std::string& flag : option.flags) braces += (braces.empty() ? "" : ",") + flag;
    spec = in_quotes("(" + words(option.flags) + ")") + "{" + braces + "}";
  } else {
    spec = option.flags.front();
  }
  std::string rest = "[" + zsh_text(option.text) + "]";
  if (!option.value.empty()) rest += ":" + zsh_text(option.value) + ":" + zsh_action(option);
  return spec + in_quotes(rest);
}

const char* const kZshTail = R"zsh(
_9p_remote() {
  local -a found names directories
  local word=${(Q)PREFIX}
  if [[ $word = (tcp|unix|vsock|fd|stdio):* ]]; then
    found=(${(f)"$(_call_program files ${(q)words_of_9p[1]} complete -- ${(q)word} 2>/dev/null)"})
    directories=(${(M)found:#*/})
    names=(${found:#*/})
    compadd -S '' -a directories
    compadd -a names
  else
    compadd -S '' tcp: unix: vsock: fd:
  fi
}

_9p_either() {
  _9p_remote
  [[ ${(Q)PREFIX} = (tcp|unix|vsock|fd|stdio):* ]] || _files
}

_9p "$@"
)zsh";

// ------------------------------------------------------------------ fish

std::string fish_quoted(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return in_quotes(escaped, "\\'");
}

std::string fish_option(const std::string& when, const Described& option) {
  std::string line = "complete -c 9p" + when;
  for (const std::string& flag : option.flags)
    line += flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
  if (!option.value.empty()) {
    if (option.value == kLocal)
      line += " -x -a '(__fish_complete_directories)'";
    else
      line += " -x";
    if (!option.choices.empty()) line += " -a " + fish_quoted(words(option.choices));
  }
  return line + " -d " + fish_quoted(option.text) + "\n";
}

std::string fish_argument(const std::string& when, const Described& argument) {
  const std::string line = "complete -c 9p" + when;
  if (!argument.choices.empty()) return line + " -a " + fish_quoted(words(argument.choices)) + "\n";
  if (argument.value == kRemote) return line + " -a '(__9p_remote)'\n";
  if (argument.value == kEither) return line + " -F -a '(__9p_remote)'\n";
  if (argument.value == kLocal) return line + " -a '(__fish_complete_directories)'\n";
  if (argument.value == kCommand) return line + " -a '(__fish_complete_command)'\n";
  return "";
}

const char* const kFishHead = R"fish(# fish completion of 9p, made by `9p completion fish`.

function __9p_remote
    set -l word (commandline -ct)
    if string match -qr '^(tcp|unix|vsock|fd|stdio):' -- $word
        9p complete -- $word 2>/dev/null
    else
        printf '%s\n' tcp: unix: vsock: fd:
    end
end

complete -c 9p -f
)fish";

}  // namespace

std::string bash_completion(const DescribedCommand& program) {
  std::ostringstream out;
  out << kBashHead << "_9p_option() {\n  case $1,$2 in\n";
  const auto options = [&](const std::string& command, const std::vector<Described>& all) {
    for (const Described& option : all) {
      if (option.value.empty()) continue;
      std::string pattern;
      for (const std::string& flag : option.flags)
        pattern += (pattern.empty() ? "" : " | ") + command + "," + flag;
      out << "    " << pattern << ") offer=(" << bash_offer(option) << ") ;;\n";
    }
  };
  for (const DescribedCommand& command : program.commands) options(command.name, command.options);
  options("*", program.options);
  out << "    *) return 1 ;;\n  esac\n}\n\n"
         "# _9p_argument COMMAND NUMBER: the same of an argument, from 0 on.\n"
         "_9p_argument() {\n  case $1,$2 in\n";
  for (const DescribedCommand& command : program.commands) {
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const Described& argument = command.arguments[i];
      out << "    " << command.name << ","
          << (argument.repeats ? std::string("*") : std::to_string(i)) << ") offer=("
          << bash_offer(argument) << ") ;;\n";
    }
  }
  out << "    *) return 1 ;;\n  esac\n}\n\n"
         "_9p_flags() {\n  case $1 in\n";
  for (const DescribedCommand& command : program.commands)
    out << "    " << command.name << ") echo " << in_quotes(flags(command.options)) << " ;;\n";
  out << "  esac\n  echo " << in_quotes(flags(program.options)) << "\n}\n\n_9p_commands=";
  std::vector<std::string> names;
  for (const DescribedCommand& command : program.commands) names.push_back(command.name);
  out << in_quotes(words(names)) << "\n" << kBashTail;
  return out.str();
}

std::string zsh_completion(const DescribedCommand& program) {
  std::ostringstream out;
  out << "#compdef 9p\n# zsh completion of 9p, made by `9p completion zsh`.\n\n"
         "_9p() {\n  local curcontext=$curcontext state line\n  typeset -A opt_args\n"
         "  local -a common words_of_9p=($words)\n  common=(\n";
  for (const Described& option : program.options) out << "    " << zsh_option(option) << "\n";
  out << "  )\n  _arguments -C $common '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n    command)\n      local -a commands=(\n";
  for (const DescribedCommand& command : program.commands)
    out << "        " << in_quotes(command.name + ":" + zsh_text(command.text)) << "\n";
  out << "      )\n      _describe command commands\n      ;;\n"
         "    argument)\n      case $words[1] in\n";
  for (const DescribedCommand& command : program.commands) {
    out << "        " << command.name << ")\n          _arguments $common";
    for (const Described& option : command.options)
      if (option.flags.back() != "--help") out << " \\\n            " << zsh_option(option);
    for (const Described& argument : command.arguments)
      out << " \\\n            "
          << in_quotes(std::string(argument.repeats ? "*" : "") + ":" + zsh_text(argument.name) +
                       ":" + zsh_action(argument));
    out << "\n          ;;\n";
  }
  out << "      esac\n      ;;\n  esac\n}\n" << kZshTail;
  return out.str();
}

std::string fish_completion(const DescribedCommand& program) {
  std::ostringstream out;
  out << kFishHead;
  for (const Described& option : program.options) out << fish_option("", option);
  std::vector<std::string> names;
  for (const DescribedCommand& command : program.commands) names.push_back(command.name);
  out << "\nset -l commands " << words(names) << "\n";
  for (const DescribedCommand& command : program.commands)
    out << "complete -c 9p -n \"not __fish_seen_subcommand_from $commands\" -a " << command.name
        << " -d " << fish_quoted(command.text) << "\n";
  for (const DescribedCommand& command : program.commands) {
    const std::string when = " -n '__fish_seen_subcommand_from " + command.name + "'";
    out << "\n";
    for (const Described& option : command.options)
      if (option.flags.back() != "--help") out << fish_option(when, option);
    for (const Described& argument : command.arguments) out << fish_argument(when, argument);
  }
  return out.str();
}

}  // namespace ninep::tool
