// SPDX-License-Identifier: Apache-2.0
/** @file base64.hpp RFC 4648 section 4. */
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace instar::sdk {

namespace detail {
inline constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** The digit that a character is; white space and padding are 64, all else 65. */
inline constexpr auto kBase64Digits = [] {
  std::array<uint8_t, 256> digits{};
  digits.fill(65);
  for (const unsigned char c : {'=', '\n', '\r', ' ', '\t'})
    digits[c] = 64;
  for (uint8_t i = 0; i < 64; ++i)
    digits[static_cast<unsigned char>(kBase64[i])] = i;
  return digits;
}();
}  // namespace detail

/** White space is passed over, padding may be missing; nullopt: another character. */
inline std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const unsigned char c : text) {
    const uint8_t digit = detail::kBase64Digits[c];
    if (digit == 64) continue;
    if (digit > 64) return std::nullopt;
    bits = bits << 6 | digit;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

inline std::string encode_base64(std::string_view bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      out += i <= group.size() ? detail::kBase64[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

}  // namespace instar::sdk
