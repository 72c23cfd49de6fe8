#include "tests/coroutines.h"

#include <algorithm>
#include <regex>

namespace ninep::test {
namespace {

/// `text` with spaces for comments, for what is in quotes, and for lines of the preprocessor. Each
/// character stays where it is.
std::string code_of(std::string_view text) {
  static const std::regex kNoCode(
      R"re(//[^\n]*|/\*[^]*?\*/|R"(\w*)\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|(?:^|\n)[ ]*#(?:\\\n|[^\n])*)re");
  std::string code;
  std::string rest(text);
  auto end = rest.cbegin();
  for (std::sregex_iterator at(rest.begin(), rest.end(), kNoCode), none; at != none; ++at) {
    code.append(end, (*at)[0].first);
    // Digits with quotes between them are a number.
    const bool is_number = (*at)[0].first != rest.cbegin() && *(*at)[0].first == '\'' &&
                           std::isxdigit(static_cast<unsigned char>((*at)[0].first[-1]));
    if (is_number) {
      code.append((*at)[0].first, (*at)[0].second);
    } else {
      for (auto c = (*at)[0].first; c != (*at)[0].second; ++c)
        code += *c == '\n' || *c == '"' ? *c : ' ';
    }
    end = (*at)[0].second;
  }
  code.append(end, rest.cend());
  return code;
}

bool has(const std::string& text, const std::regex& what) { return std::regex_search(text, what); }

/// `text` without values in braces of types that have no destructor: messages, numbers.
std::string without_trivial(std::string text) {
  static const std::regex kTrivial(R"re(\b(?:T[a-z]+|U8|U16|U32|U64|Fid|Tag|Errno)\{)re");
  for (std::smatch at; std::regex_search(text, at, kTrivial);) {
    const auto begin = static_cast<std::size_t>(at.position());
    std::size_t end = begin + static_cast<std::size_t>(at.length());
    for (int depth = 1; end < text.size() && depth > 0; ++end)
      depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
    text.replace(begin, end - begin, "0");
  }
  return text;
}

/// Whether there is a "? :" of what has more than names and numbers.
bool chooses_temporaries(const std::string& text) {
  for (std::size_t at = text.find('?'); at != text.npos; at = text.find('?', at + 1)) {
    std::size_t end = at;
    for (int depth = 0; end < text.size() && (depth > 0 || (text[end] != ',' && text[end] != ')'));
         ++end)
      depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
    if (text.substr(at, end - at).find_first_of("({\"") != text.npos) return true;
  }
  return false;
}

/// Whether a co_await is an operand of && or ||, as it stands.
bool joins_awaits(const std::string& text) {
  static const std::string kAwait = "co_await";
  for (std::size_t at = text.find(kAwait); at != text.npos; at = text.find(kAwait, at + 1)) {
    const auto joined = [&](std::size_t from, std::size_t step, char opens, char closes) {
      int depth = 0;
      for (; from < text.size(); from += step) {  // below 0 it isn't either
        const char c = text[from];
        if (c == opens) ++depth;
        if ((c == closes && --depth < 0) || (depth == 0 && (c == ',' || c == ';'))) break;
        if (depth == 0 && (c == '&' || c == '|') && text[from + step] == c) return true;
      }
      return false;
    };
    if (joined(at, 1, '(', ')') || joined(at - 1, std::size_t(-1), ')', '(')) return true;
  }
  return false;
}

class Checker {
 public:
  Checker(std::string_view path, std::string_view text) : path_(path), code_(code_of(text)) {}

  std::vector<std::string> faults() {
    block(0, code_.size());
    return std::move(faults_);
  }

 private:
  /// Just behind what closes the brace at `at`.
  std::size_t closed(std::size_t at) const {
    int depth = 0;
    for (; at < code_.size(); ++at) {
      if (code_[at] == '{') ++depth;
      if (code_[at] == '}' && --depth == 0) return at + 1;
    }
    return code_.size();
  }

  /// Whether a brace behind `before` opens a body, not a list of values.
  static bool opens_body(const std::string& before) {
    static const std::regex kBody(
        R"re((?:^|[\])};:]|\b(?:else|do|try|const|mutable|noexcept|override|final)|\b(?:namespace|struct|class|union|enum|enum class)(?:\s+[^;=()]*)?|\)[^()=]*->[^()=]*)\s*$)re");
    return has(before, kBody);
  }
  static bool ends_with_capturing_lambda(const std::string& before) {
    static const std::regex kLambda(
        R"re(\[\s*[^\[\]\s][^\[\]]*\]\s*(?:<[^()]*>\s*)?(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)?$)re");
    std::smatch lambda;
    return std::regex_search(before, lambda, kLambda) &&
           !(lambda.position() > 0 &&
             (std::isalnum(static_cast<unsigned char>(
                  before[static_cast<std::size_t>(lambda.position() - 1)])) ||
              before[static_cast<std::size_t>(lambda.position() - 1)] == '_'));
  }

  /// The statements from `at` to `end`.
  void block(std::size_t at, std::size_t end) {
    std::string statement;
    std::size_t begin = at;
    int depth = 0;
    const auto over = [&] {
      check(statement, begin);
      statement.clear();
    };
    for (; at < end; ++at) {
      const char c = code_[at];
      if (statement.empty() && std::isspace(static_cast<unsigned char>(c))) continue;
      if (statement.empty()) begin = at;
      if (c == '(') ++depth;
      if (c == ')') --depth;
      if (c == ';' && depth == 0) {
        over();
      } else if (c != '{') {
        statement += c;
      } else if (const std::size_t after = closed(at); opens_body(statement)) {
        static const std::regex kCoroutine(R"re(\bco_(?:await|return|yield)\b)re");
        if (ends_with_capturing_lambda(statement) && has(own(at + 1, after - 1), kCoroutine))
          fault(begin, "a lambda that captures is a coroutine");
        block(at + 1, after - 1);
        at = after - 1;
        statement += ' ';
        // A lambda's body ends no statement.
        const std::size_t next = code_.find_first_not_of(" \n", after);
        const bool goes_on =
            depth > 0 ||
            (next < end && std::string_view(",;)(.").find(code_[next]) != std::string_view::npos);
        if (!goes_on) over();
      } else {
        statement += code_.substr(at, after - at);
        at = after - 1;
      }
    }
    over();
  }

  /// What is between them, without the bodies of lambdas that are in there.
  std::string own(std::size_t at, std::size_t end) const {
    static const std::regex kLambda(R"re(\[[^\[\]]*\]\s*(?:\([^()]*\))?[^{};()]*$)re");
    std::string text;
    for (; at < end; ++at) {
      if (code_[at] == '{' && has(text.substr(text.rfind(';') + 1), kLambda))
        at = closed(at) - 1;
      else
        text += code_[at];
    }
    return text;
  }

  void check(std::string statement, std::size_t begin) {
    static const std::regex kAwait(R"re(\bco_await\b)re");
    static const std::regex kBraces(R"re(\{\s*[^\s}])re");
    if (!has(statement, kAwait)) return;
    statement = without_trivial(statement);
    if (chooses_temporaries(statement)) fault(begin, "co_await beside a ? :");
    if (joins_awaits(statement)) fault(begin, "co_await beside && or ||");
    if (has(statement, kBraces)) fault(begin, "co_await beside a temporary in braces");
  }

  void fault(std::size_t at, const char* what) {
    const auto line =
        std::count(code_.begin(), code_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    faults_.push_back(std::string(path_) + ":" + std::to_string(line + 1) + ": " + what);
  }

  const std::string_view path_;
  const std::string code_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> coroutine_faults(std::string_view path, std::string_view text) {
  return Checker(path, text).faults();
}

}  // namespace ninep::test
