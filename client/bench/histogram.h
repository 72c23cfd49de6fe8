// Latencies in buckets whose width is 1/32 of their value: percentiles to 3 %, in 10 KiB.
#pragma once

#include <algorithm>
#include <array>
#include <bit>

#include "proto/types.h"

namespace ninep::bench {

class Histogram {
 public:
  void add(U64 nanoseconds) {
    ++counts_[bucket(nanoseconds)];
    ++total_;
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }
  U64 total() const { return total_; }

  /// The value that `share` (0 to 1) of the values don't exceed; 0 if there are none.
  U64 percentile(double share) const {
    const U64 wanted = static_cast<U64>(share * static_cast<double>(total_));
    U64 seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > wanted) return middle(i);
    }
    return 0;
  }

 private:
  static constexpr unsigned kFineBits = 5;
  static constexpr U64 kFine = U64{1} << kFineBits;
  static constexpr std::size_t kBuckets = 40 * kFine;  // up to 2^44 ns, which is hours

  static std::size_t bucket(U64 value) {
    if (value < kFine) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kFineBits - 1;
    return std::min<std::size_t>(shift * kFine + (value >> shift), kBuckets - 1);
  }
  static U64 middle(std::size_t bucket) {
    if (bucket < 2 * kFine) return bucket;
    const U64 shift = bucket / kFine - 1;
    return ((bucket % kFine + kFine) << shift) + (U64{1} << shift) / 2;
  }

  std::array<U64, kBuckets> counts_{};
  U64 total_ = 0;
};

}  // namespace ninep::bench
