#include "tests/coroutines.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace ninep::test {
namespace {

namespace fs = std::filesystem;

TEST(Coroutines, HaveNothingThatIsCompiledWrongly) {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(NINEP_SOURCE_DIR "/client")) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
    std::ifstream in(entry.path());
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const std::string path = fs::relative(entry.path(), NINEP_SOURCE_DIR);
    for (const std::string& fault : coroutine_faults(path, text)) ADD_FAILURE() << fault;
    ++files;
  }
  EXPECT_GT(files, 40) << "the sources were found";
}

struct Sample {
  const char* text;
  const char* fault;  // "" if there is none
};

TEST(Coroutines, TheCheckerSeesWhatIs) {
  const Sample samples[] = {
      {"co_await f(a ? b() : c);", ":2: co_await beside a ? :"},
      {"co_await f(a ? \"b\" : c);", ":2: co_await beside a ? :"},
      {"co_await f(Tfsync{b}, a ? T(b) : c);", ":2: co_await beside a ? :"},
      {"co_return x ? co_await f() : g();", ":2: co_await beside a ? :"},
      {"if (a)\n  b = co_await f(a,\n               c ? d : e(f));", ":2: co_await beside a ? :"},
      {"if (x) { a(); co_await f(y ? g() : 2); }", ":2: co_await beside a ? :"},
      {"while (co_await f(a ? b : c())) g();", ":2: co_await beside a ? :"},
      {"const auto r = co_await f(std::vector{a});", ":2: co_await beside a temporary in braces"},
      {"const auto r = co_await f({a, b});", ":2: co_await beside a temporary in braces"},
      {"co_await f(Twalk{fid, to, {name}}, S{a});", ":2: co_await beside a temporary in braces"},
      {"T x{co_await f()};", ":2: co_await beside a temporary in braces"},
      {"auto r = [&](int a) -> asio::awaitable<int> { co_return a; };",
       ":2: a lambda that captures is a coroutine"},
      {"spawn([this] { co_await f(); });", ":2: a lambda that captures is a coroutine"},
      {"void f() { spawn([=, this](int a) mutable { if (a) { co_await f(); } }); }",
       ":2: a lambda that captures is a coroutine"},
      {"if (co_await f() || b) g();", ":2: co_await beside && or ||"},
      {"const bool a = b && co_await f(c);", ":2: co_await beside && or ||"},
      {"while (!a && !co_await std::move(b)) g();", ":2: co_await beside && or ||"},
      {"co_await f(a || b);", ""},
      {"co_await (f() || g());", ""},
      {"if (a && b) co_await f();", ""},
      {"if (co_await f()) a = b || c;", ""},
      {"co_await f(a, {}, b);", ""},
      {"co_await f(a ? b : kC | kD, x);", ""},
      {"co_await call(Twalk{fid, to, {name}});", ""},
      {"co_await call(Tfsync{fid, all ? U32{1} : U32{0}});", ""},
      {"const auto r = co_await f();", ""},
      {"const auto x = a ? b : c;\nco_await f(x);", ""},
      {"if (a) { b = c ? d : e; } else { co_await f(); }", ""},
      {"for (const int i : {1, 2}) { co_await f(i); }", ""},
      {"co_await repeat(h, [&](O& o) { return o.f(a ? b : c, {d}); });", ""},
      {"const auto f = [&](O& o) { return T{o}; };\nco_await g(f);", ""},
      {"const auto f = [](int a) -> asio::awaitable<int> { co_return a; };", ""},
      {"const auto f = [&] { return [](int a) -> asio::awaitable<int> { co_return a; }; };", ""},
      {"struct A { int a = b ? 1 : 2; };\nawaitable<int> f() { co_await g(); }", ""},
      {"co_await f(\"a ? b : {c}\", '{', '?');  // a ? b : c", ""},
      {"co_await f(1'000'000, x['?']);", ""},
      {"/* co_await f(a ? b : c); */", ""},
      {"#define X(r) if (!(r)) co_return f(a ? b : co_await c)", ""},
      {"return error(a ? b : c);\nco_await f();", ""},
      {"T x{a ? b : c};\nco_await f(x);", ""},
      {"switch (a) { case 1: x = a ? b : c; break; default: co_await f(); }", ""},
      {"pieces[i] = {a, b};\nco_await f();", ""},
  };
  for (const Sample& sample : samples) {
    const auto faults = coroutine_faults("a.cc", "\n" + std::string(sample.text) + "\n");
    if (*sample.fault == '\0') {
      EXPECT_TRUE(faults.empty()) << sample.text << ": " << faults.front();
    } else {
      ASSERT_EQ(faults.size(), 1u) << sample.text;
      EXPECT_EQ(faults[0], std::string("a.cc") + sample.fault) << sample.text;
    }
  }
}

}  // namespace
}  // namespace ninep::test
