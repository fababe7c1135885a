// SPDX-License-Identifier: Apache-2.0
#include "core/options/json_options.hpp"

#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "core/base/strings.hpp"
#include "core/options/json_text.hpp"
#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

void flatten_into(object& flat, const std::string& key, const value& content);

void flatten_object(object& flat, const std::string& prefix, const object& nested) {
  for (const auto& entry : nested)
    flatten_into(flat, prefix + std::string(entry.key()), entry.value());
}

void flatten_into(object& flat, const std::string& key, const value& content) {
  if (const object* inner = content.if_object(); inner != nullptr && !inner->empty()) {
    flatten_object(flat, key + ".", *inner);
  } else if (const array* items = content.if_array(); items != nullptr && !items->empty()) {
    for (size_t i = 0; i < items->size(); i++)
      flatten_into(flat, cat(key, ".", i), (*items)[i]);
  } else {
    flat[key] = content;
  }
}

/** A list index as it is printed: no sign, no leading zero. */
std::optional<size_t> list_index(std::string_view key) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  if (key.size() > 1 && key[0] == '0') return std::nullopt;
  return index;
}

/** Turns objects whose keys are 0 … n-1 into arrays, innermost first. */
Status make_arrays(value& node) {
  object* const members = node.if_object();
  if (members == nullptr) return {};
  size_t numbered = 0;
  for (auto& entry : *members) {
    INSTAR_CHECK(make_arrays(entry.value()));
    if (list_index(entry.key())) numbered++;
  }
  if (numbered == 0) return {};
  array items;
  for (size_t i = 0; i < members->size(); i++) {
    value* const item = members->if_contains(std::to_string(i));
    if (item == nullptr) return fail(EINVAL, "Cannot mix list and non-list keys");
    items.push_back(std::move(*item));
  }
  node = std::move(items);
  return {};
}

/** The object under `key`, made if absent; nullptr if something else stands there. */
object* descend(object& node, std::string_view key) {
  auto [entry, added] = node.emplace(key, object());
  static_cast<void>(added);
  return entry->value().if_object();
}

Status put_nested(object& root, std::string_view key, const value& content) {
  object* node = &root;
  const std::vector<std::string_view> path = base::split(key, '.');
  if (path.size() > kMaxJsonDepth)
    return fail(EINVAL, "Option with more than ", kMaxJsonDepth, " levels");
  for (size_t i = 0; i + 1 < path.size() && node != nullptr; i++)
    node = descend(*node, path[i]);
  if (node == nullptr || !node->emplace(path.back(), content).second)
    return fail(EINVAL, "Cannot mix scalar and non-scalar keys");
  return {};
}

}  // namespace

ImageOptions read_image_options(std::string_view text) {
  ImageOptions result;
  bool first = true;
  for (const OptionText& option : split_options(text)) {
    const bool negated = option.flag && option.value == "off";
    if (std::exchange(first, false) && option.flag && !option.name.empty()) {
      // A bare first word names a node.
      result.flat["file"] = cat(negated ? "no" : "", option.name);
      continue;
    }
    if (option.flag) {
      result.warnings.push_back(
          {0, cat("short-form boolean option '", negated ? "no" : "", option.name, "' deprecated"),
           cat("Please use ", option.name, "=", option.value, " instead")});
    }
    result.flat[option.name] = option.value;
  }
  return result;
}

Result<object> read_json_name(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return fail(EINVAL, "Could not parse the JSON options: ", parsed.error().message);
  const object* nested = parsed->if_object();
  if (nested == nullptr) return fail(EINVAL, "Invalid JSON object given");
  return flatten(*nested);
}

object flatten(const object& nested) {
  object flat;
  for (const auto& entry : nested) {
    if (!entry.value().is_structured()) flat[entry.key()] = entry.value();
  }
  for (const auto& entry : nested) {
    if (entry.value().is_structured()) flatten_into(flat, entry.key(), entry.value());
  }
  return flat;
}

Result<object> nest(const object& flat) {
  object root;
  for (const auto& entry : flat)
    INSTAR_CHECK(put_nested(root, entry.key(), entry.value()));
  for (auto& entry : root)
    INSTAR_CHECK(make_arrays(entry.value()));
  return root;
}

object take_subtree(object& flat, std::string_view prefix) {
  object taken;
  object rest;
  for (auto& entry : flat) {
    const std::string_view key = entry.key();
    if (key.starts_with(prefix)) {
      taken.emplace(key.substr(prefix.size()), std::move(entry.value()));
    } else {
      rest.emplace(key, std::move(entry.value()));
    }
  }
  flat = std::move(rest);
  return taken;
}

namespace {

/** "encrypt.*" for "encrypt.x.y", if the table has it. */
const OptionSpec* find_wildcard(const OptionTable& table, std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  return table.find(cat(name.substr(0, dot), ".*"));
}

}  // namespace

Status absorb(object& flat, BoundOptions& bound) {
  object rest;
  for (const auto* entry : in_printed_order(flat)) {
    const OptionSpec* spec = bound.table().find(entry->key());
    if (const auto* others = find_wildcard(bound.table(), entry->key());
        spec == nullptr && others != nullptr) {
      const std::string_view name = entry->key();
      INSTAR_CHECK(bound.set(others->name, name.substr(others->name.size() - 1)));
      continue;
    }
    if (spec == nullptr || entry->value().is_structured() || entry->value().is_null()) continue;
    const std::string text = scalar_text(entry->value());
    INSTAR_CHECK(check_enum_value(*spec, text));
    INSTAR_CHECK(bound.set(spec->name, text));
  }
  for (auto& entry : flat) {
    if (bound.table().find(entry.key()) == nullptr &&
        find_wildcard(bound.table(), entry.key()) == nullptr)
      rest.emplace(entry.key(), std::move(entry.value()));
  }
  flat = std::move(rest);
  return {};
}

}  // namespace instar::options
