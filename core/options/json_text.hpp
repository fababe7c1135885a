// SPDX-License-Identifier: Apache-2.0
/**
 * @file json_text.hpp JSON as QEMU reads and prints it.
 *
 * Reading takes two liberties that scripts use: strings in single quotes, and nothing else.
 * Printing orders the keys of an object by a hash, which users' golden files depend on. Not for
 * widely included headers: it pulls in Boost.JSON.
 */
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace instar::options {

/** Objects and arrays deeper than this are refused: "JSON nesting depth limit exceeded". */
constexpr int kMaxJsonDepth = 1024;

/**
 * Exactly one value. Messages are QEMU's: "JSON parse error, invalid keyword 'x'", "Expecting a
 * JSON value", … Duplicate keys are refused. Integers become int64, else uint64, else double.
 */
Result<boost::json::value> parse_json(std::string_view text);

/** The same for what a driver tells of itself: names in it may be no UTF-8. */
Result<boost::json::value> parse_driver_json(std::string_view text);

/** The place of a key in printed objects: lower buckets come first. */
uint32_t key_bucket(std::string_view key);

/** The entries in printed order; of those in one bucket the one that was inserted last comes first.
 */
std::vector<const boost::json::key_value_pair*> in_printed_order(const boost::json::object& object);

/** Indented by 4 per level, a value or key a line, no newline at the end. */
void append_pretty_json(std::string& out, const boost::json::value& value);

/** One line: {"driver": "raw", "file": {…}}. The form inside "json:{…}" file names. */
void append_compact_json(std::string& out, const boost::json::value& value);
std::string compact_json(const boost::json::value& value);

/** In quotes; what is not printable ASCII becomes \uXXXX. */
void append_json_string(std::string& out, std::string_view text);

/** A scalar as QEMU turns it into an option's text: true = "on", numbers as printed, strings as
 * they are. */
std::string scalar_text(const boost::json::value& value);

}  // namespace instar::options
