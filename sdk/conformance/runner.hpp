// SPDX-License-Identifier: Apache-2.0
/** @file runner.hpp Runs each test in a process of its own, so that a crash, a hang or a leak of
 * memory is that test's result and nothing more. */
#pragma once

#include "sdk/conformance/bench.hpp"
#include "sdk/conformance/rule.hpp"

namespace instar::conformance {

struct Limits {
  double time_factor = 1;                     ///< of Rule::seconds
  uint64_t memory_bytes = uint64_t{1} << 30;  ///< resident; more is a failure; 0: no limit
};

/** Tests one rule on one subject. Never throws. */
Outcome run_rule(const Rule& rule, const Settings& settings, const Subject& subject,
                 const Limits& limits);

}  // namespace instar::conformance
