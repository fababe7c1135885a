// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/limits.hpp"

#include <algorithm>
#include <optional>

namespace instar::throttle {

using sdk::cat;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kLargest = 1'000'000'000'000'000;
constexpr const char* kNames[kMeters] = {"bps-total",  "bps-read",  "bps-write",
                                         "iops-total", "iops-read", "iops-write"};

/** The property under its plain name or the one with "limits.", which wins; `out` stays as it is
 * where there is neither. */
Status read_property(const sdk::JsonObject& properties, const std::string& name, uint64_t& out) {
  for (const auto& key : {cat("x-", name), cat("limits.", name)}) {
    if (!properties.find(key)) continue;
    const auto number = properties.number(key);
    if (!number) return fail(EINVAL, "Parameter '", key, "' expects integer");
    out = *number;
  }
  return {};
}

bool in_conflict(const Limits& limits, uint64_t Limit::*value, size_t total) {
  const auto set = [&](size_t meter) { return limits.meters[meter].*value != 0; };
  return set(total) && (set(total + 1) || set(total + 2));
}

Status check_limit(const Limit& limit) {
  if (limit.rate > kLargest || limit.burst_rate > kLargest)
    return fail(EINVAL, "bps/iops/max values must be within [0, ", kLargest, "]");
  if (limit.burst_length == 0) return fail(EINVAL, "the burst length cannot be 0");
  if (limit.burst_length > 1 && limit.burst_rate == 0)
    return fail(EINVAL, "burst length set without burst rate");
  if (limit.burst_rate != 0 && limit.burst_length > kLargest / limit.burst_rate)
    return fail(EINVAL, "burst length too high for this burst rate");
  if (limit.burst_rate != 0 && limit.rate == 0)
    return fail(EINVAL, "bps_max/iops_max require corresponding bps/iops values");
  if (limit.burst_rate != 0 && limit.burst_rate < limit.rate)
    return fail(EINVAL, "bps_max/iops_max cannot be lower than bps/iops");
  return {};
}

Status check(const Limits& limits) {
  for (const size_t total : {size_t{kBpsTotal}, size_t{kIopsTotal}})
    for (const auto value : {&Limit::rate, &Limit::burst_rate})
      if (in_conflict(limits, value, total))
        return fail(EINVAL,
                    "bps/iops/max total values and read/write values cannot be used at the same "
                    "time");
  const auto rate = [&](Meter meter) { return limits.meters[meter].rate; };
  if (limits.request_size != 0 && rate(kIopsTotal) == 0 && rate(kIopsRead) == 0 &&
      rate(kIopsWrite) == 0)
    return fail(EINVAL, "iops size requires an iops value to be set");
  for (const auto& limit : limits.meters)
    INSTAR_CHECK(check_limit(limit));
  return {};
}

}  // namespace

bool Limits::any() const {
  return std::any_of(meters.begin(), meters.end(), [](const Limit& l) { return l.rate != 0; });
}

Result<Limits> parse_limits(const sdk::JsonObject& properties) {
  Limits limits;
  for (size_t i = 0; i < kMeters; ++i) {
    auto& limit = limits.meters[i];
    const std::string name = kNames[i];
    INSTAR_CHECK(read_property(properties, name, limit.rate));
    INSTAR_CHECK(read_property(properties, name + "-max", limit.burst_rate));
    INSTAR_CHECK(read_property(properties, name + "-max-length", limit.burst_length));
  }
  INSTAR_CHECK(read_property(properties, "iops-size", limits.request_size));
  INSTAR_CHECK(check(limits));
  return limits;
}

}  // namespace instar::throttle
