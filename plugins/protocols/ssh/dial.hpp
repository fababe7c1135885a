// SPDX-License-Identifier: Apache-2.0
/** @file dial.hpp A TCP connection to the server. */
#pragma once

#include "plugins/protocols/ssh/place.hpp"
#include "plugins/protocols/ssh/watchdog.hpp"

namespace instar::ssh {

/** A connected socket that blocks, which the caller owns. Ends with an error at the deadline, or soon
 * when the call is cancelled. */
sdk::Result<int> dial(const sdk::Call& call, const Place& place, Clock::time_point deadline);

}  // namespace instar::ssh
