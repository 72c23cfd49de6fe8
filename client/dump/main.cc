// 9pdump: frames on standard input, as text or JSON on standard output.
#include <iostream>

#include <CLI/CLI.hpp>

#include "client/dump/dump.h"
#include "client/dump/frame_line.h"
#include "client/dump/layout.h"

namespace {

constexpr const char* kAbout =
    "Prints 9P frames. Standard input has one a line: SOURCE client|server DIALECT HEX,\n"
    "the whole frame in hex, size field included; '#' starts a comment.";

constexpr const char* kExamples = R"(Examples:
  echo 'me client 9P2000.L 13000000180100010000003fff000000000000' | 9pdump
      me Tgetattr tag 1 fid 1 request_mask 0xff3f
  9pdump --verify < tests/golden/9P2000.L_diod-1.0.24.txt
      each frame as text; exit 1 at the first that does not encode back to the same bytes
  9pdump --raw --dialect 9P2000.u --json < client-to-server.bin
      a recorded stream of frames, each as a line of JSON

Exit: 0; 1 if a frame or a line was wrong, or what it prints can't be written; 2 for wrong options.)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kAbout, "9pdump");
  app.footer(kExamples);
  ninep::DumpOptions options;
  std::string dialect;
  bool layouts = false;
  bool dictionary = false;
  app.add_flag("--json", options.json, "One JSON object a line");
  app.add_flag("--verify", options.verify,
               "Encode each frame again, and stop at the first that differs");
  auto* raw = app.add_flag("--raw", options.raw, "Standard input is a stream of frames");
  auto* of_raw = app.add_option("--dialect", dialect, "Of a raw stream: 9P2000, 9P2000.u, 9P2000.L")
                     ->needs(raw)
                     ->check(CLI::IsMember({"9P2000", "9P2000.u", "9P2000.L"}));
  raw->needs(of_raw);
  app.add_option("--msize", options.msize, "Of a raw stream: the largest frame")
      ->needs(raw)
      ->capture_default_str();
  app.add_flag("--layouts", layouts, "Print the layout of every message (docs/protocol.md)");
  app.add_flag("--dictionary", dictionary, "Print a dictionary for libFuzzer (fuzz/9p.dict)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  std::ios::sync_with_stdio(false);
  if (layouts) std::cout << ninep::layouts();
  if (dictionary) std::cout << ninep::dictionary();
  bool good = true;
  if (!layouts && !dictionary) {
    if (options.raw) options.dialect = *ninep::dialect_of(dialect);
    good = ninep::dump(options, std::cin, std::cout, std::cerr);
  }
  if (!std::cout.flush()) {
    std::cerr << "9pdump: standard output can't be written\n";
    good = false;
  }
  return good ? 0 : 1;
}
