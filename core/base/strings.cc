// SPDX-License-Identifier: Apache-2.0
#include "core/base/strings.hpp"

#include <charconv>

namespace instar::base {
namespace {

constexpr size_t kLongestNumber = 400;  // a double of 309 digits, its sign, point and decimals

template <class T>
void append_number(std::string& out, T value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end.ptr);
}

}  // namespace

void append_decimal(std::string& out, uint64_t value) {
  append_number(out, value);
}
void append_decimal(std::string& out, int64_t value) {
  append_number(out, value);
}

void append_hex(std::string& out, uint64_t value) {
  if (value == 0) {
    out += '0';
    return;
  }
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16);
  out += "0x";
  out.append(digits, end.ptr);
}

void append_fixed(std::string& out, double value, int digits) {
  char text[kLongestNumber];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits);
  out.append(text, end.ptr);
}

void append_left(std::string& out, std::string_view text, size_t width) {
  out += text;
  if (text.size() < width) out.append(width - text.size(), ' ');
}

void append_right(std::string& out, std::string_view text, size_t width) {
  if (text.size() < width) out.append(width - text.size(), ' ');
  out += text;
}

void append_zero_padded(std::string& out, uint64_t value, size_t width) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  const size_t length = static_cast<size_t>(end.ptr - digits);
  if (length < width) out.append(width - length, '0');
  out.append(digits, length);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (size_t start = 0;;) {
    const size_t end = text.find(separator, start);
    pieces.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return pieces;
    start = end + 1;
  }
}

std::string join(const std::vector<std::string>& pieces, std::string_view separator) {
  std::string text;
  for (const std::string& piece : pieces) {
    if (&piece != &pieces.front()) text += separator;
    text += piece;
  }
  return text;
}

}  // namespace instar::base
