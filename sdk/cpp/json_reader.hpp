// SPDX-License-Identifier: Apache-2.0
/**
 * @file json_reader.hpp
 * Reads JSON objects that the host or another driver made: a member at a time, without building a
 * tree. The text has to outlive the reader.
 */
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace instar::sdk {

/**
 * JsonObject object(text); if (auto size = object.number("size")) …
 * Ends quietly (nothing is found) where the text is not JSON. Nested objects are reached by
 * object("name").
 */
class JsonObject {
 public:
  explicit JsonObject(std::string_view text) : text_(text) {}

  /** Calls each(name, value as JSON text) for the members, in their order, until it returns true. */
  template <class Each>
  void each_member(Each each) const {
    size_t at = skip_space(0);
    if (at >= text_.size() || text_[at] != '{') return;
    for (at = skip_space(at + 1); at < text_.size() && text_[at] == '"';) {
      const size_t name_end = skip_value(at);
      const size_t colon = skip_space(name_end);
      if (colon >= text_.size() || text_[colon] != ':') return;
      const size_t value = skip_space(colon + 1);
      const size_t value_end = skip_value(value);
      if (value_end <= value) return;
      if (each(decode(text_.substr(at, name_end - at)), text_.substr(value, value_end - value)))
        return;
      at = skip_space(value_end);
      if (at >= text_.size() || text_[at] != ',') return;
      at = skip_space(at + 1);
    }
  }
  /** The member's value as JSON text. */
  std::optional<std::string_view> find(std::string_view name) const {
    std::optional<std::string_view> found;
    each_member([&](std::string_view member, std::string_view value) {
      if (member != name) return false;
      found = value;
      return true;
    });
    return found;
  }
  std::optional<bool> boolean(std::string_view name) const {
    const auto value = find(name);
    if (value == "true") return true;
    if (value == "false") return false;
    return std::nullopt;
  }
  /** A number that is not negative, without a fraction; also one that stands in quotes. */
  std::optional<uint64_t> number(std::string_view name) const {
    const auto value = find(name);
    if (!value) return std::nullopt;
    const std::string digits = value->starts_with('"') ? decode(*value) : std::string(*value);
    uint64_t result = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), result);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
      return std::nullopt;
    return result;
  }
  std::optional<std::string> string(std::string_view name) const {
    const auto value = find(name);
    if (!value || !value->starts_with('"')) return std::nullopt;
    return decode(*value);
  }
  /** Calls each(JSON text of an item) for the items of the array `json`. */
  template <class Each>
  static void each_item(std::string_view json, Each each) {
    const JsonObject array(json);
    size_t at = array.skip_space(0);
    if (at >= json.size() || json[at] != '[') return;
    for (at = array.skip_space(at + 1); at < json.size() && json[at] != ']';) {
      const size_t end = array.skip_value(at);
      if (end <= at) return;
      each(json.substr(at, end - at));
      at = array.skip_space(end);
      if (at >= json.size() || json[at] != ',') return;
      at = array.skip_space(at + 1);
    }
  }
  /** The text that a JSON string stands for; "" for anything else. */
  static std::string text_of(std::string_view json) {
    return json.starts_with('"') ? decode(json) : std::string();
  }
  std::string_view json() const { return text_; }
  /** An empty object where there is none. */
  JsonObject object(std::string_view name) const { return JsonObject(find(name).value_or("{}")); }

 private:
  size_t skip_space(size_t at) const {
    while (at < text_.size() && std::string_view(" \t\r\n").find(text_[at]) != text_.npos)
      ++at;
    return at;
  }
  /** Behind the value that begins at `at`. */
  size_t skip_value(size_t at) const {
    size_t depth = 0;
    while (at < text_.size()) {
      const char c = text_[at];
      if (c == '"') {
        at = skip_string(at);
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return at;
        --depth;
        ++at;
      } else if (depth == 0 && (c == ',' || c == ':' || skip_space(at) != at)) {
        return at;
      } else {
        ++at;
        continue;
      }
      if (depth == 0) return at;
    }
    return at;
  }
  size_t skip_string(size_t at) const {
    for (++at; at < text_.size() && text_[at] != '"'; ++at)
      if (text_[at] == '\\') ++at;
    return at < text_.size() ? at + 1 : text_.size();
  }
  static std::string decode(std::string_view quoted) {
    std::string out;
    if (quoted.size() < 2 || quoted.back() != '"') return out;
    quoted = quoted.substr(1, quoted.size() - 2);
    for (size_t i = 0; i < quoted.size(); ++i) {
      if (quoted[i] != '\\' || i + 1 == quoted.size()) {
        out += quoted[i];
        continue;
      }
      const char c = quoted[++i];
      if (c == 'u') {
        append_code_point(out, hex4(quoted.substr(i + 1)));
        i += 4;
      } else {
        constexpr std::string_view kFrom = "nrtbf", kTo = "\n\r\t\b\f";
        const size_t known = kFrom.find(c);
        out += known != kFrom.npos ? kTo[known] : c;
      }
    }
    return out;
  }
  static uint32_t hex4(std::string_view digits) {
    uint32_t value = 0;
    digits = digits.substr(0, 4);
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
  }
  static void append_code_point(std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3f));
    } else {
      out += static_cast<char>(0xe0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (code & 0x3f));
    }
  }

  std::string_view text_;
};

}  // namespace instar::sdk
