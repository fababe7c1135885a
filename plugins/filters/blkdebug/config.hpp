// SPDX-License-Identifier: Apache-2.0
/** @file config.hpp Where rules stand: a file of sections, and the node's options. */
#pragma once

#include <string>
#include <string_view>

#include "plugins/filters/blkdebug/rules.hpp"
#include "sdk/cpp/options.hpp"

namespace instar::blkdebug {

/**
 * Adds the sections of a file's text:
 *     [inject-error]            or [inject-error "ID"]; an ID may not come twice
 *     event = "read_aio"        quotes are needed; a value without them counts as empty
 * Lines that begin with '#' and empty lines are passed over.
 */
sdk::Status parse_config(std::string_view text, Sections& out);

/** Reads a file for parse_config. */
sdk::Result<std::string> read_config(const std::string& path);

/** Adds "inject-error.0.event" and so on, or without a number for a single rule. */
sdk::Status read_options(const sdk::Options& options, Sections& out);

}  // namespace instar::blkdebug
