// SPDX-License-Identifier: Apache-2.0
#include "core/output/document.hpp"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "core/base/strings.hpp"
#include "core/options/json_text.hpp"
#include "core/output/fields.hpp"

namespace instar::output {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr size_t kMaxDepth = 1024;

/**
 * The key "children" shares its place in the printed order with "backing-filename-format"; what was
 * inserted last comes first, and in QEMU that is "children".
 */
void put_children_last(value& node) {
  if (array* items = node.if_array()) {
    for (value& item : *items)
      put_children_last(item);
  }
  object* members = node.if_object();
  if (members == nullptr) return;
  for (auto& entry : *members)
    put_children_last(entry.value());
  value* children = members->if_contains("children");
  if (children == nullptr) return;
  value moved = std::move(*children);
  members->erase("children");
  members->emplace("children", std::move(moved));
}

std::string image_info_text(const value& document) {
  std::string text;
  if (const object* info = document.if_object()) append_image_info(text, *info);
  const array* chain = document.if_array();
  if (chain == nullptr) return text;
  for (const value& info : *chain) {
    if (!text.empty()) text += '\n';
    if (info.is_object()) append_image_info(text, info.get_object());
  }
  return text;
}

std::string human_text(std::string_view kind, const value& document) {
  if (kind == "image-info") return image_info_text(document);
  if (kind == "check" && document.is_object()) return check_text(document.get_object());
  if (kind == "measure" && document.is_object()) return measure_text(document.get_object());
  if (kind == "snapshots" && document.is_array()) {
    std::string text;
    append_snapshot_table(text, document.get_array(), 0);
    return text;
  }
  return json_text(document);
}

void append_count_line(std::string& out, std::string_view before, int64_t count,
                       std::string_view after) {
  out += before;
  base::append_decimal(out, count);
  out += after;
}

void append_percent(std::string& out, int64_t part, int64_t whole, std::string_view after) {
  base::append_fixed(out, static_cast<double>(part) * 100.0 / static_cast<double>(whole), 2);
  out += after;
}

void append_findings(std::string& out, const object& result) {
  const int64_t corruptions = number_or(result, "corruptions", 0);
  const int64_t leaks = number_or(result, "leaks", 0);
  const int64_t errors = number_or(result, "check-errors", 0);
  if (corruptions == 0 && leaks == 0 && errors == 0) {
    out += "No errors were found on the image.\n";
    return;
  }
  if (corruptions != 0)
    append_count_line(out, "\n", corruptions,
                      " errors were found on the image.\nData may be corrupted, or further writes "
                      "to the image may corrupt it.\n");
  if (leaks != 0)
    append_count_line(out, "\n", leaks,
                      " leaked clusters were found on the image.\nThis means waste of disk space, "
                      "but no harm to data.\n");
  if (errors != 0)
    append_count_line(out, "\n", errors, " internal errors have occurred during the check.\n");
}

}  // namespace

Result<value> read_document(std::string_view json) {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  options.allow_invalid_utf8 = true;
  boost::json::error_code error;
  value document = boost::json::parse({json.data(), json.size()}, error, {}, options);
  if (error) return fail(EINVAL, "Could not read a result document: ", error.message());
  return document;
}

std::string json_text(const value& document) {
  std::string text;
  options::append_pretty_json(text, document);
  text += '\n';
  return text;
}

std::string document_text(std::string_view kind, const value& document, Style style) {
  if (style == Style::kHuman) return human_text(kind, document);
  if (kind != "image-info") return json_text(document);
  value ordered = document;
  put_children_last(ordered);
  return json_text(ordered);
}

std::string check_text(const object& result) {
  std::string out;
  append_findings(out, result);
  const int64_t total = number_or(result, "total-clusters", 0);
  const int64_t allocated = number_or(result, "allocated-clusters", 0);
  if (total != 0 && allocated != 0) {
    append_count_line(out, "", allocated, "/");
    append_count_line(out, "", total, " = ");
    append_percent(out, allocated, total, "% allocated, ");
    append_percent(out, number_or(result, "fragmented-clusters", 0), allocated, "% fragmented, ");
    append_percent(out, number_or(result, "compressed-clusters", 0), allocated,
                   "% compressed clusters\n");
  }
  const int64_t end = number_or(result, "image-end-offset", 0);
  if (end != 0) append_count_line(out, "Image end offset: ", end, "\n");
  return out;
}

std::string measure_text(const object& result) {
  std::string out;
  constexpr std::array<std::array<const char*, 2>, 3> kLines{
      {{"required", "required size: "},
       {"fully-allocated", "fully allocated size: "},
       {"bitmaps", "bitmaps size: "}}};
  for (const auto& [key, label] : kLines)
    if (const auto* bytes = result.if_contains(key))
      out += cat(label, boost::json::serialize(*bytes), "\n");
  return out;
}

}  // namespace instar::output
