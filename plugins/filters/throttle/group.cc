// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/group.hpp"

#include <algorithm>
#include <map>

namespace instar::throttle {

namespace {

/** Without a burst rate, and for the burst rate itself, a tenth of a second's worth is let through.
 */
constexpr double kSlack = 0.1;

/** Seconds until the bucket has leaked down to its brim. */
double overflow(double level, double brim, uint64_t rate) {
  return level > brim ? (level - brim) / static_cast<double>(rate) : 0;
}

}  // namespace

void Group::leak(Clock::time_point now) {
  const double passed = std::max(0.0, Seconds(now - last_).count());
  last_ = std::max(last_, now);
  for (size_t i = 0; i < kMeters; ++i) {
    auto& bucket = buckets_[i];
    const auto& limit = limits_.meters[i];
    bucket.level = std::max(0.0, bucket.level - static_cast<double>(limit.rate) * passed);
    bucket.burst_level =
        std::max(0.0, bucket.burst_level - static_cast<double>(limit.burst_rate) * passed);
  }
}

double Group::units(size_t meter, uint64_t bytes) const {
  if (meter < kIopsTotal) return static_cast<double>(bytes);
  if (limits_.request_size == 0 || bytes <= limits_.request_size) return 1;
  return static_cast<double>(bytes) / static_cast<double>(limits_.request_size);
}

Group::Seconds Group::admit(Direction direction, uint64_t bytes, Clock::time_point now) {
  const size_t own = direction == Direction::kRead ? 1 : 2;
  const std::lock_guard lock(mutex_);
  leak(now);
  double wait = 0;
  for (const size_t meter :
       {size_t{kBpsTotal}, kBpsTotal + own, size_t{kIopsTotal}, kIopsTotal + own}) {
    const auto& limit = limits_.meters[meter];
    if (limit.rate == 0) continue;
    auto& bucket = buckets_[meter];
    const double brim = limit.burst_rate != 0 ? static_cast<double>(limit.burst_rate) *
                                                    static_cast<double>(limit.burst_length)
                                              : static_cast<double>(limit.rate) * kSlack;
    wait = std::max(wait, overflow(bucket.level, brim, limit.rate));
    if (limit.burst_length > 1)
      wait = std::max(wait,
                      overflow(bucket.burst_level, static_cast<double>(limit.burst_rate) * kSlack,
                               limit.burst_rate));
    // Counted now, although it starts later: whoever comes next waits behind it.
    bucket.level += units(meter, bytes);
    bucket.burst_level += units(meter, bytes);
  }
  return Seconds(wait);
}

std::shared_ptr<Group> shared_group(const std::string& id, const Limits& limits) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Group>> groups;
  const std::lock_guard lock(mutex);
  auto& known = groups[id];
  auto group = known.lock();
  if (group == nullptr) known = group = std::make_shared<Group>(limits);
  return group;
}

}  // namespace instar::throttle
