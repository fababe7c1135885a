// SPDX-License-Identifier: Apache-2.0
/** @file strings.hpp Text helpers that need no printf. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace instar::base {

/** Appends a number in decimal. */
void append_decimal(std::string& out, uint64_t value);
void append_decimal(std::string& out, int64_t value);

/** Appends a number as printf's %#x does: "0x1f", and "0" for zero. */
void append_hex(std::string& out, uint64_t value);

/** Appends a number with exactly `digits` decimals, rounded to nearest (printf's %.Nf). */
void append_fixed(std::string& out, double value, int digits);

/** Appends text padded with spaces to at least `width` bytes (bytes, as printf counts). */
void append_left(std::string& out, std::string_view text, size_t width);
void append_right(std::string& out, std::string_view text, size_t width);

/** Appends a number in decimal, padded with zeroes on the left to at least `width` digits. */
void append_zero_padded(std::string& out, uint64_t value, size_t width);

/** The pieces between separators; always at least one. */
std::vector<std::string_view> split(std::string_view text, char separator);

std::string join(const std::vector<std::string>& pieces, std::string_view separator);

}  // namespace instar::base
