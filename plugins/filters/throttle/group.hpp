// SPDX-License-Identifier: Apache-2.0
/** @file group.hpp Leaky buckets, shared by all nodes that name the same throttle group. */
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "plugins/filters/throttle/limits.hpp"

namespace instar::throttle {

enum class Direction { kRead, kWrite };

/** Thread-safe. Time is given by the caller. */
class Group {
 public:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  explicit Group(const Limits& limits) : limits_(limits) {}

  /** Counts a request and says how long it has to wait. Requests are served in the order of their
   * calls. */
  Seconds admit(Direction direction, uint64_t bytes, Clock::time_point now);

  const Limits& limits() const { return limits_; }

 private:
  /** Level above empty, and that of the shorter bucket that keeps bursts at their rate. */
  struct Bucket {
    double level = 0;
    double burst_level = 0;
  };

  void leak(Clock::time_point now);
  double units(size_t meter, uint64_t bytes) const;

  const Limits limits_;
  std::mutex mutex_;
  std::array<Bucket, kMeters> buckets_;
  Clock::time_point last_{};
};

/** The group of that id, made when nobody has it open. */
std::shared_ptr<Group> shared_group(const std::string& id, const Limits& limits);

}  // namespace instar::throttle
