#include "client/tool/progress.h"

#include <array>
#include <cstdio>

#include "client/tool/text.h"

namespace ninep::tool {

std::string size_text(double bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s",
                bytes, kUnits[unit]);
  return text.data();
}

std::string time_text(double seconds) {
  const auto all = static_cast<unsigned long>(seconds);
  std::array<char, 48> text;
  if (seconds < 10)
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  else if (all >= 3600)
    std::snprintf(text.data(), text.size(), "%lu:%02lu:%02lu", all / 3600, all / 60 % 60, all % 60);
  else
    std::snprintf(text.data(), text.size(), "%lu:%02lu", all / 60, all % 60);
  return text.data();
}

namespace {
constexpr std::chrono::milliseconds kOnTerminal{200};
constexpr std::chrono::milliseconds kFirstLine{1000};  // the next after twice as long, and so on
constexpr std::chrono::milliseconds kLinesMost{60'000};
}  // namespace

Progress::Progress(Show show)
    : show_(show), pause_(show == Show::kBar ? kOnTerminal : kFirstLine) {}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void Progress::clear() {
  if (line_is_open_) std::fputs("\r\033[K", stderr);
  line_is_open_ = false;
}

void Progress::file_done(const std::string& path) {
  ++files_;
  if (show_ != Show::kFiles) return show();
  named(path);
}

void Progress::named(const std::string& path) {
  if (show_ == Show::kFiles) std::fprintf(stderr, "%s\n", shown(path).c_str());
}

void Progress::removed(const std::string& path) {
  if (show_ == Show::kFiles) std::fprintf(stderr, "removed: %s\n", shown(path).c_str());
}

void Progress::wrong(const client::Error& error) {
  ++errors_;
  clear();
  std::fprintf(stderr, "9p: %s\n", shown(error.text(), kErrorMax).c_str());
}

std::string Progress::line() const {
  const double rate = static_cast<double>(bytes_sent_) / std::max(seconds(), 0.001);
  const U64 left = bytes_found_ - std::min(bytes_, bytes_found_);
  std::string line = std::to_string(files_) + "/" + std::to_string(files_found_) + " files, " +
                     size_text(static_cast<double>(bytes_)) + " of " +
                     size_text(static_cast<double>(bytes_found_)) + ", " + size_text(rate) + "/s";
  if (rate > 0) line += ", " + time_text(static_cast<double>(left) / rate) + " left";
  return line;
}

void Progress::show() {
  const auto now = std::chrono::steady_clock::now();
  if ((show_ != Show::kBar && show_ != Show::kPlain) || now - shown_ < pause_) return;
  shown_ = now;
  if (show_ == Show::kPlain) {
    std::fprintf(stderr, "%s\n", line().c_str());
    pause_ = std::min(pause_ * 2, kLinesMost);
    return;
  }
  std::fprintf(stderr, "\r%s\033[K", line().c_str());
  std::fflush(stderr);
  line_is_open_ = true;
}

void Progress::end() { clear(); }

}  // namespace ninep::tool
