// SPDX-License-Identifier: Apache-2.0
/** @file json_writer.hpp Writes JSON text. For descriptions that cross the boundary; keys keep the
 * order written. */
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace instar::sdk {

/**
 * JsonWriter json; json.begin_object().field("type",
 * "acme").key("data").begin_object()…end_object().end_object(); Commas are placed by the writer.
 * Text is expected to be UTF-8 and is passed on as it is.
 */
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
    first_ = true;
    return *this;
  }
  JsonWriter& value(std::string_view text) {
    separate();
    quote(text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  template <class T>
  requires std::is_arithmetic_v<T> JsonWriter& value(T number) {
    separate();
    if constexpr (std::is_same_v<T, bool>)
      text_ += number ? "true" : "false";
    else
      text_ += std::to_string(number);
    return *this;
  }
  JsonWriter& null() { return raw("null"); }
  /** A value that is JSON text already. */
  JsonWriter& raw(std::string_view json) {
    separate();
    text_ += json;
    return *this;
  }
  template <class T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  const std::string& text() const { return text_; }

 private:
  JsonWriter& open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }
  void separate() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  void quote(std::string_view text) {
    text_ += '"';
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (byte < 0x20) {
        constexpr char kDigits[] = "0123456789abcdef";
        text_ += "\\u00";
        text_ += kDigits[byte >> 4];
        text_ += kDigits[byte & 15];
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace instar::sdk
