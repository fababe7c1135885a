// SPDX-License-Identifier: Apache-2.0
/**
 * @file document.hpp Prints what commands found out: one document, from which both JSON and human
 * text come.
 *
 * The document is the JSON that --output=json prints. Keys that human text needs and that are
 * absent count as not there; a value of the wrong type too: the documents come from plugins. Not
 * for widely included headers: Boost.JSON.
 */
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::output {

enum class Style { kHuman, kJson };

/** Reads a document; strings may hold bytes that are no UTF-8 (file names). Errors give the place.
 */
Result<boost::json::value> read_document(std::string_view json);

/**
 * A whole document as text. Kinds with human text of their own: "image-info" (object, or array for
 * a chain), "check", "check-chain", "measure", "dry-run", "snapshots" (array); every other kind is printed as JSON in both
 * styles.
 */
std::string document_text(std::string_view kind, const boost::json::value& document, Style style);

/** Pretty JSON and a newline. */
std::string json_text(const boost::json::value& document);

/** One image as info prints it. */
void append_image_info(std::string& out, const boost::json::object& info);

/** "Snapshot list:" and the table; nothing for no snapshots. Times are local (TZ). */
void append_snapshot_table(std::string& out, const boost::json::array& snapshots, size_t indent);

/** "Format specific information:" style: a key a line, nested ones indented by 4, list items as
 * "[0]:". */
void append_tree(std::string& out, const boost::json::value& tree, size_t indent);

/** What check prints of its result, the text about repairs in front if anything was repaired. */
std::string check_text(const boost::json::object& result);

/** The same for a chain: "images", each as check_text takes it, and "chain-errors". */
std::string chain_text(const boost::json::object& result);

/** "required size: …", "fully allocated size: …" and, if given, "bitmaps size: …". */
std::string measure_text(const boost::json::object& result);

}  // namespace instar::output
