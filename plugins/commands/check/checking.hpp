// SPDX-License-Identifier: Apache-2.0
/** @file checking.hpp What the check of one image and that of a chain share. [main] */
#pragma once

#include <string>
#include <string_view>

#include "sdk/abi/check.h"
#include "sdk/cpp/command.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::check {

enum ExitStatus { kGood = 0, kFailed = 1, kCorrupt = 2, kLeaks = 3, kUnsupported = 63 };

/**
 * Runs the check of `node`, ENOTSUP if it has none. What it finds goes to stderr.
 * @param fix enum instar_check_fix bits
 * @param prefix begins each of the lines
 */
sdk::Status check_once(const sdk::CommandContext& context, const sdk::NodeRef& node, uint32_t fix,
                       std::string_view prefix, instar_check_result* result);

/** The counters as fields of a document; zeroes are left out. */
void add_counters(sdk::JsonWriter& json, const instar_check_result& result);

/** The exit status of a check that was carried out. */
ExitStatus status_of(const instar_check_result& result);

}  // namespace instar::check
