// Budget: memory for what servers tell of their trees, which may be without end.
//
// One thread.
#pragma once

#include <cstddef>
#include <utility>

namespace ninep::tool {

class Budget {
 public:
  static constexpr std::size_t kMost = 256 << 20;  // bytes
  /// About what a directory needs that something is done in, its names and its path apart.
  static constexpr std::size_t kLevel = 16 << 10;

  /// Some of it, until it goes.
  class Share {
   public:
    explicit Share(Budget& budget) : budget_(&budget) {}
    Share(Share&& other) noexcept
        : budget_(other.budget_), size_(std::exchange(other.size_, std::size_t{0})) {}
    Share& operator=(Share&&) = delete;
    ~Share() { budget_->used_ -= size_; }

    /// `size` bytes more; false: there are no more.
    bool take(std::size_t size) {
      if (size > kMost - budget_->used_) return false;
      budget_->used_ += size;
      size_ += size;
      return true;
    }

   private:
    Budget* budget_;
    std::size_t size_ = 0;
  };

  Budget() = default;
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

 private:
  std::size_t used_ = 0;
};

}  // namespace ninep::tool
