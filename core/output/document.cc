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

/** What a command would do: its document as a tree. */
std::string dry_run_text(object document) {
  const std::string command(text_in(document, "command").value_or(""));
  document.erase("command");
  document.erase("dry-run");
  std::string text = cat("Nothing was changed. ", command, " would do this:\n");
  append_tree(text, document, 1);
  return text;
}

std::string human_text(std::string_view kind, const value& document) {
  if (kind == "image-info") return image_info_text(document);
  if (kind == "check" && document.is_object()) return check_text(document.get_object());
  if (kind == "check-chain" && document.is_object()) return chain_text(document.get_object());
  if (kind == "dry-run" && document.is_object()) return dry_run_text(document.get_object());
  if (kind == "measure" && document.is_object()) return measure_text(document.get_object());
  if (kind == "snapshots" && document.is_array()) {
    std::string text;
    append_snapshot_table(text, document.get_array(), 0);
    return text;
  }
  return json_text(document);
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
