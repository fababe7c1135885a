// SPDX-License-Identifier: Apache-2.0
/** @file hex.hpp Bytes to hexadecimal text and back. */
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace instar::base {

/** Two lower-case digits per byte. */
std::string to_hex(std::span<const uint8_t> bytes);

/** The bytes that pairs of digits of either case stand for, or nothing if the text is anything
 * else. */
std::optional<std::vector<uint8_t>> from_hex(std::string_view text);

/** The value of one digit of either case, or -1. */
int hex_digit_value(char digit);

}  // namespace instar::base
