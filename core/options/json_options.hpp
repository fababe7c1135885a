// SPDX-License-Identifier: Apache-2.0
/**
 * @file json_options.hpp What to open, as a document: from --image-opts text, from "json:{…}"
 * names, from --object.
 *
 * Two shapes. Flat: one level, dotted keys ("file.filename", "children.0.driver"); what a user says
 * is read into this. Nested: objects and arrays; what is printed. Values from text are strings,
 * values from JSON keep their type. Not for widely included headers: it pulls in Boost.JSON.
 */
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/options/option_table.hpp"

namespace instar::options {

struct ImageOptions {
  boost::json::object flat;
  /** For the user: "short-form boolean option 'x' deprecated" with the hint "Please use x=on
   * instead". */
  std::vector<Error> warnings;
};

/** --image-opts text. Any text is accepted; the last of repeated keys wins. */
ImageOptions read_image_options(std::string_view text);

/**
 * The text behind "json:" as a flat document. Errors: "Could not parse the JSON options: …",
 * "Invalid JSON object given". Where a nested and a dotted key mean the same, the nested one wins.
 */
Result<boost::json::object> read_json_name(std::string_view text);

/** Nested to flat. Empty objects and arrays stay as values. */
boost::json::object flatten(const boost::json::object& nested);

/**
 * Flat to nested: keys 0 … n-1 make an array. "Cannot mix scalar and non-scalar keys" if a key is
 * both a value and a prefix, "Cannot mix list and non-list keys" if numbers and names stand side by
 * side or a number is missing.
 */
Result<boost::json::object> nest(const boost::json::object& flat);

/** Moves the entries whose keys begin with `prefix` ("file.") out, without the prefix. */
boost::json::object take_subtree(boost::json::object& flat, std::string_view prefix);

/**
 * Moves the entries that the table of `bound` knows out of `flat` into it, checked. Objects, arrays
 * and null are left out as unset, enum values are checked too. What remains is for others, or
 * unknown. "NAME.*" in the table is the name, behind "NAME.", of one that is not in the table
 * otherwise.
 */
Status absorb(boost::json::object& flat, BoundOptions& bound);

/** --object and similar: a strict "k=v,a.b=c" text or a JSON object. */
struct KeyvalText {
  boost::json::object nested;
  bool help = false;  ///< "help" or "?" stood among the options
};

/**
 * @param implied_key key of a first value without one ("qom-type"), or "".
 * Errors: "Invalid parameter 'X'", "Expected '=' after parameter 'X'", "Parameters 'X.*' used
 * inconsistently", "Parameter 'X' missing", and those of parse_json.
 */
Result<KeyvalText> read_keyval(std::string_view text, std::string_view implied_key);

}  // namespace instar::options
