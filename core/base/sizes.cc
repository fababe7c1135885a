// SPDX-License-Identifier: Apache-2.0
#include "core/base/sizes.hpp"

#include <charconv>
#include <cmath>
#include <system_error>

#include "core/base/hex.hpp"

namespace instar::base {
namespace {

using Wide = unsigned __int128;

constexpr ParsedSize kInvalid{SizeError::kInvalid, 0};
constexpr ParsedSize kOutOfRange{SizeError::kOutOfRange, 0};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/** What stands at the front of a text, as strtoull reads it. */
struct Prefix {
  std::string_view rest;  ///< behind the digits
  uint64_t value = 0;
  bool found = false;  ///< there was at least one digit
  bool negative = false;
  bool overflow = false;
};

Prefix read_integer(std::string_view text, int base) {
  Prefix result{text};
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    result.negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const bool hex_mark =
      text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' && hex_digit_value(text[2]) >= 0;
  if (base == 0) base = hex_mark ? 16 : (!text.empty() && text[0] == '0' ? 8 : 10);
  if (base == 16 && hex_mark) text.remove_prefix(2);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), result.value, base);
  if (end == text.data()) return result;
  result.found = true;
  result.overflow = error == std::errc::result_out_of_range;
  result.rest = text.substr(static_cast<size_t>(end - text.data()));
  return result;
}

/** Bytes per unit of a suffix, or 0. */
uint64_t suffix_multiplier(char suffix) {
  constexpr std::string_view kSuffixes = "bkmgtpe";
  const size_t power = kSuffixes.find(static_cast<char>(suffix | 0x20));
  const bool letter = (suffix >= 'a' && suffix <= 'z') || (suffix >= 'A' && suffix <= 'Z');
  return letter && power != std::string_view::npos ? uint64_t{1} << (10 * power) : 0;
}

/** Reads ".digits" at the front of `text` into 1/2^64 units; 2^64 itself where the double rounds to
 * one. */
Wide read_fraction(std::string_view& text) {
  size_t length = 1;
  while (length < text.size() && is_digit(text[length]))
    length++;
  const std::string digits = "0" + std::string(text.substr(0, length));
  text.remove_prefix(length);
  double fraction = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
  const bool non_zero = digits.find_first_not_of("0.") != std::string::npos;
  const Wide units = static_cast<Wide>(std::ldexp(fraction, 64));
  return units == 0 && non_zero ? 1 : units;
}

/** For a number without digits before its point: true if a point and a digit stand behind blanks
 * and a plus sign. */
bool skip_to_fraction(std::string_view& text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  return text.size() >= 2 && text[0] == '.' && is_digit(text[1]);
}

ParsedSize parse_hex(std::string_view text) {
  const Prefix number = read_integer(text, 16);
  if (!number.rest.empty()) return kInvalid;
  if (number.overflow) return kOutOfRange;
  return {SizeError::kNone, number.value};
}

/** whole + fraction/2^64, times the unit, rounded to the nearest. */
ParsedSize scale(uint64_t whole, Wide fraction, uint64_t unit) {
  if (fraction >> 64) {
    if (whole == std::numeric_limits<uint64_t>::max()) return kOutOfRange;
    whole++;
    fraction = 0;
  }
  if (unit == 1) return fraction != 0 ? kInvalid : ParsedSize{SizeError::kNone, whole};
  const Wide parts = fraction * unit;
  const Wide bytes = Wide{whole} * unit + (parts >> 64) + ((parts >> 63) & 1);
  if (bytes >> 64) return kOutOfRange;
  return {SizeError::kNone, static_cast<uint64_t>(bytes)};
}

Result<int64_t> check_argument(const ParsedSize& parsed, std::string_view what,
                               std::string_view text, int64_t min, int64_t max) {
  if (parsed.error == SizeError::kInvalid)
    return fail(EINVAL, "Invalid ", what, " specified: '", text, "'.");
  const bool fits = parsed.error == SizeError::kNone &&
                    parsed.bytes <= static_cast<uint64_t>(max) &&
                    parsed.bytes >= static_cast<uint64_t>(min);
  if (!fits)
    return fail(ERANGE, "Invalid ", what, " specified. Must be between ", min, " and ", max, ".");
  return static_cast<int64_t>(parsed.bytes);
}

}  // namespace

ParsedSize parse_size(std::string_view text) {
  const Prefix whole = read_integer(text, 10);
  std::string_view rest = whole.rest;
  if (whole.overflow || (whole.found && whole.negative))
    return rest.empty() ? kOutOfRange : kInvalid;
  if (whole.found && whole.value == 0 && !rest.empty() && (rest[0] | 0x20) == 'x')
    return parse_hex(text);

  if (!whole.found && !skip_to_fraction(rest)) return kInvalid;
  Wide fraction = 0;
  if (!rest.empty() && rest[0] == '.') fraction = read_fraction(rest);

  uint64_t unit = 1;
  if (!rest.empty()) {
    unit = suffix_multiplier(rest[0]);
    if (unit == 0 || rest.size() > 1) return kInvalid;
  }
  return scale(whole.value, fraction, unit);
}

ParsedSize parse_unsigned(std::string_view text) {
  const Prefix number = read_integer(text, 0);
  if (!number.found || !number.rest.empty()) return kInvalid;
  if (number.overflow) return kOutOfRange;
  return {SizeError::kNone, number.negative ? 0 - number.value : number.value};
}

Result<int64_t> parse_size_argument(std::string_view what, std::string_view text, int64_t min,
                                    int64_t max) {
  return check_argument(parse_size(text), what, text, min, max);
}

Result<int64_t> parse_number_argument(std::string_view what, std::string_view text, int64_t min,
                                      int64_t max) {
  return check_argument(parse_unsigned(text), what, text, min, max);
}

std::string format_size(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  // Dividing by 1000/1024 makes the exponent change at 1000 of the lower unit.
  const double scaled = static_cast<double>(bytes) / (1000.0 / 1024.0);
  const int exponent = bytes == 0 ? 0 : std::ilogb(scaled);
  const size_t unit = exponent < 0 ? 0 : static_cast<size_t>(exponent) / 10;
  const double value = std::ldexp(static_cast<double>(bytes), -10 * static_cast<int>(unit));
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 3);
  return std::string(text, end.ptr) + " " + std::string(kUnits[unit]);
}

}  // namespace instar::base
