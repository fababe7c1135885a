// SPDX-License-Identifier: Apache-2.0
/**
 * @file sizes.hpp Sizes and numbers as users type and read them. Units: bytes.
 *
 * A size is decimal ("10G", "1.5k", ".5M"; suffixes b k m g t p e of either case are powers of
 * 1024) or hexadecimal without a suffix ("0x400"). A fraction needs a suffix that leaves whole
 * bytes meaningful and is rounded to the nearest byte. Blanks before the number and a plus sign are
 * accepted, anything behind it isn't.
 */
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::base {

enum class SizeError {
  kNone,
  kInvalid,     ///< not a size (EINVAL)
  kOutOfRange,  ///< a number that does not fit in 64 bits, or negative (ERANGE)
};

struct ParsedSize {
  SizeError error = SizeError::kNone;
  uint64_t bytes = 0;  ///< with kNone only
};

/** Reads a size of up to 2^64 - 1 bytes. */
ParsedSize parse_size(std::string_view text);

/** Reads a plain number: decimal, "0x" hexadecimal or "0" octal, no suffix. Negative ones wrap, as
 * strtoull has it. */
ParsedSize parse_unsigned(std::string_view text);

constexpr int64_t kMaxSize = std::numeric_limits<int64_t>::max();

/**
 * A size that the command line asks for by the name `what` ("image size", "bs"), within [min, max].
 * Errors: "Invalid WHAT specified: 'TEXT'." (EINVAL), "Invalid WHAT specified. Must be between A
 * and B." (ERANGE).
 */
Result<int64_t> parse_size_argument(std::string_view what, std::string_view text, int64_t min = 0,
                                    int64_t max = kMaxSize);

/** The same for a count without suffixes ("number of coroutines"). */
Result<int64_t> parse_number_argument(std::string_view what, std::string_view text, int64_t min = 0,
                                      int64_t max = kMaxSize);

/**
 * "10 MiB", "0.977 GiB", "512 B": three significant digits, the unit changes at 1000 of the lower
 * one.
 */
std::string format_size(uint64_t bytes);

}  // namespace instar::base
