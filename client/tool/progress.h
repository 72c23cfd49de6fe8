// What a copy has done so far, and how people are told.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "client/error.h"
#include "proto/types.h"

namespace ninep::tool {

/// Counts; and says so: on a terminal in one line that is written again and again, otherwise in
/// plain lines, ever more rarely. On one thread.
class Progress {
 public:
  enum class Show { kNothing, kBar, kPlain, kFiles };
  explicit Progress(Show show);

  void found(U64 bytes) {
    ++files_found_;
    bytes_found_ += bytes;
  }
  /// Of a file that is under way; `sent`: over a connection, else it was there or is a hole.
  void did(U64 bytes, bool sent) {
    bytes_ += bytes;
    if (sent) bytes_sent_ += bytes;
    show();
  }
  void file_done(const std::string& path);
  /// Of a dry run: what would be made or changed, and counts as no file that was copied.
  void named(const std::string& path);
  /// Of the target.
  void removed(const std::string& path);
  void skipped(U64 bytes) {
    ++files_;
    ++files_skipped_;
    bytes_ += bytes;
  }
  void wrong(const client::Error& error);
  /// What has no end isn't done to its end: the first error of that kind is told.
  void give_up(const client::Error& error) {
    if (!std::exchange(has_given_up_, true)) wrong(error);
  }
  bool has_given_up() const { return has_given_up_; }

  U64 errors() const { return errors_; }
  U64 files() const { return files_; }
  U64 files_skipped() const { return files_skipped_; }
  U64 bytes() const { return bytes_; }
  U64 bytes_sent() const { return bytes_sent_; }
  double seconds() const;
  /// Ends the line.
  void end();

 private:
  void show();
  std::string line() const;
  void clear();

  const Show show_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
  std::chrono::milliseconds pause_;
  U64 files_found_ = 0, files_ = 0, files_skipped_ = 0;
  U64 bytes_found_ = 0, bytes_ = 0, bytes_sent_ = 0;
  U64 errors_ = 0;
  bool line_is_open_ = false;
  bool has_given_up_ = false;
};

/// "12.3 MB", by powers of 1,000.
std::string size_text(double bytes);
/// "0.4 s", "3:07", "1:02:03".
std::string time_text(double seconds);

}  // namespace ninep::tool
