// Finally: does something at the end of its scope, however that comes.
#pragma once

#include <utility>

namespace ninep::client {

template <class What>
class Finally {
 public:
  explicit Finally(What what) : what_(std::move(what)) {}
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;
  ~Finally() { what_(); }

 private:
  const What what_;
};

}  // namespace ninep::client
