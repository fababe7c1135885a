// SPDX-License-Identifier: Apache-2.0
#include "core/base/utf8.hpp"

#include <bit>

namespace instar::base {

bool is_valid_codepoint(int32_t codepoint) {
  if (codepoint < 0 || codepoint > 0x10FFFF) return false;
  if (codepoint >= 0xD800 && codepoint <= 0xDFFF) return false;
  if (codepoint >= 0xFDD0 && codepoint <= 0xFDEF) return false;
  return (codepoint & 0xFFFE) != 0xFFFE;
}

int32_t take_codepoint(std::string_view& text) {
  // The smallest code point that needs 2, 3, … bytes; sequences of 5 and 6 bytes are taken off as
  // one error.
  constexpr int64_t kSmallest[] = {0x80, 0x800, 0x10000, 0x200000, 0x4000000};
  const auto first = static_cast<uint8_t>(text.front());
  text.remove_prefix(1);
  if (first < 0x80) return first;
  const int length = std::countl_one(first);
  if (length == 1 || length > 6) return kInvalidCodepoint;

  int64_t codepoint = first & (0x7F >> length);
  for (int i = 1; i < length; i++) {
    if (text.empty() || (static_cast<uint8_t>(text.front()) & 0xC0) != 0x80)
      return kInvalidCodepoint;
    codepoint = codepoint << 6 | (static_cast<uint8_t>(text.front()) & 0x3F);
    text.remove_prefix(1);
  }
  const bool long_zero = length == 2 && codepoint == 0;
  if (codepoint < kSmallest[length - 2] && !long_zero) return kInvalidCodepoint;
  if (codepoint > 0x10FFFF || !is_valid_codepoint(static_cast<int32_t>(codepoint)))
    return kInvalidCodepoint;
  return static_cast<int32_t>(codepoint);
}

void append_codepoint(std::string& out, int32_t codepoint) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | (codepoint >> shift & 0x3F));
  };
  if (codepoint > 0 && codepoint < 0x80) {
    out += static_cast<char>(codepoint);
  } else if (codepoint < 0x800) {
    out += static_cast<char>(0xC0 | codepoint >> 6);
    tail(0);
  } else if (codepoint < 0x10000) {
    out += static_cast<char>(0xE0 | codepoint >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | codepoint >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace instar::base
