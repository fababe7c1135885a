// SPDX-License-Identifier: Apache-2.0
/** @file limits.hpp The limits of a throttle-group object. */
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::throttle {

/** What is counted: bytes or requests, of all, of reads or of writes. */
enum Meter : size_t { kBpsTotal, kBpsRead, kBpsWrite, kIopsTotal, kIopsRead, kIopsWrite, kMeters };

/** The limit of one meter, in bytes or requests a second. */
struct Limit {
  uint64_t rate = 0;          ///< 0: none
  uint64_t burst_rate = 0;    ///< 0: a tenth of a second's worth may come at once
  uint64_t burst_length = 1;  ///< seconds that burst_rate may last
};

struct Limits {
  std::array<Limit, kMeters> meters;
  uint64_t request_size = 0;  ///< a larger request counts as several; 0: as one

  bool any() const;
};

/**
 * Reads the properties of an object: "limits.bps-total" or "x-bps-total", with "-max" and
 * "-max-length", and "iops-size". Combinations that make no sense are errors in QEMU's words.
 */
sdk::Result<Limits> parse_limits(const sdk::JsonObject& properties);

}  // namespace instar::throttle
