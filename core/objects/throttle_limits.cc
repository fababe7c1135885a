// SPDX-License-Identifier: Apache-2.0
#include "core/objects/throttle_limits.hpp"

#include <cstdint>
#include <cstdlib>

namespace instar::objects {

namespace {

constexpr int64_t kMost = 1000000000000000;

using Properties = std::map<std::string, std::string>;

int64_t limit(const Properties& properties, const std::string& name, int64_t otherwise = 0) {
  for (const char* prefix : {"limits.", "x-"})
    if (const auto found = properties.find(prefix + name); found != properties.end())
      return std::strtoll(found->second.c_str(), nullptr, 0);
  return otherwise;
}

/** What a "leaky bucket" is filled by: a rate, a burst above it, and how long that may last. */
Status check_bucket(int64_t rate, int64_t burst, int64_t length) {
  if (rate < 0 || burst < 0 || rate > kMost || burst > kMost)
    return fail(EINVAL, "bps/iops/max values must be within [0, ", kMost, "]");
  if (length == 0) return fail(EINVAL, "the burst length cannot be 0");
  if (length > 1 && burst == 0) return fail(EINVAL, "burst length set without burst rate");
  if (burst != 0 && length > kMost / burst)
    return fail(EINVAL, "burst length too high for this burst rate");
  if (burst != 0 && rate == 0)
    return fail(EINVAL, "bps_max/iops_max require corresponding bps/iops values");
  if (burst != 0 && burst < rate)
    return fail(EINVAL, "bps_max/iops_max cannot be lower than bps/iops");
  return {};
}

}  // namespace

Status check_throttle_limits(const Properties& properties) {
  const auto given = [&](const std::string& name) { return limit(properties, name) != 0; };
  for (const std::string suffix : {"", "-max"})
    for (const std::string unit : {"bps", "iops"})
      if (given(cat(unit, "-total", suffix)) &&
          (given(cat(unit, "-read", suffix)) || given(cat(unit, "-write", suffix))))
        return fail(EINVAL,
                    "bps/iops/max total values and read/write values cannot be used at the same "
                    "time");
  if (given("iops-size") && !given("iops-total") && !given("iops-read") && !given("iops-write"))
    return fail(EINVAL, "iops size requires an iops value to be set");
  for (const std::string unit : {"bps", "iops"})
    for (const char* direction : {"-total", "-read", "-write"}) {
      const std::string name = unit + direction;
      INSTAR_CHECK(check_bucket(limit(properties, name), limit(properties, name + "-max"),
                                limit(properties, name + "-max-length", 1)));
    }
  return {};
}

}  // namespace instar::objects
