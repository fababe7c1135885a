// SPDX-License-Identifier: Apache-2.0
/** @file rate_limit.hpp Bytes a second, shared by all workers of a job. */
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "sdk/cpp/call.hpp"

namespace instar::engine {

class RateLimit {
 public:
  /** @param rate bytes a second; 0 = no limit. */
  explicit RateLimit(uint64_t rate) : rate_(rate) {}

  /** Waits until `bytes` more may be moved, or the call is cancelled. [any] */
  void take(const sdk::Call& call, uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  const uint64_t rate_;
  std::mutex mutex_;
  Clock::time_point free_at_{};  ///< when what was granted so far will have passed
};

}  // namespace instar::engine
