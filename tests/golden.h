// The frames of tests/golden.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "client/dump/frame_line.h"

namespace ninep::test {

struct GoldenFrame {
  std::string file;  // without its folder
  std::size_t line;  // from 1
  FrameLine text;

  Dialects dialect() const { return text.dialect; }
  Bytes bytes() const { return text.frame; }
  std::string where() const { return file + ":" + std::to_string(line); }
};

inline std::filesystem::path golden_folder() {
  return std::filesystem::path(NINEP_SOURCE_DIR) / "tests/golden";
}

inline std::vector<GoldenFrame> golden_file(const std::string& name) {
  std::vector<GoldenFrame> frames;
  std::ifstream in(golden_folder() / name);
  EXPECT_TRUE(in) << name;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    auto frame = parse_frame_line(line);
    EXPECT_TRUE(frame) << name << ":" << number << ": " << frame.error();
    if (frame && *frame) frames.push_back({name, number, **std::move(frame)});
  }
  return frames;
}

/// The .txt files, without quirks.txt, sorted.
inline std::vector<std::string> golden_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".txt") && name != "quirks.txt") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

/// All frames but the quirks.
inline std::vector<GoldenFrame> golden_frames() {
  std::vector<GoldenFrame> frames;
  for (const std::string& name : golden_files())
    for (GoldenFrame& frame : golden_file(name)) frames.push_back(std::move(frame));
  return frames;
}

}  // namespace ninep::test
