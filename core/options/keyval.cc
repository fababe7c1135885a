// SPDX-License-Identifier: Apache-2.0
// The strict key=value text of --object: no flags, keys of letters, dotted keys nest.
#include <cctype>
#include <optional>
#include <utility>

#include "core/base/strings.hpp"
#include "core/options/json_options.hpp"
#include "core/options/json_text.hpp"
#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr size_t kMaxFragment = 127;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name(std::string_view fragment) {
  if (fragment.empty() || !is_letter(fragment[0])) return false;
  for (const char c : fragment) {
    if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_') return false;
  }
  return true;
}

bool is_index(std::string_view fragment) {
  if (fragment.empty() || fragment.size() > 9) return false;
  for (const char c : fragment) {
    if (!is_digit(c)) return false;
  }
  return true;
}

bool is_help(std::string_view word) {
  return word == "help" || word == "?";
}

Error inconsistent(std::string_view key) {
  return fail(EINVAL, "Parameters '", key, ".*' used inconsistently");
}

/** Sets a dotted key. Each fragment but the first may be a list index. */
Status put(object& root, std::string_view key, std::string_view text) {
  object* node = &root;
  size_t start = 0;
  for (const std::string_view fragment : base::split(key, '.')) {
    const bool first = start == 0;
    const bool last = start + fragment.size() == key.size();
    if (!is_name(fragment) && (first || !is_index(fragment)))
      return fail(EINVAL, "Invalid parameter '", key, "'");
    if (fragment.size() > kMaxFragment)
      return fail(EINVAL, "Parameter", first ? "" : " fragment", " '", fragment, "' is too long");
    start += fragment.size() + 1;
    value& place = (*node)[fragment];
    const bool fits = place.is_null() || (last ? place.is_string() : place.is_object());
    if (!fits) return inconsistent(key.substr(0, start - 1));
    if (last) {
      place = boost::json::string(text);
    } else {
      if (place.is_null()) place = object();
      node = &place.get_object();
    }
  }
  return {};
}

/** Turns objects with index keys into arrays, innermost first. `key` is the dotted key of `node`,
 * for messages. */
Status make_arrays(value& node, const std::string& key) {
  object* const members = node.if_object();
  if (members == nullptr) return {};
  size_t indices = 0;
  for (auto& entry : *members) {
    INSTAR_CHECK(make_arrays(entry.value(), cat(key, ".", std::string_view(entry.key()))));
    if (is_index(entry.key())) indices++;
  }
  if (indices == 0) return {};
  if (indices != members->size()) return inconsistent(key);
  array items;
  for (size_t i = 0; i < indices; i++) {
    value* const item = members->if_contains(std::to_string(i));
    if (item == nullptr) return fail(EINVAL, "Parameter '", key, ".", i, "' missing");
    items.push_back(std::move(*item));
  }
  node = std::move(items);
  return {};
}

Result<KeyvalText> read_json_object(std::string_view text) {
  INSTAR_TRY(value parsed, parse_json(text));
  KeyvalText result;
  if (!parsed.is_object()) return fail(EINVAL, "Invalid JSON object given");
  result.nested = std::move(parsed.get_object());
  return result;
}

}  // namespace

Result<KeyvalText> read_keyval(std::string_view text, std::string_view implied_key) {
  if (text.starts_with('{')) return read_json_object(text);
  KeyvalText result;
  for (bool first = true; !text.empty(); first = false) {
    std::string_view key = text.substr(0, text.find_first_of("=,"));
    const bool has_value = key.size() < text.size() && text[key.size()] == '=';
    if (!has_value && is_help(key)) {
      result.help = true;
      text.remove_prefix(key.size());
    } else if (!has_value && first && !implied_key.empty() && !key.empty()) {
      INSTAR_CHECK(put(result.nested, implied_key, key));  // commas can't be doubled here
      text.remove_prefix(key.size());
    } else if (!has_value) {
      object scratch;
      INSTAR_CHECK(put(scratch, key, ""));  // a malformed key is named as such
      return fail(EINVAL, "Expected '=' after parameter '", key, "'");
    } else {
      text.remove_prefix(key.size() + 1);
      INSTAR_CHECK(put(result.nested, key, take_option_value(text)));
    }
    if (!text.empty()) text.remove_prefix(1);
  }
  for (auto& entry : result.nested)
    INSTAR_CHECK(make_arrays(entry.value(), std::string(entry.key())));
  return result;
}

}  // namespace instar::options
