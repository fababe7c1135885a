// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "core/base/strings.hpp"
#include "core/base/utf8.hpp"
#include "core/options/json_text.hpp"

namespace instar::options {
namespace {

constexpr uint32_t kBuckets = 512;
constexpr size_t kIndent = 4;
constexpr int32_t kReplacementCharacter = 0xFFFD;

void append_unicode_escape(std::string& out, uint32_t unit) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4)
    out += kDigits[unit >> shift & 15];
}

void append_escaped(std::string& out, int32_t codepoint) {
  constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  if (codepoint == base::kInvalidCodepoint) codepoint = kReplacementCharacter;
  const auto unit = static_cast<uint32_t>(codepoint);
  const size_t known = unit < 0x80 ? kShort.find(static_cast<char>(unit)) : std::string_view::npos;
  if (known != std::string_view::npos) {
    out += '\\';
    out += kLetters[known];
  } else if (unit > 0xFFFF) {
    append_unicode_escape(out, 0xD800 | (unit - 0x10000) >> 10);
    append_unicode_escape(out, 0xDC00 | (unit & 0x3FF));
  } else if (unit < 0x20 || unit >= 0x7F) {
    append_unicode_escape(out, unit);
  } else {
    out += static_cast<char>(unit);
  }
}

/** As printf's %.17g, which restores every double. */
void append_double(std::string& out, double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 17);
  out.append(text, end.ptr);
}

void append_scalar(std::string& out, const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case boost::json::kind::int64:
      return base::append_decimal(out, int64_t{value.get_int64()});
    case boost::json::kind::uint64:
      return base::append_decimal(out, uint64_t{value.get_uint64()});
    case boost::json::kind::double_:
      return append_double(out, value.get_double());
    case boost::json::kind::string:
      return append_json_string(out, value.get_string());
    default:
      out += "null";
  }
}

/** Writes values either a line each or all in one line. */
class Printer {
 public:
  Printer(std::string& out, bool pretty) : out_(out), pretty_(pretty) {}

  void print(const boost::json::value& value) {
    if (const auto* object = value.if_object()) {
      print_object(*object);
    } else if (const auto* array = value.if_array()) {
      print_array(*array);
    } else {
      append_scalar(out_, value);
    }
  }

 private:
  void print_object(const boost::json::object& object) {
    open('{');
    bool first = true;
    for (const auto* entry : in_printed_order(object)) {
      separate(std::exchange(first, false));
      append_json_string(out_, entry->key());
      out_ += ": ";
      print(entry->value());
    }
    close('}');
  }

  void print_array(const boost::json::array& array) {
    open('[');
    bool first = true;
    for (const boost::json::value& item : array) {
      separate(std::exchange(first, false));
      print(item);
    }
    close(']');
  }

  void open(char bracket) {
    out_ += bracket;
    depth_++;
  }

  void close(char bracket) {
    depth_--;
    new_line();
    out_ += bracket;
  }

  void separate(bool first) {
    if (!first) out_ += pretty_ ? "," : ", ";
    new_line();
  }

  void new_line() {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(kIndent * depth_, ' ');
  }

  std::string& out_;
  bool pretty_;
  size_t depth_ = 0;
};

}  // namespace

uint32_t key_bucket(std::string_view key) {
  uint32_t hash = 0x238F13AFu * static_cast<uint32_t>(key.size());
  for (size_t i = 0; i < key.size(); i++)
    hash += static_cast<uint32_t>(static_cast<uint8_t>(key[i])) << (i * 5 % 24);
  return (1103515243u * hash + 12345u) % kBuckets;
}

std::vector<const boost::json::key_value_pair*> in_printed_order(
    const boost::json::object& object) {
  std::vector<std::pair<uint32_t, const boost::json::key_value_pair*>> keyed;
  keyed.reserve(object.size());
  for (const auto& entry : object)
    keyed.emplace_back(key_bucket(entry.key()), &entry);
  // Entries lie in one array in the order of insertion, so a later one has the higher address.
  std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  std::vector<const boost::json::key_value_pair*> entries;
  entries.reserve(keyed.size());
  for (const auto& [bucket, entry] : keyed)
    entries.push_back(entry);
  return entries;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty())
    append_escaped(out, base::take_codepoint(text));
  out += '"';
}

void append_pretty_json(std::string& out, const boost::json::value& value) {
  Printer(out, true).print(value);
}

void append_compact_json(std::string& out, const boost::json::value& value) {
  Printer(out, false).print(value);
}

std::string compact_json(const boost::json::value& value) {
  std::string out;
  append_compact_json(out, value);
  return out;
}

std::string scalar_text(const boost::json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  if (const auto* flag = value.if_bool()) return *flag ? "on" : "off";
  std::string out;
  if (value.is_number()) append_scalar(out, value);
  return out;
}

}  // namespace instar::options
