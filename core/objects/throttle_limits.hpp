// SPDX-License-Identifier: Apache-2.0
/** @file throttle_limits.hpp Which limits of a throttle group make sense together. */
#pragma once

#include <map>
#include <string>

#include "core/base/result.hpp"

namespace instar::objects {

/** Properties by name ("x-bps-total" or "limits.bps-total"), integers already; errors in QEMU's
 * wording. */
Status check_throttle_limits(const std::map<std::string, std::string>& properties);

}  // namespace instar::objects
