// SPDX-License-Identifier: Apache-2.0
/** @file fields.hpp Members of a document by name and type. One of another type counts as absent.
 */
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

namespace instar::output {

/** An integer, two's complement where it exceeds int64. */
inline std::optional<int64_t> number_in(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  if (const auto* number = value->if_uint64()) return static_cast<int64_t>(*number);
  return std::nullopt;
}

inline int64_t number_or(const boost::json::object& object, std::string_view key,
                         int64_t fallback) {
  return number_in(object, key).value_or(fallback);
}

inline std::optional<std::string_view> text_in(const boost::json::object& object,
                                               std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  const boost::json::string* text = value != nullptr ? value->if_string() : nullptr;
  if (text == nullptr) return std::nullopt;
  return std::string_view(*text);
}

inline bool flag_in(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  const bool* flag = value != nullptr ? value->if_bool() : nullptr;
  return flag != nullptr && *flag;
}

inline const boost::json::array* array_in(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

inline const boost::json::object* object_in(const boost::json::object& object,
                                            std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

}  // namespace instar::output
