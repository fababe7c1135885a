// SPDX-License-Identifier: Apache-2.0
#include "core/engine/rate_limit.hpp"

#include <algorithm>
#include <thread>

namespace instar::engine {

void RateLimit::take(const sdk::Call& call, uint64_t bytes) {
  if (rate_ == 0) return;
  // A tenth of a second's worth may pass at once, so that short stalls do not lower the rate.
  constexpr auto kBurst = std::chrono::milliseconds(100);
  constexpr auto kSlice = std::chrono::milliseconds(20);  // how soon a wish to cancel is seen
  Clock::time_point start;
  {
    const std::lock_guard lock(mutex_);
    const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                             static_cast<double>(rate_));
    free_at_ = std::max(free_at_, Clock::now() - kBurst);
    start = free_at_;
    free_at_ += std::chrono::duration_cast<Clock::duration>(cost);
  }
  for (auto now = Clock::now(); now < start && !call.cancelled(); now = Clock::now())
    std::this_thread::sleep_for(std::min<Clock::duration>(kSlice, start - now));
}

}  // namespace instar::engine
